// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {PAGE_SIZE, pageAlign} from './address_space.js';
import type {
  ChangeCounter,
  DeviceAttachment,
  DmaBufBacking,
  DmaBufOwner,
  Fence,
  MapBehaviour,
} from './dma_buf.js';
import {DmaBuf} from './dma_buf.js';
import type {InodeAllocator} from './inode_allocator.js';
import {OwnInodeCounter} from './inode_allocator.js';
import {KernelError} from './kernel_error.js';
import type {FileKind} from './open_file.js';
import {O_ACCMODE, O_NONBLOCK} from './open_file.js';
import type {KernelProfile} from './profile.js';
import {checkRaw} from './raw_text.js';
import {withFence} from './reservation.js';

/** S_IRUSR | S_IWUSR: alloc_anon_inode() sets no type bits. */
const ANON_INODE_MODE = 0o600;

/** Memory of the simulated machine: no single buffer is larger. */
export const TOTAL_RAM_BYTES = 12 * 1024 ** 3;

export interface ExportRequest {
  /** exp_name. */
  readonly exporter: RawText;
  /** Rounded up to whole pages, as every exporter does. */
  readonly sizeBytes: number;
  readonly mapping: MapBehaviour;
  /** O_RDWR and so on; other bits than access mode and O_NONBLOCK fall away. */
  readonly flags: number;
  /** CPU that the exporting task runs on. */
  readonly cpu: number;
  readonly backing?: DmaBufBacking;
}

/** Buffers that were exported one after the other, as far as they live. */
export interface BufferBlock {
  /** Oldest first. */
  readonly buffers: DmaBuf[];
  readonly changes: ChangeCounter;
}

const BLOCK_BUFFERS = 32;

/** drivers/dma-buf/dma-buf.c: all buffers that there are. */
export class DmaBufSubsystem implements DmaBufOwner {
  /** By inode where it is unique, else by serial; oldest first. */
  private readonly live = new Map<number, DmaBuf>();
  /** The newest live buffer of each inode number where they are not unique. */
  private readonly byInode: Map<number, DmaBuf> | undefined;
  /** The same by blocks of their serials. */
  private readonly blocks = new Map<number, BufferBlock>();
  private readonly inodes: InodeAllocator;
  private readonly kind: FileKind;
  private exported = 0;
  private renames = 0;
  private bytes = 0;

  constructor(
    readonly profile: KernelProfile,
    sharedInodes: InodeAllocator,
  ) {
    this.inodes =
      profile.inodes === 'own' ? new OwnInodeCounter() : sharedInodes;
    this.byInode = profile.inodes === 'own' ? undefined : new Map();
    this.kind = {
      device: {major: 0, minor: profile.minors.dmabuf},
      mode: ANON_INODE_MODE,
      mountId: profile.mountIds.dmabuf,
    };
  }

  /** Live buffers. */
  get count(): number {
    return this.live.size;
  }

  /** Sum of the live buffers' sizes. */
  get totalBytes(): number {
    return this.bytes;
  }

  /** Counts the names that mapped buffers were given. */
  get renamedMappings(): number {
    return this.renames;
  }

  /** Live buffers, oldest first. */
  oldestFirst(): IterableIterator<DmaBuf> {
    return this.live.values();
  }

  /** Live buffers in blocks, oldest first. */
  inBlocks(): Iterable<BufferBlock> {
    return this.blocks.values();
  }

  /** Live buffers in bufinfo's order: newest first. */
  newestFirst(): DmaBuf[] {
    return [...this.live.values()].reverse();
  }

  /** The live buffer of that inode number; the newest if several share it. */
  find(inode: bigint): DmaBuf | undefined {
    // Numbers count from 1: none is ever so large that it is not exact.
    return (this.byInode ?? this.live).get(Number(inode));
  }

  /**
   * dma_buf_export(). The buffer comes without any reference: the caller takes
   * the first one.
   *
   * @throws KernelError EINVAL for a size that is no positive integer, ENOMEM
   *   for one above the machine's memory, EEXIST where sysfs has a directory
   *   of the inode number already (sysfs with shared numbers: 5.13 to 5.17
   *   without the fix of May 2022; the number is used up)
   */
  exportBuffer(request: ExportRequest): DmaBuf {
    const sizeBytes = checkedSize(request.sizeBytes);
    const inode = this.inodes.next(request.cpu);
    if (this.profile.sysfsStats && this.byInode?.has(Number(inode)) === true) {
      throw new KernelError('EEXIST', `inode ${inode} is in use in sysfs`);
    }
    const flags = request.flags & (O_ACCMODE | O_NONBLOCK);
    const serial = this.exported++;
    const block = this.blockOf(serial);
    const buffer = new DmaBuf({
      inode,
      kind: this.kind,
      statusFlags: flags,
      serial,
      exporter: request.exporter,
      sizeBytes,
      mapping: request.mapping,
      owner: this,
      changes: block.changes,
      backing: request.backing,
    });
    block.buffers.push(buffer);
    block.changes.count++;
    this.live.set(this.keyOf(buffer), buffer);
    this.byInode?.set(Number(inode), buffer);
    this.bytes += sizeBytes;
    return buffer;
  }

