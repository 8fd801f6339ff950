// SPDX-License-Identifier: Apache-2.0
import type {time} from '../base/time';
import type {Engine} from '../trace_processor/engine';
import type {App} from './app';
import type {SelectionManager} from './selection';
import type {Timeline} from './timeline';
import type {TraceInfo} from './trace_info';
import type {TrackManager} from './track';
import type {Workspace} from './workspace';

export interface ScrollToArgs {
  time?: {
    start: time;
    end?: time;
    behavior?: 'pan' | 'focus' | {viewPercentage: number};
  };
  track?: {uri: string; expandGroup?: boolean};
}

/** An open trace and the UI around it. */
export interface Trace extends App {
  readonly engine: Engine;
  readonly tracks: TrackManager;
  readonly defaultWorkspace: Workspace;
  readonly currentWorkspace: Workspace;
  readonly selection: SelectionManager;
  readonly timeline: Timeline;
  readonly traceInfo: TraceInfo;
  scrollTo(args: ScrollToArgs): void;
}
