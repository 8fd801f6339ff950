// SPDX-License-Identifier: Apache-2.0
import type {InodeKey} from '../../core/model/index.js';
import type {TrackedHolding} from './tracked_buffer.js';

/** A descriptor of a dma-buf. */
export interface FdRef {
  readonly fd: number;
  readonly inode: InodeKey;
}

/** The reading that a table was made of, all of which is in it. */
export interface TableOrigin {
  readonly version: number;
  /**
   * Descriptors that were taken out since, as the kernel's list has their
   * buffers no more: the next reading should have them no more either.
   */
  readonly gone: readonly number[];
}

/** So many descriptors are looked at in any case, taken or not. */
const MOST_PLAIN = 1024;

/** One descriptor table of a process: what its dma-bufs' descriptors are of. */
export class DescriptorTable {
  /** By descriptor. */
  private readonly holdings: (TrackedHolding | undefined)[] = [];
  private count = 0;
  /** No descriptor was ever higher. */
  private highest = -1;
  /** That all of it is from; undefined: it is not just what one told. */
  reading: TableOrigin | undefined;

  get size(): number {
    return this.count;
  }

  get(fd: number): TrackedHolding | undefined {
    return this.holdings[fd];
  }

  set(fd: number, holding: TrackedHolding): void {
    if (this.holdings[fd] === undefined) this.count++;
    this.holdings[fd] = holding;
    if (fd > this.highest) this.highest = fd;
  }

  /** @returns what was there */
  delete(fd: number): TrackedHolding | undefined {
    const holding = this.holdings[fd];
    if (holding === undefined) return undefined;
    this.holdings[fd] = undefined;
    this.count--;
    return holding;
  }

  /** Calls for each descriptor, in ascending order. */
  forEach(call: (holding: TrackedHolding, fd: number) => void): void {
    this.find((holding, fd) => {
      call(holding, fd);
      return false;
    });
  }

  /** The first descriptor that passes the test. */
  find(
    test: (holding: TrackedHolding, fd: number) => boolean,
  ): number | undefined {
    const {holdings} = this;
    // Whatever numbers a device makes up, this costs what there is.
    if (this.highest > MOST_PLAIN + 8 * this.count) {
      for (const fd in holdings) {
        const holding = holdings[fd];
        if (holding === undefined) continue;
        if (test(holding, Number(fd))) return Number(fd);
      }
      return undefined;
    }
    for (let fd = 0; fd <= this.highest; fd++) {
      const holding = holdings[fd];
      if (holding !== undefined && test(holding, fd)) return fd;
    }
    return undefined;
  }
}
