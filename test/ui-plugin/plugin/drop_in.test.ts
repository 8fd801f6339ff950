// SPDX-License-Identifier: Apache-2.0
// @vitest-environment node
// The plugin in a checkout of Perfetto: checked, linted and tested there, by
// that checkout's own tools and rules. PERFETTO_UI names its folder `ui`, with
// node_modules in it.
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {cp, rm, stat} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';

const run = promisify(execFile);

const NAME = 'org.kernel.DmaBuf';
const ours = fileURLToPath(
  new URL(`../../../src/ui-plugin/${NAME}`, import.meta.url),
);

const named = process.env['PERFETTO_UI'];
/** An address, or a built UI alone, has no place to drop it in. */
const ui =
  named !== undefined && existsSync(join(named, 'src/plugins'))
    ? named
    : undefined;
if (ui === undefined) {
  process.stderr.write(
    'SKIPPED: the plugin in a checkout of Perfetto: set PERFETTO_UI to its ' +
      'folder ui\n',
  );
}

describe.skipIf(ui === undefined)('dropped into Perfetto’s UI', () => {
  const folder = resolve(ui ?? '.');
  const plugin = join(folder, 'src/plugins', NAME);

  beforeAll(async () => {
    const isThere = await stat(plugin).then(
      () => true,
      () => false,
    );
    if (isThere) throw new Error(`${plugin} is there already: remove it first`);
    await cp(ours, plugin, {recursive: true});
  });

  afterAll(() => rm(plugin, {recursive: true, force: true}));

  /** What a tool of the checkout prints; fails when it fails. */
  async function tool(name: string, ...args: string[]): Promise<string> {
    const path = join(folder, 'node_modules/.bin', name);
    // vitest inside of vitest must not take itself for a worker of this one.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([key]) => !/VITEST|TEST/.test(key)),
    );
    const result = await run(path, args, {cwd: folder, env}).catch(
      (error: {stdout?: string; stderr?: string}) => {
        throw new Error(`${name}: ${error.stdout}${error.stderr}`);
      },
    );
    return result.stdout;
  }

  test('it type-checks', async () => {
    await tool('tsc', '--noEmit', '-p', '.');
  });

  test('it is linted without a word', async () => {
    expect(
      await tool('eslint', '--max-warnings=0', `src/plugins/${NAME}`),
    ).toBe('');
  });

  test('it is formatted', async () => {
    await tool('prettier', '--check', `src/plugins/${NAME}`);
  });

  test('its unit tests pass', async () => {
    expect(await tool('vitest', 'run', `src/plugins/${NAME}`)).toContain(
      'passed',
    );
  });
});
