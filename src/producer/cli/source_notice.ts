// SPDX-License-Identifier: Apache-2.0
import type {Provenance} from '../../core/model/index.js';
import type {ConnectedSource} from '../source.js';
import {oneLine} from './output/terminal.js';
import {UNKNOWN} from './output/units.js';
import type {Console} from './console.js';
import {limitsOf} from './source_limits.js';

/** `Pixel 8 (3A...), kernel 6.1.99, uid 0 (root)`. */
export function describeSource(provenance: Provenance): string {
  const {device, kernelRelease, uid} = provenance;
  return [
    oneLine(device),
    `kernel ${oneLine(kernelRelease ?? UNKNOWN)}`,
    `uid ${uid ?? UNKNOWN}${uid === 0 ? ' (root)' : ''}`,
  ].join(', ');
}

/** The line that keeps simulated data from passing for real. */
export function simulatedBanner(why: string | undefined): string {
  const because = why === undefined ? '' : `, because ${oneLine(why)}`;
  return `=== SIMULATED DATA: this is no real device${because} ===`;
}

/** Says whether it is simulated, and what it cannot show. */
export async function announce(
  source: ConnectedSource,
  console: Console,
): Promise<void> {
  const {provenance, simulatedWhy, collector} = source;
  if (provenance.simulated) {
    await console.err.line(simulatedBanner(simulatedWhy));
  }
  for (const {cannot, fix} of limitsOf(collector.capabilities)) {
    await console.warn(`cannot be seen: ${cannot}: ${fix}`);
  }
}
