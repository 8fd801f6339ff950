// SPDX-License-Identifier: Apache-2.0
import {execFileSync} from 'node:child_process';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {shellQuote} from '../../../src/producer/device/shell_quote.js';

describe('shellQuote', () => {
  it('puts every text between single quotes', () => {
    expect(shellQuote('a b')).toBe(`'a b'`);
    expect(shellQuote('')).toBe(`''`);
    expect(shellQuote(`it's`)).toBe(`'it'\\''s'`);
  });

  it('refuses NUL, which no shell word can hold', () => {
    expect(() => shellQuote('a\0b')).toThrow(RangeError);
  });

  it('is undone by a real shell, whatever the text', () => {
    const texts = fc
      .sample(
        fc.array(
          fc.oneof(
            fc.constantFrom(...`'"\\$\`!*?[]{}()<>|&;#~ \t\n\r`),
            fc.string({unit: 'binary'}).map((s) => s.replaceAll('\0', '')),
          ),
        ),
        200,
      )
      .map((parts) => parts.join(''));
    const script = `printf '%s\\0' ${texts.map(shellQuote).join(' ')}`;
    const output = execFileSync('/bin/sh', ['-c', script], {encoding: 'utf8'});
    expect(output.split('\0').slice(0, -1)).toEqual(texts);
  });

  it('nests', () => {
    const text = `it's "nested" $HOME`;
    const inner = `printf %s ${shellQuote(text)}`;
    const outer = `sh -c ${shellQuote(`sh -c ${shellQuote(inner)}`)}`;
    expect(execFileSync('/bin/sh', ['-c', outer], {encoding: 'utf8'})).toBe(
      text,
    );
  });
});
