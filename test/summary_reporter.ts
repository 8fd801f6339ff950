// SPDX-License-Identifier: Apache-2.0
import type {Reporter, TestModule} from 'vitest/node';

/**
 * Ends a run with `N passed, N failed, N skipped`. A module that could not be
 * loaded, and an error outside of any test, count as failed.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    errors: readonly unknown[],
  ): void {
    const count = {passed: 0, failed: errors.length, skipped: 0, pending: 0};
    for (const module of modules) {
      count.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        count[test.result().state]++;
      }
    }
    const {passed, failed, pending} = count;
    const skipped = count.skipped + pending;
    process.on('exit', () => {
      process.stdout.write(
        `${passed} passed, ${failed} failed, ${skipped} skipped\n`,
      );
    });
  }
}
