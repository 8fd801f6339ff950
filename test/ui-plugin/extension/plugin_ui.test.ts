// SPDX-License-Identifier: Apache-2.0
// What the plugin shows in a real Perfetto UI, into which the extension brought
// it. The README's pictures are taken on the way.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Locator, Page} from 'playwright-core';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {buildExtension} from '../../../src/ui-plugin/extension/build.js';
import {hasChromium} from '../../browser/chromium.js';
import {
  hasPerfettoUi,
  openTraceFile,
  openUi,
  runCommand,
  servePerfettoUi,
  settle,
  type ServedUi,
} from '../../browser/perfetto_ui.js';
import {
  launchWithExtension,
  type ExtensionBrowser,
} from './extension_browser.js';
import {picture} from './pictures.js';
import {recordScenario} from './recorded.js';
import {
  childrenOf,
  collapse,
  colorsOf,
  expand,
  pinnedNames,
  queryNumber,
  selectArea,
  selectOnTrack,
  selectedTrack,
  trackErrors,
} from './timeline.js';

const LIFETIMES_URI = '/org.kernel.DmaBuf/machine_0/buffers';

const INODE = `extract_arg(s.arg_set_id, 'dma_buf.inode')`;

const WHAT = 'the plugin in a real Perfetto UI';
const isPossible = hasPerfettoUi(WHAT) && hasChromium(WHAT);

