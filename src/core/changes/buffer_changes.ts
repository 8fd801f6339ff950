// SPDX-License-Identifier: Apache-2.0
import type {BufferName, DmaBuf} from '../model/dma_buf.js';
import type {Process} from '../model/process.js';
import {certainName, type BufferPair, type ProcessPair} from './matching.js';
import type {SeenState} from './state.js';

/** A buffer and who held it. */
export interface HeldBuffer {
  readonly buffer: DmaBuf;
  /** As far as they could be read. */
  readonly holders: readonly Process[];
}

export interface NewName {
  readonly buffer: DmaBuf;
  readonly before: BufferName | undefined;
  readonly after: BufferName | undefined;
}

/** A buffer of both states whose holders are others than before. */
export interface NewHolders {
  /** As the later state has it. */
  readonly buffer: DmaBuf;
  readonly acquiredBy: readonly Process[];
  readonly releasedBy: readonly Process[];
  /** Who holds it in the later state, as far as they could be read. */
  readonly holders: readonly Process[];
}

/** What became of each buffer. Biggest first. */
export interface BufferChanges {
  readonly allocated: readonly HeldBuffer[];
  /** Holders are those of the earlier state. */
  readonly freed: readonly HeldBuffer[];
  /**
   * Only in the later state, but the earlier could not have shown all buffers:
   * allocated since, or not seen before.
   */
  readonly appeared: readonly HeldBuffer[];
  /** The same the other way round: freed since, or not seen any more. */
  readonly vanished: readonly HeldBuffer[];
  readonly renamed: readonly NewName[];
  /** Only those whose holders are certain to be others. */
  readonly changedHands: readonly NewHolders[];
  /** Buffers of both states. */
  readonly kept: number;
}

/** What became of the buffers of one boot. */
export function bufferChanges(
  before: SeenState,
  after: SeenState,
  pairs: readonly BufferPair[],
  processPairs: readonly ProcessPair[],
): BufferChanges {
  const came: HeldBuffer[] = [];
  const went: HeldBuffer[] = [];
  const renamed: NewName[] = [];
  let kept = 0;
  for (const pair of pairs) {
    if (pair.before === undefined) {
      const buffer = pair.after;
      came.push({buffer, holders: after.holdersOf(buffer)});
    } else if (pair.after === undefined) {
      const buffer = pair.before;
      went.push({buffer, holders: before.holdersOf(buffer)});
    } else {
      kept++;
      if (isRenamed(pair.before, pair.after)) {
        renamed.push({
          buffer: pair.after,
          before: pair.before.name,
          after: pair.after.name,
        });
      }
    }
  }
  came.sort(bySize);
  went.sort(bySize);
  return {
    allocated: before.listsAllBuffers ? came : [],
    appeared: before.listsAllBuffers ? [] : came,
    freed: after.listsAllBuffers ? went : [],
    vanished: after.listsAllBuffers ? [] : went,
    renamed: renamed.sort(bySize),
    changedHands: changedHands(before, after, pairs, processPairs).sort(bySize),
    kept,
  };
}

function isRenamed(before: DmaBuf, after: DmaBuf): boolean {
  const now = certainName(after);
  if (now === undefined || before.name === undefined) return false;
  return !before.name.doubtful && certainName(before) !== now;
}

function changedHands(
  before: SeenState,
  after: SeenState,
  pairs: readonly BufferPair[],
  processPairs: readonly ProcessPair[],
): NewHolders[] {
  const acquirers = new Map<bigint, Process[]>();
  const releasers = new Map<bigint, Process[]>();
  for (const pair of processPairs) {
    if (before.knowsAllOf(pair.before)) {
      addUnshared(acquirers, pair.after, pair.before);
    }
    if (after.knowsAllOf(pair.after)) {
      addUnshared(releasers, pair.before, pair.after);
    }
  }
  return pairs.flatMap((pair) => {
    if (pair.before === undefined || pair.after === undefined) return [];
    const {inode} = pair.after;
    const acquiredBy = acquirers.get(inode) ?? [];
    const releasedBy = releasers.get(inode) ?? [];
    if (acquiredBy.length === 0 && releasedBy.length === 0) return [];
    const holders = after.holdersOf(pair.after);
    return [{buffer: pair.after, acquiredBy, releasedBy, holders}];
  });
}

/** Notes, by inode, what `holders` hold and `others` do not. */
function addUnshared(
  found: Map<bigint, Process[]>,
  holders: ProcessPair['before'],
  others: ProcessPair['before'],
): void {
  for (const {process, holdings} of holders) {
    for (const inode of holdings.keys()) {
      if (others.some((other) => other.holdings.has(inode))) continue;
      const known = found.get(inode);
      if (known === undefined) found.set(inode, [process]);
      else known.push(process);
    }
  }
}

/** Biggest first, those of unknown size last, then by inode. */
function bySize(
  {buffer: a}: {readonly buffer: DmaBuf},
  {buffer: b}: {readonly buffer: DmaBuf},
): number {
  const [x, y] = [a.sizeBytes ?? -1n, b.sizeBytes ?? -1n];
  if (x !== y) return x < y ? 1 : -1;
  return a.inode < b.inode ? -1 : Number(a.inode > b.inode);
}
