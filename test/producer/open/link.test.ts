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

const FILE = 'http://127.0.0.1:9001/c2VjcmV0/a%20b.pftrace';

/** As ui/src/core/router.ts takes an address apart. */
function routeOf(link: string): URLSearchParams {
  const hash = new URL(link).hash.replace(/^#!/, '');
  return new URL(`https://example.com${hash}`).searchParams;
}

/** As dev.perfetto.TracklUtils matches tracks; the path is joined by ` > `. */
function pinned(path: readonly string[]): boolean {
  return startupCommands().some(({args: [pattern = '', of]}) =>
    new RegExp(pattern).test(
      of === 'path' ? path.join(' > ') : (path.at(-1) ?? ''),
    ),
  );
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
      expect(id).toBe('dev.perfetto.PinTracksByRegex');
      expect(args.every((arg) => typeof arg === 'string')).toBe(true);
      expect(['name', 'path']).toContain(args[1]);
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
    [['com.example 12', 'dma-buf PSS'], true],
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
