// SPDX-License-Identifier: Apache-2.0
import {KERNELS, labAvailability, type KernelName} from './lab.js';

/**
 * The kernel for tests that need no more than one: 6.12, or the one that
 * LAB_KERNEL names.
 */
export function chosenKernel(): KernelName {
  const wanted = process.env['LAB_KERNEL'] ?? '6.12';
  const found = KERNELS.find((name) => name === wanted);
  if (found === undefined) {
    throw new Error(
      `LAB_KERNEL=${wanted}: no such kernel; there are ${KERNELS.join(', ')}`,
    );
  }
  return found;
}

/** Whether the lab can be had; if not, says so where nobody can miss it. */
export function isAvailable(kernel: KernelName, what: string): boolean {
  const availability = labAvailability([kernel]);
  if (availability.ok) return true;
  process.stderr.write(
    `SKIPPED: ${what} on kernel ${kernel}: missing: ` +
      `${availability.missing.join('; ')}\n`,
  );
  return false;
}
