// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../src/core/model/text.js';
import type {KernelName} from '../device-lab/lab.js';
import {type FilterExemption, FILTERS} from './exemptions.js';
import type {MachineUnderTest} from './machines.js';
import type {KnownDifference} from './known_differences.js';
import {type Observation, renderObservation} from './observation.js';
import type {Script} from './script.js';
import {SimulatedMachine} from './simulated_machine.js';

/** After every so many operations both machines are looked at. */
export const OPERATIONS_A_LOOK = 20;

/** The script in the pieces after which one looks; the last may be shorter. */
export function piecesOf(script: Script): Script[] {
  const pieces: Script[] = [];
  for (let i = 0; i < script.length; i += OPERATIONS_A_LOOK) {
    pieces.push(script.slice(i, i + OPERATIONS_A_LOOK));
  }
  return pieces;
}

/** The script on a fresh simulated machine: what it shows on the way. */
export function runOnSimulator(
  machine: MachineUnderTest,
  script: Script,
): Observation {
  const simulated = new SimulatedMachine(machine);
  const outcomes: Observation['outcomes'][number][] = [];
  const snapshots = piecesOf(script).map((piece) => {
    for (const operation of piece) outcomes.push(simulated.perform(operation));
    return simulated.observe(outcomes.length);
  });
  return {outcomes, lastInode: 0n, snapshots};
}

/** What the simulator shows, without what is not compared. */
export function showOnSimulator(
  machine: MachineUnderTest,
  script: Script,
): RawText {
  return renderObservation(script, runOnSimulator(machine, script), FILTERS);
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
 * What is wrong with a listed difference, shown by its own exhibit, with all
 * others of the list taken into account; undefined if it is as the list says.
 */
export function problemOf(
  difference: KnownDifference,
  simulated: RawText,
  real: RawText,
  kernel: KernelName,
  all: readonly KnownDifference[] = [difference],
): string | undefined {
  const others = all.filter((each) => each !== difference);
  if (expectedOf(simulated, kernel, others) === real) {
    return `'${difference.title}' does not occur any more: take it off the list`;
  }
  return expectedOf(simulated, kernel, all) === real
    ? undefined
    : `'${difference.title}' is not what the list says`;
}

/** One script on both machines. */
export interface Comparison {
  readonly script: Script;
  readonly simulated: Observation;
  readonly real: Observation;
}

/** Whether the machines would still show the same without the exemption. */
export function isNeedless(
  exemption: FilterExemption,
  comparisons: readonly Comparison[],
  toReal: (simulated: RawText) => RawText = (text) => text,
): boolean {
  const filters = FILTERS.filter((each) => each !== exemption);
  return comparisons.every(
    ({script, simulated, real}) =>
      toReal(renderObservation(script, simulated, filters)) ===
      renderObservation(script, real, filters),
  );
}
