// SPDX-License-Identifier: Apache-2.0
import {open, realpath} from 'node:fs/promises';
import {BugReportError} from './errors.js';
import {unreadable} from './zip_reader.js';

/** What a recording is kept in. */
export type TraceKind = 'trace' | 'tar';

/** By its first bytes: a file that is neither makes a whole archive unreadable.
 * @throws BugReportError when it is neither, or cannot be read */
export async function traceKindOf(path: string): Promise<TraceKind> {
  const start = Buffer.alloc(512);
  try {
    const file = await open(path, 'r');
    try {
      await file.read(start, 0, start.length);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  if (start.toString('latin1', 257, 262) === 'ustar') return 'tar';
  if (beginsTrace(start)) return 'trace';
  throw new BugReportError(
    `${path} is no recording: give a trace of 'perfetto-dmabuf record'`,
  );
}

/** A trace is a message of which field 1, a packet, comes again and again. */
export function beginsTrace(start: Uint8Array): boolean {
  return start[0] === 0x0a;
}

/** @throws BugReportError when the output would overwrite what is read */
export async function checkOutput(
  output: string,
  inputs: readonly string[],
): Promise<void> {
  const target = await realpath(output).catch(() => undefined);
  if (target === undefined) return;
  for (const input of inputs) {
    if ((await realpath(input).catch(() => undefined)) !== target) continue;
    throw new BugReportError(
      `${output} is what is read, and would be overwritten: name another ` +
        'with -o',
    );
  }
}
