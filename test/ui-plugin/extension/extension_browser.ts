// SPDX-License-Identifier: Apache-2.0
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {chromium, type BrowserContext} from 'playwright-core';
import {chromiumArguments, findChromium} from '../../browser/chromium.js';

/** A Chromium with an extension in it, and a profile of its own. */
export interface ExtensionBrowser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

/**
 * Starts Chromium with an unpacked extension.
 *
 * @param folder Has the manifest in it.
 */
export async function launchWithExtension(
  folder: string,
): Promise<ExtensionBrowser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('no Chromium');
  const profile = await mkdtemp(join(tmpdir(), 'chromium-profile-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    // What Playwright calls headless has no extensions; Chromium's own has.
    headless: false,
    ignoreDefaultArgs: ['--disable-extensions'],
    args: [
      ...chromiumArguments(),
      '--headless=new',
      // Without a graphics card WebGL leaves gaps in pictures; the UI then
      // draws without it.
      '--disable-3d-apis',
      `--disable-extensions-except=${folder}`,
      `--load-extension=${folder}`,
    ],
    viewport: {width: 1280, height: 1150},
  });
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, {recursive: true, force: true});
    },
  };
}
