// SPDX-License-Identifier: Apache-2.0
import {open, type FileHandle} from 'node:fs/promises';
import {basename} from 'node:path';
import {OpenError} from './open_error.js';

/** A file that is open for reading, and as big as it was then. */
export interface UiFile {
  readonly path: string;
  /** Its name without folders. */
  readonly name: string;
  readonly sizeBytes: number;
  /** False for what does not begin like a trace, an archive or a zip. */
  readonly looksFamiliar: boolean;
  /** Its bytes, from the first on, as often as it is asked for. */
  read(): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Enough to tell what a file is. */
const HEAD_BYTES = 512;
/** Read at once. */
const PIECE_BYTES = 1 << 18;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

/**
 * Opens a file that the UI may be able to show. What is in it is for the UI to
 * judge, which reads many formats.
 *
 * @throws OpenError when it cannot be read, is no plain file, or empty
 */
export async function openUiFile(path: string): Promise<UiFile> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw readError(path, error);
  });
  try {
    const status = await file.stat();
    if (status.isDirectory()) throw refusal(path, 'it is a folder');
    if (!status.isFile()) throw refusal(path, 'it is no plain file');
    if (status.size === 0) throw refusal(path, 'it is empty');
    const looksFamiliar = isFamiliar(await readHead(file));
    return {
      path,
      name: basename(path),
      sizeBytes: status.size,
      looksFamiliar,
      read: () => readWhole(path, file, status.size),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error instanceof OpenError ? error : readError(path, error);
  }
}

/**
 * Not a stream of the file's: that one closes the file when its reader breaks
 * off.
 *
 * @throws OpenError when there is less than there was at first
 */
async function* readWhole(
  path: string,
  file: FileHandle,
  sizeBytes: number,
): AsyncIterable<Uint8Array> {
  for (let position = 0; position < sizeBytes;) {
    const length = Math.min(PIECE_BYTES, sizeBytes - position);
    const {bytesRead, buffer} = await file
      .read({buffer: Buffer.allocUnsafe(length), position})
      .catch((error: unknown) => {
        throw readError(path, error);
      });
    if (bytesRead === 0) {
      throw refusal(path, 'it became shorter while it was read: try again');
    }
    yield buffer.subarray(0, bytesRead);
    position += bytesRead;
  }
}

async function readHead(file: FileHandle): Promise<string> {
  const {bytesRead, buffer} = await file.read({
    buffer: Buffer.alloc(HEAD_BYTES),
    position: 0,
  });
  return buffer.toString('latin1', 0, bytesRead);
}

/**
 * Beginnings of what the UI opens: a trace of packets, gzip, zip, tar, JSON,
 * HTML (systrace), a bug report's text, perf.data, Fuchsia.
 */
function isFamiliar(head: string): boolean {
  return (
    /^(?:\n|\x1f\x8b|PK|PERFILE2|\x10\x00\x04\x46)/.test(head) ||
    /^\s*(?:[[{<#]|={20})/.test(head) ||
    head.startsWith('ustar', 257)
  );
}

function readError(path: string, error: unknown): OpenError {
  const {code, message} = error as NodeJS.ErrnoException;
  return refusal(path, REASONS[code ?? ''] ?? message, error);
}

function refusal(path: string, reason: string, cause?: unknown): OpenError {
  return new OpenError(`cannot open ${path}: ${reason}`, {cause});
}
