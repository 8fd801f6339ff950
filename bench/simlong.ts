// SPDX-License-Identifier: Apache-2.0
// The simulator against real time: a kernel under load, sampled through the
// collector's own protocol and parsed, in a process of its own whose memory is
// measured.
import {execFile} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {connectCollector} from '../src/producer/collector/connect.js';
import {deviceOfKernel} from '../src/producer/device/simulated_device.js';
import type {Ratio} from './ratio.js';
import {loadedKernel, type Load} from './simulated_load.js';

const LOAD: Load = {processes: 500, buffers: 20_000, churn: 0.05, busy: 25};
const SAMPLE_NS = 250_000_000n;
const SIMULATED_S = 240;
const MEMORY_LIMIT_MB = 300;

/** What V8 may keep: less garbage than it would let pile up, MB. */
const HEAP_MB = {old: 180, young: 16} as const;

interface Measured {
  /** CPU time, user and system: how long one core had to do with it. */
  readonly seconds: number;
  /** Of which the kernel without anybody who reads it. */
  readonly kernelSeconds: number;
  readonly samples: number;
  readonly fullScans: number;
  readonly bytes: number;
  readonly buffers: number;
  /** Largest resident set, MB. */
  readonly peakMb: number;
}

/** How much faster than real time it is, and what memory it takes. */
export async function benchSimulator(): Promise<Ratio[]> {
  const {stdout} = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    `--max-old-space-size=${HEAP_MB.old}`,
    `--max-semi-space-size=${HEAP_MB.young}`,
    fileURLToPath(import.meta.url),
    'measure',
  ]);
  const measured = JSON.parse(stdout) as Measured;
  const {seconds, kernelSeconds, samples, fullScans, bytes, peakMb} = measured;
  const load =
    `${LOAD.processes} processes, ${measured.buffers} buffers, ` +
    `${LOAD.churn * 100} % churn a second`;
  return [
    {
      name: 'simulated time over real time, sampled and parsed at 4 Hz',
      ratio: SIMULATED_S / seconds,
      limit: '>= 50',
      detail:
        `${SIMULATED_S} s / ${seconds.toFixed(2)} s of CPU (${load}; ` +
        `${samples} samples, ${fullScans} full scans, ` +
        `${(bytes / samples / 1e6).toFixed(2)} MB a sample)`,
    },
    {
      name: 'simulated time over real time, the kernel alone',
      ratio: SIMULATED_S / kernelSeconds,
      limit: '>= 50',
      detail: `${SIMULATED_S} s / ${kernelSeconds.toFixed(2)} s of CPU`,
    },
    {
      name: 'memory of the simulator and what samples it',
      ratio: peakMb / MEMORY_LIMIT_MB,
      limit: '<= 1',
      detail:
        `${peakMb.toFixed(0)} MB resident / ${MEMORY_LIMIT_MB} MB (heap ` +
        `limited to ${HEAP_MB.old} MB)`,
    },
  ];
}

async function measure(): Promise<Measured> {
  const kernel = loadedKernel(LOAD);
  const device = deviceOfKernel(kernel, {description: 'load'});
  const collector = await connectCollector(device);
  const {sampler} = collector;
  // The first sample has to look at everything, whoever reads.
  await sampler.sample();
  let kernelSeconds = 0;
  let fullScans = 0;
  let bytes = 0;
  let buffers = 0;
  const begin = cpuSeconds();
  const samples = SIMULATED_S * 4;
  for (let i = 0; i < samples; i++) {
    const advanced = cpuSeconds();
    kernel.advance(SAMPLE_NS);
    kernelSeconds += cpuSeconds() - advanced;
    const {cost, buffers: seen, coverage} = await sampler.sample();
    const [problem] = coverage.problems;
    if (problem !== undefined) throw new Error(`a sample failed: ${problem}`);
    fullScans += Number(cost.fullScan);
    bytes += cost.bytes;
    buffers = seen.size;
  }
  const seconds = cpuSeconds() - begin;
  await collector.close();
  await device.close();
  return {
    seconds,
    kernelSeconds,
    samples,
    fullScans,
    bytes,
    buffers,
    // KiB, says getrusage(2) of Linux.
    peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  };
}

function cpuSeconds(): number {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1e6;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === 'measure') {
    process.stdout.write(JSON.stringify(await measure()));
  }
}
