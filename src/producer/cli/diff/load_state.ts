// SPDX-License-Identifier: Apache-2.0
import {open, readFile, realpath, stat} from 'node:fs/promises';
import {readBugReport, type BugReport} from '../../bugreport/index.js';
import {toDump} from '../bugreport/report_view.js';
import {parseDump, DumpFormatError} from '../dump/dump_json.js';
import type {Dump} from '../dump/dump.js';
import {CliError, exitCode} from '../errors.js';
import {formatDuration} from '../output/units.js';
import {readRecording, type Recording} from '../../trace/index.js';
import {looksLikeTar, readArchivedRecording} from './archived_recording.js';
import {snapshotAtEnd} from './recorded_state.js';
import {listsAllBuffers, type LabelledState} from './state.js';
import type {Moment, StateSpec} from './state_spec.js';

type FileSpec = Extract<StateSpec, {kind: 'file'}>;

/** A bigger one is none of ours, and more than a string may hold. */
const BIGGEST_DUMP_BYTES = 1 << 28;
/** Enough to tell what a file is. */
const HEAD_BYTES = 512;

/**
 * Reads a state out of a file, whatever its name: by what is in it.
 *
 * @throws CliError, TraceReadError, BugReportError
 */
export async function loadState(spec: FileSpec): Promise<LabelledState> {
  const {path, moment} = spec;
  const head = await readHead(path);
  if (looksLikeJson(head)) {
    refuseMoment(spec);
    return dumpedState(spec.text, await readDump(path));
  }
  if (looksLikeBugReport(head)) {
    refuseMoment(spec);
    return reportedState(spec.text, await readBugReport(path));
  }
  const read = looksLikeTar(head) ? readArchivedRecording : readRecording;
  return recordedState(spec, moment ?? 'end', read);
}

/** A dump: of a device, or a saved one. */
export function dumpedState(label: string, dump: Dump): LabelledState {
  const {provenance, snapshot, realOffsetNs, pids} = dump;
  if (pids !== undefined) {
    throw new CliError(
      `${label} has only what some processes hold: take a dump without --pid`,
    );
  }
  const isReport = provenance.source === 'bugreport';
  return {
    label,
    provenance,
    snapshot,
    listsAllBuffers: listsAllBuffers(snapshot.coverage, isReport),
    // A bug report names those that hold something.
    listsAllProcesses: !isReport,
    realOffsetNs,
    recordedNs: undefined,
    recordingPath: undefined,
    isTimed: !isReport || realOffsetNs !== undefined,
    warnings: [],
  };
}

function reportedState(label: string, report: BugReport): LabelledState {
  if (report.snapshot === undefined) {
    throw new CliError(
      `${report.path} tells of no single dma-buf: see 'perfetto-dmabuf ` +
        "bugreport read' for what it has",
    );
  }
  return dumpedState(label, toDump(report, undefined));
}

async function recordedState(
  {path, text}: FileSpec,
  moment: Moment,
  read: typeof readRecording,
): Promise<LabelledState> {
  const recording = await read(path, {untilNs: untilOf(moment)});
  const lengthNs = recording.endNs - recording.beginNs;
  if (typeof moment === 'bigint' && !recording.hasMore && moment > lengthNs) {
    throw new CliError(
      `${path} ends ${formatDuration(lengthNs)} after its first sample, ` +
        `before ${formatDuration(moment)}: give an earlier moment, or @end`,
    );
  }
  const snapshot = snapshotAtEnd(recording);
  return {
    label: text,
    provenance: recording.provenance,
    snapshot,
    listsAllBuffers: listsAllBuffers(
      snapshot.coverage,
      recording.provenance.source === 'bugreport',
    ),
    listsAllProcesses: false,
    realOffsetNs: realOffsetOf(recording),
    recordedNs: lengthNs,
    recordingPath: await realpath(path),
    isTimed: true,
    warnings: recording.warnings.map((warning) => `${path}: ${warning}`),
  };
}

function untilOf(moment: Moment): bigint | undefined {
  if (moment === 'end') return undefined;
  return moment === 'start' ? 0n : moment;
}

function realOffsetOf({clock}: Recording): bigint | undefined {
  return clock === undefined ? undefined : clock.realNs - clock.bootNs;
}

function refuseMoment({path, moment}: FileSpec): void {
  if (moment === undefined) return;
  throw new CliError(
    `${path} is of one moment only: leave out what follows the @`,
    exitCode.usage,
  );
}

async function readDump(path: string): Promise<Dump> {
  const {size} = await stat(path).catch((error: unknown) => {
    throw readError(path, error);
  });
  if (size > BIGGEST_DUMP_BYTES) {
    throw new CliError(
      `${path} is too big for a dump: write one with 'perfetto-dmabuf dump ` +
        "--format json'",
    );
  }
  const json = await readFile(path, 'utf8').catch((error: unknown) => {
    throw readError(path, error);
  });
  try {
    // Some shells write a byte order mark.
    return parseDump(json.replace(/^\uFEFF/, ''));
  } catch (error) {
    if (!(error instanceof DumpFormatError)) throw error;
    throw new CliError(`${path}: ${error.message}`, exitCode.notDone, {
      cause: error,
    });
  }
}

async function readHead(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const {bytesRead, buffer} = await file.read({
        buffer: Buffer.alloc(HEAD_BYTES),
        position: 0,
      });
      return buffer.toString('latin1', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw readError(path, error);
  }
}

/** JSON of ours is an object. A byte order mark may stand before it. */
function looksLikeJson(head: string): boolean {
  return /^(?:\xef\xbb\xbf)?[ \t\r]*\{/.test(head);
}

/** A zip, or text: packets of a trace have bytes that no text has. */
function looksLikeBugReport(head: string): boolean {
  return /^PK\x03\x04/.test(head) || /^[\t\n\r\x1b\x20-\xff]+$/.test(head);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

function readError(path: string, error: unknown): CliError {
  const {code, message} = error as NodeJS.ErrnoException;
  const reason = REASONS[code ?? ''] ?? message;
  return new CliError(`cannot read ${path}: ${reason}`, exitCode.notDone, {
    cause: error,
  });
}
