// SPDX-License-Identifier: Apache-2.0
import type {Writable} from 'node:stream';

/** Whoever read our output has gone; there is nobody left to tell. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** Text to standard output or standard error. */
export class TextOutput {
  private failure: Error | undefined;

  constructor(private readonly stream: Writable) {
    // Without a listener a reader that went away would end the process.
    stream.on('error', (error: Error) => {
      this.failure ??= asClosed(error);
    });
  }

  /**
   * Resolves when the text has left this process.
   *
   * @throws OutputClosed when its reader went away
   */
  async write(text: string): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    await new Promise<void>((resolve, reject) => {
      this.stream.write(text, (error) => {
        if (error === undefined || error === null) resolve();
        else reject(asClosed(error));
      });
    });
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }
}

function asClosed(error: Error): Error {
  const {code} = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED'
    ? new OutputClosed('the reader went away', {cause: error})
    : error;
}
