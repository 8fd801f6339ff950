// SPDX-License-Identifier: Apache-2.0

/**
 * JSON for files and terminals alike: two blanks of indentation, a line end at
 * the end, and no character in it that could steer a terminal, for JSON itself
 * lets C1 controls and bidi overrides pass. Undefined members are left out;
 * bigints are not accepted.
 */
export function renderJson(value: unknown): string {
  return `${escapeUnsafe(JSON.stringify(value, undefined, 2))}\n`;
}

/** Line ends outside of strings are the only controls that stringify makes. */
const UNSAFE = /(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu;

function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
