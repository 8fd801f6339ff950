// SPDX-License-Identifier: Apache-2.0
import {createReadStream} from 'node:fs';
import {open} from 'node:fs/promises';
import type {Readable} from 'node:stream';
import {
  parseDumpsysMeminfo,
  parseIonHeaps,
  quoteRaw,
  type DmabufDumpTotals,
  type IonHeap,
  type MeminfoGraphics,
} from '../../core/formats/index.js';
import {
  toDisplay,
  type Provenance,
  type Snapshot,
} from '../../core/model/index.js';
import {TOOL_VERSION} from '../version.js';
import {BugReportError} from './errors.js';
import {LineSplitter} from './line_splitter.js';
import {clockOf, isUptime, type ReportClock} from './report_clock.js';
import {
  absentOf,
  describeDamage,
  describeDoubles,
  describeTime,
} from './report_gaps.js';
import {stateOf} from './report_snapshot.js';
import {
  SectionFinder,
  type ReportHeader,
  type ReportText,
  type Section,
  type SectionDamage,
  type SectionKind,
} from './sections.js';
import {
  extraEntryNames,
  isTraceEntry,
  mainEntryName,
} from './report_entries.js';
import {findEntry, openZip, unreadable, type ZipReader} from './zip_reader.js';

/** What a bug report tells of dma-bufs. */
export interface BugReport {
  readonly path: string;
  readonly provenance: Provenance;
  readonly header: ReportHeader;
  readonly time: ReportTime;
  /**
   * The buffers and their holders; undefined where nothing tells of them.
   * Holders are known without their fds and mappings unless the report has
   * `dmabuf_dump -a`: see DmaBuf.refsKnown. Times are `time.bootNs`.
   */
  readonly snapshot: Snapshot | undefined;
  /** The sums that dmabuf_dump prints itself. */
  readonly totals: DmabufDumpTotals | undefined;
  /** The lines of `dumpsys meminfo`. */
  readonly graphics: MeminfoGraphics | undefined;
  readonly ionHeaps: readonly IonHeap[];
  /** The sections that were read, in the report's order. */
  readonly sections: readonly ReportSection[];
  /** What the report does not contain, for people. */
  readonly absent: readonly string[];
  /** What was cut, garbled or is doubtful, for people. */
  readonly problems: readonly string[];
  /** Traces in the zip, the system's and an attached recording. */
  readonly traces: readonly ReportTrace[];
}

export interface ReportTime {
  /** CLOCK_REALTIME of the state, ns since 1970; the report's own clock. */
  readonly realNs: bigint | undefined;
  /**
   * CLOCK_BOOTTIME of the state, ns. Where the report does not tell how long
   * the device was up, it is realNs, which is no such time; see `isBootKnown`.
   */
  readonly bootNs: bigint;
  readonly isBootKnown: boolean;
  /**
   * How long the state took to read, and when the report began and ended, as
   * far as its text tells; BOOTTIME as bootNs.
   */
  readonly durationNs: bigint;
  readonly beganNs: bigint;
  readonly endedNs: bigint;
  readonly clock: ReportClock;
}

