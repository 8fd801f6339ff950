// SPDX-License-Identifier: Apache-2.0

/** Hands out inode numbers. `cpu` is the one the allocating task runs on. */
export interface InodeAllocator {
  next(cpu: number): bigint;
}

const BATCH = 1024;

/**
 * get_next_ino() of fs/inode.c: one 32-bit counter for all pseudo file systems
 * (sockets, pipes, anonymous shmem and, before 5.18, dma-bufs), taken by each
 * CPU in batches of 1024. It wraps, skips 0 and never asks whether a number is
 * still in use, so numbers collide in the end.
 */
export class SharedInodeCounter implements InodeAllocator {
  private readonly lastOfCpu: number[];

  /**
   * @param cpus number of CPUs
   * @param sharedLast value of the shared counter at the start; near 2^32 it
   *   lets a test see the wrap
   */
  constructor(
    cpus: number,
    private sharedLast = 0,
  ) {
    this.lastOfCpu = new Array<number>(cpus).fill(0);
  }

  next(cpu: number): bigint {
    const slot = cpu % this.lastOfCpu.length;
    let ino = this.lastOfCpu[slot] ?? 0;
    if (ino % BATCH === 0) {
      ino = this.sharedLast;
      this.sharedLast = (this.sharedLast + BATCH) >>> 0;
    }
    ino = (ino + 1) >>> 0;
    if (ino === 0) ino = 1;
    this.lastOfCpu[slot] = ino;
    return BigInt(ino);
  }
}

/**
 * The dma-buf file system's own 64-bit counter, since 5.18 ("dma-buf: ensure
 * unique directory name for dmabuf stats"): 1, 2, 3, ... until reboot.
 */
export class OwnInodeCounter implements InodeAllocator {
  private last = 0n;

  next(): bigint {
    return ++this.last;
  }
}
