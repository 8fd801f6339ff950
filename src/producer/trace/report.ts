// SPDX-License-Identifier: Apache-2.0
// What a recording tells about memory that was taken and not given back.
import type {
  BufferRecord,
  CounterSummary,
  HoldingRecord,
  ProcessRecord,
  Recording,
} from './recording.js';
import {EXPORTER_PREFIX, trackName} from './schema.js';

/** Stands for buffers that never had a name. */
export const UNNAMED = '(unnamed)';
export const NO_EXPORTER = '(unknown)';

export interface HolderRow {
  readonly pid: number;
  readonly process: string;
  /** bytes; undefined where it was never known. */
  readonly rss: CounterSummary | undefined;
  readonly pss: CounterSummary | undefined;
  /** Distinct buffers still held at the end. */
  readonly buffersAtEnd: number;
}

export interface BufferRow {
  readonly inode: bigint;
  readonly generation: number;
  readonly sizeBytes: bigint | undefined;
  /** The last one it had. */
  readonly name: string;
  readonly exporter: string;
  /** Since the begin of the recording, ns. */
  readonly beginNs: bigint;
  /** Since the begin of the recording, ns; undefined: still there. */
  readonly endNs: bigint | undefined;
  /** It was there before the recording began. */
  readonly beganUnseen: boolean;
  /** Who held it, each process once; in heldAtEnd those of the end. */
  readonly holders: readonly ProcessRef[];
}

export interface ProcessRef {
  readonly pid: number;
  readonly process: string;
}

/** How much more (or less) there was at the end than at the first sample. */
export interface GrowthRow {
  readonly key: string;
  /** bytes; buffers of unknown size are counted but not in it. */
  readonly firstBytes: bigint;
  readonly lastBytes: bigint;
  readonly firstBuffers: number;
  readonly lastBuffers: number;
}

export type LeakReason =
  /** Others of its kind were freed long before they were as old. */
  | 'outlived'
  /** More and more of its kind, none of which was ever freed. */
  | 'accumulating'
  /** No process holds it any more. */
  | 'kernel-only';

/** Buffers of one name and exporter, made in the recording and still there. */
export interface LeakCandidate {
  readonly name: string;
  readonly exporter: string;
  readonly reason: LeakReason;
  readonly buffers: number;
  readonly bytes: bigint;
  /** Age of the oldest at the end, ns. */
  readonly oldestNs: bigint;
  /** Longest life of those of its kind that were freed, ns. */
  readonly freedAfterNs: bigint | undefined;
  readonly freed: number;
  /** Who holds the most of them first. */
  readonly holders: readonly ProcessRef[];
}

export interface Report {
  /** ns from the first sample to the last. */
  readonly durationNs: bigint;
  readonly total: CounterSummary | undefined;
  readonly held: CounterSummary | undefined;
  readonly kernelOnly: CounterSummary | undefined;
  /** Not all processes could be read: part of kernelOnly may be theirs. */
  readonly kernelOnlyIsUpperBound: boolean;
  readonly mappedOnly: CounterSummary | undefined;
  readonly bufferCount: CounterSummary | undefined;
  readonly exporters: ReadonlyMap<string, CounterSummary>;
  /** By what they held at most, PSS where it is known. */
  readonly topHolders: readonly HolderRow[];
  readonly biggestBuffers: readonly BufferRow[];
  readonly growthByProcess: readonly GrowthRow[];
  readonly growthByName: readonly GrowthRow[];
  readonly growthByExporter: readonly GrowthRow[];
  readonly leakCandidates: readonly LeakCandidate[];
  /** Everything that was there in the last sample, biggest first. */
  readonly heldAtEnd: readonly BufferRow[];
}

/** An open one is a leak when it is this much older than any freed one. */
const OUTLIVED_FACTOR = 3n;

