// SPDX-License-Identifier: Apache-2.0
import {
  compareStates,
  type StateDifference,
} from '../../../core/changes/index.js';
import {plural} from '../output/units.js';
import {kinshipOf, type Kinship} from './boot.js';
import type {LabelledState} from './state.js';

/** Two states and what is different in the later. */
export interface Diff {
  readonly before: LabelledState;
  readonly after: LabelledState;
  readonly kinship: Kinship;
  readonly difference: StateDifference;
}

export type DiffBy = 'process' | 'name' | 'exporter' | 'buffer';

export function diffOf(before: LabelledState, after: LabelledState): Diff {
  const kinship = kinshipOf(before, after);
  const difference = compareStates(before, after, kinship.comparability);
  return {before, after, kinship, difference};
}

/** True where any of it is not from a real kernel. */
export function isSimulated({before, after}: Diff): boolean {
  return before.provenance.simulated || after.provenance.simulated;
}

/** What a state could not tell, a line each; not yet fit for a terminal. */
export function limitsOfState({
  snapshot,
  listsAllBuffers,
}: LabelledState): string[] {
  const {coverage} = snapshot;
  const {processesUnreadable, inodeCollisions, problems} = coverage;
  const limits: string[] = [];
  if (coverage.kernelList === undefined) {
    limits.push('no list of all buffers: what no process held is not known');
  } else if (!listsAllBuffers) {
    limits.push('the list of all buffers is cut: the rest of it is not known');
  }
  if (processesUnreadable > 0) {
    limits.push(
      `${plural(processesUnreadable, 'process', 'processes')} could not be ` +
        'read: what they held is not known',
    );
  } else if (coverage.holdersCut === true) {
    limits.push('not all holders are listed: there may be more');
  }
  if (inodeCollisions > 0) {
    limits.push(
      `${plural(inodeCollisions, 'inode')} shared by two buffers each: only ` +
        'one of the two is compared',
    );
  }
  return [...limits, ...problems.map((problem) => `problem: ${problem}`)];
}

/** How far the two can be compared, as a sentence. */
export const COMPARED: Readonly<Record<Kinship['reason'], string>> = {
  'same recording': 'Two moments of one recording',
  'same boot': 'Two moments of one boot',
  'same boot time': 'Two moments of one boot, going by device and boot time',
  'other boots': 'Two boots of one device',
  'other devices': 'Two devices',
  'boot unknown': 'Not known to be of one boot (no boot id in one of them)',
  'simulated and real': 'One is simulated, the other is real',
};
