// SPDX-License-Identifier: Apache-2.0
import {createServer} from 'node:http';
import {writeFile} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {realEffects, type Effects} from '../../../src/producer/cli/effects.js';
import {run} from '../../../src/producer/cli/main.js';
import {serveFile} from '../../../src/producer/open/index.js';
import {temporaryFolder} from '../trace/temporary.js';
import {FakeIo, STEERS_TERMINAL} from './fake_io.js';

const folder = temporaryFolder();
const CONTENT = '\n\x02\x50\x01';

async function traceAt(name = 'trace.pftrace', content = CONTENT) {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** A run that goes on until the file was fetched, on a port that is free. */
function start(
  argv: readonly string[],
  effects: Partial<Effects> = {},
): {
  io: FakeIo;
  code: Promise<number>;
  opened: string[];
  link: () => Promise<URL>;
} {
  const io = new FakeIo();
  const opened: string[] = [];
  let failed = false;
  const code = run(['open', ...argv], io, {
    ...realEffects,
    serveFile: (options) => serveFile({...options, port: 0}),
    openInBrowser: (url) => {
      opened.push(url);
      return Promise.resolve(true);
    },
    ...effects,
  }).finally(() => {
    failed = true;
  });
  const link = async (): Promise<URL> => {
    while (!io.stdoutText.includes('\n')) {
      if (failed) throw new Error(io.stderrText);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return new URL(io.stdoutText.trim());
  };
  return {io, code, opened, link};
}

/** The file's address in the link. */
function fileIn(link: URL): string {
  const route = new URL(link.hash.slice('#!'.length), 'https://example.com');
  return route.searchParams.get('url') ?? '';
}

describe('open', () => {
  it('serves the file, opens the link, and ends once it was fetched', async () => {
    const path = await traceAt();
    const {io, code, opened, link} = start([path]);
    const address = await link();
    expect(address.origin).toBe('https://ui.perfetto.dev');
    expect(opened).toEqual([address.href]);
    const answer = await fetch(fileIn(address), {
      headers: {origin: 'https://ui.perfetto.dev'},
    });
    expect(await answer.text()).toBe(CONTENT);
    expect(await code).toBe(0);
    expect(io.stderrText).toMatch(/^Serving .*trace\.pftrace \(4 B\) to https/);
    expect(io.stderrText).toMatch(/It has been fetched\.\n$/);
    await expect(fetch(fileIn(address))).rejects.toThrow();
  });

  it('only prints the link with --no-browser', async () => {
    const {code, opened, link, io} = start([await traceAt(), '--no-browser']);
    await fetch(fileIn(await link()));
    expect(await code).toBe(0);
    expect(opened).toEqual([]);
    expect(io.stdoutText).toMatch(/^https:\/\/\S+\n$/);
  });

  it('says when there is no browser, and waits for one elsewhere', async () => {
    const {code, link, io} = start([await traceAt()], {
      openInBrowser: () => Promise.resolve(false),
    });
    await fetch(fileIn(await link()));
    expect(await code).toBe(0);
    expect(io.stderrText).toContain(
      'warning: no browser could be started: open the link in one',
    );
  });

  it('does without a display', async () => {
    const {openInBrowser} = realEffects;
    expect(await openInBrowser('https://ui.perfetto.dev', {})).toBe(
      process.platform !== 'linux',
    );
  });

  it('ends at Ctrl-C, and so does the server', async () => {
    const {code, link, io} = start([await traceAt()]);
    const file = fileIn(await link());
    io.pressCtrlC();
    expect(await code).toBe(130);
    expect(io.stderrText).toMatch(
      /ended before a page had fetched .*pftrace\n$/,
    );
    expect(io.isListening).toBe(false);
    await expect(fetch(file)).rejects.toThrow();
  });

  it('serves another UI', async () => {
    const {code, link} = start([
      ...[await traceAt(), '--origin', 'http://localhost:10000/ui/'],
    ]);
    const address = await link();
    expect(address.href).toMatch(/^http:\/\/localhost:10000\/ui\/#!\/\?url=/);
    const ask = (origin: string) =>
      fetch(fileIn(address), {headers: {origin}}).then(({status}) => status);
    expect(await ask('https://ui.perfetto.dev')).toBe(403);
    expect(await ask('http://localhost:10000')).toBe(200);
    expect(await code).toBe(0);
  });

  it('warns of what is no trace, and serves it', async () => {
    const {code, link, io} = start([await traceAt('x.png', '\x89PNG')]);
    await fetch(fileIn(await link()));
    expect(await code).toBe(0);
    expect(io.stderrText).toMatch(/x\.png does not begin like a trace/);
  });

  it('keeps hostile names from the terminal', async () => {
    const {code, link, io} = start([await traceAt('a\x1b[31m\u202e.pftrace')]);
    await fetch(fileIn(await link()));
    expect(await code).toBe(0);
    expect(io.stderrText + io.stdoutText).not.toMatch(STEERS_TERMINAL);
  });

  it.each<[string, readonly string[], number, RegExp]>([
    ['no file', ['/absent/x'], 1, /cannot open \/absent\/x: there is no such/],
    ['a folder', [tmp()], 1, /it is a folder/],
    ['no argument', [], 2, /missing required argument/],
    ['no UI', ['x', '--origin', 'ui.perfetto.dev'], 2, /no address of a UI/],
  ])('%s is one line', async (_what, argv, expected, message) => {
    const {code, io} = start(argv);
    expect(await code).toBe(expected);
    expect(io.stderrText).toMatch(message);
    expect(io.stderrText.trimEnd()).not.toContain('\n');
    expect(io.stdoutText).toBe('');
  });

  it('says when the port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const {port} = other.address() as AddressInfo;
    const {code, io, opened} = start([await traceAt()], {
      serveFile: (options) => serveFile({...options, port}),
    });
    expect(await code).toBe(1);
    expect(io.stderrText).toMatch(
      /cannot listen on 127\.0\.0\.1:\d+: it is in/,
    );
    expect(opened).toEqual([]);
    other.close();
  });
});

function tmp(): string {
  return folder;
}
