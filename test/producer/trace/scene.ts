// SPDX-License-Identifier: Apache-2.0
// Snapshots made by hand, and recordings made of them.
import {account} from '../../../src/core/accounting/index.js';
import {compare} from '../../../src/core/changes/index.js';
import type {
  Coverage,
  DmaBuf,
  Holding,
  KernelList,
  ProcessHoldings,
  Provenance,
  RawText,
  ReadState,
  Snapshot,
} from '../../../src/core/model/index.js';
import {
  TraceEncoder,
  type TraceEncoderOptions,
} from '../../../src/producer/trace/trace_recorder.js';

export const SECOND = 1_000_000_000n;
/** BOOTTIME of the first sample's start. */
export const START_NS = 1000n * SECOND;
/** From one sample's start to the next. */
export const INTERVAL_NS = SECOND / 4n;
/** How long a sample takes. */
export const LENGTH_NS = SECOND / 100n;

export const CLOCK = {bootNs: START_NS, realNs: 1_700_000_000n * SECOND};

export const PROVENANCE: Provenance = {
  simulated: false,
  source: 'adb',
  device: 'serial (model)',
  kernelRelease: '6.1.0-test',
  buildFingerprint: undefined,
  bootId: '1b4e28ba-2fa1-11d2-883f-0016d3cca427',
  uid: 0,
  toolVersion: '0.0.0-test',
};

/** When what sample `index` saw is stamped. */
export function stampOf(index: number): bigint {
  return START_NS + BigInt(index) * INTERVAL_NS + LENGTH_NS;
}

interface SceneProcess {
  startTicks: bigint | undefined;
  name: RawText;
  readState: ReadState;
  kernelRssBytes: bigint | undefined;
  kernelPssBytes: bigint | undefined;
  holdings: Map<bigint, {fdRefs: number; mapRefs: number}>;
}

/** Memory and processes that change between samples. */
export class Scene {
  readonly snapshots: Snapshot[] = [];
  private readonly buffers = new Map<bigint, DmaBuf>();
  private readonly processes = new Map<number, SceneProcess>();
  kernelList: KernelList | undefined = 'bufinfo';
  problems: string[] = [];

  alloc(inode: bigint, about: Partial<DmaBuf> = {}): void {
    this.buffers.set(inode, {
      inode,
      generation: 0,
      sizeBytes: 4096n,
      exporter: 'system',
      name: {raw: undefined, doubtful: false},
      fileCount: 1n,
      ...about,
    });
  }

  name(inode: bigint, raw: RawText): void {
    this.change(inode, {name: {raw, doubtful: false}});
  }

  change(inode: bigint, about: Partial<DmaBuf>): void {
    const buffer = this.buffers.get(inode);
    if (buffer === undefined) throw new Error(`no buffer ${inode}`);
    this.buffers.set(inode, {...buffer, ...about});
  }

  free(inode: bigint): void {
    this.buffers.delete(inode);
    for (const {holdings} of this.processes.values()) holdings.delete(inode);
  }

  start(pid: number, about: Partial<SceneProcess> = {}): void {
    this.processes.set(pid, {
      startTicks: BigInt(pid) * 10n,
      name: `process${pid}`,
      readState: 'complete',
      kernelRssBytes: undefined,
      kernelPssBytes: undefined,
      holdings: new Map(),
      ...about,
    });
  }

  process(pid: number): SceneProcess {
    const process = this.processes.get(pid);
    if (process === undefined) throw new Error(`no process ${pid}`);
    return process;
  }

  exit(pid: number): void {
    this.processes.delete(pid);
  }

  hold(pid: number, inode: bigint, fdRefs = 1, mapRefs = 0): void {
    this.process(pid).holdings.set(inode, {fdRefs, mapRefs});
  }

  release(pid: number, inode: bigint): void {
    this.process(pid).holdings.delete(inode);
  }

