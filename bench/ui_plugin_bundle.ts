// SPDX-License-Identifier: Apache-2.0
// The plugin over the double of the UI that its tests use, as one module: its
// imports end where they do in Perfetto's checkout, so Node cannot load it as
// it lies here.
import {mkdir} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {build, type Plugin} from 'esbuild';
import type {TraceDb} from '../test/trace_processor/index.js';
import {uiDouble} from '../test/ui-plugin/plugin/ui_double/resolve.js';

/** What a bench needs of it. */
export interface PluginBundle {
  /**
   * Opens a trace as the UI does, up to where plugins get it.
   *
   * @returns what the plugin does then, to be timed.
   */
  prepare(db: TraceDb): Promise<() => Promise<void>>;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Under the root, so that packages are found. */
const TARGET = join(ROOT, '.cache', 'bench', 'ui_plugin.mjs');

const ENTRY = `
import './test/ui-plugin/plugin/dom.ts';
import DmaBufPlugin from './src/ui-plugin/org.kernel.DmaBuf/index.ts';
import {addStockTracks} from './test/ui-plugin/plugin/stock_tracks.ts';
import {openTraceDouble} from './test/ui-plugin/plugin/trace_double.ts';

export async function prepare(db) {
  const trace = await openTraceDouble(db);
  await addStockTracks(trace);
  return () => new DmaBufPlugin().onTraceLoad(trace);
}`;

export async function bundlePlugin(): Promise<PluginBundle> {
  await mkdir(dirname(TARGET), {recursive: true});
  await build({
    stdin: {contents: ENTRY, resolveDir: ROOT, loader: 'ts'},
    outfile: TARGET,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
    plugins: [asEsbuildPlugin()],
  });
  return (await import(pathToFileURL(TARGET).href)) as PluginBundle;
}

/** The double's own way of resolving, which is written for vitest. */
function asEsbuildPlugin(): Plugin {
  const {resolveId} = uiDouble();
  if (typeof resolveId !== 'function') throw new Error('no resolver');
  const resolve = resolveId as (
    source: string,
    importer: string,
  ) => string | undefined;
  return {
    name: 'ui-double',
    setup({onResolve, onLoad}) {
      onResolve({filter: /^\.|\.scss$/}, ({path, importer}) => {
        const found = resolve(path, importer);
        if (found === undefined) return undefined;
        return found.startsWith('\0')
          ? {path: found, namespace: 'nothing'}
          : {path: found};
      });
      onLoad({filter: /.*/, namespace: 'nothing'}, () => ({contents: ''}));
    },
  };
}
