// SPDX-License-Identifier: Apache-2.0
import {DmaBuf} from './dma_buf.js';
import type {Holdings} from './holdings.js';
import {KernelError} from './kernel_error.js';
import type {OpenFile} from './open_file.js';

export interface FdEntry {
  readonly file: OpenFile;
  readonly closeOnExec: boolean;
}

/** RLIMIT_NOFILE as Android's init sets it for everybody. */
export const MAX_OPEN_FILES = 32768;

const BITS = 32;
const FULL = 0xffff_ffff;
/** Above as many as there are descriptors. */
const LEAST_CHANGES_KEPT = 64;

/** A table of file descriptors (`struct files_struct`). */
export class FdTable {
  /** By descriptor. */
  private readonly files: (OpenFile | undefined)[] = [];
  private count = 0;
  /** Bit n of word w: descriptor 32 w + n is taken, or is close-on-exec. */
  private taken = new Uint32Array(2);
  private closing = new Uint32Array(2);
  /** No descriptor below is free. */
  private nextFree = 0;
  /** Tasks that share the table (CLONE_FILES). */
  private users = 1;
  /** The descriptors that changed last, and the number of those before. */
  private changed: number[] = [];
  private forgotten = 0;

  constructor(private readonly holdings: Holdings) {}

  get size(): number {
    return this.count;
  }

  /** Descriptors that fit before it has to grow: max_fds. */
  get capacity(): number {
    return this.taken.length * BITS;
  }

  /** Counts the descriptors that came, went or lead elsewhere. */
  get changes(): number {
    return this.forgotten + this.changed.length;
  }

  /**
   * Those that did since `changes` was that, some more than once; undefined
   * when it is too long ago.
   */
  changedSince(changes: number): readonly number[] | undefined {
    return changes < this.forgotten
      ? undefined
      : this.changed.slice(changes - this.forgotten);
  }

  /** Descriptors in ascending order. */
  descriptors(): number[] {
    const descriptors: number[] = [];
    for (let i = 0; i < this.taken.length; i++) {
      for (let bits = this.taken[i] ?? 0; bits !== 0; bits &= bits - 1) {
        descriptors.push(i * BITS + (31 - Math.clz32(bits & -bits)));
      }
    }
    return descriptors;
  }

  /** @throws KernelError EBADF */
  get(fd: number): FdEntry {
    return {file: this.file(fd), closeOnExec: this.isClosing(fd)};
  }

  /** @throws KernelError EBADF */
  file(fd: number): OpenFile {
    const file = this.files[fd];
    if (file === undefined) {
      throw new KernelError('EBADF', `descriptor ${fd} is not open`);
    }
    return file;
  }

  /** Above the highest descriptor that was ever open. */
  get end(): number {
    return this.files.length;
  }

  /** What is open there; undefined where nothing is. */
  fileAt(fd: number): OpenFile | undefined {
    return this.files[fd];
  }

  /** Undefined where nothing is open. */
  find(fd: number): FdEntry | undefined {
    return this.files[fd] === undefined ? undefined : this.get(fd);
  }

  /**
   * Checks that `count` more descriptors fit.
   *
   * @throws KernelError EMFILE
   */
  reserve(count: number): void {
    if (this.count + count > MAX_OPEN_FILES) {
      throw new KernelError(
        'EMFILE',
        `${this.count} of ${MAX_OPEN_FILES} descriptors are open`,
      );
    }
  }

  /**
   * Puts `file` at the lowest free descriptor not below `lowest`, and takes a
   * reference to it.
   *
   * @throws KernelError EMFILE, EINVAL
   */
  install(file: OpenFile, closeOnExec: boolean, lowest = 0): number {
    if (!Number.isInteger(lowest) || lowest < 0 || lowest >= MAX_OPEN_FILES) {
      throw new KernelError('EINVAL', `${lowest} can not be a descriptor`);
    }
    const fd = this.lowestFree(lowest);
    if (fd >= MAX_OPEN_FILES) {
      throw new KernelError('EMFILE', `all ${MAX_OPEN_FILES} are open`);
    }
    this.put(fd, file, closeOnExec);
    return fd;
  }

