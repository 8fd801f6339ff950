// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';

const BEYOND_A_BYTE = /[^\0-\xff]/;

/**
 * Checks a text that comes into the kernel from outside: one character a byte.
 * No KernelError, since no program can give a kernel such a text: it is the
 * caller's mistake, who has Unicode and has to encode it by toRaw().
 *
 * @param what it is, for people
 * @throws TypeError
 */
export function checkRaw(what: string, text: RawText | undefined): void {
  if (text === undefined || !BEYOND_A_BYTE.test(text)) return;
  throw new TypeError(
    `${what} has a character that is no byte: give toRaw(text) instead`,
  );
}

/** The same for several. @throws TypeError */
export function checkAllRaw(
  what: string,
  texts: readonly RawText[] | undefined,
): void {
  for (const text of texts ?? []) checkRaw(what, text);
}
