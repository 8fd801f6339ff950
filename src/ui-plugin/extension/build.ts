// SPDX-License-Identifier: Apache-2.0
// Builds the extension into dist/extension: the folder that Chromium's "Load
// unpacked" takes.
import {existsSync} from 'node:fs';
import {cp, mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {dirname, join, relative, resolve, sep} from 'node:path';
import {fileURLToPath} from 'node:url';
import {build, type Plugin} from 'esbuild';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '..', '..', '..');
const PLUGIN = resolve(HERE, '..', 'org.kernel.DmaBuf');
const SHIMS = join(HERE, 'shims');

/** Where the plugin would lie in a checkout: its imports lead out from there. */
const UI_PLUGINS = join('/ui/src/plugins');

/**
 * @param folder Is emptied first.
 * @throws when the plugin imports something that has no shim.
 */
export async function buildExtension(folder: string): Promise<void> {
  await rm(folder, {recursive: true, force: true});
  await mkdir(folder, {recursive: true});
  await build({
    entryPoints: [join(HERE, 'main_world.ts')],
    outfile: join(folder, 'main_world.js'),
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'chrome111',
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'silent',
    // The plugin's styles are plain CSS; the name is what the UI asks for.
    loader: {'.scss': 'css'},
    plugins: [uiImports()],
  });
  await writeManifest(folder);
  await cp(join(ROOT, 'LICENSE'), join(folder, 'LICENSE'));
}

/**
 * Leads the plugin's imports from the UI to our shims, which lie as the UI's
 * own modules do: '../../public/workspace' is shims/public/workspace.ts.
 */
function uiImports(): Plugin {
  return {
    name: 'ui-imports',
    setup({onResolve, onLoad}) {
      onResolve({filter: /^mithril$/}, () => ({
        path: join(SHIMS, 'mithril.ts'),
      }));
      onResolve({filter: /^\.\.?\//}, ({path, resolveDir}) => {
        if (!isInside(PLUGIN, resolveDir)) return undefined;
        if (isInside(PLUGIN, resolve(resolveDir, path))) return undefined;
        const inUi = resolve(
          UI_PLUGINS,
          'org.kernel.DmaBuf',
          relative(PLUGIN, resolveDir),
          path,
        );
        if (isInside(UI_PLUGINS, inUi)) {
          const id = relative(UI_PLUGINS, inUi);
          return {path: id, namespace: 'ui-plugin'};
        }
        const shim = join(SHIMS, relative(dirname(UI_PLUGINS), inUi)) + '.ts';
        return existsSync(shim)
          ? {path: shim}
          : {errors: [{text: `the extension has no shim for '${path}'`}]};
      });
      // Other plugins are known by their ids alone.
      onLoad({filter: /.*/, namespace: 'ui-plugin'}, ({path}) => ({
        contents: `export default {id: ${JSON.stringify(path)}};`,
        loader: 'js',
      }));
    },
  };
}

function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}

/** The manifest, with the version of package.json. */
async function writeManifest(folder: string): Promise<void> {
  const read = async (path: string): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  const manifest = await read(join(HERE, 'manifest.json'));
  const {version} = await read(join(ROOT, 'package.json'));
  await writeFile(
    join(folder, 'manifest.json'),
    JSON.stringify({...manifest, version}, undefined, 2) + '\n',
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(ROOT, 'dist', 'extension');
  await buildExtension(folder);
  process.stdout.write(
    `Wrote ${relative(process.cwd(), folder)}: in chrome://extensions turn on ` +
      `'Developer mode', choose 'Load unpacked' and take that folder\n`,
  );
}
