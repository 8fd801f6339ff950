// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';

const DEFAULT_FIX =
  'The text may have been cut on its way: read it again. If it stays so, ' +
  'this kernel prints a form that is not known yet: please report it with ' +
  'the text and `uname -r`';

/** A kernel text that is not of its format. */
export class FormatError extends Error {
  override readonly name = 'FormatError';

  constructor(
    /** The file as the device calls it, e.g. `/proc/PID/fdinfo/N`. */
    readonly file: string,
    /** 1-based. */
    readonly line: number,
    /** What is wrong there; holds no raw device text (see quoteRaw). */
    readonly problem: string,
    /** What a person can do about it. */
    readonly fix: string = DEFAULT_FIX,
  ) {
    super(`${file}, line ${line}: ${problem}. ${fix}.`);
  }
}

const QUOTED_LENGTH = 60;

/**
 * Device text for an error message: quoted, cut, and with everything but
 * printable ASCII as \xNN, since it may hold terminal escape codes.
 */
export function quoteRaw(text: RawText): string {
  const head = text.slice(0, QUOTED_LENGTH);
  const safe = head.replace(
    /[^\x20-\x7e]|["\\]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${safe}"${text.length > QUOTED_LENGTH ? '...' : ''}`;
}
