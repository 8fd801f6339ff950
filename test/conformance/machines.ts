// SPDX-License-Identifier: Apache-2.0
// The kernels on which simulator and reality are compared.
import type {ProfileName} from '../../src/core/kernel/index.js';
import type {KernelName} from '../device-lab/lab.js';

export type ExporterName = 'system' | 'udmabuf' | 'vgem';

export interface MachineUnderTest {
  readonly kernel: KernelName;
  /** What simulates it. */
  readonly profile: ProfileName;
  /** What its packager built it with, in the order that `auto` tries them. */
  readonly exporters: readonly ExporterName[];
}

export const MACHINES: readonly MachineUnderTest[] = [
  {kernel: '6.1', profile: '6.1', exporters: ['vgem']},
  {
    kernel: '6.12',
    profile: '6.12',
    exporters: ['system', 'udmabuf', 'vgem'],
  },
  {
    kernel: 'newest',
    profile: '7.x',
    exporters: ['system', 'udmabuf', 'vgem'],
  },
];
