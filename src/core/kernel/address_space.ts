// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {DmaBuf} from './dma_buf.js';
import type {Holdings} from './holdings.js';
import {KernelError} from './kernel_error.js';
import type {OpenFile} from './open_file.js';

export const PAGE_SIZE = 4096;

export function pageAlign(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

/** Protection of a mapping. */
export interface Protection {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

export const PROT_READ: Protection = {read: true, write: false, execute: false};
export const PROT_READ_WRITE: Protection = {
  read: true,
  write: true,
  execute: false,
};

function isSameProtection(a: Protection, b: Protection): boolean {
  return a.read === b.read && a.write === b.write && a.execute === b.execute;
}

/** One line of /proc/PID/maps (`struct vm_area_struct`). */
export interface Vma {
  /** Addresses, below 2^47. */
  readonly start: number;
  readonly end: number;
  readonly protection: Protection;
  readonly shared: boolean;
  /** It can be made writable (VM_MAYWRITE). */
  readonly mayWrite: boolean;
  /** Bytes into the file. */
  readonly offset: number;
  /** What is mapped; undefined for anonymous memory. */
  readonly file: OpenFile | undefined;
  /** `[heap]`, `[stack]`, ...: in place of a path; '' for none. */
  readonly label: RawText;
  /** Kept for the next reading of maps. */
  rendered: RenderedVma | undefined;
}

/** The line of maps for a VMA, and the path of its file then. */
export interface RenderedVma {
  readonly path: RawText | undefined;
  readonly line: RawText;
}

export interface MapRequest {
  readonly length: number;
  readonly protection: Protection;
  readonly shared: boolean;
  /** By default true: private mappings, and files opened for writing. */
  readonly mayWrite?: boolean;
  readonly offset?: number;
  readonly file?: OpenFile;
  readonly label?: RawText;
  /** MAP_FIXED_NOREPLACE at this address; else the kernel chooses one. */
  readonly address?: number;
}

/**
 * Where the whole pages of a range end.
 *
 * @throws KernelError EINVAL where it is not page aligned, or no range
 */
function endOfRange(start: number, length: number): number {
  const end = start + pageAlign(length);
  if (
    start % PAGE_SIZE !== 0 ||
    !Number.isSafeInteger(length) ||
    !Number.isSafeInteger(end) ||
    start < 0 ||
    length < 0
  ) {
    throw new KernelError(
      'EINVAL',
      `${length} bytes from ${start} are no pages`,
    );
  }
  return end;
}

/** The mappings of one process (`struct mm_struct`), by address. */
export class AddressSpace {
  private readonly vmas: Vma[] = [];
  /** Between here and the base there is no gap. */
  private searchTop: number;
  private changeCount = 0;

  /**
   * @param base mmap_base: mappings are laid downwards from here
   * @param top TASK_SIZE: no address is as high
   * @param lowest the lowest address that mappings may get
   */
  constructor(
    private readonly holdings: Holdings,
    private readonly base: number,
    private readonly top: number,
    private readonly lowest = 0x10000,
  ) {
    this.searchTop = base;
  }

  /** Counts the mappings that came, went or are not what they were. */
  get changes(): number {
    return this.changeCount;
  }

  /** This one takes another's place: its count goes on from there. */
  replaces(other: AddressSpace): void {
    this.changeCount += other.changeCount;
  }

  /** By ascending address. */
  get areas(): readonly Vma[] {
    return this.vmas;
  }

  /**
   * Maps, at the highest gap below the base that is long enough.
   *
   * @returns the mapping's address
   * @throws KernelError ENOMEM, EEXIST, EINVAL
   */
  map(request: MapRequest): number {
    const length = pageAlign(request.length);
    const start = request.address ?? this.highestGap(length);
    if (start % PAGE_SIZE !== 0 || start < 0) {
      throw new KernelError('EINVAL', `address ${start} is not page aligned`);
    }
    const index = this.indexOfFirstEndingAbove(start);
    const next = this.vmas[index];
    if (next !== undefined && next.start < start + length) {
      throw new KernelError(
        'EEXIST',
        `${start.toString(16)} is mapped already`,
      );
    }
    this.insert(index, {
      start,
      end: start + length,
      protection: request.protection,
      shared: request.shared,
      mayWrite: request.mayWrite ?? true,
      offset: request.offset ?? 0,
      file: request.file,
      label: request.label ?? '',
      rendered: undefined,
    });
    if (start + length === this.searchTop) this.searchTop = start;
    return start;
  }

  /**
   * Unmaps what lies in the range, splitting mappings that reach beyond it;
   * a range with nothing in it is no error.
   *
   * @throws KernelError EINVAL for an odd address, no length, or an end above
   *   the address space
   */
  unmap(start: number, length: number): void {
    const end = endOfRange(start, length);
    if (length === 0 || end > this.top) {
      throw new KernelError('EINVAL', `nothing to unmap: ${length} bytes`);
    }
    const from = this.splitAt(start);
    const to = this.splitAt(end);
    const gone = this.vmas.splice(from, to - from);
    if (gone.length > 0) this.searchTop = Math.max(this.searchTop, end);
    if (this.searchTop > this.base) this.searchTop = this.base;
    for (const vma of gone) this.dropped(vma);
  }

  /**
   * Changes the protection of a range, splitting mappings that reach beyond
   * it and are protected otherwise. Pieces are not merged again: dma-buf
   * mappings are VM_PFNMAP. No length is no error.
   *
   * As mprotect(2) does, it goes from mapping to mapping: those before the one
   * that makes it fail are changed already.
   *
   * @throws KernelError EINVAL for an odd address; ENOMEM where a part of the
   *   range is not mapped; EACCES for writing where that may not be
   */
  protect(start: number, length: number, protection: Protection): void {
    const end = endOfRange(start, length);
    for (let at = start; at < end;) {
      const index = this.indexOfFirstEndingAbove(at);
      const vma = this.vmas[index];
      if (vma === undefined || vma.start > at) {
        throw new KernelError('ENOMEM', `${at.toString(16)} is not mapped`);
      }
      if (protection.write && !vma.mayWrite) {
        throw new KernelError('EACCES', 'the file was opened read-only');
      }
      at = vma.end;
      // mprotect_fixup() leaves alone, and whole, what is protected so already.
      if (isSameProtection(vma.protection, protection)) continue;
      this.splitAt(Math.min(vma.end, end));
      const first = this.splitAt(Math.max(vma.start, start));
      const piece = this.vmas[first];
      if (piece !== undefined) {
        this.vmas[first] = {...piece, protection, rendered: undefined};
        this.changeCount++;
      }
    }
  }

  /** The child's mappings after fork. */
  copy(holdings: Holdings): AddressSpace {
    const copy = new AddressSpace(holdings, this.base, this.top, this.lowest);
    for (const vma of this.vmas) copy.insert(copy.vmas.length, vma);
    copy.searchTop = this.searchTop;
    return copy;
  }

  /** Unmaps everything. */
  clear(): void {
    const gone = this.vmas.splice(0);
    this.searchTop = this.base;
    for (const vma of gone) this.dropped(vma);
  }

  private insert(index: number, vma: Vma): void {
    this.vmas.splice(index, 0, vma);
    this.changeCount++;
    vma.file?.get('map');
    if (vma.file instanceof DmaBuf) {
      this.holdings.addMap(vma.file, vma.end - vma.start);
    }
  }

  private dropped(vma: Vma): void {
    this.changeCount++;
    if (vma.file instanceof DmaBuf) {
      this.holdings.removeMap(vma.file, vma.end - vma.start);
    }
    vma.file?.put('map');
  }

  /**
   * Makes `address` a boundary.
   *
   * @returns the index of the first mapping at or above it
   */
  private splitAt(address: number): number {
    const index = this.indexOfFirstEndingAbove(address);
    const vma = this.vmas[index];
    if (vma === undefined || vma.start >= address) return index;
    const lower = {...vma, end: address, rendered: undefined};
    const upper = {
      ...vma,
      start: address,
      offset: vma.offset + (address - vma.start),
      rendered: undefined,
    };
    // The file must not lose its last reference on the way.
    this.insert(index, lower);
    this.insert(index + 1, upper);
    this.vmas.splice(index + 2, 1);
    this.dropped(vma);
    return index + 1;
  }

  private indexOfFirstEndingAbove(address: number): number {
    let low = 0;
    let high = this.vmas.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const vma = this.vmas[middle];
      if (vma !== undefined && vma.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private highestGap(length: number): number {
    let top = this.searchTop;
    const above = this.indexOfFirstEndingAbove(top - 1);
    for (let i = Math.min(above, this.vmas.length - 1); ; i--) {
      const vma = this.vmas[i];
      if (vma !== undefined && vma.start >= top) continue;
      const bottom = vma?.end ?? this.lowest;
      if (bottom < top && top - bottom >= length) return top - length;
      if (vma === undefined) break;
      // No gap at all: the next search need not look here again.
      if (bottom >= top && top === this.searchTop) this.searchTop = vma.start;
      top = Math.min(top, vma.start);
    }
    throw new KernelError('ENOMEM', `no gap of ${length} bytes left`);
  }
}