export interface ReportSection {
  readonly kind: SectionKind;
  /** For people; empty where nobody named it. */
  readonly title: string;
  /** The file of the report that it is in, for people. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly damage: SectionDamage | undefined;
}

export interface ReportTrace {
  readonly entry: string;
  readonly sizeBytes: number;
}

/** Far more than dumpstate writes. */
const MOST_TEXT_BYTES = 4 * 1024 ** 3;

/**
 * Reads a bug report: the zip as it came from the device, the text out of it,
 * or the saved output of one of the commands. It is streamed; memory depends
 * on the sections about dma-bufs alone.
 *
 * @throws BugReportError when it cannot be read, or is something else
 */
export async function readBugReport(path: string): Promise<BugReport> {
  const magic = await firstBytes(path);
  if (isZip(magic)) return readZip(path);
  checkText(path, magic);
  const found = await readText(path, createReadStream(path), path);
  return assemble(path, [found], []);
}

/** A text of the report, with what was found in it. */
interface Found {
  readonly file: string;
  readonly text: ReportText;
  readonly problems: readonly string[];
}

async function readZip(path: string): Promise<BugReport> {
  const zip = await openZip(path);
  try {
    const name = await mainEntryName(zip);
    const found = [await readEntryText(zip, name)];
    const problems: string[] = [];
    for (const extra of extraEntryNames(zip)) {
      try {
        found.push(await readEntryText(zip, extra));
      } catch (error) {
        // The report itself is there all the same.
        if (!(error instanceof BugReportError)) throw error;
        problems.push(quoteRaw(extra) + ' is left out: it cannot be read');
      }
    }
    const traces = zip.entries
      .filter(({name: entry}) => isTraceEntry(entry))
      .map(({name: entry, sizeBytes}) => ({entry, sizeBytes}));
    return assemble(path, found, traces, problems);
  } finally {
    zip.close();
  }
}

async function readEntryText(zip: ZipReader, name: string): Promise<Found> {
  const entry = findEntry(zip, name);
  if (entry === undefined) throw new BugReportError(`no ${quoteRaw(name)}`);
  const stream = await zip.read(entry, MOST_TEXT_BYTES);
  return readText(quoteRaw(name), stream, zip.path);
}

async function readText(
  file: string,
  stream: Readable,
  path: string,
): Promise<Found> {
  const finder = new SectionFinder();
  const splitter = new LineSplitter((line) => finder.line(line));
  let isFirst = true;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      if (isFirst)
        checkText(file === path ? path : `${file} in ${path}`, chunk);
      isFirst = false;
      splitter.push(chunk);
    }
  } catch (error) {
    if (error instanceof BugReportError) throw error;
    throw unreadable(path, error);
  } finally {
    stream.destroy();
  }
  splitter.end();
  const text = finder.end();
  const problems: string[] = [];
  if (splitter.cutLines > 0) {
    problems.push(
      `${splitter.cutLines} line(s) of ${file} are too long and lost their ends`,
    );
  }
  if (text.isDumpstate && !text.isDone) {
    problems.push(
      `${file} ends before dumpstate was done: it is cut, and what came last ` +
        'is missing',
    );
  }
  return {file, text, problems};
}

function assemble(
  path: string,
  found: readonly Found[],
  traces: readonly ReportTrace[],
  zipProblems: readonly string[] = [],
): BugReport {
  const texts = found.map(({text}) => text);
  const header = mergeHeaders(texts);
  const sections = texts.flatMap((text) => text.sections);
  const problems = [
    ...zipProblems,
    ...found.flatMap((one) => one.problems),
    ...found.flatMap(({file, text}) =>
      text.sections.flatMap((section) => describeDamage(file, section)),
    ),
    ...describeDoubles(sections),
  ];
  const ion = sections
    .filter(({kind}) => kind === 'ion')
    .map(({text}) => parseIonHeaps(text));
  problems.push(...ion.flatMap((heaps) => heaps.problems));
  const time = timeOf(texts, sections, header);
  problems.push(...describeTime(time));
  const state = stateOf(sections, time, problems);
  const graphics = graphicsOf(sections);
  const report = {
    path,
    provenance: provenanceOf(header),
    header,
    time,
    snapshot: state?.snapshot,
    totals: state?.totals,
    graphics,
    ionHeaps: ion.flatMap(({heaps}) => heaps),
    sections: found.flatMap(({file, text}) =>
      text.sections.map(({kind, title, line, damage}) => ({
        kind,
        title: toDisplay(title),
        file,
        line,
        damage,
      })),
    ),
    problems: state?.snapshot.coverage.problems ?? [...new Set(problems)],
    traces,
  };
  return {...report, absent: absentOf(report, sections)};
}

function mergeHeaders(texts: readonly ReportText[]): ReportHeader {
  const first = <K extends keyof ReportHeader>(key: K): ReportHeader[K] =>
    texts.map(({header}) => header[key]).find((value) => value !== undefined) ??
    (undefined as ReportHeader[K]);
  return {
    localMs: first('localMs'),
    build: first('build'),
    fingerprint: first('fingerprint'),
    sdk: first('sdk'),
    kernelRelease: first('kernelRelease'),
    uptimeMs: first('uptimeMs'),
    model: first('model'),
    serial: first('serial'),
    timezone: first('timezone'),
  };
}

