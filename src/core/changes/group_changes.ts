// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {byGrowth, Tally, type SumChange, type Worths} from './growth.js';
import {
  betterName,
  display,
  sizeOf,
  type BufferPair,
  type Comparability,
} from './matching.js';

/** Buffers that have a name, or an exporter, in common. */
export interface GroupChange extends SumChange {
  /** Undefined: not told, or (a name) never given. */
  readonly key: RawText | undefined;
  /** Of the group without a name: to no buffer of it was one ever given. */
  readonly isUnset: boolean;
  /** Buffers in one of the states only. */
  readonly came: number;
  readonly went: number;
}

/** By what buffers are grouped. What one state does not tell the other may. */
export interface Grouping {
  readonly before: (pair: BufferPair) => RawText | undefined;
  readonly after: (pair: BufferPair) => RawText | undefined;
  readonly isUnset: (pair: BufferPair) => boolean;
}

export const BY_NAME: Grouping = {
  before: ({before, after}) => betterName(before?.name, after?.name)?.raw,
  after: ({before, after}) => betterName(after?.name, before?.name)?.raw,
  isUnset: ({before, after}) =>
    [before, after].every(
      (buffer) =>
        buffer === undefined ||
        (buffer.name !== undefined && buffer.name.raw === undefined),
    ),
};

export const BY_EXPORTER: Grouping = {
  before: ({before, after}) => before?.exporter ?? after?.exporter,
  after: ({before, after}) => after?.exporter ?? before?.exporter,
  isUnset: () => false,
};

/** A pair of which at least one state is to be counted. */
export interface CountedPair {
  readonly pair: BufferPair;
  readonly isBefore: boolean;
  readonly isAfter: boolean;
}

/** The groups in which anything changed; what changed most is first. */
export function groupChanges(
  counted: readonly CountedPair[],
  worths: Worths,
  grouping: Grouping,
  {identity}: Comparability,
): GroupChange[] {
  const groups = new Map<string | undefined, Group>();
  for (const {pair, isBefore, isAfter} of counted) {
    const [before, after] = [grouping.before(pair), grouping.after(pair)];
    const isUnset = grouping.isUnset(pair);
    const sizeBytes = sizeOf(pair);
    if (display(before) === display(after)) {
      groupOf(groups, after, isUnset).add(sizeBytes, isBefore, isAfter);
      continue;
    }
    if (isBefore) groupOf(groups, before, isUnset).add(sizeBytes, true, false);
    if (isAfter) groupOf(groups, after, isUnset).add(sizeBytes, false, true);
  }
  return [...groups.values()]
    .map((group) => group.change(worths))
    .filter((group) => isChanged(group, identity))
    .sort((a, b) => byGrowth(a.growth, b.growth));
}

class Group {
  private readonly tally = new Tally();
  isUnset = true;

  constructor(private readonly key: RawText | undefined) {}

  add(
    sizeBytes: bigint | undefined,
    isBefore: boolean,
    isAfter: boolean,
  ): void {
    this.tally.add(sizeBytes, isBefore, isAfter);
  }

  change(worths: Worths): GroupChange {
    const {key, tally, isUnset} = this;
    return {
      key,
      isUnset: key === undefined && isUnset,
      ...tally.change(worths),
      came: tally.came,
      went: tally.went,
    };
  }
}

function groupOf(
  groups: Map<string | undefined, Group>,
  key: RawText | undefined,
  isUnset: boolean,
): Group {
  let group = groups.get(display(key));
  if (group === undefined) {
    group = new Group(key);
    groups.set(display(key), group);
  }
  group.isUnset &&= isUnset;
  return group;
}

function isChanged(
  {before, after, came, went}: GroupChange,
  identity: Comparability['identity'],
): boolean {
  if (identity === 'buffers') return came > 0 || went > 0;
  return (
    before === undefined ||
    after === undefined ||
    before.bytes !== after.bytes ||
    before.buffers !== after.buffers
  );
}
