// SPDX-License-Identifier: Apache-2.0

/** Freed inodes whose generation is remembered. */
const REMEMBERED_INODES = 65536;

/**
 * Which generation the next buffer of an inode is of: before 5.18 the kernel
 * gives an inode number again to another buffer. What it takes stays bounded:
 * of inodes that it has forgotten it remembers the highest generation.
 */
export class InodeGenerations {
  /** Oldest first. */
  private readonly next = new Map<bigint, number>();
  /** Of inodes that `next` has forgotten. */
  private floor = 0;
  private highestInode = -1n;

  /** Notes that there is a buffer of this inode. */
  see(inode: bigint): void {
    if (inode > this.highestInode) this.highestInode = inode;
  }

  /** Generation of a buffer of this inode that was not known. */
  of(inode: bigint): number {
    const floor = inode > this.highestInode ? 0 : this.floor;
    return this.next.get(inode) ?? floor;
  }

  /** The next buffer of this inode is of this generation. */
  remember(inode: bigint, generation: number): void {
    this.next.delete(inode);
    this.next.set(inode, generation);
    if (this.next.size <= REMEMBERED_INODES) return;
    const [oldest] = this.next;
    if (oldest === undefined) return;
    this.next.delete(oldest[0]);
    if (oldest[1] > this.floor) this.floor = oldest[1];
  }
}
