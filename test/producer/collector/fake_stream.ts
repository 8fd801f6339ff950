// SPDX-License-Identifier: Apache-2.0
// The device's end of a collector's stream, played by a test.
import {rawFromBytes, type RawText} from '../../../src/core/model/index.js';
import type {RawStream} from '../../../src/producer/device/device.js';

/** Says what it is told to, and keeps what is written to it. */
export class FakeStream implements RawStream {
  /** Lines that the host wrote, without newlines. */
  readonly lines: string[] = [];
  closed = false;
  /** Called with each line that the host writes. */
  onLine: ((line: string) => void) | undefined;
  /** Thrown by write, if set. */
  writeError: Error | undefined;

  private input = '';
  private readonly output: Uint8Array[] = [];
  private ended = false;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  readonly chunks: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({next: () => this.next()}),
  };

  /** Sends text to the host, as one chunk. */
  say(text: RawText): void {
    this.output.push(Buffer.from(text, 'latin1'));
    this.wake?.();
  }

  /** The command ended: no more output. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  /** The device went away. */
  fail(error: Error): void {
    this.failure = error;
    this.wake?.();
  }

  write(data: Uint8Array | string): Promise<void> {
    if (this.writeError !== undefined) return Promise.reject(this.writeError);
    this.input += typeof data === 'string' ? data : rawFromBytes(data);
    const lines = this.input.split('\n');
    this.input = lines.pop() ?? '';
    for (const line of lines) {
      this.lines.push(line);
      this.onLine?.(line);
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    this.end();
    return Promise.resolve();
  }

  private async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const chunk = this.output.shift();
      if (chunk !== undefined) return {done: false, value: chunk};
      if (this.failure !== undefined) throw this.failure;
      if (this.ended) return {done: true, value: undefined};
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

/** A frame as the collector writes it. */
export function frame(
  nonce: string,
  sequence: number,
  body: RawText,
  status = 0,
): RawText {
  const mark = `${nonce} ${sequence} ${status} ${body.length}`;
  return `@${mark}\n${body}\n=${mark}\n`;
}
