// SPDX-License-Identifier: Apache-2.0
export const SLICE_TRACK_KIND = 'SliceTrack';
export const COUNTER_TRACK_KIND = 'CounterTrack';
