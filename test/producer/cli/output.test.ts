// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {renderCsv} from '../../../src/producer/cli/output/csv.js';
import {renderJson} from '../../../src/producer/cli/output/json.js';
import {renderTable} from '../../../src/producer/cli/output/table.js';
import {displayWidth} from '../../../src/producer/cli/output/terminal.js';
import {
  formatBytes,
  formatDuration,
  formatElapsed,
  formatGrowth,
  plural,
} from '../../../src/producer/cli/output/units.js';
import {
  ProgressLine,
  progressText,
} from '../../../src/producer/cli/progress.js';
import type {Progress} from '../../../src/producer/recording.js';

describe('formatBytes', () => {
  it.each([
    [undefined, '?'],
    [0n, '0 B'],
    [1023n, '1023 B'],
    [1365 + 1 / 3, '1.3 KiB'],
    [341.5, '341.5 B'],
    [4096n, '4.0 KiB'],
    [1024n * 1024n - 1n, '1.0 MiB'],
    [5n * 1024n ** 3n, '5.0 GiB'],
    [2n ** 63n, '8.0 EiB'],
    [-4096n, '-4.0 KiB'],
  ])('%s is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('puts a sign to growth', () => {
    expect(formatGrowth(4096n)).toBe('+4.0 KiB');
    expect(formatGrowth(-4096n)).toBe('-4.0 KiB');
    expect(formatGrowth(0n)).toBe('0 B');
  });
});

describe('formatDuration', () => {
  it.each([
    [undefined, '?'],
    [400_000, '0.4 ms'],
    [250_000_000n, '250 ms'],
    [999_900_000n, '1 s'],
    [10_000_000_000n, '10 s'],
    [59_990_000_000n, '1 min 0 s'],
    [123_000_000_000n, '2 min 3 s'],
    [3_720_000_000_000n, '1 h 2 min'],
  ])('%s ns is %s', (ns, text) => {
    expect(formatDuration(ns)).toBe(text);
  });

  it('runs as a clock', () => {
    expect(formatElapsed(7_900)).toBe('00:07');
    expect(formatElapsed(3_723_000)).toBe('1:02:03');
  });
});

it('plural says what is not known', () => {
  expect([1, 2, undefined].map((n) => plural(n, 'buffer'))).toEqual([
    '1 buffer',
    '2 buffers',
    '? buffers',
  ]);
});

describe('renderCsv', () => {
  it('quotes as RFC 4180 wants, and leaves unknown cells empty', () => {
    expect(
      renderCsv(
        ['a', 'b'],
        [
          ['plain', 12n],
          [{text: 'quote " and, comma'}, undefined],
          [{text: ' blank '}, false],
        ],
      ),
    ).toBe('a,b\r\nplain,12\r\n"quote "" and, comma",\r\n" blank ",false\r\n');
  });

  it.each(['=1+1', '+1', '-1', '@SUM(A1)', ' =1'])(
    'keeps a spreadsheet from running %s',
    (text) => {
      const [, line = ''] = renderCsv(['t'], [[{text}]]).split('\r\n');
      expect(line.replaceAll('"', '')).toBe(`'${text}`);
    },
  );

  it('leaves our own numbers alone', () => {
    expect(renderCsv(['n'], [[-1]])).toBe('n\r\n-1\r\n');
  });
});

describe('renderJson', () => {
  it('has no character in it that steers a terminal', () => {
    const name =
      'c1\u009b bidi\u202e sep\u2028 esc\x1b del\x7f \u{e0001} \ud800';
    const json = renderJson({name, missing: undefined});
    expect(json).toMatch(/^[\n -~]*$/);
    expect(JSON.parse(json)).toEqual({name});
  });
});

describe('renderTable', () => {
  const columns = [
    {title: 'N', align: 'right'},
    {title: 'NAME', shrinkTo: 4},
  ] as const;

  it('aligns by what a terminal shows', () => {
    const rows = [
      ['1', '字幕'],
      ['200', 'x'],
    ];
    const lines = renderTable(
      [...columns, {title: 'Z'}],
      [...rows.map((row) => [...row, 'z'])],
    );
    expect(lines).toEqual(['  N  NAME  Z', '  1  字幕  z', '200  x     z']);
  });

  it('shrinks what may shrink to the width of the terminal', () => {
    const lines = renderTable(columns, [['1', 'abcdefghijkl']], {
      width: 12,
      indent: 2,
    });
    expect(lines[1]).toBe('  1  abcdef…');
    expect(Math.max(...lines.map(displayWidth))).toBe(12);
  });

  it('is cut nowhere when there is no terminal', () => {
    const long = 'x'.repeat(500);
    expect(renderTable(columns, [['1', long]])[1]).toBe(`1  ${long}`);
  });
});

describe('progress', () => {
  const progress: Progress = {
    elapsedMs: 7_000,
    samples: 28,
    buffers: 312,
    totalBytes: 4096n,
    heldBytes: 2048n,
    bytesWritten: 1024,
    reachedIntervalMs: 250,
    unreadable: 0,
  };

  it('says how it stands', () => {
    expect(progressText(progress)).toBe(
      '00:07  28 samples (4.0/s)  312 buffers  4.0 KiB  1.0 KiB written',
    );
  });

  it('shows what is not known as such', () => {
    const text = progressText({
      ...progress,
      samples: 1,
      buffers: 0,
      totalBytes: undefined,
      heldBytes: 0n,
      reachedIntervalMs: undefined,
      unreadable: 200,
    });
    expect(text).toBe(
      '00:07  1 sample (?/s)  ? buffers  ? held  1.0 KiB written  ' +
        '200 processes unreadable',
    );
  });

  it('redraws one line five times a second at most', () => {
    let nowMs = 0;
    const writes: string[] = [];
    const line = new ProgressLine({
      write: (text) => writes.push(text),
      columns: () => 30,
      nowMs: () => nowMs,
    });
    for (nowMs = 0; nowMs < 1000; nowMs += 10) line.update(progress);
    expect(writes).toHaveLength(5);
    for (const write of writes) {
      expect(write.startsWith('\r\x1b[K')).toBe(true);
      expect(write).not.toContain('\n');
      expect(displayWidth(write.slice(4))).toBeLessThan(30);
    }
    line.clear();
    line.clear();
    expect(writes.slice(5)).toEqual(['\r\x1b[K']);
  });
});
