// SPDX-License-Identifier: Apache-2.0
import {constants} from 'node:fs';
import {access, stat, unlink} from 'node:fs/promises';
import {openFileSink, type TraceSink} from '../trace/index.js';

/**
 * A place for a recording, known to be writable before the device is touched.
 * An older file in that place stays as it is until open().
 */
export interface OutputFile {
  readonly path: string;
  /** From here on the file is new. @throws TraceWriteError */
  open(): Promise<TraceSink>;
  /** Nothing was recorded: leaves no file where there was none. */
  abandon(): Promise<void>;
}

/** @throws TraceWriteError when it cannot be written */
export async function reserveOutput(path: string): Promise<OutputFile> {
  const before = await stat(path).catch(() => undefined);
  if (before?.isFile() === true && (await isWritable(path))) {
    return {
      path,
      open: () => openFileSink(path),
      abandon: () => Promise.resolve(),
    };
  }
  // A file that is new, no plain file, or refused: opening it does no harm,
  // and tells why it cannot be written.
  const sink = await openFileSink(path);
  return {
    path,
    open: () => Promise.resolve(sink),
    abandon: async () => {
      await sink.close();
      if (before === undefined) await unlink(path).catch(() => undefined);
    },
  };
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
