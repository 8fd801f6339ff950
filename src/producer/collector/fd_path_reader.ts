// SPDX-License-Identifier: Apache-2.0
import {
  EXACT_DIGITS,
  decimal,
  decimalNumber,
  detachedSlice,
} from '../../core/formats/scan.js';
import type {RawText} from '../../core/model/index.js';
import {FdPathLine, eachLine, type FdPath} from './sections.js';

/** A line about a descriptor, with its number. */
export interface FdLine extends FdPath {
  /** The descriptor; the same as at the end of `rest`. */
  readonly fd: number;
}

/** The lines about one descriptor table. */
export interface FdTableLines {
  readonly pid: number;
  /** `fd`, or `task/TID/fd` of a thread's own. */
  readonly table: string;
  /**
   * In the answer's order. The same array as in the answer before where the
   * table is unchanged; else lines that are unchanged are the same objects.
   */
  readonly lines: readonly FdLine[];
  /**
   * What has changed, for who still has the lines of the answer before;
   * undefined where there was none, or where a descriptor is listed twice.
   */
  readonly change: FdTableChange | undefined;
}

export interface FdTableChange {
  /** The lines that the table had in the answer before. */
  readonly since: readonly FdLine[];
  /** Not there any more, or with another inode. */
  readonly removed: readonly FdLine[];
  /** New, or with another inode. */
  readonly added: readonly FdLine[];
}

/** Lines of the answer before, and their numbers for a quick comparison. */
interface KnownTable {
  readonly lines: readonly FdLine[];
  readonly inodes: readonly number[];
  /** In ascending order of the descriptors, each once. */
  readonly ascends: boolean;
}

const NONE: readonly never[] = [];
/** No inode: one with too many digits for a number. */
const LONG = -1;

/**
 * Reads the answers of the steps `fds` and `tablefds` one after the other.
 * Most tables are as they were: their lines are neither made nor compared
 * anew by who uses them.
 */
export class FdPathReader {
  /** By pid and table. */
  private readonly known = new Map<number, Map<string, KnownTable>>();
  private readonly line = new FdPathLine();

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
    readonly tables: FdTableLines[];
    readonly malformed: number;
  } {
    const read = new Map<string, TableBuilder>();
    const {line} = this;
    let builder: TableBuilder | undefined;
    const malformed = eachLine(body, (start, end) => {
      if (!line.scan(body, start, end)) return false;
      if (builder?.isAt(body, line) !== true) {
        builder = this.builderAt(body, read);
      }
      builder.add(body, start, end, line);
      return true;
    });
    const tables: FdTableLines[] = [];
    for (const builder of read.values()) {
      const {known, change} = builder.finish();
      const {pid, table} = builder;
      let ofProcess = this.known.get(pid);
      if (ofProcess === undefined) {
        ofProcess = new Map();
        this.known.set(pid, ofProcess);
      }
      ofProcess.set(table, known);
      tables.push({pid, table, lines: known.lines, change});
    }
    return {tables, malformed};
  }

  /** Of the table that the current line is about. */
  private builderAt(
    body: RawText,
    read: Map<string, TableBuilder>,
  ): TableBuilder {
    const {line} = this;
    const table = tableAt(body, line);
    const key = `${line.pid}/${table}`;
    let builder = read.get(key);
    if (builder === undefined) {
      const known = this.known.get(line.pid)?.get(table);
      builder = new TableBuilder(line.pid, table, known);
      read.set(key, builder);
    }
    return builder;
  }
}

/** Compares the lines of a table with those of the answer before. */
class TableBuilder {
  /** Undefined while all lines so far are the first `next` known ones. */
  private lines: FdLine[] | undefined;
  private inodes: number[] = [];
  private readonly added: FdLine[] = [];
  private readonly removed: FdLine[] = [];
  /** The first known line that was not met yet. */
  private next = 0;
  private lastFd = -1;
  private ascends = true;

  constructor(
    readonly pid: number,
    readonly table: string,
    private readonly known: KnownTable | undefined,
  ) {}

  /** Whether a line is about this table. */
  isAt(body: RawText, line: FdPathLine): boolean {
    if (line.pid !== this.pid) return false;
    const {table} = this;
    return (
      line.fd - line.rest === table.length + 1 &&
      (table === 'fd' || body.startsWith(table, line.rest))
    );
  }

  add(body: RawText, start: number, end: number, line: FdPathLine): void {
    const fd = decimalNumber(body, line.fd, end);
    const inode =
      line.inodeEnd - start > EXACT_DIGITS
        ? LONG
        : decimalNumber(body, start, line.inodeEnd);
    if (fd <= this.lastFd) this.ascends = false;
    this.lastFd = fd;
    const known = this.known?.lines ?? NONE;
    let old = known[this.next];
    while (old !== undefined && old.fd < fd) {
      this.branch();
      this.removed.push(old);
      old = known[++this.next];
    }
    if (old?.fd === fd) {
      const isSame =
        inode === LONG
          ? old.inode === decimal(body, start, line.inodeEnd)
          : this.known?.inodes[this.next] === inode;
      if (isSame) {
        this.lines?.push(old);
        if (this.lines !== undefined) this.inodes.push(inode);
        this.next++;
        return;
      }
      this.branch();
      this.removed.push(old);
      this.next++;
    }
    const made: FdLine = {
      inode:
        inode === LONG ? decimal(body, start, line.inodeEnd) : BigInt(inode),
      pid: this.pid,
      rest: detachedSlice(body, line.rest, end),
      fd,
    };
    this.branch().push(made);
    this.inodes.push(inode);
    this.added.push(made);
  }

  /** From here on the lines are others than the known ones. */
  private branch(): FdLine[] {
    if (this.lines === undefined) {
      this.lines = this.known?.lines.slice(0, this.next) ?? [];
      this.inodes = this.known?.inodes.slice(0, this.next) ?? [];
    }
    return this.lines;
  }

  finish(): {known: KnownTable; change: FdTableChange | undefined} {
    const {known, added, removed, ascends} = this;
    const since = known?.lines ?? NONE;
    for (; this.next < since.length; this.next++) {
      const old = since[this.next];
      this.branch();
      if (old !== undefined) removed.push(old);
    }
    const {lines} = this;
    if (lines === undefined && known !== undefined) {
      return {known, change: {since, removed, added}};
    }
    return {
      known: {lines: lines ?? [], inodes: this.inodes, ascends},
      change:
        known?.ascends === true && ascends
          ? {since, removed, added}
          : undefined,
    };
  }
}

/** `fd` or `task/TID/fd`. */
function tableAt(body: RawText, {rest, fd}: FdPathLine): string {
  return detachedSlice(body, rest, fd - 1);
}
