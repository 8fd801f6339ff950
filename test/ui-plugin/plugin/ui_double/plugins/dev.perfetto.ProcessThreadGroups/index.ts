// SPDX-License-Identifier: Apache-2.0
import type {Trace} from '../../../../../../src/ui-plugin/api/public/trace';
import {TrackNode} from '../../public/workspace';

/** Has a group for each process that a test asks for. */
export default class {
  static readonly id = 'dev.perfetto.ProcessThreadGroups';
  private readonly groups = new Map<number, TrackNode>();

  constructor(private readonly trace: Trace) {}

  async onTraceLoad(): Promise<void> {}

  getGroupForProcess(upid: number): TrackNode | undefined {
    return this.groups.get(upid);
  }

  addGroup(upid: number): TrackNode {
    let group = this.groups.get(upid);
    if (group === undefined) {
      group = new TrackNode({name: `Process ${upid}`, isSummary: true});
      this.groups.set(upid, group);
      this.trace.defaultWorkspace.addChildInOrder(group);
    }
    return group;
  }
}
