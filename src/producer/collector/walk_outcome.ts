// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../core/model/index.js';
import {parseWalkErrors, type WalkErrors} from './sections.js';
import type {Answer} from './session.js';

/** `as before`: some of it was read, nothing tells whether all. */
export type WalkState = 'read' | 'refused' | 'as before';

/** What the answers of a step that walked /proc say of the processes in it. */
export class WalkOutcome {
  private readonly errors: readonly WalkErrors[];
  private readonly isWhole: boolean;

  constructor(answers: readonly Answer[]) {
    this.errors = answers.map(({errors}) => parseWalkErrors(errors ?? ''));
    this.isWhole = answers.every(({damage}) => damage === undefined);
  }

  /** The process ended before it could be read. */
  isGone(pid: number): boolean {
    return this.errors.some(({vanished}) => vanished.has(pid));
  }

  /**
   * Whether a process was read; undefined where a damaged answer tells
   * nothing of it.
   *
   * @param hasLines the answers have lines about it
   */
  stateOf(pid: number, hasLines: boolean): WalkState | undefined {
    if (this.errors.some(({refused}) => refused.has(pid))) return 'refused';
    if (this.isWhole) return 'read';
    return hasLines ? 'as before' : undefined;
  }

  /** What the commands said besides. */
  *otherErrors(): Generator<RawText> {
    for (const {other} of this.errors) yield* other;
  }
}
