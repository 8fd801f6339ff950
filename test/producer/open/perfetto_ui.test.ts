// SPDX-License-Identifier: Apache-2.0
// The whole way, in a real UI: its policy lets it read from port 9001 only.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Browser} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {realEffects} from '../../../src/producer/cli/effects.js';
import {run} from '../../../src/producer/cli/main.js';
import {hasChromium, launchChromium} from '../../browser/chromium.js';
import {
  hasPerfettoUi,
  servePerfettoUi,
  type ServedUi,
} from '../../browser/perfetto_ui.js';
import {FakeIo} from '../cli/fake_io.js';
import {record, Scene} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();
const WHAT = 'open in the Perfetto UI';

describe.runIf(hasChromium(WHAT) && hasPerfettoUi(WHAT))('in the UI', () => {
  let ui: ServedUi;
  let browser: Browser;

  beforeAll(async () => {
    ui = await servePerfettoUi();
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser.close();
    await ui.close();
  });

  test('the link loads the trace and pins our tracks', async () => {
    const scene = new Scene();
    scene.start(10, {name: '/system/bin/cameraserver'});
    scene.alloc(1n, {sizeBytes: 8192n});
    scene.hold(10, 1n);
    scene.sample();
    scene.sample();
    const path = join(folder, 'trace.pftrace');
    await writeFile(path, Buffer.concat(record(scene.snapshots)));

    const page = await browser.newPage();
    const io = new FakeIo();
    const code = await run(['open', path, '--origin', ui.address], io, {
      ...realEffects,
      // `testing` keeps the cookie notice away.
      openInBrowser: async (link) => {
        await page.goto(link.replace('/#!', '/?testing=1#!'));
        return true;
      },
    });
    expect(io.stderrText).toMatch(/It has been fetched\.\n$/);
    expect(code).toBe(0);
    await page.waitForFunction(
      'window.app?.trace !== undefined && ' +
        'window.app.trace.currentWorkspace.pinnedTracks.length > 0 && ' +
        'document.querySelector(".pf-track") !== null',
    );
    await page.evaluate('window.waitForPerfettoIdle?.()');
    const pinned = await page.evaluate(
      'window.app.trace.currentWorkspace.pinnedTracks.map(({name}) => name)',
    );
    expect(pinned).toEqual([
      'Total',
      'Held by processes',
      'Kernel-only',
      'Mapped-only',
      'Buffer count',
      'Exporter: system',
      'dma-buf PSS: process = cameraserver 10',
    ]);
    expect(
      await page.evaluate('window.app.trace.traceInfo.traceTitle'),
    ).toContain('trace.pftrace');
    // The UI would show what it could not do.
    expect(await page.locator('.pf-modal-dialog').count()).toBe(0);
  });
});
