// SPDX-License-Identifier: Apache-2.0
export interface TrackNodeArgs {
  name: string;
  uri: string;
  sortOrder: number;
  collapsed: boolean;
  isSummary: boolean;
  /** Shown as small labels. */
  chips: ReadonlyArray<string>;
}

/** A place in the tree of tracks. */
export class TrackNode {
  constructor(args?: Partial<TrackNodeArgs>);
  readonly name: string;
  readonly uri?: string;
  readonly sortOrder?: number;
  get parent(): TrackNode | undefined;
  get children(): ReadonlyArray<TrackNode>;
  get hasChildren(): boolean;
  get isPinned(): boolean;
  addChildInOrder(child: TrackNode): unknown;
  addChildBefore(child: TrackNode, reference: TrackNode): unknown;
  getTrackByUri(uri: string): TrackNode | undefined;
  remove(): void;
  expand(): void;
  /** Expands all that it lies in. */
  reveal(): void;
}

export interface Workspace {
  readonly tracks: TrackNode;
  /** Shows the track at the top too, under the node's name. */
  pinTrack(node: TrackNode): void;
  addChildInOrder(child: TrackNode): unknown;
}