function provenanceOf(header: ReportHeader): Provenance {
  const {model, serial, fingerprint, kernelRelease} = header;
  const name = model ?? fingerprint?.split(':')[0];
  const shown = name === undefined ? 'unknown device' : toDisplay(name);
  return {
    simulated: false,
    source: 'bugreport',
    device: serial === undefined ? shown : `${shown} (${toDisplay(serial)})`,
    kernelRelease:
      kernelRelease === undefined ? undefined : toDisplay(kernelRelease),
    buildFingerprint:
      fingerprint === undefined ? undefined : toDisplay(fingerprint),
    // No bug report has it.
    bootId: undefined,
    uid: undefined,
    toolVersion: TOOL_VERSION,
  };
}

function timeOf(
  texts: readonly ReportText[],
  sections: readonly Section[],
  header: ReportHeader,
): ReportTime {
  const clock = clockOf(texts);
  // The latest time that stands before the state it is about.
  const about = sections.find(
    ({kind}) => kind === 'dmabuf_dump' || kind === 'bufinfo',
  );
  const localMs = about?.afterLocalMs ?? header.localMs;
  const durationNs = toNs(about?.durationMs ?? 0);
  if (localMs === undefined || localMs < (clock.zoneMs ?? 0)) {
    const [bootNs, beganNs, endedNs] = [0n, 0n, durationNs];
    const isBootKnown = false;
    return {
      realNs: undefined,
      bootNs,
      isBootKnown,
      durationNs,
      beganNs,
      endedNs,
      clock,
    };
  }
  const {zoneMs = 0, realOffsetMs} = clock;
  const latest = texts.map(({latestLocalMs}) => latestLocalMs ?? localMs);
  const bootMsOf = (local: number): number =>
    local - zoneMs - (realOffsetMs ?? 0);
  const beganMs = bootMsOf(Math.min(header.localMs ?? localMs, localMs));
  // A clock that was set back, or an uptime of whole minutes.
  const endedMs = bootMsOf(Math.max(localMs, ...latest));
  const isBootKnown =
    realOffsetMs !== undefined && isUptime(beganMs) && isUptime(endedMs);
  const toBootNs = (local: number): bigint =>
    toNs(isBootKnown ? bootMsOf(local) : local - zoneMs);
  const bootNs = toBootNs(localMs);
  const endedNs = toBootNs(Math.max(localMs, ...latest));
  return {
    realNs: toNs(localMs - zoneMs),
    bootNs,
    isBootKnown,
    durationNs,
    beganNs: toBootNs(Math.min(header.localMs ?? localMs, localMs)),
    endedNs: maxOf(endedNs, bootNs + durationNs),
    clock,
  };
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function toNs(ms: number): bigint {
  return BigInt(Math.round(ms)) * 1_000_000n;
}

function graphicsOf(sections: readonly Section[]): MeminfoGraphics | undefined {
  for (const {kind, text} of sections) {
    if (kind !== 'meminfo') continue;
    const {graphics} = parseDumpsysMeminfo(text);
    if (Object.values(graphics).some((size) => size !== undefined)) {
      return graphics;
    }
  }
  return undefined;
}

async function firstBytes(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const {buffer, bytesRead} = await file.read(Buffer.alloc(512), 0, 512);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

function isZip(magic: Uint8Array): boolean {
  return magic[0] === 0x50 && magic[1] === 0x4b;
}

/** Refuses what begins like something else. */
function checkText(what: string, start: Uint8Array): void {
  const [a, b] = start;
  const isTar =
    Buffer.from(start.subarray(257, 262)).toString('latin1') === 'ustar';
  const is =
    start.length === 0
      ? 'is empty: take the bug report again'
      : a === 0x1f && b === 0x8b
        ? 'is compressed by gzip: gunzip it first'
        : (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff)
          ? 'is in UTF-16: save it as UTF-8, or take the text out of the zip'
          : isTar
            ? 'is a tar archive: give the bug report in it'
            : a === 0x0a && start.indexOf(0) >= 0
              ? "is a trace: see 'perfetto-dmabuf report'"
              : start.indexOf(0) >= 0 && start.indexOf(0) < 64
                ? 'is no text: give a bug report'
                : undefined;
  if (is !== undefined) throw new BugReportError(`${what} ${is}`);
}
