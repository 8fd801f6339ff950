// SPDX-License-Identifier: Apache-2.0
// What the UI's timeline holds, read from the running page. The text of the
// functions runs there, where `app` is the UI's own.
import type {Page} from 'playwright-core';

/** A track as the default workspace has it. */
export interface ShownTrack {
  /** Names from the top level to the track. */
  readonly path: readonly string[];
  readonly uri: string | undefined;
}

/** All tracks, from the top to the bottom. */
export function shownTracks(page: Page): Promise<ShownTrack[]> {
  return page.evaluate<ShownTrack[]>(`
    window.app.trace.defaultWorkspace.flatTracks.map((node) => {
      const path = [];
      for (let at = node; at?.name; at = at.parent) path.unshift(at.name);
      return {path, uri: node.uri};
    })`);
}

/**
 * Waits until a trace has a track of that name.
 *
 * @throws Error after half a minute.
 */
export async function waitForTrack(page: Page, name: string): Promise<void> {
  await page.waitForFunction(
    `window.app.trace?.defaultWorkspace.flatTracks.some(
      (node) => node.name === ${JSON.stringify(name)})`,
  );
}

/** Names of the tracks right below a group; all groups of that name. */
export async function childrenOf(
  page: Page,
  group: RegExp,
): Promise<readonly string[]> {
  const tracks = await shownTracks(page);
  return tracks
    .filter(({path}) => group.test(path.at(-2) ?? ''))
    .map(({path}) => path.at(-1) ?? '');
}

/** What the UI's import statistics count as errors; 0 is good. */
export function importErrors(page: Page): Promise<number> {
  return page.evaluate<number>('window.app.trace.traceInfo.importErrors');
}

/** Expands the groups whose paths (names with slashes) match. */
export function expand(page: Page, paths: RegExp): Promise<void> {
  return onNodes(page, paths, 'expand');
}

export function collapse(page: Page, paths: RegExp): Promise<void> {
  return onNodes(page, paths, 'collapse');
}

/** Pins tracks to the top. */
export function pin(page: Page, paths: RegExp): Promise<void> {
  return onNodes(page, paths, 'pin');
}

async function onNodes(
  page: Page,
  paths: RegExp,
  method: 'expand' | 'collapse' | 'pin',
): Promise<void> {
  await page.evaluate(`
    for (const node of window.app.trace.defaultWorkspace.flatTracks) {
      const path = [];
      for (let at = node; at?.name; at = at.parent) path.unshift(at.name);
      if (${String(paths)}.test(path.join('/'))) node.${method}();
    }
    window.raf?.scheduleFullRedraw?.();`);
}

/** The first column of a query's first row, an integer. */
export function queryNumber(page: Page, sql: string): Promise<number> {
  return page.evaluate<number>(`
    (async () => {
      const result = await window.app.trace.engine.query(
        ${JSON.stringify(sql)});
      const name = result.columns()[0];
      return result.firstRow({[name]: 0})[name];
    })()`);
}

/** Selects a slice as a click on it does. */
export async function selectSlice(page: Page, id: number): Promise<void> {
  await page.evaluate(
    `window.app.trace.selection.selectSqlEvent('slice', ${id}, {
       switchToCurrentSelectionTab: true,
     })`,
  );
}

/** Selects an event of a track as a click on it does. */
export async function selectOnTrack(
  page: Page,
  uri: string,
  id: number,
): Promise<void> {
  await page.evaluate(
    `window.app.trace.selection.selectTrackEvent(${JSON.stringify(uri)}, ${id}, {
       switchToCurrentSelectionTab: true,
     })`,
  );
}

/** The uri of the track whose event is selected. */
export function selectedTrack(page: Page): Promise<string | undefined> {
  return page.evaluate<string | undefined>(
    'window.app.trace.selection.selection.trackUri',
  );
}

/** Selects the middle half of the trace on all tracks. */
export async function selectArea(page: Page): Promise<void> {
  await page.evaluate(`{
    const {traceInfo, selection, tracks} = window.app.trace;
    const quarter = (traceInfo.end - traceInfo.start) / 4n;
    selection.selectArea({
      start: traceInfo.start + quarter,
      end: traceInfo.end - quarter,
      trackUris: tracks.getAllTracks().map(({uri}) => uri),
    }, {switchToCurrentSelectionTab: true});
  }`);
}

/** Names of the pinned tracks, from the top. */
export function pinnedNames(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(
    `window.app.trace.defaultWorkspace.pinnedTracks.map(({name}) => name)`,
  );
}

/** In which colours a track draws the slices of a buffer. */
export function colorsOf(
  page: Page,
  uri: string,
  inode: number,
): Promise<string[]> {
  return page.evaluate<string[]>(`
    (async () => {
      const {tracks, engine} = window.app.trace;
      const {renderer} = tracks.getTrack(${JSON.stringify(uri)});
      const dataset = renderer.getDataset();
      const rows = await engine.query(
        'SELECT * FROM (' + dataset.query() + ') WHERE id IN (' +
        'SELECT id FROM slice WHERE ' +
        "extract_arg(arg_set_id, 'dma_buf.inode') = ${inode})");
      const colors = [];
      for (const it = rows.iter(dataset.schema); it.valid(); it.next()) {
        colors.push(renderer.attrs.colorizer(it).base.cssString);
      }
      return colors;
    })()`);
}

/** Why tracks that were in view could not be drawn; the UI keeps that. */
export function trackErrors(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`
    (() => {
      const {tracks} = window.app.trace;
      return tracks
        .getAllTracks()
        .map(({uri}) => tracks.getWrappedTrack?.(uri)?.getError?.())
        .filter((error) => error !== undefined)
        .map(String);
    })()`);
}
