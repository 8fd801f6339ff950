// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/maps and smaps: show_vma_header_prefix, show_map_vma and
 * show_smap of fs/proc/task_mmu.c. A line of maps:
 *
 *   7fbbd91b4000-7fbbd91c4000 rw-s 100000000 00:0b 9       /dmabuf:NAME
 *
 * (start, end, offset, device in hex; inode decimal; the path padded to a
 * column). The path's newlines are printed as \012 and nothing else is
 * escaped, so that a name that holds the four characters \012 looks the same.
 */
import type {BufferName} from '../model/dma_buf.js';
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';
import {
  NEWLINE,
  asDecimal,
  decimal,
  detachedSlice,
  digitsEnd,
  hex,
  hexEnd,
} from './scan.js';

export interface MapsEntry {
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
  /** `rw-s` and the like. */
  readonly perms: string;
  /**
   * Bytes; not always an offset into the buffer: DRM drivers map through
   * offsets of their own, beyond 32 bits.
   */
  readonly offset: bigint;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly inode: bigint;
  /** As printed, newlines as \012; empty when the mapping has none. */
  readonly path: RawText;
}

const MAPS = '/proc/PID/maps';
const SMAPS = '/proc/PID/smaps';
const SPACE = 0x20;

/** Column of the path where pointers have 8 bytes (25 + 8 * 6 - 1, + 1). */
export const MAPS_PATH_COLUMN = 73;
/** The same where they have 4 bytes (32-bit kernels). */
export const MAPS_PATH_COLUMN_32 = 49;

/**
 * One line, with or without its newline.
 * @throws FormatError when it is cut before its path or of another format.
 */
export function parseMapsLine(line: RawText): MapsEntry {
  const newline = line.indexOf('\n');
  const end = newline < 0 ? line.length : newline;
  return mapsLineAt(line, 0, end) ?? notALine(MAPS, line, 0, end);
}

export interface ParseMapsOptions {
  /** Only mappings of dma-bufs: other lines are not even looked at. */
  readonly dmaBufsOnly?: boolean;
}

/**
 * A whole /proc/PID/maps, or lines picked out of one.
 * @throws FormatError when a line is cut or of another format.
 */
export function parseMaps(
  text: RawText,
  options: ParseMapsOptions = {},
): MapsEntry[] {
  const entries: MapsEntry[] = [];
  const only = options.dmaBufsOnly === true;
  for (let start = 0; start < text.length;) {
    if (only) {
      const hit = text.indexOf('dmabuf', start);
      if (hit < 0) break;
      start = text.lastIndexOf('\n', hit) + 1;
    }
    const end = text.indexOf('\n', start);
    if (end < 0) throw cut(MAPS, text, start);
    const entry = mapsLineAt(text, start, end);
    if (entry === undefined) return notALine(MAPS, text, start, end);
    if (!only || isDmaBufPath(entry.path)) entries.push(entry);
    start = end + 1;
  }
  return entries;
}

/** As the kernel prints it, with its newline. */
export function renderMapsLine(
  entry: MapsEntry,
  pathColumn: number = MAPS_PATH_COLUMN,
): RawText {
  const head =
    `${hex8(entry.start)}-${hex8(entry.end)} ${entry.perms} ` +
    `${hex8(entry.offset)} ${hex2(entry.devMajor)}:${hex2(entry.devMinor)} ` +
    `${entry.inode} `;
  if (entry.path === '') return `${head}\n`;
  return `${head.padEnd(pathColumn - 1)} ${entry.path}\n`;
}

const NAMED = '/dmabuf:';
const RFC_V1 = '/dmabuf (deleted)';
const SHARED_INODE = 'anon_inode:dmabuf';

/**
 * The buffer's name out of the target of /proc/PID/fd/N (`escaped: false`:
 * raw) or the path of a mapping (`escaped: true`: newlines as \012).
 * Undefined when it is no path of a dma-buf of 5.3 or later.
 *
 * - `/dmabuf:NAME` gives NAME; doubtful when it holds \012 and is escaped.
 * - `/dmabuf:` alone is printed for a name never set and for "": raw is
 *   undefined and doubtful is true.
 * - `/dmabuf (deleted)`, of the first posted form of the patch, tells no name:
 *   the same, though what it has may be known from elsewhere (see
 *   {@link tellsNoName}).
 *
 * Only a path: a file in the root directory could be named so too. The size
 * and the exporter come from elsewhere.
 */
export function dmaBufPathName(
  path: RawText,
  form: {readonly escaped: boolean},
): BufferName | undefined {
  if (path === RFC_V1) return {raw: undefined, doubtful: true};
  if (!path.startsWith(NAMED)) return undefined;
  const printed = detachedSlice(path, NAMED.length, path.length);
  if (printed === '') return {raw: undefined, doubtful: true};
  if (form.escaped && printed.includes('\\012')) {
    return {raw: printed.replaceAll('\\012', '\n'), doubtful: true};
  }
  return {raw: printed, doubtful: false};
}

/** Every buffer has this path, whatever its name (first posted patch). */
export function tellsNoName(path: RawText): boolean {
  return path === RFC_V1;
}

/** The path of a buffer as printed in maps (`escaped`) or by readlink. */
export function renderDmaBufPath(
  name: BufferName,
  form: {readonly escaped: boolean},
): RawText {
  const raw = name.raw ?? '';
  return NAMED + (form.escaped ? raw.replaceAll('\n', '\\012') : raw);
}

/**
 * Before 5.3 all dma-bufs share one inode and say only `anon_inode:dmabuf`:
 * the kernel is too old to tell them apart.
 */
