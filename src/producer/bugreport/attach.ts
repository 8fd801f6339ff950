// SPDX-License-Identifier: Apache-2.0
// Perfetto imports no trace that lies inside a bug report's zip
// (src/trace_processor/importers/android_bugreport), but it does open a tar with
// the zip as it is and the traces beside it.
import {basename} from 'node:path';
import {addAbortSignal, Readable} from 'node:stream';
import {quoteRaw} from '../../core/formats/index.js';
import {memberName} from '../archive/combined.js';
import {
  fileMember,
  toMemberName,
  writeTarArchive,
  type TarMember,
} from '../archive/tar_archive.js';
import {
  entryOfRecording,
  isRecordingEntry,
  isTraceEntry,
  mainEntryName,
  type TraceKind,
} from './report_entries.js';
import {beginsTrace, checkOutput, traceKindOf} from './trace_file.js';
import {BugReportError} from './errors.js';
import {
  findEntry,
  openZip,
  type ZipEntry,
  type ZipReader,
} from './zip_reader.js';

export interface Attached {
  /** Name of the system trace's entry, as the zip has it. */
  readonly systemTrace: string | undefined;
  /** What was left out, and why; for people. */
  readonly notes: readonly string[];
}

export interface AttachOptions {
  /** Breaks off; nothing is left at the output. */
  readonly signal?: AbortSignal | undefined;
}

/** Far more than a tracing session writes. */
const MOST_TRACE_BYTES = 64 * 1024 ** 3;

/**
 * Writes a tar of a bug report, untouched, the system trace in it, and a
 * recording; it opens as one. Everything is streamed.
 *
 * @param tracePath undefined: the recording that the zip carries.
 * @throws BugReportError when one of them is not what it should be
 * @throws TraceWriteError, TraceReadError, MemberChangedError
 */
export async function attachToTar(
  zipPath: string,
  tracePath: string | undefined,
  outPath: string,
  {signal}: AttachOptions = {},
): Promise<Attached> {
  await checkOutput(outPath, [zipPath, tracePath ?? zipPath]);
  const given =
    tracePath === undefined ? undefined : await traceKindOf(tracePath);
  const zip = await openZip(zipPath);
  try {
    await mainEntryName(zip);
    const notes: string[] = [];
    const carried = carriedRecording(zip);
    const kind = given ?? carried.kind;
    const system =
      kind === 'tar'
        ? leaveSystemTrace(zip, notes)
        : await chooseSystemTrace(zip, notes);
    const name = kind === 'tar' ? 'zz_dmabuf.tar' : memberName.ours;
    const members = [
      ...(system === undefined
        ? []
        : [entryMember(memberName.system, zip, system)]),
      await fileMember(zipMemberName(zipPath), zipPath),
      tracePath === undefined
        ? entryMember(name, zip, carried.entry())
        : await fileMember(name, tracePath),
    ];
    await writeTarArchive(
      outPath,
      signal === undefined
        ? members
        : members.map((member) => abortable(member, signal)),
    );
    return {systemTrace: system?.name, notes};
  } finally {
    zip.close();
  }
}

/** @throws BugReportError when a zip is none, or no bug report */
export async function checkIsReport(zipPath: string): Promise<void> {
  const zip = await openZip(zipPath);
  try {
    await mainEntryName(zip);
  } finally {
    zip.close();
  }
}

/** A name that Perfetto takes for what it is, and that is no other member's. */
function zipMemberName(path: string): string {
  const name = toMemberName(basename(path));
  return /\.zip$/i.test(name) ? name : `${name.slice(0, 90)}.zip`;
}

/**
 * The one of a report: dumpstate's own snapshot of the session that was under
 * way, else the biggest. Two of one boot would show everything twice.
 */
async function chooseSystemTrace(
  zip: ZipReader,
  notes: string[],
): Promise<ZipEntry | undefined> {
  const candidates = zip.entries
    .filter(({name, sizeBytes}) => isSystemTrace(name) && sizeBytes > 0)
    .sort(byRank);
  let chosen: ZipEntry | undefined;
  for (const entry of candidates) {
    if (chosen !== undefined) {
      notes.push(
        `${quoteRaw(entry.name)} is left in the zip: one system trace is shown`,
      );
    } else if (await isTrace(zip, entry)) {
      chosen = entry;
    } else {
      notes.push(`${quoteRaw(entry.name)} is no trace, and is left in the zip`);
    }
  }
  return chosen;
}

function leaveSystemTrace(zip: ZipReader, notes: string[]): undefined {
  for (const {name} of zip.entries) {
    if (!isSystemTrace(name)) continue;
    notes.push(
      `${quoteRaw(name)} is left in the zip: the recording has its own`,
    );
  }
}

function byRank(a: ZipEntry, b: ZipEntry): number {
  const difference = rank(a) - rank(b);
  return difference === 0 ? b.sizeBytes - a.sizeBytes : difference;
}

/** Of the device's own. */
function isSystemTrace(name: string): boolean {
  return isTraceEntry(name) && !isRecordingEntry(name);
}

/** What was added to the zip before. */
function carriedRecording(zip: ZipReader): {
  readonly kind: TraceKind;
  entry(): ZipEntry;
} {
  const tar = findEntry(zip, entryOfRecording('tar'));
  const entry = tar ?? findEntry(zip, entryOfRecording('trace'));
  return {
    kind: tar === undefined ? 'trace' : 'tar',
    entry: () => {
      if (entry !== undefined) return entry;
      throw new BugReportError(
        `${zip.path} carries no recording: name one behind it`,
      );
    },
  };
}

function rank({name}: ZipEntry): number {
  return name.endsWith('/bugreport/systrace.pftrace') ? 0 : 1;
}

async function isTrace(zip: ZipReader, entry: ZipEntry): Promise<boolean> {
  const stream = await zip.read(entry, MOST_TRACE_BYTES);
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      return beginsTrace(chunk);
    }
    return false;
  } finally {
    stream.destroy();
  }
}

function entryMember(name: string, zip: ZipReader, entry: ZipEntry): TarMember {
  return {
    name,
    sizeBytes: entry.sizeBytes,
    open: () => Readable.from(contents(zip, entry), {objectMode: false}),
  };
}

async function* contents(
  zip: ZipReader,
  entry: ZipEntry,
): AsyncGenerator<Uint8Array> {
  yield* (await zip.read(entry, MOST_TRACE_BYTES)) as AsyncIterable<Uint8Array>;
}

function abortable(member: TarMember, signal: AbortSignal): TarMember {
  return {...member, open: () => addAbortSignal(signal, member.open())};
}
