// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from '../model/dma_buf.js';
import type {ProcessHoldings} from '../model/snapshot.js';
import type {RawText} from '../model/text.js';
import type {Pss} from './pss.js';

/** Bytes and number of buffers; `unknownSizes` of them are not in `bytes`. */
export interface Sum {
  bytes: bigint;
  buffers: number;
  unknownSizes: number;
}

export interface ProcessAccount {
  readonly holdings: ProcessHoldings;
  /**
   * Sum of the sizes of the distinct buffers held, bytes, each once. The
   * kernel's dmabuf_rss where fds and maps could not be read; undefined where
   * nothing told.
   */
  readonly rssBytes: bigint | undefined;
  /** Bytes with fraction; the kernel's dmabuf_pss where only that is known. */
  readonly pssBytes: number | undefined;
  /** The exact shares behind pssBytes; empty where it is the kernel's. */
  readonly pss: Pss;
  /** Buffers held whose size no source told; not in rss and pss. */
  readonly unknownSizes: number;
}

export interface BufferAccount {
  readonly buffer: DmaBuf;
  /** Processes that hold it, as far as they could be read. */
  readonly holders: number;
  /** Undefined where only the holders are known. */
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
  /**
   * File references that no process explains: fileCount − fds − mappings.
   * Messages in flight, importing drivers, holders that cannot be read.
   * Undefined without bufinfo or the other counts. A race of the reading may make it off by one;
   * never below zero.
   */
  readonly kernelRefs: bigint | undefined;
  /** Held by mappings only: every fd is closed. Undefined as fdRefs. */
  readonly mappedOnly: boolean | undefined;
}

/** What a snapshot adds up to. Undefined where no source told. */
export interface Accounting {
  /** All buffers the kernel lists; undefined without such a list. */
  readonly total: Sum | undefined;
  /** Held by a process that could be read, each buffer once. */
  readonly held: Sum;
  /** Listed by the kernel and held by no process that could be read. */
  readonly kernelOnly: Sum | undefined;
  /** True when processes could not be read: kernelOnly may be theirs. */
  readonly kernelOnlyIsUpperBound: boolean;
  /** Undefined where it is not known of every buffer. */
  readonly mappedOnly: Sum | undefined;
  /** All known buffers; undefined keys stand for "not told". */
  readonly byExporter: ReadonlyMap<RawText | undefined, Sum>;
  readonly byName: ReadonlyMap<RawText | undefined, Sum>;
  /** By inode. */
  readonly buffers: ReadonlyMap<bigint, BufferAccount>;
  /** By pid. */
  readonly processes: ReadonlyMap<number, ProcessAccount>;
}
