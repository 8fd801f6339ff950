// SPDX-License-Identifier: Apache-2.0
export interface TrackTags {
  readonly kinds?: ReadonlyArray<string>;
  /** Ids of the table `track`: flows and searches find the track by them. */
  readonly trackIds?: ReadonlyArray<number>;
  readonly upid?: number;
  readonly [key: string]:
    | undefined
    | string
    | number
    | boolean
    | ReadonlyArray<string>
    | ReadonlyArray<number>;
}

/** Draws a track; made by the UI's classes. */
export interface TrackRenderer {
  readonly rootTableName?: string;
  render(context: object): void;
}

export interface Track {
  readonly uri: string;
  readonly renderer: TrackRenderer;
  readonly description?: string;
  readonly tags?: TrackTags;
}

export interface TrackManager {
  registerTrack(track: Track): void;
  getAllTracks(): Track[];
  getTrack(uri: string): Track | undefined;
}
