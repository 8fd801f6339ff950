// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {MapBehaviour} from './dma_buf.js';
import {KernelError} from './kernel_error.js';
import type {KernelProfile} from './profile.js';

/** How the buffers of an exporter behave. */
export interface Exporter {
  /** `exp_name` on kernels with dma-buf heaps. */
  readonly name: RawText;
  /** A heap: before 5.6 its memory came from ION, under ION's name. */
  readonly heap: boolean;
  readonly mapping: MapBehaviour;
}

/**
 * Heaps of mainline and of phones, and the exporters of the device lab. Secure
 * heaps give memory that the CPU must not touch: they can not be mapped.
 */
const EXPORTERS: ReadonlyMap<string, Exporter> = new Map(
  (
    [
      ['system', true, 'direct'],
      ['system-uncached', true, 'direct'],
      ['linux,cma', true, 'direct'],
      ['reserved', true, 'direct'],
      ['camera', true, 'direct'],
      ['vframe-secure', true, 'refused'],
      ['vstream-secure', true, 'refused'],
      ['udmabuf', false, 'direct'],
    ] as const
  ).map(([name, heap, mapping]) => [name, {name, heap, mapping}]),
);

/**
 * The exporter of that name; a name that is not known is a driver whose
 * buffers can be mapped.
 *
 * @throws KernelError ENOENT for an empty name or one with a line break or tab,
 *   which no driver has
 */
export function exporterNamed(name: RawText): Exporter {
  const known = EXPORTERS.get(name);
  if (known !== undefined) return known;
  if (name === '' || /[\n\t\0]/.test(name)) {
    throw new KernelError('ENOENT', 'an exporter needs a printable name');
  }
  return {name, heap: false, mapping: 'direct'};
}

/** `exp_name` of the exporter's buffers on this kernel. */
export function exporterNameOn(
  profile: KernelProfile,
  exporter: Exporter,
): RawText {
  return exporter.heap && profile.heaps === 'ion' ? 'ion' : exporter.name;
}
