// SPDX-License-Identifier: Apache-2.0
import {defineConfig} from 'vitest/config';
import {uiDouble} from './test/ui-plugin/plugin/ui_double/resolve.js';

/** Tests that boot virtual machines: one file at a time, after the others. */
const MACHINES = [
  'test/device-lab/**/*.test.ts',
  'test/conformance/**/*.test.ts',
];

/** Tests of the UI plugin, in a page and against a double of the UI. */
const UI_PLUGIN = [
  'src/ui-plugin/org.kernel.DmaBuf/**/*_unittest.ts',
  'test/ui-plugin/plugin/**/*.test.ts',
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
          exclude: [...MACHINES, ...UI_PLUGIN],
          maxWorkers: 2,
          sequence: {groupOrder: 0},
        },
      },
      {
        plugins: [uiDouble()],
        test: {
          ...limits,
          name: 'ui-plugin',
          include: UI_PLUGIN,
          environment: 'jsdom',
          globals: true,
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
