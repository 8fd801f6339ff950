// SPDX-License-Identifier: Apache-2.0
import {defineConfig} from 'vitest/config';

/** Tests that boot virtual machines: one file at a time, after the others. */
const MACHINES = [
  'test/device-lab/**/*.test.ts',
  'test/conformance/**/*.test.ts',
];

const limits = {testTimeout: 120_000, hookTimeout: 600_000};

export default defineConfig({
  test: {
    reporters: ['default', './test/summary_reporter.ts'],
    projects: [
      {
        test: {
          ...limits,
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: MACHINES,
          maxWorkers: 2,
          sequence: {groupOrder: 0},
        },
      },
      {
        test: {
          ...limits,
          name: 'machines',
          include: MACHINES,
          maxWorkers: 1,
          sequence: {groupOrder: 1},
        },
      },
    ],
  },
});
