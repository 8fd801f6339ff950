// SPDX-License-Identifier: Apache-2.0
// What in one state is the same as what in another.
import type {BufferName, DmaBuf} from '../model/dma_buf.js';
import {processName, type Process} from '../model/process.js';
import type {ProcessHoldings, Snapshot} from '../model/snapshot.js';
import {toDisplay, type RawText} from '../model/text.js';

/** How far things of two states can be told to be the same. */
export interface Comparability {
  /**
   * `buffers`: both states are of one boot, so that an inode is a buffer and a
   * pid a process. `sums`: they are not, or nobody knows; what is left to
   * compare is what processes, names and exporters add up to.
   */
  readonly identity: 'buffers' | 'sums';
  /** Both are of one recording, which tells buffers of one inode apart. */
  readonly isOneRecording: boolean;
  /** The kernel gives inode numbers out again: Linux before 5.18. */
  readonly reusesInodes: boolean;
}

/** One buffer in two states; at least one of them has it. */
export type BufferPair =
  | {readonly before: DmaBuf; readonly after: DmaBuf | undefined}
  | {readonly before: undefined; readonly after: DmaBuf};

/** Each buffer of the two states, in one pair. */
export function matchBuffers(
  before: Snapshot,
  after: Snapshot,
  how: Comparability,
): BufferPair[] {
  const pairs: BufferPair[] = [];
  const matched = new Set<DmaBuf>();
  for (const buffer of before.buffers.values()) {
    const later =
      how.identity === 'buffers' ? after.buffers.get(buffer.inode) : undefined;
    if (later !== undefined && isSameBuffer(buffer, later, how)) {
      matched.add(later);
      pairs.push({before: buffer, after: later});
    } else {
      pairs.push({before: buffer, after: undefined});
    }
  }
  for (const buffer of after.buffers.values()) {
    if (!matched.has(buffer)) pairs.push({before: undefined, after: buffer});
  }
  return pairs;
}

/**
 * Whether two buffers of one boot with one inode are one. A buffer keeps its
 * size and its exporter for life; its name it may get late, and change.
 */
function isSameBuffer(
  a: DmaBuf,
  b: DmaBuf,
  {isOneRecording, reusesInodes}: Comparability,
): boolean {
  return (
    mayBeEqual(a.sizeBytes, b.sizeBytes) &&
    mayBeEqual(display(a.exporter), display(b.exporter)) &&
    (isOneRecording
      ? a.generation === b.generation
      : !reusesInodes || mayBeEqual(certainName(a), certainName(b)))
  );
}

function mayBeEqual<T>(a: T | undefined, b: T | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

/** A buffer's size does not change, so either state may tell it. */
export function sizeOf({before, after}: BufferPair): bigint | undefined {
  return after?.sizeBytes ?? before?.sizeBytes;
}

/** A name that was given and read without doubt, as people see it. */
export function certainName({name}: DmaBuf): string | undefined {
  return name === undefined || name.doubtful ? undefined : display(name.raw);
}

/** The better known of two names of one buffer, the first if in doubt. */
export function betterName(
  first: BufferName | undefined,
  second: BufferName | undefined,
): BufferName | undefined {
  const rank = (name: BufferName | undefined): number => {
    if (name === undefined) return 0;
    return name.doubtful ? 1 : 2;
  };
  return rank(second) > rank(first) ? second : first;
}

/** Traces hold text as Unicode, where bytes that are none are lost. */
export function display(raw: RawText | undefined): string | undefined {
  return raw === undefined ? undefined : toDisplay(raw);
}

/** One process in two states, or all of one name where pids mean nothing. */
export interface ProcessPair {
  readonly before: readonly ProcessHoldings[];
  readonly after: readonly ProcessHoldings[];
}

/** Each process of the two states, in one pair. */
export function matchProcesses(
  before: Snapshot,
  after: Snapshot,
  {identity}: Comparability,
): ProcessPair[] {
  return identity === 'buffers'
    ? matchByPid(before, after)
    : matchByName(before, after);
}

function matchByPid(before: Snapshot, after: Snapshot): ProcessPair[] {
  const pairs: ProcessPair[] = [];
  const matched = new Set<ProcessHoldings>();
  for (const [pid, earlier] of before.processes) {
    const later = after.processes.get(pid);
    if (later !== undefined && isSameProcess(earlier.process, later.process)) {
      matched.add(later);
      pairs.push({before: [earlier], after: [later]});
    } else {
      pairs.push({before: [earlier], after: []});
    }
  }
  for (const later of after.processes.values()) {
    if (!matched.has(later)) pairs.push({before: [], after: [later]});
  }
  return pairs;
}

/** Whether two processes of one boot with one pid are one. */
function isSameProcess(a: Process, b: Process): boolean {
  if (a.startTicks !== undefined && b.startTicks !== undefined) {
    return a.startTicks === b.startTicks;
  }
  for (const key of ['comm', 'cmdline'] as const) {
    if (a[key] !== undefined && b[key] !== undefined) return a[key] === b[key];
  }
  // One source tells the command line, the other but 15 bytes of it.
  const [full, part] = a.comm === undefined ? [a, b] : [b, a];
  return full.cmdline?.includes(part.comm ?? '') ?? true;
}

function matchByName(before: Snapshot, after: Snapshot): ProcessPair[] {
  const pairs = new Map<
    string,
    {before: ProcessHoldings[]; after: ProcessHoldings[]}
  >();
  for (const [side, {processes}] of [
    ['before', before],
    ['after', after],
  ] as const) {
    for (const each of processes.values()) {
      const key = programName(each.process);
      let pair = pairs.get(key);
      if (pair === undefined) {
        pair = {before: [], after: []};
        pairs.set(key, pair);
      }
      pair[side].push(each);
    }
  }
  return [...pairs.values()];
}

/** Some sources tell the path of a program, others only its name. */
function programName(process: Process): string {
  const name = toDisplay(processName(process));
  return name.slice(name.lastIndexOf('/') + 1);
}
