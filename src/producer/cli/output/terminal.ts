// SPDX-License-Identifier: Apache-2.0
// What a device says of itself is up to the processes on it. None of it gets
// to a terminal as it is: an escape code could hide lines or forge them.
import {bytesFromRaw, type RawText} from '../../../core/model/index.js';

const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/**
 * Controls, format characters (bidi overrides, zero-width ones), surrogates,
 * private use, unassigned; line and paragraph separators; every blank but the
 * plain one. And the backslash, so that what is an escape is no guess.
 */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}\\]|(?! )\p{Zs}/gu;

/**
 * Text in which nothing can move the cursor or reorder the line: `\n`, `\x1b`,
 * `\u{202e}` and so on; a backslash is doubled.
 */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const named = NAMED_ESCAPES[character];
    if (named !== undefined) return named;
    const code = character.codePointAt(0) ?? 0;
    return code < 0x80 ? hexEscape(code) : `\\u{${code.toString(16)}}`;
  });
}

const NON_ASCII = /[^\x00-\x7f]/;
const strictUtf8 = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

/** As escapeText, for a kernel's bytes; those that are no UTF-8 as `\xff`. */
export function escapeRaw(raw: RawText): string {
  if (!NON_ASCII.test(raw)) return escapeText(raw);
  const bytes = bytesFromRaw(raw);
  let escaped = '';
  for (let i = 0; i < bytes.length;) {
    const character = characterAt(bytes, i);
    escaped +=
      character === undefined
        ? hexEscape(bytes[i] ?? 0)
        : escapeText(character.text);
    i += character?.length ?? 1;
  }
  return escaped;
}

function hexEscape(code: number): string {
  return `\\x${code.toString(16).padStart(2, '0')}`;
}

/** The UTF-8 character that begins at `at`; undefined when none does. */
function characterAt(
  bytes: Uint8Array,
  at: number,
): {readonly text: string; readonly length: number} | undefined {
  const lead = bytes[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  try {
    return {text: strictUtf8.decode(bytes.subarray(at, at + length)), length};
  } catch {
    return undefined;
  }
}

/**
 * Text in one line of a message, whatever it was: blanks and line breaks as one
 * blank, the rest as escapeText.
 */
export function oneLine(text: string): string {
  return escapeText(text.replace(/\s+/g, ' ').trim());
}

/** Scripts and emoji that terminals draw two columns wide, roughly. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const COMBINING = /\p{M}/u;
const PLAIN = /^[\x20-\x7e]*$/;

/** Columns of a terminal that escaped text takes. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (COMBINING.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - displayWidth(text))) + text;
}

/** At most `width` columns of the text; what was cut ends in an ellipsis. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let cut = '';
  let used = 0;
  for (const character of text) {
    const next = characterWidth(character);
    if (used + next > width - 1) break;
    cut += character;
    used += next;
  }
  return width > 0 ? `${cut}…` : '';
}
