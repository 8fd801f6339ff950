// SPDX-License-Identifier: Apache-2.0
import {open, type FileHandle} from 'node:fs/promises';
import type {Writable} from 'node:stream';

/** Where a recording goes, piece by piece. */
export interface TraceSink {
  /**
   * Appends a piece; resolves when it has left this process, which is what
   * holds a fast recording back from a slow reader. One call at a time.
   *
   * @throws TraceWriteError; pieces written before it are safe.
   */
  write(chunk: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** Bytes of all pieces that were written in full. */
  readonly bytesWritten: number;
}

/** A trace could not be written; the message says where, why and what to do. */
export class TraceWriteError extends Error {
  constructor(
    /** errno name, e.g. ENOSPC. */
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'TraceWriteError';
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space, or choose another place with -o',
  EDQUOT: 'the disk quota is used up: free some space, or choose another place',
  EFBIG: 'the file grew as big as this file system allows',
  EACCES: 'permission denied: choose a place you may write to with -o',
  EPERM: 'not permitted: choose a place you may write to with -o',
  EROFS: 'the file system is read-only: choose another place with -o',
  ENOENT: 'there is no such folder: create it, or choose another with -o',
  ENOTDIR: 'a part of the path is not a folder: choose another with -o',
  EISDIR: 'it is a folder: name a file in it with -o',
  EPIPE: 'its reader went away',
};

/** The same failure, with the file's name, the reason and the fix. */
export function toWriteError(target: string, error: unknown): TraceWriteError {
  if (error instanceof TraceWriteError) return error;
  const {code = 'EUNKNOWN', message} = error as NodeJS.ErrnoException;
  const reason = REASONS[code] ?? message;
  return new TraceWriteError(code, `cannot write ${target}: ${reason}`, {
    cause: error,
  });
}

/**
 * Writes to a new file, or over an old one. When a piece does not fit, what
 * did of it is taken back, so that the file ends with a whole piece.
 *
 * @param name what to call it in messages.
 * @throws TraceWriteError when the file cannot be created.
 */
export async function openFileSink(
  path: string,
  name = path,
): Promise<TraceSink> {
  try {
    return new FileSink(name, await open(path, 'w'));
  } catch (error) {
    throw toWriteError(name, error);
  }
}

class FileSink implements TraceSink {
  bytesWritten = 0;

  constructor(
    private readonly name: string,
    private readonly file: FileHandle,
  ) {}

  async write(chunk: Uint8Array): Promise<void> {
    let done = 0;
    try {
      while (done < chunk.length) {
        const {bytesWritten} = await this.file.write(chunk, done);
        done += bytesWritten;
      }
    } catch (error) {
      await this.takeBack(done);
      throw toWriteError(this.name, error);
    }
    this.bytesWritten += chunk.length;
  }

  async close(): Promise<void> {
    try {
      await this.file.close();
    } catch (error) {
      throw toWriteError(this.name, error);
    }
  }

  private async takeBack(bytes: number): Promise<void> {
    if (bytes === 0) return;
    // A pipe or a device cannot be cut; a trace that ends in the middle of a
    // packet is readable all the same.
    await this.file.truncate(this.bytesWritten).catch(() => undefined);
  }
}

/**
 * Writes to a stream that is not ours to end, such as standard output.
 *
 * @param name what to call it in messages.
 */
export function streamSink(
  stream: Writable,
  name = 'standard output',
): TraceSink {
  return new StreamSink(stream, name);
}

class StreamSink implements TraceSink {
  bytesWritten = 0;
  private broken: TraceWriteError | undefined;
  private readonly onError = (error: Error): void => {
    this.broken ??= toWriteError(this.name, error);
  };

  constructor(
    private readonly stream: Writable,
    private readonly name: string,
  ) {
    // Without a listener an error between two writes would end the process.
    stream.on('error', this.onError);
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.broken !== undefined) throw this.broken;
    await new Promise<void>((resolve, reject) => {
      this.stream.write(chunk, (error) => {
        if (error === undefined || error === null) resolve();
        else reject(toWriteError(this.name, error));
      });
    });
    this.bytesWritten += chunk.length;
  }

  /** The listener stays: a late EPIPE must not end the process either. */
  async close(): Promise<void> {
    if (this.broken !== undefined) throw this.broken;
  }
}
