// SPDX-License-Identifier: Apache-2.0
import type {TrackNodeArgs} from '../../../../../src/ui-plugin/api/public/workspace';

/** A tree of nodes that behaves as the UI's does. */
export class TrackNode {
  readonly name: string;
  readonly uri?: string;
  readonly sortOrder?: number;
  readonly isSummary: boolean;
  readonly chips?: ReadonlyArray<string>;
  /** On the node that stands for a workspace: what is pinned in it. */
  readonly pinned: TrackNode[] = [];
  isExpanded = false;
  private above: TrackNode | undefined;
  private below: TrackNode[] = [];

  constructor(args: Partial<TrackNodeArgs> = {}) {
    this.name = args.name ?? '';
    this.uri = args.uri;
    this.sortOrder = args.sortOrder;
    this.isSummary = args.isSummary ?? false;
    this.chips = args.chips;
  }

  get parent(): TrackNode | undefined {
    return this.above;
  }

  get children(): ReadonlyArray<TrackNode> {
    return this.below;
  }

  get hasChildren(): boolean {
    return this.below.length > 0;
  }

  addChildInOrder(child: TrackNode): void {
    const later = this.below.find(
      (node) => (node.sortOrder ?? 0) > (child.sortOrder ?? 0),
    );
    if (later === undefined) {
      child.detach(this);
      this.below.push(child);
    } else {
      this.addChildBefore(child, later);
    }
  }

  addChildBefore(child: TrackNode, reference: TrackNode): void {
    if (reference.above !== this) throw new Error('no child of this node');
    child.detach(this);
    this.below.splice(this.below.indexOf(reference), 0, child);
  }

  getTrackByUri(uri: string): TrackNode | undefined {
    if (this.uri === uri) return this;
    for (const node of this.below) {
      const found = node.getTrackByUri(uri);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  remove(): void {
    this.detach(undefined);
  }

  get isPinned(): boolean {
    return this.root.pinned.some(({uri}) => uri === this.uri);
  }

  expand(): void {
    this.isExpanded = true;
  }

  reveal(): void {
    this.above?.expand();
    this.above?.reveal();
  }

  private get root(): TrackNode {
    return this.above?.root ?? this;
  }

  private detach(above: TrackNode | undefined): void {
    if (this.above !== undefined) {
      this.above.below = this.above.below.filter((node) => node !== this);
    }
    this.above = above;
  }
}
