// SPDX-License-Identifier: Apache-2.0
// Reads the bodies of the collector's answers (see script.ts): lines that
// find, stat and grep print about paths under /proc. A full scan has some ten
// thousand of them: they are scanned by their characters, without a string for
// each line or field.
import {
  dmaBufPathName,
  mapsLineAt,
  tellsNoName,
} from '../../core/formats/index.js';
import {
  decimal,
  decimalNumber,
  detachedSlice,
  digitsEnd,
} from '../../core/formats/scan.js';
import type {BufferName, RawText} from '../../core/model/index.js';

const BLANK = 0x20;
const SLASH = 0x2f;
const COLON = 0x3a;
const CARRIAGE_RETURN = '\r';
const PROC = '/proc/';
const FD = 'fd/';
const TASK = 'task/';
const MAPS = 'maps:';

/** One line `INODE SIZE PATH` about a path under /proc. */
export interface PathStat {
  readonly inode: bigint;
  /** Bytes; of /proc/PID/fd itself the number of fds since kernel 6.2. */
  readonly size: bigint;
  readonly pid: number;
  /** What follows /proc/PID/, e.g. `fd/7` or `task/12/fd/7`. */
  readonly rest: string;
}

/** Lines that are not of the form are counted, not guessed at. */
export interface Lines<T> {
  readonly items: T[];
  readonly malformed: number;
}

export function parsePathStats(body: RawText): Lines<PathStat> {
  return parseLines(body, pathStatAt);
}

/** The line in [start, end); undefined when it is none. */
export function pathStatAt(
  body: RawText,
  start: number,
  end: number,
): PathStat | undefined {
  const inodeEnd = digitsEnd(body, start);
  const sizeEnd = digitsEnd(body, inodeEnd + 1);
  const rest = processPath(body, sizeEnd + 1, end);
  if (
    inodeEnd === start ||
    body.charCodeAt(inodeEnd) !== BLANK ||
    sizeEnd === inodeEnd + 1 ||
    body.charCodeAt(sizeEnd) !== BLANK ||
    rest < 0 ||
    rest >= end
  ) {
    return undefined;
  }
  const text = detachedSlice(body, rest, end);
  if (text.includes(CARRIAGE_RETURN)) return undefined;
  return {
    inode: decimal(body, start, inodeEnd),
    size: decimal(body, inodeEnd + 1, sizeEnd),
    pid: pidAt(body, sizeEnd + 1),
    rest: text,
  };
}

/** One line `INODEPATH` about a descriptor. */
export interface FdPath {
  readonly inode: bigint;
  readonly pid: number;
  /** What follows /proc/PID/, e.g. `fd/7` or `task/12/fd/7`. */
  readonly rest: string;
}

export function parseFdPaths(body: RawText): Lines<FdPath> {
  const line = new FdPathLine();
  return parseLines<FdPath>(body, (_body, start, end) => {
    if (!line.scan(body, start, end)) return undefined;
    return {
      inode: decimal(body, start, line.inodeEnd),
      pid: line.pid,
      rest: detachedSlice(body, line.rest, end),
    };
  });
}

/** Where the fields of a line `INODE/proc/PID/[task/TID/]fd/N` are. */
export class FdPathLine {
  inodeEnd = 0;
  pid = 0;
  /** Where what follows /proc/PID/ begins. */
  rest = 0;
  /** Where what follows the last slash begins. */
  fd = 0;

  /** False when [start, end) is none. */
  scan(body: RawText, start: number, end: number): boolean {
    this.inodeEnd = digitsEnd(body, start);
    if (this.inodeEnd === start) return false;
    this.rest = processPath(body, this.inodeEnd, end);
    if (this.rest < 0) return false;
    let at = this.rest;
    if (startsWith(TASK, body, at)) {
      const tid = at + TASK.length;
      const tidEnd = digitsEnd(body, tid);
      if (tidEnd === tid || body.charCodeAt(tidEnd) !== SLASH) return false;
      at = tidEnd + 1;
    }
    if (!startsWith(FD, body, at)) return false;
    this.fd = at + FD.length;
    if (this.fd >= end || digitsEnd(body, this.fd) !== end) return false;
    this.pid = pidAt(body, this.inodeEnd);
    return true;
  }
}

/** One VMA of a dma-buf. */
export interface Mapping {
  readonly pid: number;
  readonly inode: bigint;
  /** `START-END` in hex, as /proc/PID/map_files names it. */
  readonly range: string;
  readonly lengthBytes: bigint;
  /** Undefined where the path tells none. */
  readonly name: BufferName | undefined;
}

/** Lines `PATH:LINE` of /proc/PID/maps that hold `/dmabuf`. */
export function parseMappings(body: RawText): Lines<Mapping> {
  return parseLines(body, mappingAt);
}

