// SPDX-License-Identifier: Apache-2.0
import type {Comparability} from '../../../core/changes/index.js';
import type {LabelledState} from './state.js';

/** How two states can be compared, and why, in words for people. */
export interface Kinship {
  readonly comparability: Comparability;
  /** Also in the JSON. */
  readonly reason:
    | 'same recording'
    | 'same boot'
    | 'other boots'
    | 'other devices'
    | 'boot unknown'
    | 'simulated and real';
  /** ns from the one to the other; undefined unless of one boot, and known. */
  readonly apartNs: bigint | undefined;
}

/** Inode numbers mean something only within one boot of one device. */
export function kinshipOf(
  before: LabelledState,
  after: LabelledState,
): Kinship {
  const reason = reasonOf(before, after);
  const isOneRecording = reason === 'same recording';
  const isOneBoot = isOneRecording || reason === 'same boot';
  return {
    reason,
    comparability: {
      identity: isOneBoot ? 'buffers' : 'sums',
      isOneRecording,
      reusesInodes: [before, after].some(({provenance}) =>
        reusesInodes(provenance.kernelRelease),
      ),
    },
    apartNs:
      isOneBoot && before.isTimed && after.isTimed
        ? after.snapshot.endNs - before.snapshot.endNs
        : undefined,
  };
}

function reasonOf(a: LabelledState, b: LabelledState): Kinship['reason'] {
  const [x, y] = [a.provenance, b.provenance];
  if (x.simulated !== y.simulated) return 'simulated and real';
  if (a.recordingPath !== undefined && a.recordingPath === b.recordingPath) {
    return 'same recording';
  }
  if (x.bootId === undefined || y.bootId === undefined) return 'boot unknown';
  // Simulators with one seed share a boot id, whatever they simulate.
  const isSame = x.bootId === y.bootId && !(x.simulated && isOtherDevice(a, b));
  if (isSame) return 'same boot';
  return isOtherDevice(a, b) ? 'other devices' : 'other boots';
}

function isOtherDevice(a: LabelledState, b: LabelledState): boolean {
  return a.provenance.device !== b.provenance.device;
}

/** Linux before 5.18 gives inode numbers of freed buffers out again. */
function reusesInodes(kernelRelease: string | undefined): boolean {
  const match = /^(\d+)\.(\d+)/.exec(kernelRelease ?? '');
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major < 5 || (major === 5 && minor < 18);
}
