// SPDX-License-Identifier: Apache-2.0
import {InvalidArgumentError} from 'commander';

interface Range {
  readonly min: number;
  readonly max: number;
}

/** Reader of an option that is a number of seconds, perhaps with a fraction. */
export function parseSeconds(range: Range): (text: string) => number {
  return (text) => inRange(text, /^\d+(\.\d+)?$/, 'seconds', range);
}

/** Reader of an option that is a whole number. */
export function parseInteger(
  what: string,
  range: Range,
): (text: string) => number {
  return (text) => inRange(text, /^\d+$/, what, range);
}

/** Reader of an option that is a number, perhaps with a fraction. */
export function parseNumber(
  what: string,
  range: Range,
): (text: string) => number {
  return (text) => inRange(text, /^\d+(\.\d+)?$/, what, range);
}

function inRange(
  text: string,
  pattern: RegExp,
  what: string,
  {min, max}: Range,
): number {
  const value = pattern.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Give ${what} from ${min} to ${max}.`);
}
