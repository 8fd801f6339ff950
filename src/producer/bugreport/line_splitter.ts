// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../core/model/index.js';

/** The rest of a longer line is passed over. Tables of buffers by processes
 * have the longest ones, some 25 bytes for each process. */
const LONGEST_LINE = 1 << 18;

/**
 * Cuts bytes into lines of raw text, without their line ends. Memory does not
 * depend on the input.
 */
export class LineSplitter {
  /** Lines that were too long and lost their ends. */
  cutLines = 0;
  private rest: RawText = '';
  private isSkipping = false;

  constructor(private readonly onLine: (line: RawText) => void) {}

  push(chunk: Uint8Array): void {
    const text = Buffer.from(
      chunk.buffer,
      chunk.byteOffset,
      chunk.byteLength,
    ).toString('latin1');
    let start = 0;
    for (;;) {
      const newline = text.indexOf('\n', start);
      if (newline < 0) break;
      this.add(text.slice(start, newline));
      this.emit();
      start = newline + 1;
    }
    this.add(text.slice(start));
  }

  end(): void {
    if (this.rest !== '') this.emit();
  }

  private add(piece: RawText): void {
    if (this.isSkipping) return;
    this.rest = this.rest === '' ? piece : this.rest + piece;
    if (this.rest.length <= LONGEST_LINE) return;
    this.rest = this.rest.slice(0, LONGEST_LINE);
    this.isSkipping = true;
    this.cutLines++;
  }

  private emit(): void {
    const {rest} = this;
    this.rest = '';
    this.isSkipping = false;
    this.onLine(rest.endsWith('\r') ? rest.slice(0, -1) : rest);
  }
}
