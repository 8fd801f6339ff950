// SPDX-License-Identifier: Apache-2.0

/**
 * One word for a POSIX shell, whatever the text holds: single quotes keep every
 * byte as it is, and a single quote itself is put between two quoted parts.
 *
 * @throws RangeError for NUL, which no shell word can hold
 */
export function shellQuote(text: string): string {
  if (text.includes('\0')) {
    throw new RangeError('a shell word cannot hold a NUL character');
  }
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
