// SPDX-License-Identifier: Apache-2.0
import type {Trace} from '../../public/trace';
import type {TrackRenderer} from '../../public/track';

export interface CounterTrackAttrs {
  readonly trace: Trace;
  readonly uri: string;
  /** SELECT or table with the columns `ts` and `value`. */
  readonly sqlSource: string;
  readonly unit?: string;
  /** Tracks with one key have one scale. */
  readonly yRangeSharingKey?: string;
}

export class CounterTrack implements TrackRenderer {
  readonly rootTableName?: string;
  render(context: object): void;
  static create(attrs: CounterTrackAttrs): CounterTrack;
}
