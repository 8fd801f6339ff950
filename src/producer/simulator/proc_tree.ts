// SPDX-License-Identifier: Apache-2.0
import {mkdir, readdir, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {KernelError, type ProcFs} from '../../core/kernel/index.js';
import type {RawText} from '../../core/model/index.js';

/** A tree could not be written; the message says what to do about it. */
export class TreeError extends Error {
  override readonly name = 'TreeError';
}

/** What was written. */
export interface WrittenTree {
  readonly files: number;
  readonly links: number;
}

/** Beside proc/ and sys/: says what they are. */
export const MARKER = 'SIMULATED';

export interface TreeOptions {
  /** Text of the file {@link MARKER}: that it is simulated, and how made. */
  readonly about: string;
  /** Ends it between two files. */
  readonly signal?: AbortSignal;
}

/** Directories of /proc/PID whose entries are links to what is open. */
const LINK_DIRECTORY = /\/(?:fd|map_files)$/;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

/**
 * Writes /proc and /sys as real files below `directory`, for programs that
 * take the place of /proc as a parameter. Links have the kernel's text, so what
 * they lead to is not what was open. Holds one file at a time. The marker is
 * written first: no part of a tree is without it.
 *
 * @param directory made where there is none; has to be empty
 * @throws TreeError; AbortError of the signal
 */
export async function writeTree(
  vfs: ProcFs,
  directory: string,
  {about, signal}: TreeOptions,
): Promise<WrittenTree> {
  await prepare(directory);
  const marker = join(directory, MARKER);
  await attempt(marker, () => writeFile(marker, about));
  const written = {files: 1, links: 0};
  const copy = async (path: string): Promise<void> => {
    const to = join(directory, path);
    await attempt(to, () => mkdir(to));
    for (const name of vfs.list(path)) {
      signal?.throwIfAborted();
      const child = `${path}/${name}`;
      const childTo = join(to, name);
      if (LINK_DIRECTORY.test(path)) {
        const target = Buffer.from(vfs.readlink(child), 'latin1');
        await attempt(childTo, () => symlink(target, childTo));
        written.links++;
      } else if (isDirectory(vfs, child)) {
        await copy(child);
      } else {
        const text = readOrEmpty(vfs, child);
        await attempt(childTo, () => writeFile(childTo, text, 'latin1'));
        written.files++;
      }
    }
  };
  for (const root of vfs.list('/')) await copy(`/${root}`);
  return written;
}

function isDirectory(vfs: ProcFs, path: string): boolean {
  return (vfs.stat(path).mode & S_IFMT) === S_IFDIR;
}

/** What refuses to be read has no text that could be written. */
function readOrEmpty(vfs: ProcFs, path: string): RawText {
  try {
    return vfs.read(path);
  } catch (error) {
    if (error instanceof KernelError) return '';
    throw error;
  }
}

async function prepare(directory: string): Promise<void> {
  await attempt(directory, () => makeDirectory(directory));
  const entries = await attempt(directory, () => readdir(directory));
  if (entries.length > 0) {
    throw new TreeError(
      `${directory} is not empty: name a directory that is new or empty`,
    );
  }
}

/**
 * Makes a directory and those above it that are missing. Not by mkdir's option
 * `recursive`: Node 20 tries forever where a directory that is there takes
 * no new ones and says ENOENT, as /proc does.
 */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    // Whether it is a directory is found when it is listed.
    if (code === 'EEXIST' || code === 'EISDIR') return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path) throw error;
    await makeDirectory(parent);
    await mkdir(path);
  }
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new TreeError(`cannot write ${path}: ${reason(error)}`, {
      cause: error,
    });
  }
}

function reason(error: unknown): string {
  const {code, message} = error as NodeJS.ErrnoException;
  switch (code) {
    case 'EEXIST':
    case 'ENOTDIR':
      return 'something that is no directory is in the way; choose another one';
    case 'ENOENT':
      return 'no directory can be made there; choose another one';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'no permission; choose another directory';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space is left; make some, or choose a smaller --scale';
    case 'ENAMETOOLONG':
      return 'the path is too long; choose a shorter one';
    default:
      return code ?? message;
  }
}
