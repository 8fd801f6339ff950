// SPDX-License-Identifier: Apache-2.0
// @vitest-environment node
// What the plugin takes from the UI at run time is few, and all of it is listed:
// whoever bundles the plugin for a UI it is not compiled into provides these.
import {readdir, readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';

const plugin = new URL(
  '../../../src/ui-plugin/org.kernel.DmaBuf/',
  import.meta.url,
);

const IMPORT = /^import (?!type)([^;]*?) from '(mithril|\.\.\/[^']+)';$/gm;

test('every value that is imported from the UI is in the README', async () => {
  const modules = new Set<string>();
  for (const name of await readdir(plugin)) {
    if (!name.endsWith('.ts') || name.endsWith('_unittest.ts')) continue;
    const text = await readFile(new URL(name, plugin), 'utf8');
    for (const [, , module = ''] of text.matchAll(IMPORT)) modules.add(module);
  }
  const readme = await readFile(new URL('README.md', plugin), 'utf8');
  const listed = [...readme.matchAll(/^\| `([^`]+)` +\|/gm)].map(
    ([, module]) => module,
  );
  expect(listed.filter((module) => module !== './styles.scss').sort()).toEqual(
    [...modules].sort(),
  );
});
