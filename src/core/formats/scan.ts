// SPDX-License-Identifier: Apache-2.0
// Small scanners shared by the formats.
import type {RawText} from '../model/text.js';

export const NEWLINE = 0x0a;
export const TAB = 0x09;
export const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/** Engines copy substrings shorter than this; longer ones share. */
const SHARED_SLICE_MIN = 13;

/**
 * text.slice(start, end) that does not keep `text` alive. Engines implement
 * slices as views into the parent: a name kept for the length of a recording
 * would keep the half megabyte that it was read from.
 */
export function detachedSlice(
  text: RawText,
  start: number,
  end: number,
): RawText {
  const slice = text.slice(start, end);
  return slice.length < SHARED_SLICE_MIN ? slice : (' ' + slice).slice(1);
}

export function isDigit(code: number): boolean {
  return code >= DIGIT_0 && code <= DIGIT_9;
}

/** The end of the run of decimal digits at `pos`; `pos` if there is none. */
export function digitsEnd(text: RawText, pos: number): number {
  while (pos < text.length && isDigit(text.charCodeAt(pos))) pos++;
  return pos;
}

/** The end of the run of lowercase hex digits at `pos`. */
export function hexEnd(text: RawText, pos: number): number {
  for (; pos < text.length; pos++) {
    const code = text.charCodeAt(pos);
    if (!isDigit(code) && (code < 0x61 || code > 0x66)) break;
  }
  return pos;
}

/** So many decimal digits are always exact as a number. */
export const EXACT_DIGITS = 15;

/** Decimal digits [start, end) as bigint; via number where that is exact. */
export function decimal(text: RawText, start: number, end: number): bigint {
  return end - start > EXACT_DIGITS
    ? BigInt(text.slice(start, end))
    : BigInt(decimalNumber(text, start, end));
}

/** Decimal digits [start, end) as number: rounded, if beyond 2^53. */
export function decimalNumber(
  text: RawText,
  start: number,
  end: number,
): number {
  if (end - start > EXACT_DIGITS) return Number(text.slice(start, end));
  let value = 0;
  for (let i = start; i < end; i++) {
    value = value * 10 + (text.charCodeAt(i) - DIGIT_0);
  }
  return value;
}

/** Lowercase hex digits [start, end) as bigint. */
export function hex(text: RawText, start: number, end: number): bigint {
  const digits = text.slice(start, end);
  return end - start > 13
    ? BigInt(`0x${digits}`)
    : BigInt(Number.parseInt(digits, 16));
}

/** A whole string of decimal digits as bigint, else undefined. */
export function asDecimal(text: RawText): bigint | undefined {
  return wholeDecimal(text, 0, text.length);
}

/** [start, end) as bigint if it is all decimal digits, else undefined. */
export function wholeDecimal(
  text: RawText,
  start: number,
  end: number,
): bigint | undefined {
  return isDecimal(text, start, end) ? decimal(text, start, end) : undefined;
}

/** A whole decimal string, sign allowed, as an exact number. */
export function asInteger(text: RawText): number | undefined {
  const digits = text.startsWith('-') ? text.slice(1) : text;
  const value = asDecimal(digits);
  if (value === undefined || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    return undefined;
  }
  // No -0: it is not what the kernel meant.
  return value === 0n ? 0 : Number(text);
}

/** [start, end) as asInteger, rounded where it is beyond 2^53. */
export function inexactInteger(
  text: RawText,
  start: number,
  end: number,
): number | undefined {
  const isNegative = start < end && text[start] === '-';
  const digits = isNegative ? start + 1 : start;
  if (!isDecimal(text, digits, end)) return undefined;
  const value = decimalNumber(text, digits, end);
  return isNegative ? -value : value;
}

/** Whether [start, end) is all decimal digits, and a number of the kernel's. */
function isDecimal(text: RawText, start: number, end: number): boolean {
  // 20 digits hold 64 bits; a longer run is none.
  return end > start && end - start <= 20 && digitsEnd(text, start) === end;
}
