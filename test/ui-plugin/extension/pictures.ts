// SPDX-License-Identifier: Apache-2.0
// The README's pictures are by-products of the tests: what is asserted on is
// what is shown. They are written only when UPDATE_PICTURES is set, and never
// compared: pixels differ from machine to machine.
import {mkdir} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Page} from 'playwright-core';
import {settle} from '../../browser/perfetto_ui.js';

const IMAGES = join(
  dirname(fileURLToPath(import.meta.url)),
  ...['..', '..', '..', 'docs', 'images'],
);

/**
 * Photographs the page into docs/images when asked to.
 *
 * @param height Of what is worth seeing, from the top; all of it by default.
 */
export async function picture(
  page: Page,
  name: string,
  height?: number,
): Promise<void> {
  if (process.env['UPDATE_PICTURES'] === undefined) return;
  await mkdir(IMAGES, {recursive: true});
  await page.mouse.move(0, 0);
  // What was scrolled is drawn in full only now.
  await page.evaluate('window.raf?.scheduleFullRedraw?.()');
  await settle(page);
  const width = page.viewportSize()?.width ?? 0;
  await page.screenshot({
    path: join(IMAGES, `${name}.png`),
    ...(height === undefined ? {} : {clip: {x: 0, y: 0, width, height}}),
  });
}
