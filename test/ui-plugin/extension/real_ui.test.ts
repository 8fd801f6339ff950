// SPDX-License-Identifier: Apache-2.0
// The extension in a real Chromium and a real Perfetto UI, on recordings made by
// the command line.
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Page} from 'playwright-core';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {buildExtension} from '../../../src/ui-plugin/extension/build.js';
import {hasChromium, launchChromium} from '../../browser/chromium.js';
import {
  hasPerfettoUi,
  openTraceFile,
  openUi,
  servePerfettoUi,
  settle,
  type OpenUi,
  type ServedUi,
} from '../../browser/perfetto_ui.js';
import {
  dmaBufExports,
  dmabufRss,
  dmaHeapStats,
  processTree,
} from '../sql/stock_trace.js';
import {
  launchWithExtension,
  type ExtensionBrowser,
} from './extension_browser.js';
import {recordScenario} from './recorded.js';
import {
  childrenOf,
  expand,
  importErrors,
  pinnedNames,
  shownTracks,
  trackErrors,
  waitForTrack,
} from './timeline.js';

const NOTICE = '#perfetto-dmabuf-notice';
const LIFETIMES = 'Buffers (lifetimes)';

const at = (ms: bigint): bigint => 1_000_000_000n + ms * 1_000_000n;

const POLL = {timeout: 30_000};

const WHAT = 'the extension in a real Perfetto UI';
const isPossible = hasPerfettoUi(WHAT) && hasChromium(WHAT);

