// SPDX-License-Identifier: Apache-2.0
import type m from 'mithril';
import type {duration, time} from '../base/time';
import type {Track} from './track';

export interface ContentWithLoadingFlag {
  readonly isLoading: boolean;
  readonly content: m.Children;
  readonly buttons?: m.Children;
}

export interface AreaSelectionTab {
  readonly id: string;
  readonly name: string;
  /** The highest comes first. */
  readonly priority?: number;
  /** Asked at each draw; undefined hides the tab. */
  render(selection: AreaSelection): ContentWithLoadingFlag | undefined;
}

export interface AreaSelection {
  readonly kind: 'area';
  readonly start: time;
  readonly end: time;
  readonly trackUris: ReadonlyArray<string>;
  readonly tracks: ReadonlyArray<Track>;
}

export interface TrackEventSelection {
  readonly kind: 'track_event';
  readonly trackUri: string;
  readonly eventId: number;
  readonly ts: time;
  readonly dur?: duration;
}

export interface SelectionManager {
  selectTrackEvent(
    trackUri: string,
    eventId: number,
    options?: {readonly scrollToSelection?: boolean},
  ): void;
  registerAreaSelectionTab(tab: AreaSelectionTab): void;
}
