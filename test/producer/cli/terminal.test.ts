// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {rawFromBytes, toRaw} from '../../../src/core/model/index.js';
import {
  displayWidth,
  escapeRaw,
  escapeText,
  oneLine,
  padEnd,
  padStart,
  truncate,
} from '../../../src/producer/cli/output/terminal.js';
import {STEERS_TERMINAL} from './fake_io.js';

const anyRaw = fc.uint8Array({maxLength: 31}).map(rawFromBytes);

describe('escapeRaw', () => {
  it.each([
    ['plain', 'plain'],
    ['nl\nhere', 'nl\\nhere'],
    ['cr\r, tab\t', 'cr\\r, tab\\t'],
    ['esc\x1b[31m', 'esc\\x1b[31m'],
    ['nul\0 del\x7f', 'nul\\x00 del\\x7f'],
    ['back\\slash', 'back\\\\slash'],
    ['bad\xff\xfe', 'bad\\xff\\xfe'],
    // A sequence that is cut, and one that is longer than it need be.
    ['cut\xe2\x80', 'cut\\xe2\\x80'],
    ['\xc0\xaf', '\\xc0\\xaf'],
    ['c1\xc2\x9b', 'c1\\u{9b}'],
    [toRaw('bidi\u202e'), 'bidi\\u{202e}'],
    [toRaw('zero\u200bwidth\ufeff'), 'zero\\u{200b}width\\u{feff}'],
    [toRaw('line\u2028sep'), 'line\\u{2028}sep'],
    [toRaw('no\u00a0break'), 'no\\u{a0}break'],
    [toRaw('größe 字幕'), 'größe 字幕'],
  ])('%j becomes %s', (raw, escaped) => {
    expect(escapeRaw(raw)).toBe(escaped);
  });

  it('leaves nothing in that steers a terminal', () => {
    fc.assert(
      fc.property(anyRaw, (raw) => {
        expect(escapeRaw(raw)).not.toMatch(STEERS_TERMINAL);
        expect(escapeRaw(raw)).not.toContain('\n');
      }),
    );
  });

  it('never makes two names look the same', () => {
    fc.assert(
      fc.property(anyRaw, anyRaw, (a, b) => {
        fc.pre(a !== b);
        expect(escapeRaw(a)).not.toBe(escapeRaw(b));
      }),
    );
  });
});

describe('escapeText', () => {
  it('shows lone surrogates and private use', () => {
    expect(escapeText('a\ud800b\ue000')).toBe('a\\u{d800}b\\u{e000}');
  });
});

describe('oneLine', () => {
  it('folds blanks and escapes the rest', () => {
    expect(oneLine(' a\n\tb \x1b[2J ')).toBe('a b \\x1b[2J');
  });
});

describe('width', () => {
  it.each([
    ['abc', 3],
    ['字幕', 4],
    ['e\u0301', 1],
    ['', 0],
  ])('of %s is %d', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  it('pads by it', () => {
    expect(padEnd('字', 4)).toBe('字  ');
    expect(padStart('字', 4)).toBe('  字');
    expect(padEnd('long', 2)).toBe('long');
  });

  it('truncates by it', () => {
    expect(truncate('abcdef', 6)).toBe('abcdef');
    expect(truncate('abcdef', 4)).toBe('abc…');
    expect(truncate('字幕字幕', 4)).toBe('字…');
    expect(truncate('abc', 0)).toBe('');
  });

  it('of what was truncated is never more than asked for', () => {
    fc.assert(
      fc.property(anyRaw, fc.nat(40), (raw, width) => {
        expect(displayWidth(truncate(escapeRaw(raw), width))).toBeLessThan(
          width + 1,
        );
      }),
    );
  });
});
