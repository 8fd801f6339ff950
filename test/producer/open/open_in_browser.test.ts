// SPDX-License-Identifier: Apache-2.0
import {chmod, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, describe, expect, test, vi} from 'vitest';
import {
  linkTo,
  openInBrowser,
  parseUi,
  PERFETTO_UI,
} from '../../../src/producer/open/index.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();
const isLinux = process.platform === 'linux';
if (!isLinux) {
  process.stderr.write('SKIPPED: a browser of our own: needs xdg-open\n');
}

/** A browser that notes what it is to open. */
async function fakeBrowser(exitCode: number): Promise<string> {
  const browser = join(folder, `browser${exitCode}`);
  await writeFile(
    browser,
    `#!/bin/sh\nprintf %s "$1" >"$0.opened"\nexit ${exitCode}\n`,
  );
  await chmod(browser, 0o755);
  return browser;
}

/** A display and no browser but that one. */
function stubDesktop(browser: string): void {
  vi.stubEnv('DISPLAY', ':9');
  vi.stubEnv('BROWSER', browser);
  for (const name of ['XDG_DATA_HOME', 'XDG_DATA_DIRS', 'XDG_CONFIG_HOME']) {
    vi.stubEnv(name, join(folder, 'nothing'));
  }
  vi.stubEnv('XDG_CURRENT_DESKTOP', '');
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe.runIf(isLinux)('a browser', () => {
  test('gets the link as it is', async () => {
    const browser = await fakeBrowser(0);
    stubDesktop(browser);
    const link = linkTo(parseUi(PERFETTO_UI), 'http://127.0.0.1:9001/x/a%20b');
    expect(await openInBrowser(link, process.env)).toBe(true);
    expect(await readFile(`${browser}.opened`, 'utf8')).toBe(link);
  });

  test('that fails is told', async () => {
    stubDesktop(await fakeBrowser(4));
    const link = linkTo(parseUi(PERFETTO_UI), 'http://127.0.0.1:9001/x/y');
    expect(await openInBrowser(link, process.env)).toBe(false);
  });

  test('is not looked for where nothing can be shown', async () => {
    const browser = await fakeBrowser(0);
    await writeFile(`${browser}.opened`, '');
    vi.stubEnv('BROWSER', browser);
    expect(await openInBrowser('https://ui.perfetto.dev', {})).toBe(false);
    expect(await readFile(`${browser}.opened`, 'utf8')).toBe('');
  });
});
