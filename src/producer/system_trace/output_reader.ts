// SPDX-License-Identifier: Apache-2.0
import {oneLine} from '../device/device.js';

/** A line of the script's own; see script.ts. */
export interface Answer {
  readonly word: string;
  readonly args: readonly string[];
}

/** A line that is longer is cut into pieces. */
const LONGEST_LINE = 65_536;
/** Lines of perfetto's that are kept. */
const LOG_LINES = 50;
const LF = 0x0a;
/** What perfetto begins a line with: `[123.456]  perfetto_cmd.cc:676 `. */
const LOG_PREFIX = /^\[[\d.]+\]\s+\S+:\d+\s+/;
const ESCAPES = /\x1b\[[\d;]*m/g;

/**
 * What comes from the script: its own lines, between them what perfetto says,
 * and at last the trace. One call at a time.
 */
export class OutputReader {
  /** By which the script's own lines are known. */
  nonce = '';
  /** perfetto has said that all data sources run. */
  notified = false;
  private readonly chunks: AsyncIterator<Uint8Array>;
  private pending: Uint8Array = new Uint8Array();
  private readonly log: string[] = [];

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next line, without its end; undefined at the end of the stream. */
  async line(): Promise<string | undefined> {
    for (;;) {
      const found = this.pending.indexOf(LF);
      const end = found === -1 ? LONGEST_LINE : found;
      if (end <= this.pending.length) {
        const line = this.text(this.pending.subarray(0, end));
        this.pending = this.pending.subarray(found === -1 ? end : end + 1);
        return line;
      }
      if (!(await this.more())) return undefined;
    }
  }

  /** The script's next own line; undefined at the end of the stream. */
  async answer(): Promise<Answer | undefined> {
    for (;;) {
      const line = await this.line();
      if (line === undefined) return undefined;
      const mark = `@${this.nonce} `;
      const at = line.indexOf(mark);
      if (at > 0 || at === -1) this.keep(at === -1 ? line : line.slice(0, at));
      if (at === -1) continue;
      const [word = '', ...args] = line.slice(at + mark.length).split(' ');
      return {word, args};
    }
  }

  /** Bytes as they come, at most so many; undefined at the end. */
  async bytes(most: number): Promise<Uint8Array | undefined> {
    if (this.pending.length === 0 && !(await this.more())) return undefined;
    const piece = this.pending.subarray(0, most);
    this.pending = this.pending.subarray(piece.length);
    return piece;
  }

  /** What perfetto said of its failure: the first error, or its last line. */
  lastWords(): string {
    const error = this.log.find((line) => /\berror\b/i.test(line));
    return (error ?? this.log.at(-1) ?? '').slice(0, 200);
  }

  private async more(): Promise<boolean> {
    const next = await this.chunks.next();
    if (next.done === true) return false;
    this.pending =
      this.pending.length === 0
        ? next.value
        : Buffer.concat([this.pending, next.value]);
    return true;
  }

  private text(bytes: Uint8Array): string {
    const text = Buffer.from(bytes).toString('utf8');
    if (!text.includes('\0')) return text;
    this.notified = true;
    return text.replaceAll('\0', '');
  }

  private keep(line: string): void {
    const words = oneLine(line.replace(ESCAPES, '').replace(LOG_PREFIX, ''));
    if (words === '') return;
    this.log.push(words);
    if (this.log.length > LOG_LINES) this.log.shift();
  }
}