/** Adds a recording up. Pure. */
export function report(recording: Recording): Report {
  const {counters, buffers, processes} = recording;
  const upperBound = counters.get(trackName.kernelOnlyUpperBound);
  const live = buffers.filter(isOpen);
  return {
    durationNs: recording.endNs - recording.beginNs,
    total: counters.get(trackName.total),
    held: counters.get(trackName.held),
    kernelOnly: upperBound ?? counters.get(trackName.kernelOnly),
    kernelOnlyIsUpperBound: upperBound !== undefined,
    mappedOnly: counters.get(trackName.mappedOnly),
    bufferCount: counters.get(trackName.bufferCount),
    exporters: exporterCounters(counters),
    topHolders: topHolders(processes),
    biggestBuffers: buffers
      .toSorted(bySize)
      .map((buffer) => bufferRow(recording, buffer, buffer.holdings)),
    growthByProcess: growth(
      recording,
      processes.flatMap((process) => process.holdings),
      ({process}) => `${process.name} (${process.pid})`,
      ({buffer}) => buffer,
    ),
    growthByName: growth(recording, buffers, nameOf, itself),
    growthByExporter: growth(recording, buffers, exporterOf, itself),
    leakCandidates: leakCandidates(recording),
    heldAtEnd: live
      .toSorted(bySize)
      .map((buffer) =>
        bufferRow(recording, buffer, buffer.holdings.filter(isOpen)),
      ),
  };
}

interface Interval {
  readonly beginNs: bigint;
  readonly endNs: bigint | undefined;
}

function isOpen({endNs}: Interval): boolean {
  return endNs === undefined;
}

function itself(buffer: BufferRecord): BufferRecord {
  return buffer;
}

function nameOf({names}: BufferRecord): string {
  const name = names.at(-1) ?? '';
  return name === '' ? UNNAMED : name;
}

function exporterOf({exporter}: BufferRecord): string {
  return exporter ?? NO_EXPORTER;
}

function exporterCounters(
  counters: Recording['counters'],
): Map<string, CounterSummary> {
  const exporters = new Map<string, CounterSummary>();
  for (const [name, summary] of counters) {
    if (!name.startsWith(EXPORTER_PREFIX)) continue;
    exporters.set(name.slice(EXPORTER_PREFIX.length), summary);
  }
  return exporters;
}

function topHolders(processes: readonly ProcessRecord[]): HolderRow[] {
  const weight = ({rss, pss}: HolderRow): number => (pss ?? rss)?.peak ?? 0;
  return processes
    .map(({pid, name, rss, pss, holdings}) => ({
      pid,
      process: name,
      rss,
      pss,
      buffersAtEnd: holdings.filter(isOpen).length,
    }))
    .sort((a, b) => weight(b) - weight(a));
}

function bySize(a: BufferRecord, b: BufferRecord): number {
  return compareBigint(b.sizeBytes ?? -1n, a.sizeBytes ?? -1n);
}

function compareBigint(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}

function bufferRow(
  {beginNs}: Recording,
  buffer: BufferRecord,
  holdings: readonly HoldingRecord[],
): BufferRow {
  return {
    inode: buffer.inode,
    generation: buffer.generation,
    sizeBytes: buffer.sizeBytes,
    name: nameOf(buffer),
    exporter: exporterOf(buffer),
    beginNs: buffer.beginNs - beginNs,
    endNs: buffer.endNs === undefined ? undefined : buffer.endNs - beginNs,
    beganUnseen: buffer.beganUnseen,
    holders: processRefs(holdings),
  };
}

function processRefs(holdings: readonly HoldingRecord[]): ProcessRef[] {
  const processes = new Set(holdings.map(({process}) => process));
  return [...processes].map(({pid, name}) => ({pid, process: name}));
}

