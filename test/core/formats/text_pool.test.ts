// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {TextPool} from '../../../src/core/formats/text_pool.js';

describe('TextPool', () => {
  it('gives what slice gives, whatever came before', () => {
    const pool = new TextPool();
    fc.assert(
      fc.property(fc.string(), fc.nat(40), fc.nat(40), (text, start, end) => {
        expect(pool.slice(text, start, end)).toBe(text.slice(start, end));
        expect(pool.name(text, start, end)).toEqual({
          raw: text.slice(start, end),
          doubtful: false,
        });
      }),
    );
  });

  it('gives the same object for the same text', () => {
    const pool = new TextPool();
    const name = pool.name('name:\tpreview buffer\n', 6, 20);
    expect(name.raw).toBe('preview buffer');
    expect(pool.name('preview buffer', 0, 14)).toBe(name);
    expect(pool.name('preview buffer', 0, 13)).not.toBe(name);
  });

  it('forgets when a device makes up ever new texts', () => {
    const pool = new TextPool();
    const first = pool.name('first', 0, 5);
    for (let i = 0; i < 10_000; i++) pool.slice(`text ${i}`, 0, 9);
    expect(pool.name('first', 0, 5)).not.toBe(first);
    expect(pool.name('first', 0, 5)).toEqual(first);
  });
});
