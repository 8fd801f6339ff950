// SPDX-License-Identifier: Apache-2.0
// Reads the bodies of the collector's answers (see script.ts): lines that
// find, stat and grep print about paths under /proc.
import {
  dmaBufPathName,
  parseMapsLine,
  FormatError,
} from '../../core/formats/index.js';
import type {BufferName, RawText} from '../../core/model/index.js';

/** One line `INODE SIZE PATH` about a path under /proc. */
export interface PathStat {
  readonly inode: bigint;
  /** Bytes; of /proc/PID/fd itself the number of fds since kernel 6.2. */
  readonly size: bigint;
  readonly pid: number;
  /** What follows /proc/PID/, e.g. `fd/7` or `task/12/fd/7`. */
  readonly rest: string;
}

const PATH_STAT = /^(\d+) (\d+) \/proc\/(\d+)\/(.+)$/;

/** Lines that are not of the form are counted, not guessed at. */
export interface Lines<T> {
  readonly items: T[];
  readonly malformed: number;
}

export function parsePathStats(body: RawText): Lines<PathStat> {
  return parseLines(body, (line) => {
    const match = PATH_STAT.exec(line);
    if (match === null) return undefined;
    return {
      inode: BigInt(match[1] ?? ''),
      size: BigInt(match[2] ?? ''),
      pid: Number(match[3]),
      rest: match[4] ?? '',
    };
  });
}

/** One line `INODEPATH` about a descriptor. */
export interface FdPath {
  readonly inode: bigint;
  readonly pid: number;
  /** What follows /proc/PID/, e.g. `fd/7` or `task/12/fd/7`. */
  readonly rest: string;
}

const FD_PATH = /^(\d+)\/proc\/(\d+)\/((?:task\/\d+\/)?fd\/\d+)$/;

export function parseFdPaths(body: RawText): Lines<FdPath> {
  return parseLines(body, (line) => {
    const match = FD_PATH.exec(line);
    if (match === null) return undefined;
    return {
      inode: BigInt(match[1] ?? ''),
      pid: Number(match[2]),
      rest: match[3] ?? '',
    };
  });
}

/** One VMA of a dma-buf. */
export interface Mapping {
  readonly pid: number;
  readonly inode: bigint;
  /** `START-END` in hex, as /proc/PID/map_files names it. */
  readonly range: string;
  readonly lengthBytes: bigint;
  readonly name: BufferName | undefined;
}

const MAPS_LINE = /^\/proc\/(\d+)\/maps:([^]*)$/;

/** Lines `PATH:LINE` of /proc/PID/maps that hold `/dmabuf`. */
export function parseMappings(body: RawText): Lines<Mapping> {
  return parseLines<Mapping | 'other'>(body, (line) => {
    const match = MAPS_LINE.exec(line);
    if (match === null) return undefined;
    try {
      const entry = parseMapsLine(match[2] ?? '');
      const name = dmaBufPathName(entry.path, {escaped: true});
      // A file may have /dmabuf anywhere in its path.
      if (name === undefined) return 'other';
      return {
        pid: Number(match[1]),
        inode: entry.inode,
        range: `${entry.start.toString(16)}-${entry.end.toString(16)}`,
        lengthBytes: entry.end - entry.start,
        name,
      };
    } catch (error) {
      if (error instanceof FormatError) return undefined;
      throw error;
    }
  }) as Lines<Mapping>;
}

/** One line `PATH:TEXT` of grep about a file of a process. */
export interface ProcessLine {
  readonly pid: number;
  readonly text: RawText;
}

const PROCESS_LINE = /^\/proc\/(\d+)\/[a-z_]+:([^]*)$/;

export function parseProcessLines(body: RawText): Lines<ProcessLine> {
  return parseLines(body, (line) => {
    const match = PROCESS_LINE.exec(line);
    if (match === null) return undefined;
    return {pid: Number(match[1]), text: match[2] ?? ''};
  });
}

/** Files of a `slurp` answer: path → text. */
export function parseSlurp(body: RawText): Map<string, RawText> {
  const files = new Map<string, RawText>();
  let at = 0;
  for (;;) {
    const lineEnd = body.indexOf('\n', at);
    if (lineEnd === -1) return files;
    const header = /^(\/\S+) (\d+)$/.exec(body.slice(at, lineEnd));
    if (header === null) return files;
    const start = lineEnd + 1;
    const end = start + Number(header[2]);
    if (end > body.length) return files;
    files.set(header[1] ?? '', body.slice(start, end));
    at = end + 1;
  }
}

/** What commands said on stderr about paths under /proc. */
export interface WalkErrors {
  /** Processes some path of which was refused (EACCES, EPERM). */
  readonly refused: ReadonlySet<number>;
  /** Processes that were gone. */
  readonly vanished: ReadonlySet<number>;
  /** Anything else, one entry a line, at most ten. */
  readonly other: readonly RawText[];
}

// Paths are quoted as 'x' or, in UTF-8 locales, as \u2018x\u2019.
const ABOUT_PROCESS = /\/proc\/(\d+)\/([a-z_]+)([^\s'":\x80-\xff]*)/;
const FD = /^(?:\/\d+\/fd)?\/\d+$/;
const REFUSED = /Permission denied|Operation not permitted/;
const GONE = /No such (?:file or directory|process)/;

export function parseWalkErrors(errors: RawText): WalkErrors {
  const refused = new Set<number>();
  const vanished = new Set<number>();
  const other: RawText[] = [];
  for (const line of errors.split('\n')) {
    if (line === '') continue;
    const about = ABOUT_PROCESS.exec(line);
    if (about !== null && REFUSED.test(line)) {
      refused.add(Number(about[1]));
    } else if (about !== null && GONE.test(line)) {
      // An fd that was closed in mid-walk is not a process that vanished.
      if (about[3] === '') vanished.add(Number(about[1]));
    } else if (about !== null && FD.test(about[3] ?? '')) {
      // A file on a dead server, a folder in itself: a dma-buf never fails.
      continue;
    } else if (other.length < 10) {
      other.push(line);
    }
  }
  return {refused, vanished, other};
}

function parseLines<T>(
  body: RawText,
  parse: (line: RawText) => T | 'other' | undefined,
): Lines<T> {
  const items: T[] = [];
  let malformed = 0;
  let at = 0;
  while (at < body.length) {
    let end = body.indexOf('\n', at);
    if (end === -1) end = body.length;
    if (end > at) {
      const item = parse(body.slice(at, end));
      if (item === undefined) malformed++;
      else if (item !== 'other') items.push(item as T);
    }
    at = end + 1;
  }
  return {items, malformed};
}