/** As processRefs, by the number of their holdings. */
function mostFirst(holdings: readonly HoldingRecord[]): ProcessRef[] {
  const counts = new Map<ProcessRecord, number>();
  for (const {process} of holdings) {
    counts.set(process, (counts.get(process) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([{pid, name}]) => ({pid, process: name}));
}

/** First and last sums of what lies under each key, most grown first. */
function growth<T extends Interval>(
  {beginNs}: Recording,
  items: readonly T[],
  keyOf: (item: T) => string,
  bufferOf: (item: T) => BufferRecord,
): GrowthRow[] {
  const rows = new Map<
    string,
    {-readonly [K in keyof GrowthRow]: GrowthRow[K]}
  >();
  for (const item of items) {
    const isFirst = item.beginNs <= beginNs;
    if (!isFirst && !isOpen(item)) continue;
    const key = keyOf(item);
    let row = rows.get(key);
    if (row === undefined) {
      row = {
        key,
        firstBytes: 0n,
        lastBytes: 0n,
        firstBuffers: 0,
        lastBuffers: 0,
      };
      rows.set(key, row);
    }
    const bytes = bufferOf(item).sizeBytes ?? 0n;
    if (isFirst) {
      row.firstBytes += bytes;
      row.firstBuffers++;
    }
    if (isOpen(item)) {
      row.lastBytes += bytes;
      row.lastBuffers++;
    }
  }
  const grown = (row: GrowthRow): bigint => row.lastBytes - row.firstBytes;
  return [...rows.values()].sort((a, b) => compareBigint(grown(b), grown(a)));
}

function leakCandidates(recording: Recording): LeakCandidate[] {
  const kinds = new Map<string, BufferRecord[]>();
  for (const buffer of recording.buffers) {
    // What was there before has a history that nobody saw.
    if (buffer.beganUnseen) continue;
    const kind = JSON.stringify([nameOf(buffer), exporterOf(buffer)]);
    const members = kinds.get(kind);
    if (members === undefined) kinds.set(kind, [buffer]);
    else members.push(buffer);
  }
  return [...kinds.values()]
    .flatMap((members) => leaksAmong(members, recording))
    .sort((a, b) => compareBigint(b.bytes, a.bytes));
}

function leaksAmong(
  members: readonly BufferRecord[],
  {beginNs, endNs}: Recording,
): LeakCandidate[] {
  const freedLives = members.flatMap((buffer) =>
    buffer.endNs === undefined ? [] : [buffer.endNs - buffer.beginNs],
  );
  const freedAfterNs = freedLives.reduce<bigint | undefined>(
    (longest, life) =>
      longest === undefined || life > longest ? life : longest,
    undefined,
  );
  const live = members.filter(isOpen);
  const ageOf = (buffer: BufferRecord): bigint => endNs - buffer.beginNs;

  const suspects = new Map<LeakReason, BufferRecord[]>();
  const suspect = (reason: LeakReason, buffer: BufferRecord): void => {
    const found = suspects.get(reason);
    if (found === undefined) suspects.set(reason, [buffer]);
    else found.push(buffer);
  };
  const middleNs = (beginNs + endNs) / 2n;
  const isAccumulating =
    freedLives.length === 0 &&
    new Set(live.map((buffer) => buffer.beginNs)).size >= 3 &&
    live.some((buffer) => buffer.beginNs > middleNs);
  for (const buffer of live) {
    const isHeld = buffer.holdings.some(isOpen);
    const hasOutlived =
      freedAfterNs !== undefined &&
      ageOf(buffer) > freedAfterNs * OUTLIVED_FACTOR;
    // One that was let go from one sample to the next was never seen held.
    if (!isHeld && (buffer.holdings.length > 0 || hasOutlived)) {
      suspect('kernel-only', buffer);
    } else if (isAccumulating) {
      suspect('accumulating', buffer);
    } else if (hasOutlived) {
      suspect('outlived', buffer);
    }
  }
  return [...suspects].map(([reason, buffers]) => {
    const [first] = buffers as [BufferRecord];
    return {
      name: nameOf(first),
      exporter: exporterOf(first),
      reason,
      buffers: buffers.length,
      bytes: buffers.reduce((sum, b) => sum + (b.sizeBytes ?? 0n), 0n),
      oldestNs: buffers.map(ageOf).reduce((a, b) => (a > b ? a : b)),
      freedAfterNs,
      freed: freedLives.length,
      holders: mostFirst(
        buffers.flatMap((buffer) => buffer.holdings.filter(isOpen)),
      ),
    };
  });
}
