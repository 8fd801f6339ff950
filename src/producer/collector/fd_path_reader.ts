// SPDX-License-Identifier: Apache-2.0
import {
  EXACT_DIGITS,
  NEWLINE,
  decimal,
  decimalNumber,
  detachedSlice,
} from '../../core/formats/scan.js';
import type {RawText} from '../../core/model/index.js';
import {inodeKey, type InodeKey} from '../../core/model/inode_key.js';
import {FdPathLine} from './sections.js';
import type {FdRef} from './descriptor_table.js';

/** Lines about one descriptor table. */
export interface FdLines {
  readonly pid: number;
  /** `fd`, or `task/TID/fd` of a thread's own. */
  readonly table: string;
  readonly lines: readonly FdRef[];
}

/** All lines about a table, in the answer's order. */
export interface FdTableLines extends FdLines {
  /**
   * The same array as in the answer before where the table is unchanged; else
   * lines that are unchanged are the same objects.
   */
  readonly lines: readonly FdRef[];
  /**
   * What has changed, for who still has the lines of the answer before;
   * undefined where there was none, or where a descriptor is listed twice.
   */
  readonly change: FdTableChange | undefined;
}

export interface FdTableChange {
  /** The lines that the table had in the answer before. */
  readonly since: readonly FdRef[];
  /** Not there any more, or with another inode. */
  readonly removed: readonly FdRef[];
  /** New, or with another inode. */
  readonly added: readonly FdRef[];
}

/** Lines of the answer before. */
interface KnownTable {
  readonly lines: readonly FdRef[];
  /** In ascending order of the descriptors, each once. */
  readonly ascends: boolean;
  /** All of the lines in their order; none where they do not ascend. */
  readonly blocks: readonly Block[];
}

/** The lines of BLOCK_FDS descriptors, from a multiple of that on. */
interface Block {
  readonly text: RawText;
  /** How many lines. */
  readonly count: number;
}

/** Lines are compared by so many at a time, as most are as they were. */
const BLOCK_FDS = 32;

const NONE: readonly never[] = [];
const DIGIT_0 = 0x30;

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
    let malformed = 0;
    for (let at = 0; at < body.length;) {
      const next = builder?.addNext(body, at) ?? -1;
      if (next >= 0) {
        at = next;
        continue;
      }
      let end = body.indexOf('\n', at);
      if (end === -1) end = body.length;
      if (line.scan(body, at, end)) {
        builder = this.builderAt(body, read);
        builder.add(body, at, end, line);
      } else if (end > at) {
        malformed++;
      }
      at = end + 1;
    }
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
  private lines: FdRef[] | undefined;
  private readonly added: FdRef[] = [];
  private readonly removed: FdRef[] = [];
  /** The first known line that was not met yet. */
  private next = 0;
  private lastFd = -1;
  private ascends = true;

  /** What stands between inode and descriptor in all its lines. */
  private readonly path: string;
  private readonly blocks: BlocksBuilder;
  /** The first known block that was not met yet, and its first line. */
  private nextBlock = 0;
  private nextBlockLine = 0;

  constructor(
    readonly pid: number,
    readonly table: string,
    private readonly known: KnownTable | undefined,
  ) {
    this.path = `/proc/${pid}/${table}/`;
    this.blocks = new BlocksBuilder(known?.blocks ?? NONE);
  }

  /**
   * Adds the line that begins at `start` if it is one of this table, as nearly
   * all are: in one pass, since a scan has some ten thousand of them. Known
   * lines are added with those that follow them.
   *
   * @returns where the next line begins; -1 when it is another line
   */
  addNext(body: RawText, start: number): number {
    const known = this.addKnownBlock(body, start);
    return known >= 0 ? known : this.addNextLine(body, start);
  }

  /** Adds the known block that comes next, if it stands at `start`. */
  private addKnownBlock(body: RawText, start: number): number {
    const {known} = this;
    if (known === undefined) return -1;
    const {blocks, lines} = known;
    let block = blocks[this.nextBlock];
    while (block !== undefined && this.nextBlockLine < this.next) {
      this.nextBlockLine += block.count;
      block = blocks[++this.nextBlock];
    }
    if (block === undefined || this.nextBlockLine > this.next) return -1;
    const {text, count} = block;
    const end = start + text.length;
    // Two slices are compared at once, and none of them is copied.
    if (body.slice(start, end) !== text) return -1;
    const to = this.next + count;
    const first = lines[this.next]?.fd ?? -1;
    if (first <= this.lastFd) this.ascends = false;
    this.lastFd = lines[to - 1]?.fd ?? -1;
    if (this.lines !== undefined) {
      for (let i = this.next; i < to; i++) {
        const line = lines[i];
        if (line !== undefined) this.lines.push(line);
      }
    }
    this.next = to;
    this.blocks.addKnown(block, first, body, start, end);
    return end;
  }

  private addNextLine(body: RawText, start: number): number {
    const {path} = this;
    const {length} = body;
    let at = start;
    let inode = 0;
    for (; at < length; at++) {
      const digit = body.charCodeAt(at) - DIGIT_0;
      if (!(digit >= 0 && digit <= 9)) break;
      inode = inode * 10 + digit;
    }
    if (at === start || at - start > EXACT_DIGITS) return -1;
    if (at + path.length >= length) return -1;
    for (let i = 0; i < path.length; i++, at++) {
      if (body.charCodeAt(at) !== path.charCodeAt(i)) return -1;
    }
    const fdStart = at;
    let fd = 0;
    for (; at < length; at++) {
      const digit = body.charCodeAt(at) - DIGIT_0;
      if (!(digit >= 0 && digit <= 9)) break;
      fd = fd * 10 + digit;
    }
    if (at === fdStart || at - fdStart > EXACT_DIGITS) return -1;
    if (at < length && body.charCodeAt(at) !== NEWLINE) return -1;
    this.blocks.addLine(fd, body, start, at + 1);
    if (!this.isNextKnown(fd, inode)) this.note(fd, inode);
    return at + 1;
  }

  /** Whether it is just the known line that comes next; if so, takes it. */
  private isNextKnown(fd: number, inode: number): boolean {
    const {known, lines, next} = this;
    if (lines !== undefined || known === undefined) return false;
    const line = known.lines[next];
    if (line?.fd !== fd || line.inode !== inode) return false;
    if (fd <= this.lastFd) this.ascends = false;
    this.lastFd = fd;
    this.next++;
    return true;
  }

  add(body: RawText, start: number, end: number, line: FdPathLine): void {
    const fd = decimalNumber(body, line.fd, end);
    this.blocks.addLine(fd, body, start, end + 1);
    this.note(fd, inodeKey(decimal(body, start, line.inodeEnd)));
  }

  /** Compares a line with the known ones, and keeps it. */
  private note(fd: number, inode: InodeKey): void {
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
      if (old.inode === inode) {
        this.lines?.push(old);
        this.next++;
        return;
      }
      this.branch();
      this.removed.push(old);
      this.next++;
    }
    const made: FdRef = {fd, inode};
    this.branch().push(made);
    this.added.push(made);
  }

  /** From here on the lines are others than the known ones. */
  private branch(): FdRef[] {
    if (this.lines === undefined) {
      this.lines = this.known?.lines.slice(0, this.next) ?? [];
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
    const blocks = ascends ? this.blocks.finish() : NONE;
    if (lines === undefined && known !== undefined) {
      return {
        known: {...known, blocks},
        change: {since, removed, added},
      };
    }
    return {
      known: {lines: lines ?? [], ascends, blocks},
      change:
        known?.ascends === true && ascends
          ? {since, removed, added}
          : undefined,
    };
  }
}