describe.skipIf(!isPossible)(WHAT, () => {
  let folder: string;
  let ui: ServedUi;
  let browser: ExtensionBrowser;
  let page: Page;
  let errors: readonly string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plugin-ui-'));
    const extension = join(folder, 'extension');
    await buildExtension(extension);
    ui = await servePerfettoUi();
    browser = await launchWithExtension(extension);
    const trace = await recordScenario(folder, {
      scenario: 'camera-preview',
      seconds: 20,
    });
    ({page, errors} = await openUi(browser.context, ui, {
      route: '?hideSidebar=true',
    }));
    page.setDefaultTimeout(15_000);
    await openTraceFile(page, trace);
  });

  afterAll(async () => {
    await browser?.close();
    await ui?.close();
    await rm(folder, {recursive: true, force: true});
  });

  afterEach(async () => {
    expect(await trackErrors(page)).toEqual([]);
    expect(errors).toEqual([]);
  });

  /** The buffer of the camera's window, which the compositor holds too. */
  async function sharedBuffer(): Promise<{
    readonly inode: number;
    readonly holding: number;
    readonly camera: string;
    readonly compositor: string;
  }> {
    const one = (column: string, process: string): Promise<number> =>
      queryNumber(
        page,
        `SELECT ${column} AS value FROM slice AS s
         JOIN process_track AS t ON t.id = s.track_id
         JOIN process AS p USING (upid)
         WHERE s.name GLOB 'com.example.camera/Main *'
           AND p.name GLOB '*${process}'
         ORDER BY s.name, s.ts LIMIT 1`,
      );
    const uri = (upid: number): string => `/process_${upid}/dma_buf_buffers`;
    return {
      inode: await one(INODE, 'com.example.camera'),
      holding: await one('s.id', 'com.example.camera'),
      camera: uri(await one('p.upid', 'com.example.camera')),
      compositor: uri(await one('p.upid', 'surfaceflinger')),
    };
  }

  async function openView(view: string): Promise<void> {
    await page.evaluate(`location.hash = '#!/dmabuf/${view}'`);
    await page.waitForSelector('.pf-dmabuf-page table');
    await settle(page);
  }

  async function openTimeline(): Promise<void> {
    await page.evaluate(`location.hash = '#!/viewer'`);
    await page.waitForSelector('.pf-track');
  }

  it('groups what the recording has, under one that says simulated', async () => {
    expect(await childrenOf(page, /^DMA-BUF \(simulated\)$/)).toEqual(
      expect.arrayContaining(['Total', 'By exporter', 'By name']),
    );
    expect(await childrenOf(page, /^By exporter$/)).toEqual(
      expect.arrayContaining(['Exporter: system', 'Exporter: camera']),
    );
    expect(await childrenOf(page, /^By name$/)).toContain('JPEG-4032x3024');
  });

  it('is worth a picture', async () => {
    await openTimeline();
    await expand(page, /^DMA-BUF[^/]*(\/By (exporter|name))?$/);
    await settle(page);
    await picture(page, 'plugin_tracks');
    await collapse(page, /^DMA-BUF[^/]*$/);
  });

  it('gives one buffer one colour wherever it is', async () => {
    const {inode, camera, compositor} = await sharedBuffer();
    const colors = [
      ...(await colorsOf(page, LIFETIMES_URI, inode)),
      ...(await colorsOf(page, camera, inode)),
      ...(await colorsOf(page, compositor, inode)),
    ];
    expect(colors.length).toBeGreaterThanOrEqual(3);
    expect(new Set(colors).size).toBe(1);
    const others = await colorsOf(page, LIFETIMES_URI, inode + 1);
    expect(colors).not.toContain(others[0]);
  });

  it('tells all that is known of a selected buffer', async () => {
    await openTimeline();
    const {inode, holding, camera, compositor} = await sharedBuffer();
    await expand(page, /^com\.example\.camera \d+$/);
    await selectOnTrack(page, camera, holding);
    const panel = page.locator('.pf-dmabuf-details');
    await panel.getByText('Holders over time').waitFor();
    await settle(page);
    const text = await panel.textContent();
    for (const fact of [
      `com.example.camera/Main ${inode}`,
      'system-uncached',
      'Size',
      'Age',
      'PSS share',
      'surfaceflinger',
      '(selected)',
      'Simulated',
    ]) {
      expect(text).toContain(fact);
    }
    await picture(page, 'buffer_details');

    await panel
      .locator('button', {hasText: /surfaceflinger \d+/})
      .first()
      .click();
    await settle(page);
    expect(await selectedTrack(page)).toBe(compositor);
  });

  it('adds up what is held in an area', async () => {
    await openTimeline();
    await selectArea(page);
    await page.getByText('DMA-BUF held', {exact: true}).click();
    const tab = page.locator('.pf-dmabuf-area');
    await tab.locator('tr', {hasText: 'com.example.camera'}).waitFor();
    await settle(page);
    const head = await tab.locator('th').allTextContents();
    expect(head.map((title) => title.replace(/ ?[▲▼▴▾]/, ''))).toEqual(
      expect.arrayContaining(['At start', 'At end', 'Change', 'Peak']),
    );
    await picture(page, 'area_tab');
  });

  it('explores the state at a time', async () => {
    await openView('state');
    const search = page.locator('.pf-dmabuf-page input[type=search]');
    const row = (text: string): Locator =>
      page.locator('.pf-dmabuf-page tr', {hasText: text}).first();
    await page.getByText('Buffer, holders').click();
    const {inode} = await sharedBuffer();
    await search.fill(`${inode}`);
    await row(`com.example.camera/Main ${inode}`).locator('button').click();
    await row('surfaceflinger').waitFor();
    await search.fill('');
    await page.getByText('Process, name, buffer').click();
    await row('com.example.camera ').locator('button').click();
    await row('JPEG-4032x3024').waitFor();
    await row('Kernel-only').waitFor();
    // A name lies below its process, by its button's place too.
    const indent = async (text: string): Promise<number> =>
      (await row(text).locator('button').boundingBox())?.x ?? 0;
    expect(await indent('JPEG-4032x3024')).toBeGreaterThan(
      await indent('com.example.camera '),
    );
    await settle(page);
    await picture(page, 'explorer', 720);
  });

  it('finds the leak that the scenario has, and says why', async () => {
    await openView('leaks');
    const rows = page.locator('.pf-dmabuf-page tr', {
      hasText: 'JPEG-4032x3024',
    });
    await rows.first().waitFor();
    const text = (await rows.allTextContents()).join('\n');
    expect(text).toContain('com.example.camera');
    expect(text).toContain('and none was ever freed');
    await picture(page, 'leak_candidates', 420);
  });

  it('compares two times', async () => {
    await openView('compare');
    const row = page.locator('.pf-dmabuf-page tr', {
      hasText: 'com.example.camera ',
    });
    expect(await row.textContent()).toMatch(/\+\d/);
    await settle(page);
    await picture(page, 'compare', 720);
  });

  it('has commands that go where it matters', async () => {
    await openTimeline();
    await runCommand(page, 'org.kernel.DmaBuf.PinTracks');
    const pinned = await pinnedNames(page);
    for (const name of ['Total', 'Held by processes', 'dma-buf PSS']) {
      expect(pinned.some((title) => title.endsWith(name))).toBe(true);
    }
    await runCommand(page, 'org.kernel.DmaBuf.ShowLeakCandidates');
    expect(page.url()).toContain('#!/dmabuf/leaks');
    await runCommand(page, 'org.kernel.DmaBuf.GoToLargestHolder');
    expect(page.url()).toContain('#!/viewer');
  });
});