  /**
   * Puts `file` at descriptor `fd`, closing what was there (dup2).
   *
   * @throws KernelError EBADF
   */
  replace(fd: number, file: OpenFile, closeOnExec: boolean): void {
    if (!Number.isInteger(fd) || fd < 0 || fd >= MAX_OPEN_FILES) {
      throw new KernelError('EBADF', `${fd} can not be a descriptor`);
    }
    const old = this.files[fd];
    this.put(fd, file, closeOnExec);
    if (old !== undefined) this.dropped(old);
  }

  /** @throws KernelError EBADF */
  close(fd: number): void {
    const file = this.file(fd);
    this.note(fd);
    this.files[fd] = undefined;
    this.count--;
    const word = Math.floor(fd / BITS);
    this.taken[word] = (this.taken[word] ?? 0) & ~(1 << (fd % BITS));
    if (fd < this.nextFree) this.nextFree = fd;
    this.dropped(file);
  }

  /** A copy for a child or for a thread that unshares (CLONE_FILES unset). */
  copy(holdings: Holdings): FdTable {
    const copy = new FdTable(holdings);
    for (const fd of this.descriptors()) {
      copy.put(fd, this.file(fd), this.isClosing(fd));
    }
    return copy;
  }

  /** Another task shares the table. */
  share(): this {
    this.users++;
    return this;
  }

  /** A task that used the table goes; the last one closes all. */
  release(): void {
    this.users--;
    if (this.users > 0) return;
    for (const fd of this.descriptors()) this.close(fd);
  }

  /** Closes every descriptor marked close-on-exec. */
  closeOnExec(): void {
    for (const fd of this.descriptors()) {
      if (this.isClosing(fd)) this.close(fd);
    }
  }

  private put(fd: number, file: OpenFile, closeOnExec: boolean): void {
    const word = Math.floor(fd / BITS);
    const bit = 1 << (fd % BITS);
    if (word >= this.taken.length) this.grow(fd);
    if (this.files[fd] === undefined) this.count++;
    this.note(fd);
    this.taken[word] = (this.taken[word] ?? 0) | bit;
    const closing = this.closing[word] ?? 0;
    this.closing[word] = closeOnExec ? closing | bit : closing & ~bit;
    this.files[fd] = file;
    file.get('fd');
    if (file instanceof DmaBuf) this.holdings.addFd(file);
  }

  private note(fd: number): void {
    // The newer half stays: who asks often finds all that he missed.
    if (this.changed.length > 2 * (this.count + LEAST_CHANGES_KEPT)) {
      const kept = this.changed.slice(this.changed.length >> 1);
      this.forgotten += this.changed.length - kept.length;
      this.changed = kept;
    }
    this.changed.push(fd);
    this.holdings.noteActivity();
  }

  private isClosing(fd: number): boolean {
    const word = this.closing[Math.floor(fd / BITS)] ?? 0;
    return (word & (1 << (fd % BITS))) !== 0;
  }

  private dropped(file: OpenFile): void {
    if (file instanceof DmaBuf) this.holdings.removeFd(file);
    file.put('fd');
  }

  private lowestFree(lowest: number): number {
    const start = Math.max(lowest, this.nextFree);
    let word = Math.floor(start / BITS);
    // Bits below `start` count as taken in the first word.
    let mask = start % BITS === 0 ? 0 : 2 ** (start % BITS) - 1;
    for (; word < this.taken.length; word++, mask = 0) {
      const bits = ((this.taken[word] ?? 0) | mask) >>> 0;
      if (bits !== FULL) {
        const fd = word * BITS + (31 - Math.clz32(~bits & -~bits));
        if (start === this.nextFree) this.nextFree = fd;
        return fd;
      }
    }
    return Math.max(start, this.taken.length * BITS);
  }

  /** As alloc_fdtable() of fs/file.c: powers of two from 128 on. */
  private grow(fd: number): void {
    let capacity = 128;
    while (capacity <= fd) capacity *= 2;
    const {taken, closing} = this;
    this.taken = new Uint32Array(capacity / BITS);
    this.taken.set(taken);
    this.closing = new Uint32Array(capacity / BITS);
    this.closing.set(closing);
  }
}
