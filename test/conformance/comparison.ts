// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../src/core/model/text.js';
import type {KernelName} from '../device-lab/lab.js';
import type {MachineUnderTest} from './machines.js';
import type {KnownDifference} from './known_differences.js';
import type {Script} from './script.js';
import {SimulatedMachine} from './simulated_machine.js';

/** The script on a fresh simulated machine: what it shows in the end. */
export function runOnSimulator(
  machine: MachineUnderTest,
  script: Script,
): RawText {
  const simulated = new SimulatedMachine(machine);
  const outcomes = script.map((operation) => simulated.perform(operation));
  return simulated.observe(script, outcomes);
}

/** What the kernel should show, given what the simulator does. */
export function expectedOf(
  simulated: RawText,
  kernel: KernelName,
  differences: readonly KnownDifference[],
): RawText {
  return differences
    .filter(({kernels}) => kernels.includes(kernel))
    .reduce((text, {toReal}) => toReal(text), simulated);
}

/**
 * What is wrong with a listed difference, shown by its own exhibit; undefined
 * if it is just as the list says.
 */
export function problemOf(
  {title, toReal}: KnownDifference,
  simulated: RawText,
  real: RawText,
): string | undefined {
  if (simulated === real) {
    return `'${title}' does not occur any more: take it off the list`;
  }
  return toReal(simulated) === real
    ? undefined
    : `'${title}' is not what the list says`;
}
