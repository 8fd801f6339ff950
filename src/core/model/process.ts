// SPDX-License-Identifier: Apache-2.0
import type {RawText} from './text.js';

/**
 * One process (thread group). Identity is (pid, start time): pids are reused.
 */
export interface Process {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks (USER_HZ, 100/s) since boot. */
  readonly startTicks: bigint | undefined;
  /** /proc/PID/comm, at most 15 bytes; may hold blanks and parentheses. */
  readonly comm: RawText | undefined;
  /** /proc/PID/cmdline's first argument (Android: the package name). */
  readonly cmdline: RawText | undefined;
}

/** A key unique over a recording. */
export function processKey(process: {
  readonly pid: number;
  readonly startTicks: bigint | undefined;
}): string {
  return `${process.pid}.${process.startTicks ?? '?'}`;
}

/** What to call a process: its command line's head, else comm, else the pid. */
export function processName(process: Process): RawText {
  for (const name of [process.cmdline, process.comm]) {
    if (name !== undefined && name !== '') return name;
  }
  return `pid ${process.pid}`;
}
