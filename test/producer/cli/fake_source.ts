// SPDX-License-Identifier: Apache-2.0
import type {
  Coverage,
  DmaBuf,
  Holding,
  Process,
  ProcessHoldings,
  Provenance,
  Snapshot,
} from '../../../src/core/model/index.js';
import type {Capabilities} from '../../../src/producer/collector/capabilities.js';
import {BootClock} from '../../../src/producer/collector/clock.js';
import type {ConnectedSource} from '../../../src/producer/source.js';

export const PROVENANCE: Provenance = {
  simulated: false,
  source: 'adb',
  device: 'Pixel 8 (3A)',
  kernelRelease: '6.1.99',
  buildFingerprint: 'google/shiba/shiba:14',
  bootId: '5f1c',
  uid: 0,
  toolVersion: '1.2.3',
};

/** Everything answers. */
export const ROOTED: Capabilities = {
  kernelRelease: '6.1.99',
  bootId: '5f1c',
  uid: 0,
  properties: new Map([['ro.build.type', 'userdebug']]),
  bufinfo: 'yes',
  debugfsMounted: true,
  bpf: 'yes',
  sysfs: 'yes',
  fds: 'yes',
  maps: 'yes',
  dmabufRss: 'yes',
  dmabufPss: 'yes',
  fdCounts: true,
  kernelList: 'bufinfo',
};

/** A production device: nothing but its own processes. */
export const UNROOTED: Capabilities = {
  ...ROOTED,
  uid: 2000,
  bufinfo: 'no permission',
  debugfsMounted: false,
  bpf: 'no permission',
  sysfs: 'no permission',
  fds: 'no permission',
  maps: 'no permission',
  dmabufRss: 'absent',
  dmabufPss: 'absent',
  fdCounts: false,
  kernelList: undefined,
};

export const COVERAGE: Coverage = {
  kernelList: 'bufinfo',
  fileCounts: true,
  processesSeen: 2,
  processesUnreadable: 0,
  processesVanished: 0,
  inodeCollisions: 0,
  problems: [],
};

export function buffer(fields: Partial<DmaBuf> & {inode: bigint}): DmaBuf {
  return {
    generation: 0,
    sizeBytes: 4096n,
    exporter: 'system',
    name: {raw: 'frame', doubtful: false},
    fileCount: 2n,
    ...fields,
  };
}

export function holdings(
  process: Partial<Process> & {pid: number},
  held: readonly (Partial<Holding> & {buffer: DmaBuf})[],
  fields: Partial<ProcessHoldings> = {},
): ProcessHoldings {
  return {
    process: {
      startTicks: 7n,
      comm: 'app',
      cmdline: 'com.example.app',
      ...process,
    },
    readState: 'complete',
    holdings: new Map(
      held.map((holding) => [
        holding.buffer.inode,
        {fdRefs: 1, mapRefs: 0, mappedBytes: 0n, ...holding},
      ]),
    ),
    kernelRssBytes: undefined,
    kernelPssBytes: undefined,
    asOfNs: 5n,
    ...fields,
  };
}

export function snapshotOf(
  processes: readonly ProcessHoldings[],
  others: readonly DmaBuf[] = [],
  coverage: Partial<Coverage> = {},
): Snapshot {
  const held = processes.flatMap((each) =>
    [...each.holdings.values()].map((holding) => holding.buffer),
  );
  return {
    startNs: 1_000_000_000n,
    endNs: 1_020_000_000n,
    sequence: 0,
    buffers: new Map([...held, ...others].map((each) => [each.inode, each])),
    processes: new Map(processes.map((each) => [each.process.pid, each])),
    coverage: {...COVERAGE, ...coverage},
    cost: {
      deviceCpuNs: 10_000_000n,
      bytes: 1234,
      fullScan: true,
      processesScanned: processes.length,
    },
  };
}

export interface FakeSourceOptions {
  readonly capabilities?: Capabilities;
  readonly provenance?: Partial<Provenance>;
  readonly simulatedWhy?: string;
  readonly onClose?: () => void;
}

/** A device that always gives the same sample. */
export function fakeSource(
  snapshot: () => Promise<Snapshot> | Snapshot,
  options: FakeSourceOptions = {},
): ConnectedSource {
  const capabilities = options.capabilities ?? ROOTED;
  const clock = new BootClock();
  // BOOTTIME 1 s is REALTIME 100 s, give or take 5 ms.
  clock.add({
    realBeforeNs: 100_000_000_000n,
    uptimeNs: 1_000_000_000n,
    realAfterNs: 100_000_000_000n,
    cpuNs: undefined,
  });
  let sequence = 0;
  const sampler = {
    clock,
    now: () => Promise.resolve({bootNs: 1n, realNs: 2n}),
    sample: async () => ({...(await snapshot()), sequence: sequence++}),
  };
  return {
    device: {
      kind: 'adb',
      serial: '3A',
      description: 'Pixel 8 (3A)',
    } as unknown as ConnectedSource['device'],
    collector: {
      capabilities,
      sampler,
      close: () => Promise.resolve(),
    } as unknown as ConnectedSource['collector'],
    provenance: {...PROVENANCE, uid: capabilities.uid, ...options.provenance},
    simulatedWhy: options.simulatedWhy,
    close: () => {
      options.onClose?.();
      return Promise.resolve();
    },
  };
}

/** Names that a process may really give a buffer. */
export const HOSTILE_NAMES: readonly string[] = [
  'nl\nhere',
  'nl-end\n',
  ' lead and trail ',
  'tab\there',
  'cr\rhere',
  'esc\x1b[31mred\x1b[0m',
  'title\x1b]0;pwned\x07',
  'bad\xff\xfeutf8',
  'c1\xc2\x9b31m',
  'bidi\xe2\x80\xae evil',
  'sep\xe2\x80\xa8line',
  'nul\0here',
  'back\\slash',
  'quote"d',
  'comma,semi;colon:',
  '=1+1',
  '+1',
  '-1',
  '@SUM(A1)',
  '\t=1',
  '?',
  '(unset)',
  '',
  '<none>',
  '\ncount:\t99',
  '\xe5\xad\x97\xe5\xb9\x95',
];
