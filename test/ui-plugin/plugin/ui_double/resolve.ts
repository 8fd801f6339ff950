// SPDX-License-Identifier: Apache-2.0
// Lets the plugin's imports from the UI end at its double, as rootDirs lets
// them end at the declarations when types are checked.
import {existsSync} from 'node:fs';
import {dirname, join, relative, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Plugin} from 'vitest/config';

const here = dirname(fileURLToPath(import.meta.url));
const src = resolve(here, '../../../../src');
const plugin = join(src, 'ui-plugin/org.kernel.DmaBuf');

/** Stands for a style sheet, which no test looks at. */
const NO_STYLES = '\0no-styles';

export function uiDouble(): Plugin {
  return {
    name: 'ui-double',
    enforce: 'pre',
    resolveId(source, importer) {
      if (source.endsWith('.scss')) return NO_STYLES;
      if (importer === undefined || !source.startsWith('../')) return undefined;
      if (!importer.startsWith(plugin)) return undefined;
      const path = resolve(dirname(importer), source);
      if (path.startsWith(plugin)) return undefined;
      const name = relative(src, path).replace(/^ui-plugin\//, 'plugins/');
      const candidates = [`${name}.ts`, `${name}/index.ts`];
      return candidates
        .map((candidate) => join(here, candidate))
        .find((candidate) => existsSync(candidate));
    },
    load: (id) => (id === NO_STYLES ? '' : undefined),
  };
}
