// SPDX-License-Identifier: Apache-2.0
// The names by which the UI's own tabs know the tracks that they can use.
import type * as ui from '../../../api/public/track_kinds';

export const SLICE_TRACK_KIND: typeof ui.SLICE_TRACK_KIND = 'SliceTrack';
export const COUNTER_TRACK_KIND: typeof ui.COUNTER_TRACK_KIND = 'CounterTrack';
