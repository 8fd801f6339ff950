// SPDX-License-Identifier: Apache-2.0
// A recording in Perfetto's UI as it is, with nothing of ours installed.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Browser, Page} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {hasChromium, launchChromium} from '../../browser/chromium.js';
import {
  hasPerfettoUi,
  openTraceFile,
  openUi,
  servePerfettoUi,
  settle,
  type ServedUi,
} from '../../browser/perfetto_ui.js';
import {picture} from './pictures.js';
import {recordScenario} from './recorded.js';
import {
  childrenOf,
  expand,
  importErrors,
  pin,
  queryNumber,
  selectSlice,
  shownTracks,
} from './timeline.js';

const WHAT = 'a recording in the stock Perfetto UI';
const isPossible = hasPerfettoUi(WHAT) && hasChromium(WHAT);

describe.skipIf(!isPossible)(WHAT, () => {
  let folder: string;
  let ui: ServedUi;
  let browser: Browser;
  let page: Page;
  let errors: readonly string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stock-ui-'));
    ui = await servePerfettoUi();
    browser = await launchChromium();
    const context = await browser.newContext({
      viewport: {width: 1280, height: 1150},
    });
    const file = await recordScenario(folder, {
      scenario: 'camera-preview',
      seconds: 20,
    });
    ({page, errors} = await openUi(context, ui, {route: '?hideSidebar=true'}));
    await openTraceFile(page, file);
  });

  afterAll(async () => {
    await browser?.close();
    await ui?.close();
    await rm(folder, {recursive: true, force: true});
  });

  it('loads without an error', async () => {
    expect(await importErrors(page)).toBe(0);
    expect(errors).toEqual([]);
  });

  it('wears that it is simulated', async () => {
    const top = (await shownTracks(page)).map(({path}) => path[0]);
    expect(top).toContain('DMA-BUF (simulated)');
  });

  it('shows the machine under DMA-BUF, in the order of the README', async () => {
    const names = await childrenOf(page, /^DMA-BUF/);
    expect(names.filter((name) => !name.startsWith('Exporter: '))).toEqual([
      'Total',
      'Held by processes',
      'Kernel-only',
      'Mapped-only',
      'Buffer count',
      'Buffers',
      'Samples',
    ]);
    expect(names.some((name) => name.startsWith('Exporter: '))).toBe(true);
  });

  it('shows each process', async () => {
    expect(await childrenOf(page, /^surfaceflinger \d+$/)).toEqual(
      expect.arrayContaining([
        'dma-buf PSS',
        'dma-buf RSS',
        'dma-buf buffers',
        'mem.dmabuf_rss',
      ]),
    );
  });

  it('ties the holders of one buffer and tells what is known of it', async () => {
    const id = await queryNumber(
      page,
      `SELECT s.id FROM flow JOIN slice s ON s.id = flow.slice_out
       WHERE s.name GLOB 'com.example.camera/*' ORDER BY s.ts, s.id LIMIT 1`,
    );
    await pin(
      page,
      /^DMA-BUF[^/]*\/(Total|Held by processes|Kernel-only|Exporter: camera)$/,
    );
    await expand(page, /^com\.example\.camera \d+$/);
    await selectSlice(page, id);
    await settle(page);
    const details = await page.textContent('.pf-details-shell');
    for (const field of ['inode', 'exporter', 'size', 'fd_refs', 'holders']) {
      expect(details).toContain(field);
    }
    await picture(page, 'stock_ui');
    expect(errors).toEqual([]);
  });
});
