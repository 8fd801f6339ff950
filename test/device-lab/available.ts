// SPDX-License-Identifier: Apache-2.0
import {labAvailability, type KernelName} from './lab.js';

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
