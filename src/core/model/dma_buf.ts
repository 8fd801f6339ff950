// SPDX-License-Identifier: Apache-2.0
import type {RawText} from './text.js';

/**
 * A buffer's name as DMA_BUF_SET_NAME left it.
 *
 * `raw` undefined: never set. `raw` empty: "" was set. `doubtful`: the only
 * source was a text in which the name could not be told from what follows it
 * (an unescaped newline); size, inode and holders do not depend on it.
 */
export interface BufferName {
  readonly raw: RawText | undefined;
  readonly doubtful: boolean;
}

/** The name of a buffer that never got one. */
export const UNSET_NAME: BufferName = {raw: undefined, doubtful: false};

export function sameName(
  a: BufferName | undefined,
  b: BufferName | undefined,
): boolean {
  return (
    a === b || (a?.raw === b?.raw && (a === undefined) === (b === undefined))
  );
}

/**
 * One dma-buf. Identity is (inode, generation): before 5.18 the kernel reuses
 * inode numbers, so a number that vanishes and comes back is a new buffer.
 * Whatever no source told is undefined, never zero.
 */
export interface DmaBuf {
  readonly inode: bigint;
  /** 0 for the first buffer seen under this inode, then 1, 2, ... */
  readonly generation: number;
  /** Bytes, of the whole buffer however little of it is mapped. */
  readonly sizeBytes: bigint | undefined;
  /** `exp_name`: the heap or driver that exported it. */
  readonly exporter: RawText | undefined;
  readonly name: BufferName | undefined;
  /**
   * References to the buffer's file as bufinfo prints them: fd table entries,
   * mappings, messages in flight and the kernel's own. Undefined without
   * bufinfo.
   */
  readonly fileCount: bigint | undefined;
  /**
   * What is known of its holders' references; absent: all of it. `counts`: the
   * fds and mappings, not the mappings' lengths. `holders`: only who holds it.
   * The holdings' numbers that are not known are 0 and mean nothing.
   */
  readonly refsKnown?: 'counts' | 'holders';
}

/** A key unique over a recording. */
export function bufferKey(buffer: {
  readonly inode: bigint;
  readonly generation: number;
}): string {
  return `${buffer.inode}.${buffer.generation}`;
}
