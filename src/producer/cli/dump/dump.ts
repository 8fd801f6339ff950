// SPDX-License-Identifier: Apache-2.0
import type {
  Accounting,
  BufferAccount,
  ProcessAccount,
  Sum,
} from '../../../core/accounting/index.js';
import type {
  Holding,
  Process,
  ProcessHoldings,
  Provenance,
  Snapshot,
} from '../../../core/model/index.js';

/** The state of a device's dma-bufs at one moment, and where it is from. */
export interface Dump {
  readonly provenance: Provenance;
  readonly snapshot: Snapshot;
  /** REALTIME − BOOTTIME of the device, ns; undefined where not measured. */
  readonly realOffsetNs: bigint | undefined;
  /**
   * Only these processes, and the buffers that they hold, were asked for;
   * undefined: all.
   */
  readonly pids: readonly number[] | undefined;
}

/** The processes that were asked for, biggest first. */
export function chosenProcesses(
  {pids}: Dump,
  {processes}: Accounting,
): ProcessAccount[] {
  return [...processes.values()]
    .filter(({holdings}) => pids?.includes(holdings.process.pid) ?? true)
    .sort(byPss);
}

/** The buffers that the chosen processes hold, or all; biggest first. */
export function chosenBuffers(
  {pids, snapshot}: Dump,
  {buffers}: Accounting,
): BufferAccount[] {
  const held = new Set<bigint>();
  for (const pid of pids ?? []) {
    for (const inode of snapshot.processes.get(pid)?.holdings.keys() ?? []) {
      held.add(inode);
    }
  }
  return [...buffers.values()]
    .filter(({buffer}) => pids === undefined || held.has(buffer.inode))
    .sort((a, b) => bySize(a.buffer, b.buffer));
}

export interface Holder {
  readonly process: Process;
  readonly holding: Holding;
}

/** Who holds what, by inode; of the whole device, by pid. */
export function holdersByBuffer({
  processes,
}: Snapshot): ReadonlyMap<bigint, readonly Holder[]> {
  const holders = new Map<bigint, Holder[]>();
  for (const {process, holdings} of processes.values()) {
    for (const [inode, holding] of holdings) {
      const known = holders.get(inode);
      if (known === undefined) holders.set(inode, [{process, holding}]);
      else known.push({process, holding});
    }
  }
  for (const list of holders.values()) {
    list.sort((a, b) => a.process.pid - b.process.pid);
  }
  return holders;
}

/** Buffers that have an exporter, or a name, in common. */
export interface BufferGroup {
  readonly members: readonly BufferAccount[];
  readonly sum: Sum;
  /** Of them, held by no process that could be read. */
  readonly kernelOnly: Sum;
  /** Processes that hold any of them. */
  readonly holders: number;
}

/** Groups by a key that is never missing; biggest first. */
export function groupBuffers(
  buffers: readonly BufferAccount[],
  keyOf: (account: BufferAccount) => string,
  holders: ReadonlyMap<bigint, readonly Holder[]>,
): BufferGroup[] {
  const groups = new Map<string, BufferAccount[]>();
  for (const account of buffers) {
    const key = keyOf(account);
    const members = groups.get(key);
    if (members === undefined) groups.set(key, [account]);
    else members.push(account);
  }
  return [...groups.values()]
    .map((members) => ({
      members,
      sum: sumUp(members),
      kernelOnly: sumUp(members.filter((account) => account.holders === 0)),
      holders: new Set(
        members.flatMap(({buffer}) =>
          (holders.get(buffer.inode) ?? []).map(({process}) => process.pid),
        ),
      ).size,
    }))
    .sort((a, b) => compareBigint(b.sum.bytes, a.sum.bytes));
}

/** Tells names apart that look alike: not told, never set, set. */
export function nameKey({buffer: {name}}: BufferAccount): string {
  if (name === undefined) return 'unknown';
  return name.raw === undefined ? 'unset' : `=${name.raw}`;
}

export function exporterKey({buffer: {exporter}}: BufferAccount): string {
  return exporter === undefined ? 'unknown' : `=${exporter}`;
}

function sumUp(members: readonly BufferAccount[]): Sum {
  const sum: Sum = {bytes: 0n, buffers: 0, unknownSizes: 0};
  for (const {buffer} of members) {
    sum.buffers++;
    if (buffer.sizeBytes === undefined) sum.unknownSizes++;
    else sum.bytes += buffer.sizeBytes;
  }
  return sum;
}

/** True when a sum says nothing: there is something, and no size is known. */
export function isUnknown(sum: {
  readonly buffers: number;
  readonly unknownSizes: number;
}): boolean {
  return sum.unknownSizes > 0 && sum.unknownSizes === sum.buffers;
}

/** RSS and PSS; undefined where nothing is known, never 0 for that. */
export function processSums({
  rssBytes,
  pssBytes,
  unknownSizes,
  holdings,
}: ProcessAccount): {
  readonly rssBytes: bigint | undefined;
  readonly pssBytes: number | undefined;
} {
  const isGuess =
    holdings.readState === 'complete' &&
    isUnknown({buffers: holdings.holdings.size, unknownSizes});
  return isGuess
    ? {rssBytes: undefined, pssBytes: undefined}
    : {rssBytes, pssBytes};
}

/**
 * The references of a holding; undefined where a process could be read only
 * in part and none were seen, which is not the same as that there are none.
 */
export function knownRefs(
  {readState}: ProcessHoldings,
  {buffer: {refsKnown}, fdRefs, mapRefs, mappedBytes}: Holding,
): {
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
  readonly mappedBytes: bigint | undefined;
} {
  if (refsKnown === 'holders') {
    return {fdRefs: undefined, mapRefs: undefined, mappedBytes: undefined};
  }
  const isAll = readState === 'complete';
  const isLengthKnown = refsKnown === undefined || mapRefs === 0;
  return {
    fdRefs: isAll || fdRefs > 0 ? fdRefs : undefined,
    mapRefs: isAll || mapRefs > 0 ? mapRefs : undefined,
    mappedBytes:
      isLengthKnown && (isAll || mapRefs > 0) ? mappedBytes : undefined,
  };
}

function byPss(a: ProcessAccount, b: ProcessAccount): number {
  const weight = (account: ProcessAccount): number => {
    const {rssBytes, pssBytes} = processSums(account);
    return pssBytes ?? (rssBytes === undefined ? -1 : Number(rssBytes));
  };
  const difference = weight(b) - weight(a);
  if (difference !== 0) return difference;
  return a.holdings.process.pid - b.holdings.process.pid;
}

/** Biggest first, those of unknown size last, then by inode. */
export function bySize(
  a: {readonly sizeBytes: bigint | undefined; readonly inode: bigint},
  b: {readonly sizeBytes: bigint | undefined; readonly inode: bigint},
): number {
  const difference = compareBigint(b.sizeBytes ?? -1n, a.sizeBytes ?? -1n);
  return difference === 0 ? compareBigint(a.inode, b.inode) : difference;
}

export function compareBigint(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}
