// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {FileStat, OpenFile} from './open_file.js';

export interface DirectoryNode {
  readonly kind: 'directory';
  /** Permission bits. */
  readonly mode: number;
  /** Bytes, by default 0. */
  readonly size?: () => number;
  /** Refuses (KernelError EACCES) who may not list or search it. */
  readonly check?: () => void;
  /** Its size stays the same while this process's activity does. */
  readonly activePid?: number;
  readonly list: () => string[];
  readonly child: (name: string) => VfsNode | undefined;
  /** Of a directory of descriptors: what its links lead to. */
  readonly descriptors?: Descriptors;
}

/**
 * The links of /proc/PID/fd without their names: for who wants to know of all
 * of them where they lead. Who may not look is refused by the directory's
 * `check`.
 */
export interface Descriptors {
  /**
   * Other than before when a descriptor came, went or leads elsewhere, or
   * nobody may look any more.
   */
  changes(): number;
  /**
   * The descriptors of which that is so since `changes` was that number, some
   * more than once; undefined when it is too long ago.
   */
  changedSince(changes: number): readonly number[] | undefined;
  /** Undefined where nothing is open. */
  find(fd: number): OpenFile | undefined;
  /** Above the highest that is open. */
  end(): number;
}

export interface FileNode {
  readonly kind: 'file';
  readonly mode: number;
  /** Bytes, by default 0. */
  readonly size?: () => number;
  /** Throws KernelError EACCES where the reader may not. */
  read(): RawText;
  /** Other than before when the text is; absent where nothing tells. */
  readonly changes?: () => number;
  /** The text stays the same while this process's activity does. */
  readonly activePid?: number;
  /** The same by lines, each with its newline, where they are kept. */
  readonly lines?: () => readonly RawText[];
  /** The same in pieces of any kind: who puts it into more copies it once. */
  readonly pieces?: () => RawText[];
}

/** A link of /proc that leads to an open file, whatever its text says. */
export interface LinkNode {
  readonly kind: 'link';
  readlink(): RawText;
  /** stat() of what it leads to. */
  target(): FileStat;
}

export type VfsNode = DirectoryNode | FileNode | LinkNode;

/** A directory with fixed entries. */
export function directory(
  entries: Readonly<Record<string, VfsNode | undefined>>,
  options: {mode?: number; check?: () => void} = {},
): DirectoryNode {
  const {mode = 0o555, check} = options;
  return {
    kind: 'directory',
    mode,
    ...(check === undefined ? {} : {check}),
    list: () =>
      Object.keys(entries).filter((name) => entries[name] !== undefined),
    child: (name) => (Object.hasOwn(entries, name) ? entries[name] : undefined),
  };
}

/** A file that is readable by all. */
export function file(read: () => RawText, mode = 0o444): FileNode {
  return {kind: 'file', mode, read};
}

/** A link of /proc/PID/fd or map_files. */
export function linkTo(target: OpenFile): LinkNode {
  return new OpenFileLink(target);
}

/** A class, since a full scan makes some ten thousand of them. */
class OpenFileLink implements LinkNode {
  readonly kind = 'link';

  constructor(private readonly file: OpenFile) {}

  readlink(): RawText {
    return this.file.path;
  }

  target(): FileStat {
    return this.file.stat;
  }
}
