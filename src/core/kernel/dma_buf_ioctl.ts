// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {DmaBuf, Fence} from './dma_buf.js';
import type {DmaBufSubsystem} from './dma_buf_subsystem.js';
import {KernelError} from './kernel_error.js';
import type {OpenFile} from './open_file.js';
import type {KernelProfile} from './profile.js';
import {checkRaw} from './raw_text.js';
import {fenceAs, fencesFor, stubFence} from './reservation.js';
import {SyncFile} from './sync_file.js';

/** Request numbers of include/uapi/linux/dma-buf.h, for 64-bit processes. */
export const DMA_BUF_IOCTL_SYNC = 0x40086200;
export const DMA_BUF_SET_NAME = 0x40086201;
/** Also SET_NAME of a 32-bit process. */
export const DMA_BUF_SET_NAME_A = 0x40046201;
/** The same number as SET_NAME. */
export const DMA_BUF_SET_NAME_B = 0x40086201;
/** Only in the first version of the 2019 series. */
export const DMA_BUF_GET_NAME = 0x80086202;

/** Both since 6.0. */
export const DMA_BUF_IOCTL_EXPORT_SYNC_FILE = 0xc0086202;
export const DMA_BUF_IOCTL_IMPORT_SYNC_FILE = 0x40086203;

/** Flags of SYNC, EXPORT_SYNC_FILE and IMPORT_SYNC_FILE. */
export const DMA_BUF_SYNC_READ = 1;
export const DMA_BUF_SYNC_WRITE = 2;
/** Of SYNC only: access ends. */
export const DMA_BUF_SYNC_END = 4;

/** Bytes of a name with its NUL. */
export const DMA_BUF_NAME_LEN = 32;

/**
 * A string or struct in user memory; undefined for a bad pointer. `fd` is the
 * sync file of IMPORT_SYNC_FILE.
 */
export type IoctlArgument =
  RawText | {readonly flags: number; readonly fd?: number} | undefined;

/** What the requests that deal with descriptors need of the calling task. */
export interface IoctlCaller {
  /** Undefined where nothing is open. */
  file(fd: number): OpenFile | undefined;
  /**
   * @returns the new descriptor
   * @throws KernelError EMFILE
   */
  installSyncFile(fences: readonly Fence[]): number;
}

const SYNC_RW = DMA_BUF_SYNC_READ | DMA_BUF_SYNC_WRITE;

/**
 * dma_buf_ioctl() of drivers/dma-buf/dma-buf.c.
 *
 * @returns the name for DMA_BUF_GET_NAME, the new descriptor for
 *   DMA_BUF_IOCTL_EXPORT_SYNC_FILE, else undefined
 * @throws KernelError EFAULT for a bad pointer, EINVAL for a name of 32 bytes
 *   or more, bad flags or a descriptor that is no open sync file, EBUSY for a
 *   rename while a device is attached (5.3 to 5.16), EMFILE, ENOTTY for a
 *   request this kernel does not know
 */
export function dmaBufIoctl(
  dmaBufs: DmaBufSubsystem,
  buffer: DmaBuf,
  request: number,
  argument: IoctlArgument,
  caller: IoctlCaller,
): RawText | number | undefined {
  const {profile} = dmaBufs;
  switch (request) {
    case DMA_BUF_IOCTL_SYNC:
      sync(buffer, argument);
      return undefined;
    case DMA_BUF_SET_NAME:
      setName(profile, buffer, argument);
      return undefined;
    case DMA_BUF_SET_NAME_A:
      if (!profile.setNameA) break;
      setName(profile, buffer, argument);
      return undefined;
    case DMA_BUF_GET_NAME:
      if (!profile.getName) break;
      if (argument === undefined) throw badPointer();
      return buffer.name ?? '';
    case DMA_BUF_IOCTL_EXPORT_SYNC_FILE:
      if (!profile.syncFileIoctls) break;
      return exportSyncFile(buffer, argument, caller);
    case DMA_BUF_IOCTL_IMPORT_SYNC_FILE:
      if (!profile.syncFileIoctls) break;
      importSyncFile(dmaBufs, buffer, argument, caller);
      return undefined;
  }
  throw new KernelError(
    'ENOTTY',
    `a dma-buf of kernel ${profile.name} has no ioctl 0x${request.toString(16)}`,
  );
}

