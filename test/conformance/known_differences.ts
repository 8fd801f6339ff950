// SPDX-License-Identifier: Apache-2.0
// Where the simulator is known to show something else than the kernel, and why
// that is left so. The tests fail over a difference that is not listed here, and
// over one that is listed and does not occur any more.
import type {RawText} from '../../src/core/model/text.js';
import type {KernelName} from '../device-lab/lab.js';

export interface KnownDifference {
  /** What differs. */
  readonly title: string;
  /** Why the simulator does not do as the kernel does. */
  readonly reason: string;
  readonly kernels: readonly KernelName[];
  /** A script, in the language of script.ts, that brings it about. */
  readonly exhibit: string;
  /**
   * Makes of what the simulator shows what the kernel shows; gives the text
   * back as it is where the difference does not come up. Sees the observation
   * that renderObservation made.
   */
  readonly toReal: (simulated: RawText) => RawText;
}

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [];
