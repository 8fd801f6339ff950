// SPDX-License-Identifier: Apache-2.0
import {
  DIGIT_0,
  EXACT_DIGITS,
  NEWLINE,
  decimal,
  decimalNumber,
  detachedSlice,
} from '../../core/formats/scan.js';
import {inodeKey, type InodeKey, type RawText} from '../../core/model/index.js';
import type {FdRef} from './descriptor_table.js';
import {FdPathLine} from './sections.js';

/**
 * What an answer tells of one descriptor table. Good until the next answer is
 * read.
 */
export interface FdTableReading {
  readonly pid: number;
  /** `fd`, or `task/TID/fd` of a thread's own. */
  readonly table: string;
  /** The same number as before when the table is; no two others have one. */
  readonly version: number;
  /**
   * What has changed, for who knows the table of the answer before; undefined
   * where there was none, or where the descriptors do not ascend.
   */
  readonly change: FdTableChange | undefined;
  /** All of it, in ascending order. */
  refs(): FdRef[];
}

export interface FdTableChange {
  /** The version in the answer before. */
  readonly since: number;
  /** Not there any more, or with another inode. */
  readonly removed: readonly FdRef[];
  /** New, or with another inode. */
  readonly added: readonly FdRef[];
}

/** fs.nr_open by default; descriptors from there on are read more slowly. */
const PLAIN_FDS = 1 << 20;

/**
 * Reads the answers of the steps `fds` and `tablefds` one after the other,
 * and tells what is different in each. A scan has some ten thousand lines,
 * nearly all of them as they were.
 */
export class FdPathReader {
  /** By pid and table. */
  private readonly known = new Map<number, Map<string, TableReader>>();
  private readonly line = new FdPathLine();
  private readonly versions = new Versions();
  /** Of the answer that is read; its size is that of the longest so far. */
  private bytes = Buffer.alloc(0);
  private readings = 0;

  /** Drops what is known of a process that is gone. */
  forget(pid: number): void {
    this.known.delete(pid);
  }

  /** Drops what is known of all processes but these. */
  retain(pids: ReadonlySet<number>): void {
    if (this.known.size <= pids.size) return;
    for (const pid of this.known.keys()) {
      if (!pids.has(pid)) this.known.delete(pid);
    }
  }

  /** @returns tables in the answer's order, each once */
  read(body: RawText): {
    readonly tables: FdTableReading[];
    readonly malformed: number;
  } {
    const reading = ++this.readings;
    const {line} = this;
    const {length} = body;
    const bytes = this.bytesOf(body);
    const tables: TableReader[] = [];
    let malformed = 0;
    for (let at = 0; at < length;) {
      let end = body.indexOf('\n', at);
      if (end === -1) end = length;
      if (line.scan(body, at, end)) {
        const table = this.tableOf(body);
        if (table.begin(reading)) tables.push(table);
        table.add(
          decimalNumber(body, line.fd, end),
          inodeKey(decimal(body, at, line.inodeEnd)),
        );
        // Those of its table that follow are read at once.
        at = table.addLines(bytes, end + 1, length);
      } else {
        if (end > at) malformed++;
        at = end + 1;
      }
    }
    for (const table of tables) table.finish();
    return {tables, malformed};
  }

  /** A text's bytes, and a NUL. */
  private bytesOf(body: RawText): Uint8Array {
    if (this.bytes.length <= body.length) {
      this.bytes = Buffer.alloc(2 * body.length + 1);
    }
    this.bytes.write(body, 'latin1');
    this.bytes[body.length] = 0;
    return this.bytes;
  }

  /** That the current line is about. */
  private tableOf(body: RawText): TableReader {
    const {pid, rest, fd} = this.line;
    let ofProcess = this.known.get(pid);
    if (ofProcess === undefined) {
      ofProcess = new Map();
      this.known.set(pid, ofProcess);
    }
    const name = body.slice(rest, fd - 1);
    let table = ofProcess.get(name);
    if (table === undefined) {
      const detached = detachedSlice(name, 0, name.length);
      table = new TableReader(pid, detached, this.versions);
      ofProcess.set(detached, table);
    }
    return table;
  }
}

class Versions {
  private last = 0;

  next(): number {
    return ++this.last;
  }
}