/**
 * The line in [start, end); `other` for a file that has /dmabuf in its path,
 * undefined for what is no such line.
 */
export function mappingAt(
  body: RawText,
  start: number,
  end: number,
): Mapping | 'other' | undefined {
  const process = processPath(body, start, end);
  if (process < 0 || !startsWith(MAPS, body, process)) return undefined;
  const entry = mapsLineAt(body, process + MAPS.length, end);
  if (entry === undefined) return undefined;
  const name = dmaBufPathName(entry.path, {escaped: true});
  if (name === undefined) return 'other';
  return {
    pid: pidAt(body, start),
    inode: entry.inode,
    range: `${entry.start.toString(16)}-${entry.end.toString(16)}`,
    lengthBytes: entry.end - entry.start,
    name: tellsNoName(entry.path) ? undefined : name,
  };
}

/** One line `PATH:TEXT` of grep about a file of a process. */
export interface ProcessLine {
  readonly pid: number;
  readonly text: RawText;
}

export function parseProcessLines(body: RawText): Lines<ProcessLine> {
  return parseLines(body, processLineAt);
}

/** The line in [start, end); undefined when it is none. */
export function processLineAt(
  body: RawText,
  start: number,
  end: number,
): ProcessLine | undefined {
  const file = processPath(body, start, end);
  if (file < 0) return undefined;
  let colon = file;
  while (colon < end && isNameLetter(body.charCodeAt(colon))) colon++;
  if (colon === file || colon >= end) return undefined;
  if (body.charCodeAt(colon) !== COLON) return undefined;
  return {
    pid: pidAt(body, start),
    text: detachedSlice(body, colon + 1, end),
  };
}

function isDigits(body: RawText, start: number, end: number): boolean {
  return start < end && digitsEnd(body, start) === end;
}

/** [a-z_] */
function isNameLetter(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || code === 0x5f;
}

const PATH = /^\/\S+$/;

/**
 * Files of a `slurp` answer: path → text.
 *
 * @param files the map that they are added to, and that is returned
 */
export function parseSlurp(
  body: RawText,
  files = new Map<string, RawText>(),
): Map<string, RawText> {
  let at = 0;
  for (;;) {
    const lineEnd = body.indexOf('\n', at);
    if (lineEnd === -1) return files;
    const blank = body.lastIndexOf(' ', lineEnd);
    const path = body.slice(at, Math.max(blank, at));
    if (!PATH.test(path) || !isDigits(body, blank + 1, lineEnd)) return files;
    const start = lineEnd + 1;
    const end = start + decimalNumber(body, blank + 1, lineEnd);
    if (end > body.length) return files;
    files.set(path, body.slice(start, end));
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
const FD_OF_PROCESS = /^(?:\/\d+\/fd)?\/\d+$/;
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
    } else if (about !== null && FD_OF_PROCESS.test(about[3] ?? '')) {
      // A file on a dead server, a folder in itself: a dma-buf never fails.
      continue;
    } else if (other.length < 10) {
      other.push(line);
    }
  }
  return {refused, vanished, other};
}

function parseLines<T extends object>(
  body: RawText,
  parse: (body: RawText, start: number, end: number) => T | 'other' | undefined,
): Lines<T> {
  const items: T[] = [];
  const malformed = eachLine(body, (start, end) => {
    const item = parse(body, start, end);
    if (item === undefined) return false;
    if (item !== 'other') items.push(item);
    return true;
  });
  return {items, malformed};
}

/**
 * Calls `parse` for each line that is not empty.
 *
 * @param parse false: the line is not of the form
 * @returns how many were not
 */
export function eachLine(
  body: RawText,
  parse: (start: number, end: number) => boolean,
): number {
  let malformed = 0;
  for (let at = 0, end; at < body.length; at = end + 1) {
    end = body.indexOf('\n', at);
    if (end === -1) end = body.length;
    if (end > at && !parse(at, end)) malformed++;
  }
  return malformed;
}

/** Where what follows `/proc/PID/` at `start` begins; -1 if it is not there. */
function processPath(body: RawText, start: number, end: number): number {
  if (!startsWith(PROC, body, start)) return -1;
  const pid = start + PROC.length;
  const pidEnd = digitsEnd(body, pid);
  if (pidEnd === pid || body.charCodeAt(pidEnd) !== SLASH) return -1;
  return pidEnd < end ? pidEnd + 1 : -1;
}

/** The PID of the `/proc/PID/` at `start`. */
export function pidAt(body: RawText, start: number): number {
  const pid = start + PROC.length;
  return decimalNumber(body, pid, digitsEnd(body, pid));
}

/** body.startsWith(text, at), for the short texts of hot loops. */
function startsWith(text: string, body: RawText, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    if (body.charCodeAt(at + i) !== text.charCodeAt(i)) return false;
  }
  return true;
}
