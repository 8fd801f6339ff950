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
    /** Of a bug report, which has no boot id. */
    | 'same boot time'
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
  const isOneBoot =
    isOneRecording || reason === 'same boot' || reason === 'same boot time';
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
  if (x.bootId === undefined || y.bootId === undefined) {
    return bootedTogether(a, b) ? 'same boot time' : 'boot unknown';
  }
  // Simulators with one seed share a boot id, whatever they simulate.
  const isSame = x.bootId === y.bootId && !(x.simulated && isOtherDevice(a, b));
  if (isSame) return 'same boot';
  return isOtherDevice(a, b) ? 'other devices' : 'other boots';
}

function isOtherDevice(a: LabelledState, b: LabelledState): boolean {
  return a.provenance.device !== b.provenance.device;
}

/** Nothing boots twice in that time. */
const BOOT_TIME_TOLERANCE_NS = 3_000_000_000n;

/** One device with one build that booted at one time. */
function bootedTogether(a: LabelledState, b: LabelledState): boolean {
  const [x, y] = [a.provenance, b.provenance];
  const [s, t] = [a.realOffsetNs, b.realOffsetNs];
  if (x.simulated || s === undefined || t === undefined) return false;
  const apartNs = s < t ? t - s : s - t;
  return (
    x.buildFingerprint !== undefined &&
    x.buildFingerprint === y.buildFingerprint &&
    x.kernelRelease === y.kernelRelease &&
    !isOtherDevice(a, b) &&
    apartNs <= BOOT_TIME_TOLERANCE_NS
  );
}

/** Linux before 5.18 gives inode numbers of freed buffers out again. */
function reusesInodes(kernelRelease: string | undefined): boolean {
  const match = /^(\d+)\.(\d+)/.exec(kernelRelease ?? '');
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major < 5 || (major === 5 && minor < 18);
}
