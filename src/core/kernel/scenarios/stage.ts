// SPDX-License-Identifier: Apache-2.0
import {Prng} from '../prng.js';
import type {SimulatedKernel} from '../simulated_kernel.js';
import {AndroidPhone} from './android_phone.js';
import type {Scenario} from './scenario.js';
import {checkOptions} from './scenario.js';
import {TruthRecorder} from './truth_recorder.js';

/** What a story plays on. */
export interface Stage {
  readonly kernel: SimulatedKernel;
  readonly prng: Prng;
  readonly phone: AndroidPhone;
  readonly truth: TruthRecorder;
}

/** A scenario whose story `play` sets up on a phone at rest. */
export function onPhone(
  about: Omit<Scenario, 'run'>,
  play: (stage: Stage) => void,
): Scenario {
  return {
    ...about,
    run(kernel, options) {
      checkOptions(options);
      const prng = new Prng(options.seed);
      const phone = new AndroidPhone(kernel, prng, options.scale);
      const truth = new TruthRecorder(() => kernel.now);
      play({kernel, prng, phone, truth});
      return truth;
    },
  };
}
