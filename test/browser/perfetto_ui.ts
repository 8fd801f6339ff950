// SPDX-License-Identifier: Apache-2.0
// A built Perfetto UI for tests. None is part of this project: PERFETTO_UI names
// the folder of one (with index.html, or a checkout's ui/ folder that was built)
// or the address of one that is served already.
import {existsSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {extname, join, normalize, resolve, sep} from 'node:path';
import type {BrowserContext, Page} from 'playwright-core';

const VARIABLE = 'PERFETTO_UI';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'application/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
};

/** A UI that is served; `address` ends in a slash. */
export interface ServedUi {
  readonly address: string;
  close(): Promise<void>;
}

/** Whether there is a UI; if not, says so where nobody can miss it. */
export function hasPerfettoUi(what: string): boolean {
  if (isSet(process.env[VARIABLE])) return true;
  process.stderr.write(
    `SKIPPED: ${what}: missing: a built Perfetto UI; name its folder or ` +
      `address in ${VARIABLE}\n`,
  );
  return false;
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/**
 * Serves the UI that PERFETTO_UI names on a free port of this machine, or takes
 * the address as it is.
 *
 * @throws Error when the folder has no UI in it.
 */
export async function servePerfettoUi(): Promise<ServedUi> {
  const named = process.env[VARIABLE];
  if (!isSet(named)) throw new Error(`${VARIABLE} is not set`);
  if (/^https?:\/\//.test(named)) {
    const address = named.endsWith('/') ? named : `${named}/`;
    return {address, close: () => Promise.resolve()};
  }
  return serveFolder(uiFolder(named));
}

function uiFolder(named: string): string {
  const places = [named, join(named, 'out', 'dist')];
  const found = places.find((place) => existsSync(join(place, 'index.html')));
  if (found !== undefined) return resolve(found);
  throw new Error(
    `${VARIABLE}=${named}: neither it nor its out/dist has an index.html; ` +
      'name the folder of a built Perfetto UI',
  );
}

/** Serves a folder's files, and nothing outside of it, on 127.0.0.1. */
export async function serveFolder(folder: string): Promise<ServedUi> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(
      new URL(request.url ?? '/', 'http://localhost').pathname,
    );
    const file = normalize(
      join(folder, path.endsWith('/') ? `${path}index.html` : path),
    );
    if (!file.startsWith(folder + sep)) {
      response.writeHead(403).end();
      return;
    }
    readFile(file).then(
      (bytes) => {
        const type = MEDIA_TYPES[extname(file)] ?? 'application/octet-stream';
        response.writeHead(200, {'content-type': type}).end(bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', () => done());
  });
  const {port} = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** A page with the UI in it, its app object there, no trace open yet. */
export interface OpenUi {
  readonly page: Page;
  /** Uncaught errors of the page, since it was opened. */
  readonly errors: readonly string[];
}

/**
 * Opens the UI. Its own engine is used even where a native one listens on port
 * 9001, which the UI would prefer.
 *
 * @param options.page A page of the context with routes of the test's own.
 * @param options.route What follows `#!/`, such as `?hideSidebar=true`.
 */
export async function openUi(
  context: BrowserContext,
  ui: ServedUi,
  options: {readonly page?: Page; readonly route?: string} = {},
): Promise<OpenUi> {
  const page = options.page ?? (await context.newPage());
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.route(/^http:\/\/(127\.0\.0\.1|localhost):9001\//, (route) =>
    route.abort(),
  );
  // `testing` keeps the cookie notice away.
  const route = options.route ?? '';
  await page.goto(`${ui.address}?testing=1#!/${route}`);
  await page.waitForFunction('window.app !== undefined');
  // The file input comes with the first page that is drawn.
  await page.waitForSelector('input.trace_file', {state: 'attached'});
  return {page, errors};
}

/**
 * Opens a trace file as a user does and waits until the timeline shows it.
 *
 * @throws Error when it was not loaded in a minute.
 */
export async function openTraceFile(page: Page, file: string): Promise<void> {
  await page.setInputFiles('input.trace_file', file);
  await page.waitForFunction(
    'window.app.trace !== undefined && ' +
      'window.app.isLoadingTrace !== true && ' +
      'document.querySelector(".pf-track") !== null',
    undefined,
    {timeout: 60_000},
  );
  await settle(page);
}

/**
 * Waits until the UI has drawn what it was asked for and asks no more, or for
 * twenty seconds: tracks ask the engine for their data only when they are first
 * drawn. (The UI's own `waitForPerfettoIdle` may wait for good in a page that
 * Chromium takes for hidden.)
 */
export async function settle(page: Page): Promise<void> {
  await page.evaluate(`
    (async () => {
      const end = performance.now() + 20_000;
      for (let calm = 0; calm < 4 && performance.now() < end; calm++) {
        await new Promise((done) => setTimeout(done, 50));
        const {app, raf} = window;
        const isBusy =
          app.isLoadingTrace ||
          app.trace?.engine.numRequestsPending > 0 ||
          raf?.hasPendingRedraws ||
          app.taskTracker?.hasPendingTasks();
        if (isBusy) calm = 0;
      }
    })()`);
}

/** Runs one of the UI's commands, as the palette does. */
export async function runCommand(
  page: Page,
  id: string,
  ...args: readonly string[]
): Promise<void> {
  await page.evaluate(
    ([command, commandArgs]) =>
      // No DOM types here: these lines run in the page.
      (
        globalThis as {
          app?: {
            commands: {runCommand(id: string, ...args: string[]): unknown};
          };
        }
      ).app?.commands.runCommand(command, ...commandArgs),
    [id, args] as const,
  );
  await settle(page);
}