describe.skipIf(!isPossible)(WHAT, () => {
  let folder: string;
  let extension: string;
  let trace: string;
  let ui: ServedUi;
  let browser: ExtensionBrowser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'real-ui-'));
    extension = join(folder, 'extension');
    await buildExtension(extension);
    ui = await servePerfettoUi();
    browser = await launchWithExtension(extension);
    trace = await recordScenario(folder, {
      scenario: 'camera-preview',
      seconds: 10,
    });
  });

  afterAll(async () => {
    await browser?.close();
    await ui?.close();
    await rm(folder, {recursive: true, force: true});
  });

  afterEach(async () => {
    for (const page of browser.context.pages()) await page.close();
  });

  async function expectOurTracks({page, errors}: OpenUi): Promise<void> {
    const our = {
      machine: ['Total', 'Held by processes', 'By exporter', LIFETIMES],
      process: ['dma-buf PSS', 'dma-buf RSS', 'dma-buf buffers'],
    };
    // In a trace that is open already they come one by one.
    await expect
      .poll(() => childrenOf(page, /^DMA-BUF/), POLL)
      .toEqual(expect.arrayContaining(our.machine));
    await expect
      .poll(() => childrenOf(page, /^surfaceflinger \d+$/), POLL)
      .toEqual(expect.arrayContaining(our.process));
    expect(await importErrors(page)).toBe(0);
    expect(await page.locator(NOTICE).allTextContents()).toEqual([]);
    expect(errors).toEqual([]);
  }

  it('adds its tracks to a trace that is opened', async () => {
    const opened = await openUi(browser.context, ui);
    await openTraceFile(opened.page, trace);
    await expectOurTracks(opened);
  });

  it('does so on ui.perfetto.dev, which is played by the UI at hand', async () => {
    const page = await browser.context.newPage();
    const site = 'https://ui.perfetto.dev/';
    await page.route(`${site}**`, async (route) => {
      const url = route.request().url().replace(site, ui.address);
      await route.fulfill({response: await route.fetch({url})});
    });
    const opened = await openUi(
      browser.context,
      {...ui, address: site},
      {page},
    );
    expect(page.url()).toContain(site);
    await openTraceFile(page, trace);
    // Its service worker comes from the network, and there is no such site.
    const errors = opened.errors.filter((text) => !text.includes('Worker'));
    await expectOurTracks({page, errors});
  });

  it('adds them to the next trace too', async () => {
    const opened = await openUi(browser.context, ui);
    await openTraceFile(opened.page, trace);
    await openTraceFile(opened.page, trace);
    await expectOurTracks(opened);
  });

  it('adds them to a trace that the address names', async () => {
    const page = await browser.context.newPage();
    await page.route('**/recorded.pftrace', async (route) =>
      route.fulfill({body: await readFile(trace)}),
    );
    const opened = await openUi(browser.context, ui, {
      page,
      route: `?url=${encodeURIComponent(`${ui.address}recorded.pftrace`)}`,
    });
    await waitForTrack(page, LIFETIMES);
    await expectOurTracks(opened);
  });

  it('adds them to a trace that was open before it came', async () => {
    const stock = await launchChromium();
    try {
      const opened = await openUi(await stock.newContext(), ui);
      await openTraceFile(opened.page, trace);
      expect(await childrenOf(opened.page, /^DMA-BUF/)).not.toContain(
        LIFETIMES,
      );
      const script = await readFile(join(extension, 'main_world.js'), 'utf8');
      await opened.page.evaluate(script);
      await expectOurTracks(opened);
    } finally {
      await stock.close();
    }
  });

  it.each([
    {
      what: 'dma_heap_stat events',
      piece: dmaHeapStats([
        {ts: at(5n), pid: 10, inode: 5n, length: 4096n, total: 4096n},
        {ts: at(800n), pid: 10, inode: 5n, length: -4096n, total: 0n},
      ]),
      track: 'Allocations and frees (true time)',
    },
    {
      // No slices and no counters: the UI's classes come from debug tracks.
      what: 'dma_buf_export events',
      piece: dmaBufExports([
        {ts: at(7n), pid: 10, exporter: 'vgem', size: 4096n, inode: 8n},
        {ts: at(90n), pid: 10, exporter: 'vgem', size: 4096n, inode: 9n},
      ]),
      track: 'Allocations and frees (true time)',
    },
    {
      what: 'mem.dmabuf_rss counters',
      piece: Buffer.concat([
        dmabufRss(at(1n), 10, 8n),
        dmabufRss(at(500n), 10, 4n),
      ]),
      track: 'mem.dmabuf_rss of all processes (shared counts for each)',
    },
  ])("shows what another's trace with $what tells", async ({piece, track}) => {
    const file = join(folder, 'stock.pftrace');
    const tree = processTree(new Map([[10, 'camera']]));
    await writeFile(file, Buffer.concat([tree, piece]));
    const {page, errors} = await openUi(browser.context, ui);
    await openTraceFile(page, file);
    expect(await childrenOf(page, /^DMA-BUF$/)).toContain(track);
    await expand(page, /^DMA-BUF$/);
    await settle(page);
    expect(await trackErrors(page)).toEqual([]);
    expect(await pinnedNames(page)).toEqual([]);
    expect(await page.locator(NOTICE).allTextContents()).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('leaves a trace without dma-bufs as it is', async () => {
    const other = join(folder, 'other.json');
    const event = {ph: 'X', name: 'work', pid: 1, tid: 1, ts: 0, dur: 5};
    await writeFile(other, JSON.stringify({traceEvents: [event]}));
    const {page, errors} = await openUi(browser.context, ui);
    await openTraceFile(page, other);
    const uris = (await shownTracks(page)).map(({uri}) => uri ?? '');
    expect(uris.length).toBeGreaterThan(0);
    expect(uris.filter((uri) => /dma|debug/i.test(uri))).toEqual([]);
    expect(await page.locator(NOTICE).allTextContents()).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('says that a UI does not fit, which shows the trace as before', async () => {
    const {page, errors} = await openChangedUi(
      'sliceLayout',
      'sliceArrangement',
    );
    await openTraceFile(page, trace);
    expect(await page.textContent(NOTICE)).toMatch(/does not fit.*SliceTrack/);
    expect(await childrenOf(page, /^DMA-BUF/)).toContain('Total');
    expect(await childrenOf(page, /^surfaceflinger \d+$/)).toContain(
      'dma-buf PSS',
    );
    expect(errors).toEqual([]);
  });

  it('says that it cannot be registered, and the UI starts', async () => {
    const {page, errors} = await openChangedUi('registerPlugin', 'addPlugin');
    await openTraceFile(page, trace);
    expect(await page.textContent(NOTICE)).toContain('does not fit');
    expect(await childrenOf(page, /^DMA-BUF/)).toContain('Buffers');
    expect(errors).toEqual([]);
  });

  /** The UI, in which one of its own names is another. */
  async function openChangedUi(name: string, newName: string): Promise<OpenUi> {
    const page: Page = await browser.context.newPage();
    await page.route('**/frontend_bundle.js', async (route) => {
      const response = await route.fetch();
      const script = await response.text();
      expect(script).toContain(name);
      await route.fulfill({
        response,
        body: script.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), newName),
      });
    });
    return openUi(browser.context, ui, {page});
  }
});