  renamedMapping(): void {
    this.renames++;
  }

  released(buffer: DmaBuf): void {
    const {byInode} = this;
    const inode = Number(buffer.inode);
    this.live.delete(this.keyOf(buffer));
    const {buffers, changes} = this.blockOf(buffer.serial);
    buffers.splice(buffers.indexOf(buffer), 1);
    changes.count++;
    if (buffers.length === 0) this.blocks.delete(blockNumber(buffer.serial));
    if (byInode?.get(inode) === buffer) byInode.delete(inode);
    this.bytes -= buffer.sizeBytes;
  }

  private blockOf(serial: number): BufferBlock {
    const number = blockNumber(serial);
    let block = this.blocks.get(number);
    if (block === undefined) {
      block = {buffers: [], changes: {count: 0}};
      this.blocks.set(number, block);
    }
    return block;
  }

  private keyOf({inode, serial}: DmaBuf): number {
    return this.byInode === undefined ? Number(inode) : serial;
  }

  /** f_mode, as bufinfo prints it. */
  fileMode(buffer: DmaBuf): number {
    return (this.profile.fileModeBits | buffer.accessMode) >>> 0;
  }

  /**
   * A device attaches (dma_buf_attach). Takes no reference: the importer holds
   * its own.
   *
   * @throws KernelError EBADF for a released buffer
   */
  attach(buffer: DmaBuf, device: RawText): DeviceAttachment {
    checkAlive(buffer);
    checkRaw("a device's name", device);
    const attachment = {device};
    buffer.attach(attachment);
    return attachment;
  }

  /** @throws KernelError EINVAL when it is not attached */
  detach(buffer: DmaBuf, attachment: DeviceAttachment): void {
    if (!buffer.detach(attachment)) {
      throw new KernelError('EINVAL', `${attachment.device} is not attached`);
    }
  }

  /**
   * A driver has work to do on the buffer. Whether it is done shows in the
   * fence itself, which is kept as it is.
   *
   * @throws KernelError EBADF for a released buffer, EINVAL for a usage that
   *   the kernel has not
   */
  addFence(buffer: DmaBuf, fence: Fence): void {
    checkAlive(buffer);
    checkRaw("a fence's driver", fence.driver);
    checkRaw("a fence's timeline", fence.timeline);
    buffer.fences = withFence(this.profile, buffer.fences, fence);
  }

  /**
   * dma_buf_llseek(): tells the size, or rewinds, and nothing else.
   *
   * @throws KernelError EINVAL
   */
  seek(buffer: DmaBuf, offset: number, whence: 'set' | 'current' | 'end') {
    if (offset !== 0 || whence === 'current') {
      throw new KernelError('EINVAL', 'a dma-buf seeks to its ends only');
    }
    return whence === 'end' ? buffer.sizeBytes : 0;
  }

  /**
   * The checks of do_mmap() and dma_buf_mmap_internal() for a shared mapping.
   *
   * @param length bytes, whole pages
   * @param offset bytes
   * @throws KernelError EINVAL beyond the buffer's end or for an exporter
   *   without mmap, EACCES for a write-only buffer, or for writing to a
   *   read-only one
   */
  checkMap(
    buffer: DmaBuf,
    length: number,
    offset: number,
    writable: boolean,
  ): void {
    // do_mmap(): whatever the protection, the file has to be readable.
    if (!buffer.isReadable) {
      throw new KernelError('EACCES', 'the buffer was exported write-only');
    }
    if (writable && !buffer.isWritable) {
      throw new KernelError('EACCES', 'the buffer was exported read-only');
    }
    if (buffer.mapping === 'refused') {
      throw new KernelError(
        'EINVAL',
        `buffers of ${buffer.exporter} can not be mapped`,
      );
    }
    if (offset + length > buffer.sizeBytes) {
      throw new KernelError(
        'EINVAL',
        `${offset} + ${length} is beyond the ${buffer.sizeBytes} bytes`,
      );
    }
  }
}

/**
 * No caller can have a buffer that nothing refers to.
 *
 * @throws KernelError EBADF
 */
export function checkAlive(buffer: DmaBuf): void {
  if (buffer.refCount === 0) {
    throw new KernelError('EBADF', `buffer ${buffer.inode} is released`);
  }
}

function blockNumber(serial: number): number {
  return Math.floor(serial / BLOCK_BUFFERS);
}

function checkedSize(sizeBytes: number): number {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
    throw new KernelError('EINVAL', `${sizeBytes} bytes can not be allocated`);
  }
  if (sizeBytes / PAGE_SIZE > TOTAL_RAM_BYTES / PAGE_SIZE) {
    throw new KernelError(
      'ENOMEM',
      `${sizeBytes} bytes are more than there is`,
    );
  }
  return pageAlign(sizeBytes);
}