/** Puts the lines of a table that follow each other together into blocks. */
class BlocksBuilder {
  private blocks: Block[] = [];
  /** The block that the last line is in; -1 before there is any. */
  private number = -1;
  private count = 0;
  private body: RawText = '';
  private start = 0;
  private end = 0;
  /** The block so far, where it is a known one. */
  private known: Block | undefined;
  /** False once lines do not follow each other: then there are no blocks. */
  private isWhole = true;

  constructor(private readonly before: readonly Block[]) {}

  /** A line from `start` up to the beginning of the next one. */
  addLine(fd: number, body: RawText, start: number, end: number): void {
    this.begin(fd, body, start);
    this.known = undefined;
    this.count++;
    this.end = end;
  }

  /** The lines of a known block, the first of them about the descriptor. */
  addKnown(
    block: Block,
    fd: number,
    body: RawText,
    start: number,
    end: number,
  ): void {
    this.begin(fd, body, start);
    this.known = this.count === 0 ? block : undefined;
    this.count += block.count;
    this.end = end;
  }

  private begin(fd: number, body: RawText, start: number): void {
    const number = Math.floor(fd / BLOCK_FDS);
    if (this.number !== -1 && this.end !== start) this.isWhole = false;
    if (this.number === number) return;
    this.close();
    this.number = number;
    this.body = body;
    this.start = start;
  }

  private close(): void {
    const {known, body, start, end, count} = this;
    this.count = 0;
    if (count === 0 || !this.isWhole) return;
    if (known !== undefined) this.blocks.push(known);
    else this.blocks.push({text: detachedSlice(body, start, end), count});
  }

  finish(): readonly Block[] {
    // Without its newline the last line may be the beginning of another one.
    if (this.end > this.body.length) this.isWhole = false;
    this.close();
    const {blocks, before} = this;
    if (!this.isWhole) return NONE;
    const isSame =
      blocks.length === before.length &&
      blocks.every((block, i) => block === before[i]);
    return isSame ? before : blocks;
  }
}

/** `fd` or `task/TID/fd`. */
function tableAt(body: RawText, {rest, fd}: FdPathLine): string {
  return detachedSlice(body, rest, fd - 1);
}
