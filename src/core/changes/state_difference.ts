// SPDX-License-Identifier: Apache-2.0
// Two states that need not come from one recording: a live device, a saved
// dump, a moment of a trace, a bug report. What one of them could not see is
// never taken for allocated or freed.
import type {DmaBuf} from '../model/dma_buf.js';
import {bufferChanges, type BufferChanges} from './buffer_changes.js';
import {
  BY_EXPORTER,
  BY_NAME,
  groupChanges,
  type CountedPair,
  type GroupChange,
} from './group_changes.js';
import {Tally, type SumChange, type Worths} from './growth.js';
import {
  matchBuffers,
  matchProcesses,
  sizeOf,
  type BufferPair,
  type Comparability,
} from './matching.js';
import {processChanges, type ProcessChange} from './process_changes.js';
import {SeenState, type State} from './state.js';

/** What is different in the later of two states. */
export interface StateDifference {
  readonly comparability: Comparability;
  /** All that the kernel lists. */
  readonly total: SumChange;
  /** Held by a process that could be read, each buffer once. */
  readonly held: SumChange;
  /** Listed by the kernel and held by no process that could be read. */
  readonly kernelOnly: SumChange;
  /** False: there may be holders that were not read. */
  readonly holdersKnown: {readonly before: boolean; readonly after: boolean};
  /**
   * What names and exporters add up: all buffers, or, where one of the states
   * does not list them all, those that processes hold.
   */
  readonly scope: 'all' | 'held';
  /** Only what changed or cannot be told; what changed most is first. */
  readonly processes: readonly ProcessChange[];
  readonly names: readonly GroupChange[];
  readonly exporters: readonly GroupChange[];
  /** Undefined where inodes of the two mean different buffers. */
  readonly buffers: BufferChanges | undefined;
}

/** Compares two states. */
export function compareStates(
  earlier: State,
  later: State,
  comparability: Comparability,
): StateDifference {
  const before = new SeenState(earlier);
  const after = new SeenState(later);
  const pairs = matchBuffers(before.snapshot, after.snapshot, comparability);
  const processPairs = matchProcesses(
    before.snapshot,
    after.snapshot,
    comparability,
  );
  const isAll = before.listsAllBuffers && after.listsAllBuffers;
  const worths = worthsOf(before, after);
  const counted = (isIn: IsIn): CountedPair[] =>
    countedPairs(before, after, pairs, isIn);
  const all = counted(() => true);
  const held = counted((state, buffer) => state.isHeld(buffer));
  const kernelOnly = counted((state, buffer) => !state.isHeld(buffer));
  const inScope = isAll ? all : held;
  const scopeWorths = isAll ? worths.total : worths.held;
  return {
    comparability,
    total: sumChange(all, worths.total),
    held: sumChange(held, worths.held),
    kernelOnly: sumChange(kernelOnly, worths.kernelOnly),
    holdersKnown: {before: before.holdersKnown, after: after.holdersKnown},
    scope: isAll ? 'all' : 'held',
    processes: processChanges(
      before,
      after,
      pairs,
      processPairs,
      comparability,
    ),
    names: groupChanges(inScope, scopeWorths, BY_NAME, comparability),
    exporters: groupChanges(inScope, scopeWorths, BY_EXPORTER, comparability),
    buffers:
      comparability.identity === 'buffers'
        ? bufferChanges(before, after, pairs, processPairs)
        : undefined,
  };
}

/** What the sums of the two states are worth. */
function worthsOf(
  before: SeenState,
  after: SeenState,
): Record<'total' | 'held' | 'kernelOnly', Worths> {
  const both = (of: (state: SeenState) => Worths['before']): Worths => ({
    before: of(before),
    after: of(after),
  });
  return {
    total: both(({listsAllBuffers}) => (listsAllBuffers ? 'exact' : 'unknown')),
    held: both(({holdersKnown}) => (holdersKnown ? 'exact' : 'at least')),
    kernelOnly: both(({listsAllBuffers, holdersKnown}) => {
      if (!listsAllBuffers) return 'unknown';
      return holdersKnown ? 'exact' : 'at most';
    }),
  };
}

type IsIn = (state: SeenState, buffer: DmaBuf) => boolean;

function countedPairs(
  before: SeenState,
  after: SeenState,
  pairs: readonly BufferPair[],
  isIn: IsIn,
): CountedPair[] {
  return pairs
    .map((pair) => ({
      pair,
      isBefore: pair.before !== undefined && isIn(before, pair.before),
      isAfter: pair.after !== undefined && isIn(after, pair.after),
    }))
    .filter(({isBefore, isAfter}) => isBefore || isAfter);
}

function sumChange(counted: readonly CountedPair[], worths: Worths): SumChange {
  const tally = new Tally();
  for (const {pair, isBefore, isAfter} of counted) {
    tally.add(sizeOf(pair), isBefore, isAfter);
  }
  return tally.change(worths);
}
