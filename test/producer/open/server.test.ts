// SPDX-License-Identifier: Apache-2.0
import {truncate, writeFile} from 'node:fs/promises';
import {get, request, type IncomingMessage} from 'node:http';
import {connect, createServer, type AddressInfo, type Server} from 'node:net';
import {networkInterfaces} from 'node:os';
import {join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import {afterEach, describe, expect, test} from 'vitest';
import {
  OpenError,
  openUiFile,
  serveFile,
  UI_PORT,
  type ServedFile,
  type UiFile,
} from '../../../src/producer/open/index.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();
const ORIGIN = 'https://ui.perfetto.dev';
const CONTENT = Buffer.from('\n\x02\x50\x01 and so on');

const open: {close(): Promise<void>}[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function serve(
  content: Uint8Array = CONTENT,
  name = 'trace.pftrace',
): Promise<ServedFile & {file: UiFile}> {
  const path = join(folder, name);
  await writeFile(path, content);
  const file = await openUiFile(path);
  const served = await serveFile({file, origin: ORIGIN, port: 0});
  open.push(served, file);
  return {...served, file};
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

function ask(
  url: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly path?: string;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const {origin = ORIGIN, ...headers} = options.headers ?? {};
    const sent = request(
      url,
      {
        method: options.method ?? 'GET',
        headers: {...(origin === '' ? {} : {origin}), ...headers},
        ...(options.path === undefined ? {} : {path: options.path}),
      },
      (response) => {
        buffer(response).then(
          (body) =>
            resolve({
              status: response.statusCode,
              headers: response.headers,
              body,
            }),
          reject,
        );
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

/** Whether it can still be asked. */
async function isGone(url: string): Promise<boolean> {
  const error = await ask(url).catch((e: unknown) => e);
  return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
}

describe('a served file', () => {
  test('is fetched as a whole, once', async () => {
    const {url, fetched} = await serve();
    const {status, headers, body} = await ask(url);
    expect(status).toBe(200);
    expect(body).toEqual(CONTENT);
    expect(headers).toMatchObject({
      'content-length': String(CONTENT.length),
      'access-control-allow-origin': ORIGIN,
      'cache-control': 'no-store',
      vary: 'Origin',
    });
    await fetched;
    expect(await isGone(url)).toBe(true);
  });

  test('is fetched with the fetch of Node', async () => {
    const {url, fetched} = await serve();
    const response = await fetch(url);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(CONTENT);
    await fetched;
  });

  test('is streamed, however big', async () => {
    const big = Buffer.alloc(40 << 20, 'dma-buf ');
    const {url, fetched} = await serve(big, 'big.pftrace');
    const {headers, body} = await ask(url);
    expect(headers['content-length']).toBe(String(big.length));
    expect(body.equals(big)).toBe(true);
    await fetched;
  });

  test('lies under a path that nobody can guess', async () => {
    const paths = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const {pathname, host} = new URL((await serve()).url);
      expect(host).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(pathname).toMatch(/^\/[\w-]{22}\/trace\.pftrace$/);
      paths.add(pathname);
    }
    expect(paths.size).toBe(3);
  });

  test('keeps its name, whatever that is', async () => {
    const name = 'a b#c?d%2f\u5b57\n.pftrace';
    const {url} = await serve(CONTENT, name);
    expect(decodeURIComponent(url.split('/').pop() ?? '')).toBe(name);
    expect(url).toMatch(/^[\x21-\x7e]+$/);
    expect((await ask(url)).body).toEqual(CONTENT);
  });

  test('is described to HEAD, and stays', async () => {
    const {url} = await serve();
    const {status, headers, body} = await ask(url, {method: 'HEAD'});
    expect(status).toBe(200);
    expect(headers['content-length']).toBe(String(CONTENT.length));
    expect(body).toHaveLength(0);
    expect(await isGone(url)).toBe(false);
  });

  test.each(['private', 'local'])(
    'is allowed to a page that has to ask first (%s network)',
    async (network) => {
      const {url} = await serve();
      const {status, headers} = await ask(url, {
        method: 'OPTIONS',
        headers: {
          'access-control-request-method': 'GET',
          [`access-control-request-${network}-network`]: 'true',
        },
      });
      expect(status).toBe(204);
      expect(headers['access-control-allow-origin']).toBe(ORIGIN);
      expect(headers['access-control-allow-methods']).toBe('GET, HEAD');
      expect(headers[`access-control-allow-${network}-network`]).toBe('true');
    },
  );

  test('says nothing of networks where nobody asks', async () => {
    const {url} = await serve();
    const {headers} = await ask(url, {method: 'OPTIONS'});
    expect(Object.keys(headers).join()).not.toMatch(/network/);
  });

  test('is left alone by whoever breaks off', async () => {
    const big = Buffer.alloc(40 << 20, 1);
    const {url, fetched} = await serve(big, 'aborted.pftrace');
    await new Promise<void>((resolve, reject) => {
      const sent = get(url, {headers: {origin: ORIGIN}}, (response) => {
        response.once('data', () => {
          response.destroy();
          resolve();
        });
      });
      sent.on('error', reject);
    });
    expect((await ask(url)).body.equals(big)).toBe(true);
    await fetched;
  });
});

describe('refused', () => {
  test.each<[string, number, Parameters<typeof ask>[1]]>([
    ['another origin', 403, {headers: {origin: 'https://evil.example'}}],
    [
      'a page that does not say its origin',
      403,
      {headers: {origin: '', 'sec-fetch-site': 'cross-site'}},
    ],
    ['an origin of no page', 403, {headers: {origin: 'null'}}],
    [
      'http in place of https',
      403,
      {headers: {origin: 'http://ui.perfetto.dev'}},
    ],
    ['another name for us', 403, {headers: {host: 'evil.example:9001'}}],
    ['the root', 404, {path: '/'}],
    ['another path', 404, {path: '/trace.pftrace'}],
    ['a path out of the folder', 404, {path: '/../../etc/passwd'}],
    ['what trace_processor_shell answers', 404, {path: '/status'}],
    [
      'a preflight of another origin',
      403,
      {
        method: 'OPTIONS',
        headers: {origin: 'https://evil.example'},
      },
    ],
    ['a post', 404, {method: 'POST'}],
    ['a deletion', 404, {method: 'DELETE'}],
  ])('%s', async (_what, expected, options) => {
    const {url} = await serve();
    const {status, headers, body} = await ask(url, options);
    expect(status).toBe(expected);
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(body).toHaveLength(0);
    // None of it ends the service.
    expect((await ask(url)).body).toEqual(CONTENT);
  });

  test('the path with a query', async () => {
    const {url} = await serve();
    expect((await ask(`${url}?x=1`)).status).toBe(404);
  });

  test('on any other address of this machine', async () => {
    const {url} = await serve();
    const port = Number(new URL(url).port);
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      // Those of a link alone cannot be connected to without its name.
      .filter(({address}) => !/^(127\.0\.0\.1|fe80:.*)$/.test(address))
      .map(({address}) => address);
    for (const host of [...others, '127.0.0.2']) {
      const code = await new Promise((resolve) => {
        const socket = connect({port, host}, () => {
          socket.destroy();
          resolve('connected');
        });
        socket.on('error', (error: NodeJS.ErrnoException) => {
          resolve(error.code);
        });
      });
      expect([host, code]).not.toEqual([host, 'connected']);
    }
  });
});

describe('what goes wrong', () => {
  test('a file that becomes shorter is not taken for whole', async () => {
    const {url, file, fetched} = await serve(
      Buffer.alloc(1 << 20, 1),
      'shrinks.pftrace',
    );
    await truncate(file.path, 1000);
    await expect(ask(url)).rejects.toThrow();
    await expect(fetched).rejects.toThrow(/became shorter while it was read/);
    await expect(fetched).rejects.toBeInstanceOf(OpenError);
  });

  test('a port in use is said, with what may use it', async () => {
    const path = join(folder, 'busy.pftrace');
    await writeFile(path, CONTENT);
    const file = await openUiFile(path);
    open.push(file);
    const other = await listening();
    try {
      const {port} = other.address() as AddressInfo;
      const error = await serveFile({file, origin: ORIGIN, port}).catch(
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(OpenError);
      expect((error as Error).message).toBe(
        `cannot listen on 127.0.0.1:${port}: it is in use, and the UI can read ` +
          "from no other: end what listens there (another 'perfetto-dmabuf " +
          "open', or trace_processor_shell)",
      );
    } finally {
      other.close();
    }
  });

  test('closing ends it, also for who is reading', async () => {
    const {url, close} = await serve(Buffer.alloc(40 << 20), 'long.pftrace');
    const reading = new Promise<string>((resolve) => {
      get(url, {headers: {origin: ORIGIN}}, (response) => {
        response.once('data', () => {
          void close();
        });
        response.on('error', (error) => resolve(error.message));
        response.on('aborted', () => resolve('aborted'));
      });
    });
    expect(await reading).toBe('aborted');
    expect(await isGone(url)).toBe(true);
  });
});

test('the port is the one that the policy of the UI allows', () => {
  // ui/src/frontend/index.ts, connect-src: 'http://127.0.0.1:9001'.
  expect(UI_PORT).toBe(9001);
});

function listening(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
