// SPDX-License-Identifier: Apache-2.0
import type {State} from '../../../core/changes/index.js';
import type {Coverage, Provenance} from '../../../core/model/index.js';

/** One of the two states of a diff, and where it is from. */
export interface LabelledState extends State {
  /** As the command line has it, and what that turned out to be. */
  readonly label: string;
  readonly provenance: Provenance;
  /** REALTIME − BOOTTIME of the device, ns; undefined where not measured. */
  readonly realOffsetNs: bigint | undefined;
  /** ns since the first sample; undefined where it is of no recording. */
  readonly recordedNs: bigint | undefined;
  /** The recording it is of: two moments of one can be told apart better. */
  readonly recordingPath: string | undefined;
  /** False where the source does not tell the time since boot. */
  readonly isTimed: boolean;
  /** What is wrong with the source; one line each. */
  readonly warnings: readonly string[];
}

/** What messages about the list of all buffers begin with. */
const LIST_DAMAGE = /^(?:bufinfo|BPF iterator|sysfs): /;
/** What messages of bug reports begin with that are about their times. */
const REPORT_TIME = /^the report /;

/**
 * Whether a buffer that is not listed did not exist.
 *
 * @param isReport of a bug report any damage may be to the list.
 */
export function listsAllBuffers(
  {kernelList, problems}: Coverage,
  isReport: boolean,
): boolean {
  return (
    kernelList !== undefined &&
    !problems.some((problem) =>
      isReport ? !REPORT_TIME.test(problem) : LIST_DAMAGE.test(problem),
    )
  );
}
