// SPDX-License-Identifier: Apache-2.0
import type {Sum} from '../accounting/accounting.js';

/** How many bytes more (or, below zero, less) there are than before. */
export interface Growth {
  /** Of what is known. */
  readonly bytes: bigint;
  /** Something came, or may have come, whose size nobody told. */
  readonly mayBeMore: boolean;
  /** Something went, or may have gone, whose size nobody told. */
  readonly mayBeLess: boolean;
}

/** A sum in two states; undefined where that state cannot tell. */
export interface SumChange {
  readonly before: Sum | undefined;
  readonly after: Sum | undefined;
  /** Undefined unless both are known. */
  readonly growth: Growth | undefined;
}

/** What a sum in one state is worth. */
export type Worth =
  /** Everything that there was is in it. */
  | 'exact'
  /** There may have been more. */
  | 'at least'
  /** Part of it may belong elsewhere. */
  | 'at most'
  /** It says nothing. */
  | 'unknown';

export interface Worths {
  readonly before: Worth;
  readonly after: Worth;
}

/** Adds up, for two states at once, buffers of which each is in one or both. */
export class Tally {
  private readonly before: Sum = {bytes: 0n, buffers: 0, unknownSizes: 0};
  private readonly after: Sum = {bytes: 0n, buffers: 0, unknownSizes: 0};
  /** Buffers of unknown size. */
  private unknownCame = 0;
  private unknownWent = 0;
  /** Buffers that are in the later state only, and in the earlier only. */
  came = 0;
  went = 0;

  add(
    sizeBytes: bigint | undefined,
    isBefore: boolean,
    isAfter: boolean,
  ): void {
    if (isBefore) addTo(this.before, sizeBytes);
    if (isAfter) addTo(this.after, sizeBytes);
    if (isBefore === isAfter) return;
    if (isAfter) this.came++;
    else this.went++;
    if (sizeBytes !== undefined) return;
    if (isAfter) this.unknownCame++;
    else this.unknownWent++;
  }

  /** @param worth of what was added for each of the states. */
  change(worth: Worths): SumChange {
    const before = known(this.before, worth.before);
    const after = known(this.after, worth.after);
    if (before === undefined || after === undefined) {
      return {before, after, growth: undefined};
    }
    return {
      before,
      after,
      growth: {
        bytes: after.bytes - before.bytes,
        mayBeMore:
          this.unknownCame > 0 ||
          worth.after === 'at least' ||
          worth.before === 'at most',
        mayBeLess:
          this.unknownWent > 0 ||
          worth.before === 'at least' ||
          worth.after === 'at most',
      },
    };
  }
}

function addTo(sum: Sum, sizeBytes: bigint | undefined): void {
  sum.buffers++;
  if (sizeBytes === undefined) sum.unknownSizes++;
  else sum.bytes += sizeBytes;
}

/** None seen where not all could be read is not none. */
function known(sum: Sum, worth: Worth): Sum | undefined {
  if (worth === 'unknown') return undefined;
  return worth === 'at least' && sum.buffers === 0 ? undefined : sum;
}

/** Whether something grew by more than `limitBytes`, as far as can be told. */
export function judgeGrowth(
  growth: Growth | undefined,
  limitBytes: bigint,
): 'grown' | 'not grown' | 'unknown' {
  if (growth === undefined) return 'unknown';
  const {bytes, mayBeMore, mayBeLess} = growth;
  if (bytes > limitBytes) return mayBeLess ? 'unknown' : 'grown';
  return mayBeMore ? 'unknown' : 'not grown';
}

/** For sorting: what changed most is first, what cannot be told is last. */
export function byGrowth(a: Growth | undefined, b: Growth | undefined): number {
  const [x, y] = [distance(a), distance(b)];
  return x < y ? 1 : -Number(x > y);
}

function distance(growth: Growth | undefined): bigint {
  if (growth === undefined) return -1n;
  return growth.bytes < 0n ? -growth.bytes : growth.bytes;
}
