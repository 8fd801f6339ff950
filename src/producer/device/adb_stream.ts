// SPDX-License-Identifier: Apache-2.0
import type {Duplex} from 'node:stream';
import {messageOf} from './adb_errors.js';
import type {RawStream} from './device.js';
import {DeviceError} from './device.js';
import {withTimeLimit} from './time_limit.js';

/** How long a device may leave a write waiting. */
const WRITE_LIMIT_MS = 10_000;

/**
 * Tells why a stream ended: the error if the device or the server is gone,
 * undefined if the command just came to its end.
 */
export type Diagnosis = (cause: unknown) => Promise<DeviceError | undefined>;

/** The connection of a running `exec:` command. */
export class AdbStream implements RawStream {
  readonly chunks: AsyncIterable<Uint8Array>;
  private closed = false;
  /** Resolves when the connection is closed, by whichever side. */
  readonly hungUp: Promise<void>;

  constructor(
    private readonly socket: Duplex,
    private readonly diagnose: Diagnosis,
  ) {
    this.hungUp = new Promise((resolve) => {
      if (socket.destroyed) resolve();
      else socket.once('close', resolve);
    });
    // Errors are thrown where the stream is used; with no listener at all an
    // error between two uses would end the process.
    socket.on('error', () => undefined);
    this.chunks = {[Symbol.asyncIterator]: () => this.read()};
  }

  async write(data: Uint8Array | string): Promise<void> {
    const accepted = new Promise<void>((resolve, reject) => {
      this.socket.write(data, (error) => (error ? reject(error) : resolve()));
    });
    try {
      await withTimeLimit(accepted, WRITE_LIMIT_MS, writeTimeout);
    } catch (error) {
      if (error instanceof DeviceError) throw error;
      throw await this.unwritable(error);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    // The adb server takes the end of our side for the end of the stream; there
    // is no half-closed state to wait in.
    this.socket.destroy();
    await this.hungUp;
  }

  private async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    let cause: unknown;
    const chunks: AsyncIterable<Uint8Array> = this.socket.iterator({
      destroyOnReturn: false,
    });
    try {
      yield* chunks;
    } catch (error) {
      cause = error;
    }
    if (this.closed) return;
    const error = await this.diagnose(cause);
    if (error && !this.closed) throw error;
  }

  private async unwritable(cause: unknown): Promise<DeviceError> {
    const error = this.closed ? undefined : await this.diagnose(cause);
    return (
      error ??
      new DeviceError(
        'gone',
        `the command on the device has ended (${messageOf(cause)})`,
        'start it again',
        {cause},
      )
    );
  }
}

function writeTimeout(): DeviceError {
  return new DeviceError(
    'timeout',
    `the device took no input for ${WRITE_LIMIT_MS / 1000} s`,
    'check that it still responds, then try again',
  );
}
