// SPDX-License-Identifier: Apache-2.0
import {
  judgeGrowth,
  type Growth,
  type StateDifference,
} from '../../../core/changes/index.js';

/** Whether dma-buf memory grew by more than was allowed. */
export interface Verdict {
  readonly limitBytes: bigint;
  /**
   * What was measured: all buffers; where one of the states does not list them
   * all but all processes were read, those that processes hold. Undefined
   * where neither can be told.
   */
  readonly measure: 'total' | 'held' | undefined;
  readonly growth: Growth | undefined;
  readonly result: 'grown' | 'not grown' | 'unknown';
}

export function judge(
  {total, held, holdersKnown}: StateDifference,
  limitBytes: bigint,
): Verdict {
  const knowsHeld = holdersKnown.before && holdersKnown.after;
  const measure =
    total.growth !== undefined ? 'total' : knowsHeld ? 'held' : undefined;
  const growth =
    measure === undefined ? undefined : {total, held}[measure].growth;
  return {limitBytes, measure, growth, result: judgeGrowth(growth, limitBytes)};
}
