// SPDX-License-Identifier: Apache-2.0
import {Option} from 'commander';
import {parseInteger} from './values.js';

const DEFAULT_INTERVAL_MS = 250;

/** How often to sample, ms: of each command that records. */
export function intervalOption(): Option {
  return new Option(
    '-i, --interval <ms>',
    'from sample to sample, as far as the device keeps up',
  )
    .argParser(parseInteger('milliseconds', {min: 10, max: 3_600_000}))
    .default(DEFAULT_INTERVAL_MS);
}
