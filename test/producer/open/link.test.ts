// SPDX-License-Identifier: Apache-2.0
import {describe, expect, test} from 'vitest';
import {
  linkTo,
  mayHaveBrowser,
  OpenError,
  parseUi,
  PERFETTO_UI,
} from '../../../src/producer/open/index.js';
import {startupCommands} from '../../../src/producer/open/link.js';
import {
  hasTraceProcessor,
  openTrace,
  type Row,
} from '../../trace_processor/index.js';
import {record, Scene} from '../trace/scene.js';

const FILE = 'http://127.0.0.1:9001/c2VjcmV0/a%20b.pftrace';

/** As ui/src/core/router.ts takes an address apart. */
function routeOf(link: string): URLSearchParams {
  const hash = new URL(link).hash.replace(/^#!/, '');
  return new URL(`https://example.com${hash}`).searchParams;
}

/** As dev.perfetto.TracklUtils matches tracks; the path is joined by ` > `. */
function pinned(path: readonly string[]): boolean {
  return startupCommands()
    .filter(({id}) => id === 'dev.perfetto.PinTracksByRegex')
    .some(({args: [pattern = '', of]}) => {
      expect(of).toBe('path');
      return new RegExp(pattern).test(path.join(' > '));
    });
}

describe('the link', () => {
  test('has the file and the commands, as the UI reads them', () => {
    const link = linkTo(parseUi(PERFETTO_UI), FILE);
    expect(link.startsWith('https://ui.perfetto.dev/#!/?')).toBe(true);
    const route = routeOf(link);
    expect(route.get('url')).toBe(FILE);
    expect(JSON.parse(route.get('startupCommands') ?? '')).toEqual(
      startupCommands(),
    );
  });

  test('has nothing that ends a link in a terminal or a shell', () => {
    const link = linkTo(parseUi(PERFETTO_UI), FILE);
    expect(link).toMatch(/^[\w:/.#!?=&%~-]+$/);
  });

  test('has only commands that may stand in an address, and only text', () => {
    for (const {id, args} of startupCommands()) {
      // ui/src/core/startup_command_allowlist.ts.
      expect([
        'dev.perfetto.PinTracksByRegex',
        'dev.perfetto.AddDebugCounterTrackWithPivot',
      ]).toContain(id);
      expect(args.every((arg) => typeof arg === 'string')).toBe(true);
    }
  });
});

describe('pinned are', () => {
  test.each([
    [['DMA-BUF', 'Total'], true],
    [['DMA-BUF (simulated)', 'Total'], true],
    [['DMA-BUF', 'Held by processes'], true],
    [['DMA-BUF', 'Kernel-only'], true],
    [['DMA-BUF', 'Kernel-only (upper bound)'], true],
    [['DMA-BUF', 'Mapped-only'], true],
    [['DMA-BUF', 'Buffer count'], true],
    [['DMA-BUF', 'Exporter: system'], true],
    [['Some group', 'DMA-BUF', 'Total'], true],
    [['com.example 12', 'dma-buf PSS'], false],
    [['com.example 12', 'dma-buf RSS'], false],
    [['com.example 12', 'dma-buf buffers'], false],
    [['DMA-BUF'], false],
    [['DMA-BUF', 'Samples'], false],
    [['DMA-BUF', 'Buffers'], false],
    [['NOT-DMA-BUF', 'Total'], false],
    [['Memory', 'Total'], false],
    [['DMA-BUF', 'Total', 'more'], false],
  ])('%o: %s', (path, isPinned) => {
    expect(pinned(path)).toBe(isPinned);
  });
});

describe.runIf(await hasTraceProcessor())('the processes shown', () => {
  const sql = startupCommands().at(-1)?.args[0] ?? '';

  async function shown(...parts: Uint8Array[]): Promise<Row[]> {
    const db = await openTrace(Buffer.concat(parts));
    try {
      return await db.query(`SELECT * FROM (${sql}) ORDER BY process, ts`);
    } finally {
      db.close();
    }
  }

  test('are those that had the most, each with its name', async () => {
    const scene = new Scene();
    for (let pid = 1; pid <= 7; pid++) {
      const inode = BigInt(pid);
      scene.start(pid, {name: pid === 7 ? '/system/bin/seven' : `p${pid}`});
      scene.alloc(inode, {sizeBytes: inode * 4096n});
      scene.hold(pid, inode);
    }
    scene.sample();
    const rows = await shown(...record(scene.snapshots));
    expect(rows.map(({process, value}) => [process, value])).toEqual([
      ['p3 3', 3 * 4096],
      ['p4 4', 4 * 4096],
      ['p5 5', 5 * 4096],
      ['p6 6', 6 * 4096],
      ['seven 7', 7 * 4096],
    ]);
  });

  test('are none in a trace of somebody else', async () => {
    expect(await shown(Uint8Array.of(0x0a, 2, 0x50, 1))).toEqual([]);
  });
});

describe('a UI', () => {
  test.each([
    ['https://ui.perfetto.dev', 'https://ui.perfetto.dev', ''],
    ['https://ui.perfetto.dev/', 'https://ui.perfetto.dev', ''],
    ['http://localhost:10000', 'http://localhost:10000', ''],
    ['https://x.example:443/perfetto/v1/', 'https://x.example', '/perfetto/v1'],
    ['HTTPS://X.Example', 'https://x.example', ''],
  ])('%s', (address, origin, path) => {
    expect(parseUi(address)).toEqual({origin, address: origin + path});
  });

  test.each(['ui.perfetto.dev', 'localhost:10000', 'file:///x', '*', ''])(
    '%j is none',
    (address) => {
      expect(() => parseUi(address)).toThrow(OpenError);
    },
  );
});

test('a browser needs a display on Linux', () => {
  expect(mayHaveBrowser('linux', {})).toBe(false);
  expect(mayHaveBrowser('linux', {DISPLAY: ''})).toBe(false);
  expect(mayHaveBrowser('linux', {DISPLAY: ':0'})).toBe(true);
  expect(mayHaveBrowser('linux', {WAYLAND_DISPLAY: 'wayland-0'})).toBe(true);
  expect(mayHaveBrowser('linux', {WSL_DISTRO_NAME: 'Debian'})).toBe(true);
  expect(mayHaveBrowser('darwin', {})).toBe(true);
});
