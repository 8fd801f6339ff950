// SPDX-License-Identifier: Apache-2.0

/**
 * An inode number as the key of a map: a number where that is exact, as it
 * nearly always is, else a bigint. Of a bigint a map has to look at the digits,
 * wherever in memory they are.
 */
export type InodeKey = number | bigint;

const MOST_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

export function inodeKey(inode: bigint): InodeKey {
  return inode <= MOST_EXACT ? Number(inode) : inode;
}
