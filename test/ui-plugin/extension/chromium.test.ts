// SPDX-License-Identifier: Apache-2.0
// The extension in a real Chromium, on pages that play the UI: what a built UI
// is not needed for.
import {mkdtemp, mkdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Page} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {buildExtension} from '../../../src/ui-plugin/extension/build.js';
import {hasChromium} from '../../browser/chromium.js';
import {serveFolder, type ServedUi} from '../../browser/perfetto_ui.js';
import {
  launchWithExtension,
  type ExtensionBrowser,
} from './extension_browser.js';

const NOTICE = '#perfetto-dmabuf-notice';

/** As strict as the UI's own policy, which the extension must do under. */
const POLICY =
  `<meta http-equiv="Content-Security-Policy" ` +
  `content="script-src 'self'; object-src 'none'">`;

/** An app with a manager that writes down what it is asked for. */
const PLAYED_UI = `
  const registered = [];
  const plugins = {
    list: [{desc: {id: 'dev.perfetto.ProcessThreadGroups'}},
           {desc: {id: 'dev.perfetto.TrackEvent'}}],
    registerPlugin(plugin) { registered.push(plugin.id); },
    getAllPlugins() { return this.list; },
    activatePlugins(app, ids = []) { window.activated = [...ids]; },
  };
  window.registered = registered;
  window.app = {plugins, commands: {registerCommand() {}}};
  window.app.plugins.activatePlugins(window.app, ['by address']);
  document.body.textContent = 'the UI runs';`;

/** What tells the UI's page from others on this machine. */
const UI_BODY = `<body data-perfetto_version='{"stable":"v0"}'></body>`;

const UI_PAGES: Readonly<Record<string, string>> = {
  'played.js': PLAYED_UI,
  'without_dependency.js': PLAYED_UI.replace('dev.perfetto.TrackEvent', 'x'),
  'unknown.js': `
    window.app = {plugins: {addPlugin() {}}};
    document.body.textContent = 'the UI runs';`,
};

const OTHER_PAGES: Readonly<Record<string, string>> = {
  'other.js': `
    window.app = {plugins: {}};
    document.body.textContent = 'no UI at all';`,
};

const WHAT = 'the extension in Chromium';

describe.skipIf(!hasChromium(WHAT))(WHAT, () => {
  let folder: string;
  let server: ServedUi;
  let browser: ExtensionBrowser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'extension-'));
    const pages = join(folder, 'pages');
    await mkdir(pages);
    for (const [name, script] of Object.entries({
      ...UI_PAGES,
      ...OTHER_PAGES,
    })) {
      const body = name in UI_PAGES ? UI_BODY : '<body></body>';
      await writeFile(join(pages, name), script);
      await writeFile(
        join(pages, name.replace('.js', '.html')),
        `<!doctype html><head>${POLICY}</head>${body}` +
          `<script src="${name}"></script>`,
      );
    }
    server = await serveFolder(pages);
    const extension = join(folder, 'extension');
    await buildExtension(extension);
    browser = await launchWithExtension(extension);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await rm(folder, {recursive: true, force: true});
  });

  async function open(name: string): Promise<{page: Page; errors: string[]}> {
    const page = await browser.context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`${server.address}${name}.html`);
    return {page, errors};
  }

  it('registers the plugin before the UI starts the others', async () => {
    const {page, errors} = await open('played');
    expect(await page.evaluate('window.registered')).toEqual([
      'org.kernel.DmaBuf',
    ]);
    expect(await page.evaluate('window.activated')).toEqual([
      'by address',
      'org.kernel.DmaBuf',
    ]);
    expect(await page.locator(NOTICE).count()).toBe(0);
    expect(errors).toEqual([]);
  });

  it('says what is missing, and lets the UI start without it', async () => {
    const {page, errors} = await open('without_dependency');
    expect(await page.textContent(NOTICE)).toContain(
      'the UI has no plugin dev.perfetto.TrackEvent',
    );
    expect(await page.evaluate('window.registered')).toEqual([]);
    expect(await page.evaluate('window.activated')).toEqual(['by address']);
    expect(await page.textContent('body')).toBe('the UI runs');
    expect(errors).toEqual([]);
  });

  it('says that an unknown UI does not fit, and leaves it alone', async () => {
    const {page, errors} = await open('unknown');
    expect(await page.textContent(NOTICE)).toContain('does not fit');
    expect(await page.textContent('body')).toBe('the UI runs');
    await page.click(`${NOTICE} button`);
    expect(await page.locator(NOTICE).count()).toBe(0);
    expect(errors).toEqual([]);
  });

  it('leaves other pages of this machine alone', async () => {
    const {page, errors} = await open('other');
    expect(await page.textContent('body')).toBe('no UI at all');
    expect(await page.evaluate('window.app')).toEqual({plugins: {}});
    expect(await page.locator(NOTICE).count()).toBe(0);
    expect(errors).toEqual([]);
  });
});
