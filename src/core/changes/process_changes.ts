// SPDX-License-Identifier: Apache-2.0
import type {ProcessAccount} from '../accounting/index.js';
import type {DmaBuf} from '../model/dma_buf.js';
import type {Process} from '../model/process.js';
import type {ProcessHoldings} from '../model/snapshot.js';
import {byGrowth, Tally, type Growth} from './growth.js';
import {
  sizeOf,
  type BufferPair,
  type Comparability,
  type ProcessPair,
} from './matching.js';
import type {SeenState} from './state.js';

/** A process, or all of one name, in one state. */
export interface ProcessSide {
  readonly processes: readonly Process[];
  /** Bytes; undefined where nothing told. */
  readonly rssBytes: bigint | undefined;
  readonly pssBytes: number | undefined;
  /** Holdings; undefined where they could not all be read. */
  readonly buffers: number | undefined;
}

export interface ProcessChange {
  readonly before: ProcessSide;
  readonly after: ProcessSide;
  /** Of the RSS. */
  readonly growth: Growth | undefined;
  /**
   * Buffers it has taken and let go, whether others hold them or not;
   * undefined where that cannot be told.
   */
  readonly acquired: readonly DmaBuf[] | undefined;
  readonly released: readonly DmaBuf[] | undefined;
}

/** Processes of which anything changed; what changed most is first. */
export function processChanges(
  before: SeenState,
  after: SeenState,
  pairs: readonly BufferPair[],
  processPairs: readonly ProcessPair[],
  {identity}: Comparability,
): ProcessChange[] {
  const pairOf = new Map<DmaBuf, BufferPair>();
  for (const pair of pairs) {
    if (pair.before !== undefined) pairOf.set(pair.before, pair);
    if (pair.after !== undefined) pairOf.set(pair.after, pair);
  }
  return processPairs
    .map((processPair): ProcessChange => {
      const knowsBefore = before.knowsAllOf(processPair.before);
      const knowsAfter = after.knowsAllOf(processPair.after);
      const sides = {
        before: sideOf(before, processPair.before),
        after: sideOf(after, processPair.after),
      };
      const held = {
        before: heldBy(processPair.before, before, pairOf),
        after: heldBy(processPair.after, after, pairOf),
      };
      const isOne = identity === 'buffers';
      return {
        ...sides,
        growth:
          knowsBefore && knowsAfter
            ? growthOfHoldings(held.before, held.after, isOne)
            : growthOfRss(sides.before.rssBytes, sides.after.rssBytes),
        acquired:
          isOne && knowsBefore ? others(held.after, held.before) : undefined,
        released:
          isOne && knowsAfter ? others(held.before, held.after) : undefined,
      };
    })
    .filter(isChanged)
    .sort((a, b) => {
      const order = byGrowth(a.growth, b.growth);
      return order === 0 ? pidOf(a) - pidOf(b) : order;
    });
}

interface Held {
  readonly pair: BufferPair;
  readonly buffer: DmaBuf;
}

function heldBy(
  processes: readonly ProcessHoldings[],
  {snapshot}: SeenState,
  pairOf: ReadonlyMap<DmaBuf, BufferPair>,
): Held[] {
  const held: Held[] = [];
  for (const {holdings} of processes) {
    for (const [inode, {buffer}] of holdings) {
      const known = snapshot.buffers.get(inode) ?? buffer;
      const pair = pairOf.get(known) ?? {before: known, after: undefined};
      held.push({pair, buffer: known});
    }
  }
  return held;
}

/** What is held here and not there. */
function others(here: readonly Held[], there: readonly Held[]): DmaBuf[] {
  const pairs = new Set(there.map(({pair}) => pair));
  return here.flatMap(({pair, buffer}) => (pairs.has(pair) ? [] : [buffer]));
}

function growthOfHoldings(
  before: readonly Held[],
  after: readonly Held[],
  isOne: boolean,
): Growth | undefined {
  const tally = new Tally();
  const still = new Set(isOne ? after.map(({pair}) => pair) : []);
  for (const {pair} of before) {
    tally.add(sizeOf(pair), true, still.delete(pair));
  }
  const rest = isOne ? still : after.map(({pair}) => pair);
  for (const pair of rest) tally.add(sizeOf(pair), false, true);
  return tally.change({before: 'exact', after: 'exact'}).growth;
}

function growthOfRss(
  before: bigint | undefined,
  after: bigint | undefined,
): Growth | undefined {
  if (before === undefined || after === undefined) return undefined;
  return {bytes: after - before, mayBeMore: false, mayBeLess: false};
}

function sideOf(
  state: SeenState,
  processes: readonly ProcessHoldings[],
): ProcessSide {
  const isComplete = state.knowsAllOf(processes);
  if (processes.length === 0) {
    return isComplete
      ? {processes: [], rssBytes: 0n, pssBytes: 0, buffers: 0}
      : {
          processes: [],
          rssBytes: undefined,
          pssBytes: undefined,
          buffers: undefined,
        };
  }
  const accounts = processes.flatMap(({process}) => {
    const known = state.accounting.processes.get(process.pid);
    return known === undefined ? [] : [known];
  });
  return {
    processes: processes.map(({process}) => process),
    rssBytes: sumOf(
      accounts,
      ({rssBytes}) => rssBytes,
      0n,
      (a, b) => a + b,
    ),
    pssBytes: sumOf(
      accounts,
      ({pssBytes}) => pssBytes,
      0,
      (a, b) => a + b,
    ),
    buffers: isComplete
      ? processes.reduce((sum, {holdings}) => sum + holdings.size, 0)
      : undefined,
  };
}

/** Undefined as soon as one of them is. */
function sumOf<T>(
  accounts: readonly ProcessAccount[],
  valueOf: (account: ProcessAccount) => T | undefined,
  zero: T,
  add: (a: T, b: T) => T,
): T | undefined {
  let sum: T | undefined = zero;
  for (const each of accounts) {
    const value = valueOf(each);
    if (sum === undefined || value === undefined) return undefined;
    sum = add(sum, value);
  }
  return sum;
}

/**
 * Neither one that holds what it held, nor one of which nothing was ever known.
 */
function isChanged(change: ProcessChange): boolean {
  const {before, after, growth, acquired = [], released = []} = change;
  if (acquired.length > 0 || released.length > 0) return true;
  if (growth !== undefined) {
    return growth.bytes !== 0n || growth.mayBeMore || growth.mayBeLess;
  }
  return (before.rssBytes ?? 0n) > 0n || (after.rssBytes ?? 0n) > 0n;
}

function pidOf({before, after}: ProcessChange): number {
  return (after.processes[0] ?? before.processes[0])?.pid ?? 0;
}
