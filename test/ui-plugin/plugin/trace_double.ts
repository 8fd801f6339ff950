// SPDX-License-Identifier: Apache-2.0
import type {time} from '../../../src/ui-plugin/api/base/time';
import type {Command} from '../../../src/ui-plugin/api/public/commands';
import type {PerfettoPluginStatic} from '../../../src/ui-plugin/api/public/plugin';
import type {AreaSelectionTab} from '../../../src/ui-plugin/api/public/selection';
import type {
  ScrollToArgs,
  Trace,
} from '../../../src/ui-plugin/api/public/trace';
import type {Track} from '../../../src/ui-plugin/api/public/track';
import type {Engine} from '../../../src/ui-plugin/api/trace_processor/engine';
import type {TraceDb} from '../../trace_processor/index.js';
import {EngineDouble} from './engine_double.js';
import ProcessThreadGroups from './ui_double/plugins/dev.perfetto.ProcessThreadGroups/index.js';
import {TrackNode} from './ui_double/public/workspace.js';

type Page = Parameters<Trace['pages']['registerPage']>[0];

/** What was selected, in the words of the UI's API. */
export interface Selected {
  readonly trackUri: string;
  readonly eventId: number;
}

/**
 * The part of an open trace that the plugin uses. What the plugin registers
 * and asks for is kept, for the test to look at.
 */
export class TraceDouble implements Trace {
  readonly registeredTracks: Track[] = [];
  readonly areaTabs: AreaSelectionTab[] = [];
  readonly registeredCommands: Command[] = [];
  readonly registeredPages: Page[] = [];
  readonly menuItems: Array<{readonly text: string; readonly href: string}> =
    [];
  readonly selected: Selected[] = [];
  readonly scrolled: ScrollToArgs[] = [];
  readonly navigated: string[] = [];

  readonly defaultWorkspace = new WorkspaceDouble();
  readonly currentWorkspace = this.defaultWorkspace;
  readonly processGroups: ProcessThreadGroups;
  readonly traceInfo: Trace['traceInfo'];

  constructor(
    readonly engine: Engine,
    bounds: {readonly start: bigint; readonly end: bigint},
  ) {
    this.traceInfo = {start: toTime(bounds.start), end: toTime(bounds.end)};
    this.processGroups = new ProcessThreadGroups(this);
  }

  readonly tracks: Trace['tracks'] = {
    registerTrack: (track) => {
      if (this.tracks.getTrack(track.uri) !== undefined) {
        throw new Error(`there is already a track ${track.uri}`);
      }
      this.registeredTracks.push(track);
    },
    getAllTracks: () => [...this.registeredTracks],
    getTrack: (uri) => this.registeredTracks.find((t) => t.uri === uri),
  };

  readonly selection: Trace['selection'] = {
    selectTrackEvent: (trackUri, eventId) => {
      this.selected.push({trackUri, eventId});
    },
    registerAreaSelectionTab: (tab) => {
      this.areaTabs.push(tab);
    },
  };

  readonly commands: Trace['commands'] = {
    registerCommand: (command) => {
      this.registeredCommands.push(command);
    },
  };

  readonly pages: Trace['pages'] = {
    registerPage: (page) => {
      this.registeredPages.push(page);
    },
  };

  readonly sidebar: Trace['sidebar'] = {
    addMenuItem: (item) => {
      this.menuItems.push(item);
    },
  };

  readonly timeline: Trace['timeline'] = {
    toDomainTime: (ts) => toTime(ts - this.traceInfo.start),
    hoverCursorTimestamp: undefined,
  };

  readonly plugins: Trace['plugins'] = {
    getPlugin: (plugin) => {
      const {processGroups} = this;
      if (isInstance(processGroups, plugin)) return processGroups;
      throw new Error(`no plugin ${plugin.id}`);
    },
  };

  scrollTo(args: ScrollToArgs): void {
    this.scrolled.push(args);
  }

  navigate(hash: string): void {
    this.navigated.push(hash);
  }

  /** Runs a command as the palette does. */
  async run(id: string): Promise<void> {
    const command = this.registeredCommands.find((c) => c.id === id);
    if (command === undefined) throw new Error(`no command ${id}`);
    await command.callback();
  }
}

function isInstance<T extends object>(
  value: object,
  plugin: PerfettoPluginStatic<T>,
): value is T {
  return value instanceof plugin;
}

class WorkspaceDouble {
  readonly tracks = new TrackNode();

  get pinned(): ReadonlyArray<TrackNode> {
    return this.tracks.pinned;
  }

  pinTrack(node: TrackNode): void {
    this.tracks.pinned.push(node);
  }

  addChildInOrder(child: TrackNode): void {
    this.tracks.addChildInOrder(child);
  }
}

export function toTime(ns: bigint): time {
  return ns as time;
}

/** A trace in the real trace processor, with nothing in its tree yet. */
export async function openTraceDouble(db: TraceDb): Promise<TraceDouble> {
  const engine = new EngineDouble(db);
  const bounds = (
    await engine.query('SELECT start_ts, end_ts FROM trace_bounds')
  ).firstRow({start_ts: 0n, end_ts: 0n});
  engine.queries.length = 0;
  return new TraceDouble(engine, {start: bounds.start_ts, end: bounds.end_ts});
}
