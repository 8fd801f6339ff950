// SPDX-License-Identifier: Apache-2.0
/** Values for the property tests of the formats. */
import fc from 'fast-check';
import type {RawText} from '../../../src/core/model/text.js';

/** Any byte but NUL, those that the formats use as marks more often. */
const byte = fc.oneof(
  {weight: 3, arbitrary: fc.constantFrom(...'\n\t :\\()/<>0189afTn ')},
  {
    weight: 2,
    arbitrary: fc
      .integer({min: 1, max: 255})
      .map((code) => String.fromCharCode(code)),
  },
);

/** Raw text without NUL, of up to `maxLength` bytes. */
export function rawText(maxLength: number): fc.Arbitrary<RawText> {
  return fc.string({unit: byte, maxLength});
}

/** The same without newline. */
export function rawLine(maxLength: number): fc.Arbitrary<RawText> {
  return rawText(maxLength).map((text) => text.replaceAll('\n', '.'));
}

/** A name as SET_NAME takes it: up to 31 bytes. */
export const dmaBufName = fc.oneof(
  rawText(31),
  fc.constantFrom(
    '',
    '<none>',
    'x (deleted)',
    '\ncount:\t99',
    'nl-end\n',
    '\n',
    '\n\n',
    '\n\tAttached Devices:\nx',
    'a\nTotal 0 devices attached\n\n',
    '\n\nTotal 1 objects, 4096 bytes\n',
    '\n\tread fence:1:1   signalled',
    'a\n\tShared fence: a b signalled',
    '\n00004096\t00000002\t00080007\t00',
    'a\\012b',
  ),
);

export const uint64 = fc.bigInt({min: 0n, max: 2n ** 64n - 1n});
export const uint32 = fc.integer({min: 0, max: 2 ** 32 - 1});

/** Exporters: module or heap names, so no blanks or control characters. */
export const exporter = fc.oneof(
  fc.constantFrom('system', 'drm', 'udmabuf', 'system-uncached'),
  fc.string({
    unit: fc.constantFrom(...'abcxyz0189-_'),
    minLength: 1,
    maxLength: 31,
  }),
);

/**
 * The text, cut anywhere or with a byte changed: what a bad transport makes
 * of it.
 */
export function damaged(text: fc.Arbitrary<RawText>): fc.Arbitrary<RawText> {
  return fc
    .tuple(text, fc.nat(), fc.nat(), byte, fc.nat({max: 2}))
    .map(([whole, a, b, other, how]) => {
      if (whole === '') return other;
      const [from, to] = [a % whole.length, b % whole.length];
      if (how === 0) return whole.slice(0, from);
      if (how === 1) {
        return whole.slice(0, from) + other + whole.slice(from + 1);
      }
      return (
        whole.slice(0, Math.min(from, to)) + whole.slice(Math.max(from, to))
      );
    });
}
