// SPDX-License-Identifier: Apache-2.0
// The last sample of a recording, as a snapshot. What a trace does not keep is
// not known: descriptors and mappings after a slice began, and whether a
// buffer without a name never got one.
import {
  toRaw,
  type BufferName,
  type Coverage,
  type DmaBuf,
  type Holding,
  type ProcessHoldings,
  type ReadState,
  type Snapshot,
} from '../../../core/model/index.js';
import type {
  BufferRecord,
  HoldingRecord,
  ProcessRecord,
  Recording,
  SampleRecord,
} from '../../trace/index.js';

/** What was there in the last sample of a recording. */
export function snapshotAtEnd(recording: Recording): Snapshot {
  const {endNs, samples} = recording;
  const buffers = new Map<bigint, DmaBuf>();
  const known = new Map<BufferRecord, DmaBuf>();
  for (const record of recording.buffers) {
    if (record.endNs !== undefined) continue;
    const buffer = bufferOf(record);
    known.set(record, buffer);
    buffers.set(record.inode, buffer);
  }
  const processes = new Map<number, ProcessHoldings>();
  for (const record of recording.processes) {
    const process = processOf(record, known, recording);
    if (process !== undefined) processes.set(record.pid, process);
  }
  return {
    startNs: endNs,
    endNs,
    sequence: samples.last?.sequence ?? 0,
    buffers,
    processes,
    coverage: coverageOf(samples.last),
    cost: {
      deviceCpuNs: undefined,
      bytes: 0,
      fullScan: samples.last?.fullScan ?? false,
      processesScanned: samples.last?.processesScanned ?? 0,
    },
  };
}

function bufferOf(record: BufferRecord): DmaBuf {
  return {
    inode: record.inode,
    generation: record.generation,
    sizeBytes: record.sizeBytes,
    exporter:
      record.exporter === undefined ? undefined : toRaw(record.exporter),
    name: nameOf(record.names.at(-1)),
    fileCount: undefined,
  };
}

function nameOf(name: string | undefined): BufferName | undefined {
  return name === undefined ? undefined : {raw: toRaw(name), doubtful: false};
}

/** Undefined for a process that held nothing, or was gone. */
function processOf(
  record: ProcessRecord,
  buffers: ReadonlyMap<BufferRecord, DmaBuf>,
  {endNs, samples}: Recording,
): ProcessHoldings | undefined {
  const holdings = new Map<bigint, Holding>();
  for (const held of record.holdings) {
    const buffer = buffers.get(held.buffer);
    if (held.endNs !== undefined || buffer === undefined) continue;
    holdings.set(buffer.inode, holdingOf(held, buffer));
  }
  if (holdings.size === 0 && !mayHoldUnseen(record)) return undefined;
  const {pid, startTicks, name, rss, pss} = record;
  const isComplete =
    holdings.size > 0 &&
    (samples.last?.processesUnreadable === 0 || isAllOf(holdings, rss?.last));
  const isSummed = record.holdings.length === 0;
  return {
    process: {pid, startTicks, comm: undefined, cmdline: toRaw(name)},
    readState: readStateOf(isComplete, holdings.size),
    holdings,
    // Of one that never showed what it holds, these are the kernel's sums. Of
    // others they may be what was counted while it could be read.
    kernelRssBytes: isSummed ? bytesOf(rss?.last) : undefined,
    kernelPssBytes: isSummed ? bytesOf(pss?.last) : undefined,
    asOfNs: endNs,
  };
}

function readStateOf(isComplete: boolean, holdings: number): ReadState {
  if (isComplete) return 'complete';
  return holdings > 0 ? 'partial' : 'unreadable';
}

/**
 * True when the RSS is that of what is known to be held: nothing is missing.
 * Traces do not say which processes could be read only in part.
 */
function isAllOf(
  holdings: ReadonlyMap<bigint, Holding>,
  rssBytes: number | undefined,
): boolean {
  let sum = 0n;
  for (const {buffer} of holdings.values()) sum += buffer.sizeBytes ?? 0n;
  return rssBytes === Number(sum);
}

/**
 * True when a process without a slice may still hold something: it could no
 * longer be read, or only the kernel's own sum of it is known.
 */
function mayHoldUnseen({holdings, rss}: ProcessRecord): boolean {
  // What an exit leaves behind is a zero.
  if (rss !== undefined) return rss.last > 0;
  return holdings.at(-1)?.endedUnseen ?? false;
}

function holdingOf(record: HoldingRecord, buffer: DmaBuf): Holding {
  return {
    buffer,
    fdRefs: record.fdRefs ?? 0,
    mapRefs: record.mapRefs ?? 0,
    mappedBytes: record.mappedBytes ?? 0n,
  };
}

function bytesOf(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(Math.round(value));
}

const KERNEL_LISTS: readonly Coverage['kernelList'][] = [
  'bufinfo',
  'bpf',
  'sysfs',
  'dmabuf_dump',
];

function coverageOf(sample: SampleRecord | undefined): Coverage {
  const unreadable = sample?.processesUnreadable ?? 0;
  return {
    kernelList: KERNEL_LISTS.find((list) => list === sample?.kernelList),
    fileCounts: false,
    processesSeen: sample?.processesSeen ?? 0,
    processesUnreadable: unreadable,
    processesVanished: sample?.processesVanished ?? 0,
    inodeCollisions: sample?.inodeCollisions ?? 0,
    problems: sample?.problems ?? [],
    ...(sample?.kernelOnlyIsUpperBound === true && unreadable === 0
      ? {holdersCut: true}
      : {}),
  };
}