/** One table, as the answers so far tell it. */
class TableReader implements FdTableReading {
  version = 0;
  change: FdTableChange | undefined;
  /** By descriptor. */
  private readonly inodes: (InodeKey | undefined)[] = [];
  /** Of descriptors from PLAIN_FDS on. */
  private readonly high = new Map<number, InodeKey>();
  /** Number of the last answer that had the table. */
  private reading = 0;
  private readonly removed: FdRef[] = [];
  private readonly added: FdRef[] = [];
  private lastFd = -1;
  /** All are plain ones, each higher than the one before. */
  private ascends = true;
  /** What stands between inode and descriptor in all its lines. */
  private readonly path: Uint8Array;

  constructor(
    readonly pid: number,
    readonly table: string,
    private readonly versions: Versions,
  ) {
    this.path = Buffer.from(`/proc/${pid}/${table}/`, 'latin1');
  }

  /** @returns whether it is the first line about the table in an answer */
  begin(reading: number): boolean {
    if (this.reading === reading) return false;
    this.reading = reading;
    this.removed.length = this.added.length = 0;
    this.lastFd = -1;
    this.ascends = this.high.size === 0;
    this.high.clear();
    return true;
  }

  /**
   * Adds the lines from `start` on that are about this table.
   *
   * @param bytes of an answer of that length, then 0
   * @returns where the first other line begins, or where the answer ends
   */
  addLines(bytes: Uint8Array, start: number, length: number): number {
    const {path, inodes} = this;
    let line = start;
    while (line < length) {
      let at = line;
      let inode = 0;
      let digit = (bytes[at] ?? 0) - DIGIT_0;
      while (digit >= 0 && digit <= 9) {
        inode = inode * 10 + digit;
        digit = (bytes[++at] ?? 0) - DIGIT_0;
      }
      if (at === line || at - line > EXACT_DIGITS) return line;
      let same = 0;
      while (same < path.length && bytes[at + same] === path[same]) same++;
      if (same < path.length) return line;
      at += same;
      const digits = at;
      let fd = 0;
      digit = (bytes[at] ?? 0) - DIGIT_0;
      while (digit >= 0 && digit <= 9) {
        fd = fd * 10 + digit;
        digit = (bytes[++at] ?? 0) - DIGIT_0;
      }
      if (at === digits || at - digits > EXACT_DIGITS) return line;
      if (bytes[at] !== NEWLINE && at !== length) return line;
      if (fd === this.lastFd + 1 && inodes[fd] === inode) this.lastFd = fd;
      else this.add(fd, inode);
      line = at + 1;
    }
    return line;
  }

  add(fd: number, inode: InodeKey): void {
    if (fd >= PLAIN_FDS) {
      this.high.set(fd, inode);
      this.ascends = false;
      return;
    }
    if (fd <= this.lastFd) this.ascends = false;
    this.removeUpTo(fd);
    const known = this.inodes[fd];
    if (known === inode) return;
    if (known !== undefined) this.removed.push({fd, inode: known});
    this.added.push({fd, inode});
    this.inodes[fd] = inode;
  }

  /** There is none from the last one up to this. */
  private removeUpTo(fd: number): void {
    const {inodes} = this;
    const end = Math.min(fd, inodes.length);
    for (let gone = this.lastFd + 1; gone < end; gone++) {
      const inode = inodes[gone];
      if (inode === undefined) continue;
      this.removed.push({fd: gone, inode});
      inodes[gone] = undefined;
    }
    if (fd > this.lastFd) this.lastFd = fd;
  }

  /** The answer has no more lines about the table. */
  finish(): void {
    const {inodes, removed, added, version} = this;
    const end = this.lastFd + 1;
    this.removeUpTo(inodes.length);
    inodes.length = Math.min(inodes.length, end);
    const isKnown = version !== 0 && this.ascends;
    // Mostly it is as it was, and was so before, too: the same object tells so.
    if (!isKnown) this.change = undefined;
    else if (this.change?.since !== version) {
      this.change = {since: version, removed, added};
    }
    if (!isKnown || removed.length + added.length > 0) {
      this.version = this.versions.next();
    }
  }

  refs(): FdRef[] {
    const refs: FdRef[] = [];
    for (const [fd, inode] of this.inodes.entries()) {
      if (inode !== undefined) refs.push({fd, inode});
    }
    const high = [...this.high].sort(([a], [b]) => a - b);
    for (const [fd, inode] of high) refs.push({fd, inode});
    return refs;
  }
}
