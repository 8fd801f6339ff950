// SPDX-License-Identifier: Apache-2.0
import {existsSync} from 'node:fs';
import {CliError, exitCode} from '../errors.js';

/** The word for the device or simulator at this moment. */
export const LIVE = 'live';

/** Where in a recording. */
export type Moment =
  | 'start'
  | 'end'
  /** ns since its first sample. */
  | bigint;

/** What the command line asks to be compared. */
export type StateSpec =
  | {readonly kind: 'live'; readonly text: string}
  | {
      readonly kind: 'file';
      readonly text: string;
      readonly path: string;
      /** Undefined: not told, which is a recording's end. */
      readonly moment: Moment | undefined;
    };

const NS_PER_UNIT: Readonly<Record<string, number>> = {
  '': 1e9,
  s: 1e9,
  ms: 1e6,
};

/**
 * Reads `live`, `FILE` or `FILE@MOMENT`, where a moment is `start`, `end`,
 * `12.5s` or `900ms`. A file whose name only looks like that is taken as it is.
 *
 * @throws CliError when there is a moment that is none
 */
export function parseStateSpec(
  text: string,
  exists: (path: string) => boolean = existsSync,
): StateSpec {
  if (text === LIVE) return {kind: 'live', text};
  const at = text.lastIndexOf('@');
  if (at <= 0 || exists(text)) {
    return {kind: 'file', text, path: text, moment: undefined};
  }
  const path = text.slice(0, at);
  return {kind: 'file', text, path, moment: momentIn(text.slice(at + 1), path)};
}

function momentIn(text: string, path: string): Moment {
  if (text === 'start' || text === 'end') return text;
  const match = /^(\d{1,9}(?:\.\d{1,9})?)(|s|ms)$/.exec(text);
  if (match === null) {
    throw new CliError(
      `there is no file ${path}@${text}, and @${text} is no moment of ${path}: ` +
        'give @start, @end, @12.5s or @900ms',
      exitCode.usage,
    );
  }
  const [, value, unit = ''] = match;
  return BigInt(Math.round(Number(value) * (NS_PER_UNIT[unit] ?? 0)));
}
