// SPDX-License-Identifier: Apache-2.0
import type {time} from '../base/time';

export interface Timeline {
  /** Time as the axis shows it. */
  toDomainTime(ts: time): time;
  /** A line that is drawn there. */
  hoverCursorTimestamp: time | undefined;
}
