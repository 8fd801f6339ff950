// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../core/model/index.js';

/** One answer of the collector, or what is left of it. */
export interface Frame {
  readonly sequence: number;
  /** Exit status of the step; 127: the collector does not know it. */
  readonly status: number;
  /** Empty when it is damaged: half a text may read as another one. */
  readonly body: RawText;
  /** Bytes on the wire, header and end mark included. */
  readonly bytes: number;
  /** Bytes before it that belong to no answer. */
  readonly strayBytes: number;
  /** What was wrong with it; undefined when it came whole. */
  readonly damage: string | undefined;
}

interface Header {
  readonly text: string;
  readonly sequence: number;
  readonly status: number;
  readonly length: number;
}

/** A header or an end mark somewhere in the buffer. */
interface Mark {
  readonly at: number;
  readonly kind: '@' | '=';
  /** Undefined when it is none, or cut. */
  readonly header: Header | undefined;
  /** Where what follows it begins. */
  readonly end: number;
}

const HEADER = /^([0-9a-f]+) (\d{1,9}) (\d{1,3}) (\d{1,9})$/;
const LONGEST_MARK = 80;

/**
 * Cuts the collector's byte stream into frames (see script.ts). A frame is
 * whole when its end mark repeats its header just where the header says that
 * it ends; nothing that was lost, added or mixed in leaves that so. After
 * damage the reader goes on at the next mark with the session's nonce.
 */
export class FrameReader {
  private buffer: RawText = '';
  /** The header that was read last; the buffer begins with its body. */
  private current: {header: Header; bytes: number} | undefined;
  /** No mark begins in the buffer before this offset. */
  private searched = 0;
  private strayBytes = 0;
  private readonly needle: string;

  constructor(private readonly nonce: string) {
    this.needle = `${nonce} `;
  }

  /** Bytes that wait for the rest of their frame. */
  get pendingBytes(): number {
    return this.buffer.length;
  }

  /** Takes some of the stream in, yields the frames that it completes. */
  *push(chunk: RawText): Generator<Frame> {
    this.buffer += chunk;
    for (;;) {
      if (this.current === undefined) {
        const lost = this.begin();
        if (lost !== undefined) yield lost;
        else if (this.current === undefined) return;
      } else {
        const frame = this.end(this.current);
        if (frame === undefined) return;
        yield frame;
      }
    }
  }

  /**
   * Looks for the next header and drops what is before it. Gives a frame only
   * for an end mark without header: that frame's beginning was lost.
   */
  private begin(): Frame | undefined {
    for (;;) {
      const mark = this.findMark();
      this.strayBytes += mark?.at ?? this.searched;
      this.consume(mark?.at ?? this.searched);
      if (mark === undefined) return undefined;
      const bytes = mark.end - mark.at;
      this.consume(bytes);
      if (mark.header === undefined) {
        this.strayBytes += bytes;
      } else if (mark.kind === '=') {
        return this.frame(mark.header, bytes, '', 'its beginning was lost');
      } else {
        this.current = {header: mark.header, bytes};
        return undefined;
      }
    }
  }

  /** The frame of the header that was read; undefined until it is there. */
  private end({
    header,
    bytes,
  }: {
    header: Header;
    bytes: number;
  }): Frame | undefined {
    const {length} = header;
    const end = `\n=${header.text}\n`;
    const after = length + end.length;
    if (this.buffer.slice(length, after) === end) {
      const body = this.buffer.slice(0, length);
      this.consume(after);
      return this.frame(header, bytes + after, body, undefined);
    }
    const cut = (to: number, damage: string): Frame => {
      this.consume(to);
      return this.frame(header, bytes + to, '', damage);
    };
    const mark = this.findMark();
    if (mark === undefined) {
      const enough = this.buffer.length > length + LONGEST_MARK;
      return enough ? cut(length, 'its end was lost') : undefined;
    }
    // A later frame inside of this one, or an end mark that is garbled.
    if (mark.kind === '@') return cut(mark.at, 'its end was lost');
    if (mark.header?.text !== header.text) {
      return cut(mark.end, 'its end was garbled');
    }
    const found = Math.max(0, mark.at - 1);
    return cut(mark.end, `expected ${length} bytes, found ${found}`);
  }

  /** The first complete mark in the buffer. */
  private findMark(): Mark | undefined {
    for (;;) {
      const at = this.buffer.indexOf(this.needle, this.searched + 1) - 1;
      if (at < 0) {
        const open = this.buffer.length - this.needle.length;
        this.searched = Math.max(this.searched, open);
        return undefined;
      }
      this.searched = at;
      const kind = this.buffer[at];
      if (kind !== '@' && kind !== '=') {
        this.searched++;
        continue;
      }
      const lineEnd = this.buffer.indexOf('\n', at);
      if (lineEnd === -1 && this.buffer.length - at < LONGEST_MARK) {
        return undefined;
      }
      const line = this.buffer.slice(at + 1, Math.max(lineEnd, at + 1));
      const header = this.parseHeader(line);
      const end =
        header === undefined ? at + 1 + this.needle.length : lineEnd + 1;
      return {at, kind, header, end};
    }
  }

  private parseHeader(text: string): Header | undefined {
    const match = HEADER.exec(text);
    if (match === null || match[1] !== this.nonce) return undefined;
    return {
      text,
      sequence: Number(match[2]),
      status: Number(match[3]),
      length: Number(match[4]),
    };
  }

  private frame(
    {sequence, status}: Header,
    bytes: number,
    body: RawText,
    damage: string | undefined,
  ): Frame {
    const {strayBytes} = this;
    this.strayBytes = 0;
    this.current = undefined;
    return {sequence, status, body, bytes, strayBytes, damage};
  }

  private consume(length: number): void {
    if (length === 0) return;
    this.buffer = this.buffer.slice(length);
    this.searched = 0;
  }
}
