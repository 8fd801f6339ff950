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

/**
 * The same, as it changes, and its places among the process's and buffer's. A
 * class: where most of what a literal makes lives long, V8 makes all that
 * follows among the old objects, where each keeps its buffer long after both
 * are gone.
 */
export class HoldingRecord implements BufferHolding {
  fdRefs = 0;
  mapRefs = 0;
  mappedBytes = 0;

  /**
   * @param place where it stands among those of the process
   * @param next of another process that holds the buffer
   */
  constructor(
    readonly buffer: DmaBuf,
    readonly holdings: Holdings,
    public place: number,
    public next: HoldingRecord | undefined,
  ) {}
}

/**
 * The buffers one process holds, kept up to date with each descriptor and VMA
 * that comes or goes, so that nobody has to walk the tables: the accounting
 * behind /proc/PID/dmabuf_rss.
 */
export class Holdings {
  /** In no order. */
  private readonly records: HoldingRecord[] = [];
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
    for (const {buffer} of this.records) {
      pss += Math.floor(buffer.sizeBytes / buffer.holders);
    }
    return pss;
  }

  *entries(): IterableIterator<[DmaBuf, BufferHolding]> {
    for (const record of this.records) yield [record.buffer, counts(record)];
  }

  get(buffer: DmaBuf): BufferHolding | undefined {
    const record = this.find(buffer);
    return record === undefined ? undefined : counts(record);
  }

  addFd(buffer: DmaBuf): void {
    this.of(buffer).fdRefs++;
  }

  removeFd(buffer: DmaBuf): void {
    const record = this.of(buffer);
    record.fdRefs--;
    this.drop(record);
  }

  addMap(buffer: DmaBuf, bytes: number): void {
    const record = this.of(buffer);
    record.mapRefs++;
    record.mappedBytes += bytes;
  }

  removeMap(buffer: DmaBuf, bytes: number): void {
    const record = this.of(buffer);
    record.mapRefs--;
    record.mappedBytes -= bytes;
    this.drop(record);
  }

  /** Few processes hold the same buffer: none of its records is far. */
  private find(buffer: DmaBuf): HoldingRecord | undefined {
    let record = buffer.firstHolding;
    while (record !== undefined && record.holdings !== this) {
      record = record.next;
    }
    return record;
  }

  private of(buffer: DmaBuf): HoldingRecord {
    const known = this.find(buffer);
    if (known !== undefined) return known;
    const {records} = this;
    const {firstHolding, sizeBytes} = buffer;
    const record = new HoldingRecord(
      buffer,
      this,
      records.length,
      firstHolding,
    );
    records.push(record);
    buffer.firstHolding = record;
    buffer.holders++;
    this.rss += sizeBytes;
    if (this.rss > this.peak) this.peak = this.rss;
    this.noteActivity();
    return record;
  }

  private drop(record: HoldingRecord): void {
    if (record.fdRefs > 0 || record.mapRefs > 0) return;
    const {buffer, place, next} = record;
    const last = this.records.pop();
    if (last !== undefined && last !== record) {
      this.records[place] = last;
      last.place = place;
    }
    if (buffer.firstHolding === record) {
      buffer.firstHolding = next;
    } else {
      let before = buffer.firstHolding;
      while (before !== undefined && before.next !== record) {
        before = before.next;
      }
      if (before !== undefined) before.next = next;
    }
    // What is gone must keep nothing that is not.
    record.next = undefined;
    this.rss -= buffer.sizeBytes;
    buffer.holders--;
    this.noteActivity();
  }
}

function counts({fdRefs, mapRefs, mappedBytes}: HoldingRecord): BufferHolding {
  return {fdRefs, mapRefs, mappedBytes};
}
