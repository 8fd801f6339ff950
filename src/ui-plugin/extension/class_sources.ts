// SPDX-License-Identifier: Apache-2.0
// Where the shims find the UI's classes: in the tracks of the trace that is
// being loaded, else in tracks of two commands of the UI, made and taken away.
import type {Trace} from '../api/public/trace';
import {UiDoesNotFit, property} from './ui_app';
import {
  findUiClasses,
  mergeClasses,
  type FoundClasses,
  type UiClasses,
} from './ui_classes';

let found: FoundClasses | undefined;

/**
 * Finds what the plugin may ask for while it loads into this trace.
 *
 * @param isOfUse Is asked before anything is done to the trace for it.
 */
export async function provideUiClasses(
  trace: Trace,
  isOfUse: (trace: Trace) => Promise<boolean>,
): Promise<void> {
  const classes = (found = findUiClasses(trace));
  const debugTracks = [
    {
      isMissing: !(
        classes.SliceTrack &&
        classes.SourceDataset &&
        classes.getColorForSlice
      ),
      command: 'dev.perfetto.AddDebugSliceTrack',
      sql: `SELECT 0 AS ts, 0 AS dur, '' AS name`,
    },
    {
      isMissing: !classes.CounterTrack,
      command: 'dev.perfetto.AddDebugCounterTrack',
      sql: 'SELECT 0 AS ts, 0 AS value',
    },
  ].filter(({isMissing}) => isMissing);
  if (debugTracks.length === 0 || !(await isOfUse(trace))) return;
  for (const {command, sql} of debugTracks) {
    await lookAtDebugTrack(trace, command, sql);
  }
}

/**
 * @throws UiDoesNotFit when the page has shown no such class: then the plugin
 *   cannot go on, while a plugin that does not ask is not bothered.
 */
export function uiClass<K extends keyof UiClasses>(name: K): UiClasses[K] {
  const value = found?.[name];
  if (value !== undefined) return value;
  throw new UiDoesNotFit(`the page has no ${name} as known here`);
}

async function lookAtDebugTrack(
  trace: Trace,
  command: string,
  sql: string,
): Promise<void> {
  const before = new Set(trace.tracks.getAllTracks().map(({uri}) => uri));
  try {
    const run = property(trace.commands, 'runCommand');
    if (typeof run !== 'function') return;
    await Reflect.apply(run, trace.commands, [command, sql, 'DMA-BUF']);
    found = mergeClasses(found ?? findUiClasses(trace), findUiClasses(trace));
  } catch {
    // Without that command the class stays unknown; who needs it says so.
  }
  for (const {uri} of trace.tracks.getAllTracks()) {
    if (!before.has(uri)) removeTrack(trace, uri);
  }
}

function removeTrack(trace: Trace, uri: string): void {
  const workspace = trace.currentWorkspace;
  for (const root of [
    property(workspace, 'pinnedTracksNode'),
    workspace.tracks,
  ]) {
    const get = property(root, 'getTrackByUri');
    if (typeof get !== 'function') continue;
    const node: unknown = Reflect.apply(get, root, [uri]);
    const remove = property(node, 'remove');
    if (typeof remove === 'function') Reflect.apply(remove, node, []);
  }
}