export function isSharedInodeDmaBuf(path: RawText): boolean {
  return path === SHARED_INODE;
}

function isDmaBufPath(path: RawText): boolean {
  return path.startsWith(NAMED) || path === RFC_V1 || path === SHARED_INODE;
}

/** A mapping as /proc/PID/smaps describes it. */
export interface SmapsEntry {
  readonly vma: MapsEntry;
  /**
   * The lines in kB, by key. Rss and Pss are 0 for dma-bufs whatever they
   * hold: never use them as their size.
   */
  readonly kB: ReadonlyMap<string, bigint>;
  /** The other lines by key, all after the colon: VmFlags, THPeligible ... */
  readonly other: ReadonlyMap<string, RawText>;
}

const SMAPS_KEY = /^[A-Z][A-Za-z0-9_]*$/;
const KB_VALUE = /^ +(\d{1,20}) kB$/;

/**
 * Yields as it reads; a map's keys keep the order of their lines.
 * @throws FormatError when a line is cut or of another format.
 */
export function* parseSmaps(text: RawText): Generator<SmapsEntry> {
  let vma: MapsEntry | undefined;
  let kB = new Map<string, bigint>();
  let other = new Map<string, RawText>();
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    if (end < 0) throw cut(SMAPS, text, start);
    const header = mapsLineAt(text, start, end);
    if (header !== undefined) {
      if (vma !== undefined) yield {vma, kB, other};
      vma = header;
      kB = new Map();
      other = new Map();
    } else {
      const colon = text.indexOf(':', start);
      const key = colon < 0 || colon > end ? '' : text.slice(start, colon);
      if (vma === undefined || !SMAPS_KEY.test(key)) {
        return notALine(SMAPS, text, start, end);
      }
      const value = text.slice(colon + 1, end);
      const number = asDecimal(KB_VALUE.exec(value)?.[1] ?? '');
      if (number === undefined) other.set(key, value);
      else kB.set(key, number);
    }
    start = end + 1;
  }
  if (vma !== undefined) yield {vma, kB, other};
}

/** As show_smap prints it: first the lines in kB, then the others. */
export function renderSmapsEntry(
  entry: SmapsEntry,
  pathColumn: number = MAPS_PATH_COLUMN,
): RawText {
  let text = renderMapsLine(entry.vma, pathColumn);
  for (const [key, value] of entry.kB) {
    // The longest key (Private_Hugetlb) fills the 16 columns, and its number
    // gets one column less.
    const label = `${key}:`.padEnd(16);
    const head = label.endsWith(' ') ? label : `${label} `;
    text += `${head}${String(value).padStart(24 - head.length)} kB\n`;
  }
  for (const [key, value] of entry.other) text += `${key}:${value}\n`;
  return text;
}

/** The line in [start, end), without its newline; undefined when it is none. */
export function mapsLineAt(
  text: RawText,
  start: number,
  end: number,
): MapsEntry | undefined {
  const startEnd = hexEnd(text, start);
  const endEnd = hexEnd(text, startEnd + 1);
  const perms = endEnd + 1;
  const offset = perms + 5;
  const offsetEnd = hexEnd(text, offset);
  const majorEnd = hexEnd(text, offsetEnd + 1);
  const minorEnd = hexEnd(text, majorEnd + 1);
  const inodeEnd = digitsEnd(text, minorEnd + 1);
  if (
    !isNumber(startEnd - start, 16) ||
    text[startEnd] !== '-' ||
    !isNumber(endEnd - startEnd - 1, 16) ||
    text[endEnd] !== ' ' ||
    text[perms + 4] !== ' ' ||
    !isNumber(offsetEnd - offset, 16) ||
    text[offsetEnd] !== ' ' ||
    !isNumber(majorEnd - offsetEnd - 1, 5) ||
    text[majorEnd] !== ':' ||
    !isNumber(minorEnd - majorEnd - 1, 5) ||
    text[minorEnd] !== ' ' ||
    !isNumber(inodeEnd - minorEnd - 1, 20) ||
    // The header's own blank after the inode: without it the inode is cut.
    text.charCodeAt(inodeEnd) !== SPACE ||
    inodeEnd >= end ||
    text.charCodeAt(end - 1) === NEWLINE
  ) {
    return undefined;
  }
  let path = inodeEnd;
  while (path < end && text.charCodeAt(path) === SPACE) path++;
  return {
    start: hex(text, start, startEnd),
    end: hex(text, startEnd + 1, endEnd),
    perms: text.slice(perms, perms + 4),
    offset: hex(text, offset, offsetEnd),
    devMajor: Number.parseInt(text.slice(offsetEnd + 1, majorEnd), 16),
    devMinor: Number.parseInt(text.slice(majorEnd + 1, minorEnd), 16),
    inode: decimal(text, minorEnd + 1, inodeEnd),
    path: detachedSlice(text, path, end),
  };
}

function isNumber(length: number, most: number): boolean {
  return length > 0 && length <= most;
}

function notALine(
  file: string,
  text: RawText,
  start: number,
  end: number,
): never {
  const found = quoteRaw(text.slice(start, end));
  const problem = `no line of a mapping: ${found}`;
  throw new FormatError(file, lineNumber(text, start), problem);
}

function cut(file: string, text: RawText, start: number): FormatError {
  const problem = 'the text ends in the middle of it';
  return new FormatError(file, lineNumber(text, start), problem);
}

function lineNumber(text: RawText, start: number): number {
  return text.slice(0, start).split('\n').length;
}

function hex8(value: bigint): string {
  return value.toString(16).padStart(8, '0');
}

function hex2(value: number): string {
  return value.toString(16).padStart(2, '0');
}
