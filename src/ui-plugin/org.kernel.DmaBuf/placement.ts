// SPDX-License-Identifier: Apache-2.0
// Where our tracks go in the tree. The TrackEvent plugin has already put a
// recording's tracks there, as it does with all it finds. Those that are as good
// as ours would be are left where they are or moved into a group of ours; the
// others are taken out and ours stand in their place: nothing is there twice.
import type {Trace} from '../../public/trace';
import {TrackNode} from '../../public/workspace';

/** Finds the nodes of tracks that other plugins made. */
export class Placement {
  private readonly uriByTrackId = new Map<number, string>();

  constructor(private readonly trace: Trace) {
    for (const {uri, tags} of trace.tracks.getAllTracks()) {
      for (const id of tags?.trackIds ?? []) this.uriByTrackId.set(id, uri);
    }
  }

  /** @param trackId id of the table `track`. */
  find(trackId: number | undefined): TrackNode | undefined {
    if (trackId === undefined) return undefined;
    const uri = this.uriByTrackId.get(trackId);
    if (uri === undefined) return undefined;
    return this.trace.defaultWorkspace.tracks.getTrackByUri(uri);
  }
}

/** Takes a node out of the tree and puts another in its place. */
export function replaceNode(old: TrackNode, node: TrackNode): void {
  old.parent?.addChildBefore(node, old);
  old.remove();
}

/** Moves nodes into a new group, which stands where the first of them stood. */
export function groupNodes(
  name: string,
  nodes: ReadonlyArray<TrackNode>,
): TrackNode | undefined {
  const first = nodes[0];
  if (first?.parent === undefined) return undefined;
  const group = new TrackNode({
    name,
    isSummary: true,
    sortOrder: first.sortOrder,
  });
  first.parent.addChildBefore(group, first);
  // Adding a node to a new parent takes it out of the old one.
  for (const node of nodes) group.addChildInOrder(node);
  return group;
}
