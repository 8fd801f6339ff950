// SPDX-License-Identifier: Apache-2.0
// What collecting costs the device and the host, on a real kernel over the
// real adb: 200 processes, 5,000 dma-buf fds, 400 buffers that are only
// mapped, 80 other fds and 300 other mappings in each process.
import type {Snapshot} from '../src/core/model/index.js';
import {connectCollector} from '../src/producer/collector/connect.js';
import {openAdb} from '../src/producer/device/index.js';
import {record, type Progress} from '../src/producer/recording.js';
import type {ConnectedSource} from '../src/producer/source.js';
import type {TraceSink} from '../src/producer/trace/index.js';
import {bootLab, type KernelName, type Lab} from '../test/device-lab/lab.js';
import {median, type Ratio} from './ratio.js';

const POPULATION = 'pop 200 5400 4096 0 80 2 300';
/** 1 % of the buffers a second. */
const CHURN = 'churn 54';
const ROUNDS = 5;
const RECORDING_MS = 120_000;
const INTERVAL_MS = 250;

export interface DeviceBenchOptions {
  readonly kernel: KernelName;
}

/** Boots the lab, measures, and takes it down again. */
export async function benchDevice(
  options: DeviceBenchOptions,
): Promise<Ratio[]> {
  const lab = await bootLab({kernel: options.kernel, memoryMb: 3072});
  try {
    await lab.puppet([POPULATION]);
    const source = await connect(lab);
    try {
      const full = await fullScan(lab, source);
      await lab.puppet([CHURN]);
      const steady = await steadyRecording(lab, source, full.bytes);
      return [full.ratio, ...steady];
    } finally {
      await source.close();
    }
  } finally {
    await lab.stop();
  }
}

async function connect(lab: Lab): Promise<ConnectedSource> {
  const device = await openAdb({
    host: '127.0.0.1',
    port: lab.adbPort,
  }).openDevice(lab.serial);
  const collector = await connectCollector(device, {timeoutMs: 60_000});
  return {
    device,
    collector,
    provenance: {
      simulated: false,
      source: 'adb',
      device: device.description,
      kernelRelease: lab.kernelRelease,
      buildFingerprint: undefined,
      bootId: collector.capabilities.bootId,
      uid: collector.capabilities.uid,
      toolVersion: 'bench',
    },
    simulatedWhy: undefined,
    close: async () => {
      await collector.close();
      await device.close();
    },
  };
}

/** CPU time of one run of the static C scanner over fdinfo and maps, s. */
async function scannerCpu(lab: Lab): Promise<number> {
  const output = await lab.shell('meter scanner fdinfo maps');
  const {user_us: user, system_us: system} = JSON.parse(output.toString()) as {
    user_us: number;
    system_us: number;
  };
  return (user + system) / 1e6;
}

function cpuSeconds({cost}: Snapshot): number {
  if (cost.deviceCpuNs === undefined) throw new Error('no CPU time reported');
  return Number(cost.deviceCpuNs) / 1e9;
}

async function fullScan(
  lab: Lab,
  {collector}: ConnectedSource,
): Promise<{ratio: Ratio; bytes: number}> {
  const scanner: number[] = [];
  const ours: number[] = [];
  const bytes: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    scanner.push(await scannerCpu(lab));
    const snapshot = await collector.sampler.sample({full: true});
    ours.push(cpuSeconds(snapshot));
    bytes.push(snapshot.cost.bytes);
  }
  const reference = median(scanner);
  const measured = median(ours);
  return {
    bytes: median(bytes),
    ratio: {
      name: 'full scan, device CPU against a static C scanner',
      ratio: measured / reference,
      limit: '<= 2.5',
      detail: `${measured.toFixed(2)} s / ${reference.toFixed(2)} s`,
    },
  };
}

async function steadyRecording(
  lab: Lab,
  source: ConnectedSource,
  fullScanBytes: number,
): Promise<Ratio[]> {
  const before = await scannerCpu(lab);
  const snapshots: {cpu: number; bytes: number}[] = [];
  const sampler = source.collector.sampler;
  const sample = sampler.sample.bind(sampler);
  sampler.sample = async (options) => {
    const snapshot = await sample(options);
    snapshots.push({cpu: cpuSeconds(snapshot), bytes: snapshot.cost.bytes});
    return snapshot;
  };
  const sink = new CountingSink();
  const hostBefore = process.cpuUsage();
  const startMs = performance.now();
  let first: Progress | undefined;
  const result = await record(source, sink, {
    durationMs: RECORDING_MS,
    intervalMs: INTERVAL_MS,
    signal: new AbortController().signal,
    onProgress: (progress) => {
      first ??= progress;
    },
  });
  const elapsed = (performance.now() - startMs) / 1000;
  const host = process.cpuUsage(hostBefore);
  const after = await scannerCpu(lab);
  if (result.error !== undefined) throw result.error;

  const count = snapshots.length;
  const scanner = (before + after) / 2;
  const cpu = snapshots.reduce((sum, each) => sum + each.cpu, 0) / count;
  const bytes = snapshots.reduce((sum, each) => sum + each.bytes, 0) / count;
  const hostSeconds = (host.user + host.system) / 1e6;
  const snapshotBytes = sink.chunks[1] ?? NaN;
  const later = sink.chunks.slice(2, -1);
  const traceBytes = later.reduce((sum, each) => sum + each, 0) / later.length;
  const reached = result.reachedIntervalMs?.toFixed(0) ?? '?';
  return [
    {
      name: 'steady recording, device CPU a sample against one C scan',
      ratio: cpu / scanner,
      limit: '<= 0.8',
      detail:
        `${cpu.toFixed(2)} s / ${scanner.toFixed(2)} s ` +
        `(${count} samples, one every ${reached} ms)`,
    },
    {
      name: 'steady recording, bytes over adb a sample against a full scan',
      ratio: bytes / fullScanBytes,
      limit: '<= 0.2',
      detail: `${bytes.toFixed(0)} B / ${fullScanBytes.toFixed(0)} B`,
    },
    {
      name: 'steady recording, host CPU against one core',
      ratio: hostSeconds / elapsed,
      limit: '<= 0.05',
      detail: `${hostSeconds.toFixed(2)} s / ${elapsed.toFixed(0)} s`,
    },
    {
      name: 'steady recording, trace a sample against a full snapshot',
      ratio: traceBytes / snapshotBytes,
      limit: '<= 0.02',
      detail: `${traceBytes.toFixed(0)} B / ${snapshotBytes} B`,
    },
  ];
}

/** Notes how long each piece is and drops it. */
class CountingSink implements TraceSink {
  readonly chunks: number[] = [];
  bytesWritten = 0;

  write(chunk: Uint8Array): Promise<void> {
    this.chunks.push(chunk.length);
    this.bytesWritten += chunk.length;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