  /** Takes a sample of it all. */
  sample(): Snapshot {
    const sequence = this.snapshots.length;
    const startNs = START_NS + BigInt(sequence) * INTERVAL_NS;
    const buffers = new Map<bigint, DmaBuf>();
    if (this.kernelList !== undefined) {
      for (const [inode, buffer] of this.buffers) buffers.set(inode, buffer);
    }
    const processes = new Map<number, ProcessHoldings>();
    for (const pid of this.processes.keys()) {
      const seen = this.look(pid, startNs);
      processes.set(pid, seen);
      for (const [inode, {buffer}] of seen.holdings) buffers.set(inode, buffer);
    }
    const snapshot: Snapshot = {
      startNs,
      endNs: startNs + LENGTH_NS,
      sequence,
      buffers,
      processes,
      coverage: this.coverage(),
      cost: {
        deviceCpuNs: 3_000_000n,
        bytes: 1000,
        fullScan: sequence === 0,
        processesScanned: processes.size,
      },
    };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  private look(pid: number, asOfNs: bigint): ProcessHoldings {
    const process = this.process(pid);
    const {startTicks, name, readState} = process;
    const holdings = new Map<bigint, Holding>();
    if (readState === 'complete') {
      for (const [inode, {fdRefs, mapRefs}] of process.holdings) {
        const buffer = this.buffers.get(inode);
        if (buffer === undefined) throw new Error(`no buffer ${inode}`);
        const mappedBytes = BigInt(mapRefs) * (buffer.sizeBytes ?? 0n);
        holdings.set(inode, {buffer, fdRefs, mapRefs, mappedBytes});
      }
    }
    return {
      process: {pid, startTicks, comm: name, cmdline: undefined},
      readState,
      holdings,
      kernelRssBytes: process.kernelRssBytes,
      kernelPssBytes: process.kernelPssBytes,
      asOfNs,
    };
  }

  private coverage(): Coverage {
    const all = [...this.processes.values()];
    return {
      kernelList: this.kernelList,
      fileCounts: this.kernelList === 'bufinfo',
      processesSeen: all.length,
      processesUnreadable: all.filter((p) => p.readState !== 'complete').length,
      processesVanished: 0,
      inodeCollisions: 0,
      problems: this.problems,
    };
  }
}

/** The pieces of a recording: header, each sample, end. */
export function record(
  snapshots: readonly Snapshot[],
  options: Partial<TraceEncoderOptions> = {},
): Uint8Array[] {
  const encoder = new TraceEncoder({
    provenance: PROVENANCE,
    dmabufRssInProcessStats: true,
    ...options,
  });
  const pieces = [encoder.header(CLOCK)];
  let previous: Snapshot | undefined;
  for (const snapshot of snapshots) {
    const changes = compare(previous, snapshot);
    pieces.push(encoder.sample(snapshot, changes, account(snapshot)));
    previous = snapshot;
  }
  pieces.push(encoder.finish());
  return pieces;
}

/**
 * A little of everything: allocation, sharing, a late name, release in another
 * order, a mapped-only and a kernel-only buffer, an exit with a reused pid, a
 * freed buffer whose inode comes back.
 */
export function everything(): Snapshot[] {
  const scene = new Scene();
  scene.start(10, {name: 'cameraserver'});
  scene.start(20, {name: 'surfaceflinger'});
  scene.start(30, {name: 'idle'});
  scene.alloc(1n, {sizeBytes: 8192n, name: {raw: 'old', doubtful: false}});
  scene.alloc(9n, {sizeBytes: 1_048_576n, exporter: 'vgem'});
  scene.hold(10, 1n);
  scene.sample(); // 0: 10 holds 1, nobody holds 9

  scene.alloc(2n, {sizeBytes: 12_288n, fileCount: 5n});
  scene.hold(10, 2n);
  scene.hold(20, 1n, 2, 1);
  scene.sample(); // 1: 2 is new, 1 is shared with 20

  scene.name(2n, 'preview');
  scene.hold(10, 1n, 0, 1);
  scene.release(20, 1n);
  scene.sample(); // 2: 2 has a name, 1 is only mapped

  scene.hold(20, 2n);
  scene.release(10, 2n);
  scene.sample(); // 3: 2 went over to 20

  scene.exit(10);
  scene.start(10, {startTicks: 999n, name: 'newcomer'});
  scene.free(1n);
  scene.alloc(1n, {generation: 1, sizeBytes: 4096n});
  scene.hold(10, 1n);
  scene.sample(); // 4: pid 10 and inode 1 stand for others now

  scene.free(9n);
  scene.sample(); // 5
  return scene.snapshots;
}
