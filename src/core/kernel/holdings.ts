// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from './dma_buf.js';

/** How one process holds one buffer; at least one count is over 0. */
export interface BufferHolding {
  /** Entries in the process's descriptor tables, private ones of threads too. */
  readonly fdRefs: number;
  /** VMAs. */
  readonly mapRefs: number;
  /** Sum of the VMAs' lengths. */
  readonly mappedBytes: number;
}

interface Counts {
  readonly buffer: DmaBuf;
  fdRefs: number;
  mapRefs: number;
  mappedBytes: number;
}

/**
 * The buffers one process holds, kept up to date with each descriptor and VMA
 * that comes or goes, so that nobody has to walk the tables: the accounting
 * behind /proc/PID/dmabuf_rss.
 */
export class Holdings {
  /** By the buffer's serial. */
  private readonly counts = new Map<number, Counts>();
  private rss = 0;
  private peak = 0;

  /** @param activity see {@link ProcessTable.activity} */
  constructor(
    private readonly pid: number,
    private readonly activity: number[],
  ) {}

  /**
   * The process's descriptors, the buffers it holds, or whether it has memory,
   * are not what they were.
   */
  noteActivity(): void {
    this.activity[this.pid] = (this.activity[this.pid] ?? 0) + 1;
  }

  /** Sum of the sizes of the distinct buffers held, bytes. */
  get rssBytes(): number {
    return this.rss;
  }

  /**
   * The most that {@link rssBytes} ever was. A child starts from what it
   * inherits: dup_dma_buf_info() leaves the parent's behind.
   */
  get peakRssBytes(): number {
    return this.peak;
  }

  /**
   * Each size divided by the number of processes that hold the buffer, bytes,
   * each quotient rounded down as the kernel does.
   */
  get pssBytes(): number {
    let pss = 0;
    for (const {buffer} of this.counts.values()) {
      pss += Math.floor(buffer.sizeBytes / buffer.holders);
    }
    return pss;
  }

  *entries(): IterableIterator<[DmaBuf, BufferHolding]> {
    for (const counts of this.counts.values()) {
      yield [counts.buffer, withoutBuffer(counts)];
    }
  }

  get(buffer: DmaBuf): BufferHolding | undefined {
    const counts = this.counts.get(buffer.serial);
    return counts === undefined ? undefined : withoutBuffer(counts);
  }

  addFd(buffer: DmaBuf): void {
    this.of(buffer).fdRefs++;
  }

  removeFd(buffer: DmaBuf): void {
    const counts = this.of(buffer);
    counts.fdRefs--;
    this.drop(buffer, counts);
  }

  addMap(buffer: DmaBuf, bytes: number): void {
    const counts = this.of(buffer);
    counts.mapRefs++;
    counts.mappedBytes += bytes;
  }

  removeMap(buffer: DmaBuf, bytes: number): void {
    const counts = this.of(buffer);
    counts.mapRefs--;
    counts.mappedBytes -= bytes;
    this.drop(buffer, counts);
  }

  private of(buffer: DmaBuf): Counts {
    let counts = this.counts.get(buffer.serial);
    if (counts === undefined) {
      counts = {buffer, fdRefs: 0, mapRefs: 0, mappedBytes: 0};
      this.counts.set(buffer.serial, counts);
      this.rss += buffer.sizeBytes;
      if (this.rss > this.peak) this.peak = this.rss;
      buffer.holders++;
      this.noteActivity();
    }
    return counts;
  }

  private drop(buffer: DmaBuf, counts: Counts): void {
    if (counts.fdRefs > 0 || counts.mapRefs > 0) return;
    this.counts.delete(buffer.serial);
    this.rss -= buffer.sizeBytes;
    buffer.holders--;
    this.noteActivity();
  }
}

function withoutBuffer({fdRefs, mapRefs, mappedBytes}: Counts): BufferHolding {
  return {fdRefs, mapRefs, mappedBytes};
}