/** @throws KernelError as {@link dmaBufIoctl} */
export function setName(
  profile: KernelProfile,
  buffer: DmaBuf,
  argument: IoctlArgument,
): void {
  if (typeof argument !== 'string') throw badPointer();
  checkRaw("a buffer's name", argument);
  const end = argument.indexOf('\0');
  const name = end < 0 ? argument : argument.slice(0, end);
  if (name.length >= DMA_BUF_NAME_LEN) {
    throw new KernelError(
      'EINVAL',
      `a name has at most ${DMA_BUF_NAME_LEN - 1} bytes, not ${name.length}`,
    );
  }
  if (!profile.renameWhileAttached && buffer.attachments.size > 0) {
    throw new KernelError('EBUSY', 'a device is attached to the buffer');
  }
  buffer.name = name;
}

function sync(buffer: DmaBuf, argument: IoctlArgument): void {
  if (typeof argument !== 'object') throw badPointer();
  checkFlags(argument.flags, SYNC_RW | DMA_BUF_SYNC_END);
  if ((argument.flags & DMA_BUF_SYNC_END) === 0) {
    buffer.isAccessed = true;
  } else if (buffer.exporter === 'udmabuf' && !buffer.isAccessed) {
    // end_cpu_udmabuf(), without `ubuf->sg`; other exporters do not mind.
    throw new KernelError('EINVAL', 'an access ends that never began');
  }
}

/** dma_buf_export_sync_file(). */
function exportSyncFile(
  buffer: DmaBuf,
  argument: IoctlArgument,
  caller: IoctlCaller,
): number {
  if (typeof argument !== 'object') throw badPointer();
  checkFlags(argument.flags, SYNC_RW);
  // dma_resv_usage_rw(): who is to write waits for those who read, too.
  const usage = (argument.flags & DMA_BUF_SYNC_WRITE) === 0 ? 'write' : 'read';
  const pending = fencesFor(buffer.fences, usage).filter(
    ({signalled}) => !signalled,
  );
  return caller.installSyncFile(pending.length === 0 ? [stubFence()] : pending);
}

/**
 * dma_buf_import_sync_file(). What is no sync file, or not open at all, is
 * EINVAL: the kernel does not tell them apart.
 */
function importSyncFile(
  dmaBufs: DmaBufSubsystem,
  buffer: DmaBuf,
  argument: IoctlArgument,
  caller: IoctlCaller,
): void {
  if (typeof argument !== 'object') throw badPointer();
  const {flags, fd = -1} = argument;
  checkFlags(flags, SYNC_RW);
  const file = caller.file(fd);
  if (!(file instanceof SyncFile)) {
    throw new KernelError('EINVAL', `descriptor ${fd} is no open sync file`);
  }
  const usage = (flags & DMA_BUF_SYNC_WRITE) === 0 ? 'read' : 'write';
  for (const fence of file.fences) {
    dmaBufs.addFence(buffer, fenceAs(usage, fence));
  }
}

/**
 * 32 bits, all of them known, of which at least one says READ or WRITE.
 *
 * @throws KernelError EINVAL
 */
function checkFlags(flags: number, known: number): void {
  const isKnown = flags >>> 0 === flags && (flags & ~known) === 0;
  if (!isKnown || (flags & SYNC_RW) === 0) {
    throw new KernelError('EINVAL', `bad sync flags 0x${flags.toString(16)}`);
  }
}

function badPointer(): KernelError {
  return new KernelError('EFAULT', 'bad pointer');
}
