// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {KernelError} from './kernel_error.js';
import {procDirectory} from './procfs.js';
import type {SimulatedKernel} from './simulated_kernel.js';
import {sysDirectory} from './sysfs.js';
import type {FileStat} from './open_file.js';
import type {DirectoryNode, VfsNode} from './vfs_node.js';

export type {FileStat} from './open_file.js';

/**
 * The files of /proc and /sys. Paths are absolute. All methods throw
 * KernelError: ENOENT, EACCES, ENOTDIR, EISDIR, EINVAL (readlink of what is no
 * link).
 */
export interface ProcFs {
  /** Names in a directory, without `.` and `..`. */
  list(path: string): string[];
  /** A file's whole content; links are not followed. */
  read(path: string): RawText;
  readlink(path: string): RawText;
  /** Follows links. */
  stat(path: string): FileStat;
}

/**
 * The same for who reads the same files over and over: what a path leads to
 * can be kept. A process's files stay what they are for as long as the kernel
 * has that process.
 */
export interface NodeFs extends ProcFs {
  /** Throws as the other methods do; links are not followed. */
  lookup(path: string): VfsNode;
}

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** So many directories are kept. */
const MOST_DIRECTORIES = 4096;

/** {@link ProcFs} of a simulated kernel, for a reader of one user id. */
export class SimulatedVfs implements NodeFs {
  private readonly root: DirectoryNode;
  /**
   * By path: directories of processes whose entries were asked for, as more of
   * them will be. None that asks who comes lies above them.
   */
  private readonly directories = new Map<string, DirectoryNode>();
  /** State of the process table at which the paths led there. */
  private changes = -1;

  constructor(
    private readonly kernel: SimulatedKernel,
    uid: number,
  ) {
    const mounts = new Map<string, DirectoryNode>([
      ['proc', procDirectory(kernel, uid)],
      ['sys', sysDirectory(kernel, uid)],
    ]);
    this.root = {
      kind: 'directory',
      mode: 0o755,
      list: () => [...mounts.keys()],
      child: (name) => mounts.get(name),
    };
  }

  lookup(path: string): VfsNode {
    return this.resolve(path);
  }

  list(path: string): string[] {
    const node = this.resolve(path);
    if (node.kind !== 'directory') {
      throw new KernelError('ENOTDIR', `${path} is no directory`);
    }
    node.check?.();
    return node.list();
  }

  read(path: string): RawText {
    const node = this.resolve(path);
    switch (node.kind) {
      case 'file':
        return node.read();
      case 'directory':
        throw new KernelError('EISDIR', `${path} is a directory`);
      case 'link':
        throw new KernelError('EINVAL', `what ${path} leads to has no text`);
    }
  }

  readlink(path: string): RawText {
    const node = this.resolve(path);
    if (node.kind === 'link') return node.readlink();
    throw new KernelError('EINVAL', `${path} is no link`);
  }

  stat(path: string): FileStat {
    const node = this.resolve(path);
    if (node.kind === 'link') return node.target();
    const type = node.kind === 'directory' ? S_IFDIR : S_IFREG;
    return {
      ino: inodeOfPath(path + this.startOf(path)),
      size: BigInt(node.size?.() ?? 0),
      blocks: 0n,
      mode: type | node.mode,
      dev: {major: 0, minor: this.minorOf(path)},
    };
  }

  private resolve(path: string): VfsNode {
    const {changes} = this.kernel.processes;
    if (this.changes !== changes || this.directories.size > MOST_DIRECTORIES) {
      this.directories.clear();
      this.changes = changes;
    }
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    if (name !== '' && name !== '.') {
      const node = this.directories.get(path.slice(0, Math.max(slash, 0)));
      if (node !== undefined) return childOf(node, name, path);
    }
    return this.walk(path);
  }

  private walk(path: string): VfsNode {
    let node: VfsNode = this.root;
    // Whether a directory above the last one asks who comes.
    let isGuarded = false;
    // Without a split: a full scan resolves some ten thousand paths.
    for (let start = 0; start < path.length;) {
      const slash = path.indexOf('/', start);
      const end = slash < 0 ? path.length : slash;
      const name = path.slice(start, end);
      const at = start;
      start = end + 1;
      if (name === '' || name === '.') continue;
      if (node.kind !== 'directory') {
        throw new KernelError('ENOTDIR', `${path}: no directory above ${name}`);
      }
      // Below /sys there are directories that go with a buffer.
      if (end === path.length && !isGuarded && path.startsWith('/proc/')) {
        this.directories.set(path.slice(0, at - 1), node);
      }
      isGuarded ||= node.check !== undefined;
      node = childOf(node, name, path);
    }
    return node;
  }

  /** What makes the numbers differ when a pid is used again. */
  private startOf(path: string): string {
    const pid = /^\/proc\/([0-9]+)\//.exec(path)?.[1];
    if (pid === undefined) return '';
    const task = this.kernel.processes.findTask(Number(pid));
    return task === undefined ? '' : `@${task.process.startNs}`;
  }

  private minorOf(path: string): number {
    const {minors} = this.kernel.profile;
    if (path.startsWith('/proc')) return minors.proc;
    return path.startsWith('/sys/kernel/debug') ? minors.debugfs : minors.sysfs;
  }
}

function childOf(node: DirectoryNode, name: string, path: string): VfsNode {
  node.check?.();
  const child = node.child(name);
  if (child === undefined)
    throw new KernelError('ENOENT', `there is no ${path}`);
  return child;
}

/** FNV-1a: a stable number in place of the one that /proc makes up. */
function inodeOfPath(path: string): bigint {
  let hash = 0x811c9dc5;
  for (let i = 0; i < path.length; i++) {
    hash = Math.imul(hash ^ path.charCodeAt(i), 0x01000193);
  }
  return BigInt(hash >>> 0);
}
