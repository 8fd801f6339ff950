// SPDX-License-Identifier: Apache-2.0
// Who may read the file is in the end for the browser to decide, so a real one
// is asked. Two ports are two origins to it.
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import type {Browser, Page} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {
  openUiFile,
  serveFile,
  type ServedFile,
} from '../../../src/producer/open/index.js';
import {hasChromium, launchChromium} from '../../browser/chromium.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();
const CONTENT = '\n\x02\x50\x01 whatever is in it';

describe.runIf(hasChromium('who may read what open serves'))(
  'in a browser',
  () => {
    let browser: Browser;
    let ours: Site;
    let theirs: Site;

    beforeAll(async () => {
      [browser, ours, theirs] = await Promise.all([
        launchChromium(),
        startSite(),
        startSite(),
      ]);
    });

    afterAll(async () => {
      await Promise.all([browser.close(), ours.close(), theirs.close()]);
    });

    async function served(work: (file: ServedFile) => Promise<void>) {
      const path = join(folder, 'trace.pftrace');
      await writeFile(path, CONTENT);
      const file = await openUiFile(path);
      const server = await serveFile({file, origin: ours.origin, port: 0});
      try {
        await work(server);
      } finally {
        await server.close();
        await file.close();
      }
    }

    async function pageOf({origin}: Site): Promise<Page> {
      const page = await browser.newPage();
      await page.goto(origin);
      return page;
    }

    test('a page of the UI reads it', async () => {
      await served(async ({url, fetched}) => {
        const page = await pageOf(ours);
        expect(await fetchIn(page, url)).toBe(CONTENT);
        await fetched;
        expect(await fetchIn(page, url)).toMatch(/^TypeError/);
      });
    });

    test('a page of the UI that has to ask first reads it', async () => {
      await served(async ({url}) => {
        const page = await pageOf(ours);
        // PUT needs a preflight, which allows no more than it says.
        expect(await fetchIn(page, url, {method: 'PUT'})).toMatch(/^TypeError/);
        expect(await fetchIn(page, url)).toBe(CONTENT);
      });
    });

    test('a page of another origin does not', async () => {
      await served(async ({url}) => {
        const page = await pageOf(theirs);
        expect(await fetchIn(page, url)).toMatch(/^TypeError/);
        // Without CORS a page may ask, but not look.
        expect(await fetchIn(page, url, {mode: 'no-cors'})).toBe('');
        expect(await fetchIn(page, new URL('/', url).href)).toMatch(
          /^TypeError/,
        );
        // All of that has not used it up.
        expect(await fetchIn(await pageOf(ours), url)).toBe(CONTENT);
      });
    });
  },
);

interface Site {
  readonly origin: string;
  close(): Promise<void>;
}

/** An empty page of an origin of its own. */
async function startSite(): Promise<Site> {
  const server = createServer((_request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>a page</title>');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const {port} = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a page gets, or its error. */
function fetchIn(
  page: Page,
  url: string,
  init: {readonly method?: string; readonly mode?: 'no-cors'} = {},
): Promise<string> {
  return page.evaluate(
    ([address, options]) =>
      fetch(address, options)
        .then((response) => response.text())
        .catch(String),
    [url, init] as const,
  );
}
