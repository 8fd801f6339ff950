// SPDX-License-Identifier: Apache-2.0
import {open, realpath} from 'node:fs/promises';
import {readRecording, TraceReadError, type Recording} from '../trace/index.js';
import {BugReportError} from './errors.js';
import {readBugReport} from './read_bug_report.js';
import type {TraceKind} from './report_entries.js';
import {unreadable} from './zip_reader.js';

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

/** How far apart two readings of one boot's clocks may be, ms. */
const SAME_BOOT_MS = 10_000;

/**
 * What speaks against a recording and a report being of one device and one
 * boot; one line each, empty when nothing does.
 *
 * @throws BugReportError when the report cannot be read
 */
export async function checkBelongs(
  reportPath: string,
  tracePath: string,
): Promise<string[]> {
  const report = await readBugReport(reportPath);
  let recording: Recording;
  try {
    recording = await readRecording(tracePath);
  } catch (error) {
    if (error instanceof TraceReadError) return [error.message];
    throw error;
  }
  const misfits: string[] = [];
  const {buildFingerprint, simulated} = recording.provenance;
  if (simulated) misfits.push(`${tracePath} is simulated, not of any device`);
  const fingerprint = report.provenance.buildFingerprint;
  if (
    buildFingerprint !== undefined &&
    fingerprint !== undefined &&
    buildFingerprint !== fingerprint
  ) {
    misfits.push(
      `the recording is of build ${buildFingerprint}, the report of ` +
        `${fingerprint}: they do not belong together`,
    );
  }
  const {realOffsetMs, accuracyMs} = report.time.clock;
  if (recording.clock !== undefined && realOffsetMs !== undefined) {
    const {bootNs, realNs} = recording.clock;
    const apartMs = Math.abs(Number(realNs - bootNs) / 1e6 - realOffsetMs);
    if (apartMs > SAME_BOOT_MS + (accuracyMs ?? 0)) {
      misfits.push(
        'the recording and the report are of different boots, or the clock ' +
          `was set between them: they are ${Math.round(apartMs / 1000)} s apart`,
      );
    }
  }
  return misfits;
}
