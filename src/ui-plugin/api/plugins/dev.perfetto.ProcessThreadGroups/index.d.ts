// SPDX-License-Identifier: Apache-2.0
import type {PerfettoPlugin} from '../../public/plugin';
import type {Trace} from '../../public/trace';
import type {TrackNode} from '../../public/workspace';

export default class implements PerfettoPlugin {
  static readonly id: 'dev.perfetto.ProcessThreadGroups';
  constructor(trace: Trace);
  onTraceLoad(trace: Trace): Promise<void>;
  getGroupForProcess(upid: number): TrackNode | undefined;
}
