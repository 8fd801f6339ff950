// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/fdinfo/N. The generic part is printed by seq_show of
 * fs/proc/fd.c, the rest by dma_buf_show_fdinfo of drivers/dma-buf/dma-buf.c
 * (5.3):
 *
 *   pos:\t0\nflags:\t02000002\nmnt_id:\t12\nino:\t29\n       (ino since 5.14)
 *   size:\t4096\ncount:\t1\nexp_name:\tsystem\nname:\tNAME\n
 *
 * `name:` is left out when no name was ever set. Nothing is escaped, but the
 * name comes last: all from `name:\t` to the end is name, whatever lines it
 * forges.
 */
import {UNSET_NAME, type BufferName} from '../model/dma_buf.js';
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';
import {DIGIT_0, inexactInteger, wholeDecimal} from './scan.js';
import {TextPool} from './text_pool.js';

export interface Fdinfo {
  /** File offset; exact up to 2^53. */
  readonly pos: number;
  /** O_* of open(2); printed in octal. */
  readonly flags: number;
  readonly mntId: number;
  /** Undefined before 5.14: stat the fd. */
  readonly inode: bigint | undefined;
  /** Undefined for what is no dma-buf. */
  readonly dmaBuf: FdinfoDmaBuf | undefined;
}

export interface FdinfoDmaBuf {
  /** Of the whole buffer. */
  readonly sizeBytes: bigint;
  /** As printed: the references to the file less the one of this read. */
  readonly count: bigint;
  readonly exporter: RawText;
  /** Never doubtful: this is the source that settles names. */
  readonly name: BufferName;
}

const FILE = '/proc/PID/fdinfo/N';

/**
 * The first occurrence of a key counts, and only a text that goes on with
 * `size:` after its generic part can be a dma-buf: other files (ashmem) print
 * names that could forge the rest.
 *
 * A text cut exactly between two lines may look whole: the transport has to
 * notice that.
 *
 * @param pool for who reads many: what they have in common is kept once
 * @throws FormatError when the text is cut in a line or of another format.
 */
export function parseFdinfo(text: RawText, pool = new TextPool()): Fdinfo {
  if (!text.endsWith('\n')) {
    const line = text.split('\n').length;
    throw new FormatError(FILE, line, 'the text ends in the middle of it');
  }
  const lines = new KeyedLines(text);
  const pos = lines.take('pos:\t', inexactInteger);
  const flags = lines.take('flags:\t', octal);
  const mntId = lines.take('mnt_id:\t', inexactInteger);
  const inode = lines.at('ino:\t')
    ? lines.take('ino:\t', wholeDecimal)
    : undefined;
  while (lines.at('lock:\t')) lines.skip();
  const dmaBuf = lines.at('size:\t') ? parseDmaBuf(lines, pool) : undefined;
  return {pos, flags, mntId, inode, dmaBuf};
}

/** Undefined when the lines turn out to be those of another file. */
function parseDmaBuf(
  lines: KeyedLines,
  pool: TextPool,
): FdinfoDmaBuf | undefined {
  const sizeBytes = lines.take('size:\t', wholeDecimal);
  let count: bigint | undefined;
  let exporter: RawText | undefined;
  let name = UNSET_NAME;
  while (!lines.done) {
    if (count === undefined && lines.at('count:\t')) {
      count = lines.take('count:\t', wholeDecimal);
    } else if (exporter === undefined && lines.at('exp_name:\t')) {
      exporter = lines.take('exp_name:\t', (text, start, end) =>
        pool.slice(text, start, end),
      );
    } else if (lines.at('name:\t')) {
      name = lines.takeName('name:\t', pool);
    } else {
      lines.skip();
    }
  }
  if (count === undefined && exporter === undefined) {
    throw lines.error('the text ends after size: without count:');
  }
  if (exporter === undefined) {
    throw lines.error('the text ends without exp_name:');
  }
  if (count === undefined) throw lines.error('exp_name: without count:');
  return {sizeBytes, count, exporter, name};
}

/** Walks `key:<tab>value` lines. */
class KeyedLines {
  private start = 0;
  private line = 1;

  /** The text has to end in a newline. */
  constructor(private readonly text: RawText) {}

  get done(): boolean {
    return this.start >= this.text.length;
  }

  at(key: string): boolean {
    return this.text.startsWith(key, this.start);
  }

  /** @param read the value in [start, end) of the text */
  take<T>(
    key: string,
    read: (text: RawText, start: number, end: number) => T | undefined,
  ): T {
    if (!this.at(key)) {
      const found = quoteRaw(this.text.slice(this.start, this.start + 80));
      throw this.error(`expected ${key.trimEnd()}, found ${found}`);
    }
    const end = this.lineEnd();
    const start = this.start + key.length;
    const value = read(this.text, start, end);
    if (value === undefined) {
      const raw = this.text.slice(start, end);
      throw this.error(`${quoteRaw(raw)} is no value of ${key.trimEnd()}`);
    }
    this.start = end + 1;
    this.line++;
    return value;
  }

  /** All from here to the end of the text, less its final newline. */
  takeName(key: string, pool: TextPool): BufferName {
    const end = this.text.length - 1;
    const start = this.start + key.length;
    this.start = this.text.length;
    return pool.name(this.text, start, end);
  }

  skip(): void {
    this.start = this.lineEnd() + 1;
    this.line++;
  }

  error(problem: string): FormatError {
    return new FormatError(FILE, this.line, problem);
  }

  private lineEnd(): number {
    // parseFdinfo has seen to it that every line has an end.
    return Math.max(this.text.indexOf('\n', this.start), this.start);
  }
}

/** What is printed: numbers too, where they are exact. */
export interface FdinfoFields {
  readonly pos: number;
  readonly flags: number;
  readonly mntId: number;
  readonly inode?: bigint | number | undefined;
  readonly dmaBuf?:
    | {
        readonly sizeBytes: bigint | number;
        readonly count: bigint | number;
        readonly exporter: RawText;
        readonly name: {readonly raw: RawText | undefined};
      }
    | undefined;
}

/** As the kernel prints it; without `inode` as kernels before 5.14 do. */
export function renderFdinfo(info: FdinfoFields): RawText {
  const {pos, flags, mntId, inode, dmaBuf} = info;
  let text = `pos:\t${pos}\nflags:\t0${flags.toString(8)}\nmnt_id:\t${mntId}\n`;
  if (inode !== undefined) text += `ino:\t${inode}\n`;
  if (dmaBuf === undefined) return text;
  const {sizeBytes, count, exporter, name} = dmaBuf;
  text += `size:\t${sizeBytes}\ncount:\t${count}\nexp_name:\t${exporter}\n`;
  return name.raw === undefined ? text : `${text}name:\t${name.raw}\n`;
}

/** A zero and up to 16 octal digits. */
function octal(text: RawText, start: number, end: number): number | undefined {
  if (text[start] !== '0' || end - start > 17) return undefined;
  let value = 0;
  for (let i = start + 1; i < end; i++) {
    const digit = text.charCodeAt(i) - DIGIT_0;
    if (!(digit >= 0 && digit < 8)) return undefined;
    value = value * 8 + digit;
  }
  return value;
}
