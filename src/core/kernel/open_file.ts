// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';

/** Who may hold a reference to an open file. */
export type RefKind =
  /** An entry of a file descriptor table. */
  | 'fd'
  /** A VMA. */
  | 'map'
  /** A message in a unix socket's queue, received by nobody yet. */
  | 'inFlight'
  /** A driver or another part of the kernel. */
  | 'kernel';

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** What stat() tells, as far as it is simulated. */
export interface FileStat {
  readonly ino: bigint;
  /** Bytes. */
  readonly size: bigint;
  /** Of 512 bytes. */
  readonly blocks: bigint;
  /** st_mode with its type bits; a dma-buf has none. */
  readonly mode: number;
  readonly dev: DeviceNumber;
}

/** What stat() and fdinfo tell alike of all files of a file system. */
export interface FileKind {
  readonly device: DeviceNumber;
  /** st_mode, type bits included; a dma-buf has none. */
  readonly mode: number;
  readonly mountId: number;
}

/** What they tell of a file whatever its kind. */
export interface FileIdentity extends FileKind {
  readonly inode: bigint;
  /** f_flags: access mode and O_NONBLOCK; O_CLOEXEC belongs to the fd. */
  readonly statusFlags: number;
}

export const O_ACCMODE = 0o3;
export const O_RDONLY = 0o0;
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

const FMODE_READ = 1;
const FMODE_WRITE = 2;

/**
 * An open file description (`struct file`), counted by its references. Goes
 * when the last of them does.
 */
export abstract class OpenFile {
  private fdRefs = 0;
  private mapRefs = 0;
  private inFlightRefs = 0;
  private kernelRefs = 0;
  private knownStat: FileStat | undefined = undefined;
  /** Read and write position. */
  position = 0;

  /**
   * @param statusFlags f_flags: access mode and O_NONBLOCK; O_CLOEXEC belongs
   *   to the fd
   */
  constructor(
    readonly inode: bigint,
    readonly kind: FileKind,
    readonly statusFlags: number,
  ) {}

  /** What readlink of /proc/PID/fd/N gives. */
  abstract get path(): RawText;
  abstract get sizeBytes(): number;
  /** Lines that this kind of file adds to its fdinfo; `\n` ended, or ''. */
  abstract get fdinfoTail(): RawText;
  /** Runs when the last reference went. */
  protected abstract released(): void;
  /** Runs after each reference that came or went. */
  protected refsChanged(): void {}

  /** FMODE_READ and FMODE_WRITE, as OPEN_FMODE() makes them of the flags. */
  get accessMode(): number {
    return (this.statusFlags + 1) & O_ACCMODE;
  }

  get isReadable(): boolean {
    return (this.accessMode & FMODE_READ) !== 0;
  }

  get isWritable(): boolean {
    return (this.accessMode & FMODE_WRITE) !== 0;
  }

  /** All references: file_count(). */
  get refCount(): number {
    return this.fdRefs + this.mapRefs + this.inFlightRefs + this.kernelRefs;
  }

  /** What stat() tells: it stays the same for the file's whole life. */
  get stat(): FileStat {
    this.knownStat ??= {
      ino: this.inode,
      size: BigInt(this.sizeBytes),
      blocks: BigInt(Math.ceil(this.sizeBytes / 512)),
      mode: this.kind.mode,
      dev: this.kind.device,
    };
    return this.knownStat;
  }

  refsOf(kind: RefKind): number {
    switch (kind) {
      case 'fd':
        return this.fdRefs;
      case 'map':
        return this.mapRefs;
      case 'inFlight':
        return this.inFlightRefs;
      case 'kernel':
        return this.kernelRefs;
    }
  }

  /** Takes one reference (get_file). */
  get(kind: RefKind): void {
    this.add(kind, 1);
  }

  /** Drops one reference (fput). */
  put(kind: RefKind): void {
    if (this.refsOf(kind) === 0) {
      throw new RangeError(`${this.path}: no ${kind} reference to drop`);
    }
    this.add(kind, -1);
    if (this.refCount === 0) this.released();
  }

  private add(kind: RefKind, change: 1 | -1): void {
    switch (kind) {
      case 'fd':
        this.fdRefs += change;
        break;
      case 'map':
        this.mapRefs += change;
        break;
      case 'inFlight':
        this.inFlightRefs += change;
        break;
      case 'kernel':
        this.kernelRefs += change;
        break;
    }
    this.refsChanged();
  }
}

/** A file that has nothing to do with dma-bufs: a library, a pipe, a device. */
export class PlainFile extends OpenFile {
  /** @param fdinfoTail lines that its fdinfo ends with */
  constructor(
    identity: FileIdentity,
    readonly path: RawText,
    readonly sizeBytes = 0,
    readonly fdinfoTail: RawText = '',
  ) {
    super(identity.inode, identity, identity.statusFlags);
  }

  protected override released(): void {}
}
