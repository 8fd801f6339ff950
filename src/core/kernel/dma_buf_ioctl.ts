// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {DmaBuf} from './dma_buf.js';
import {KernelError} from './kernel_error.js';
import type {KernelProfile} from './profile.js';
import {checkRaw} from './raw_text.js';

/** Request numbers of include/uapi/linux/dma-buf.h, for 64-bit processes. */
export const DMA_BUF_IOCTL_SYNC = 0x40086200;
export const DMA_BUF_SET_NAME = 0x40086201;
/** Also SET_NAME of a 32-bit process. */
export const DMA_BUF_SET_NAME_A = 0x40046201;
/** The same number as SET_NAME. */
export const DMA_BUF_SET_NAME_B = 0x40086201;
/** Only in the first version of the 2019 series. */
export const DMA_BUF_GET_NAME = 0x80086202;

/** Bytes of a name with its NUL. */
export const DMA_BUF_NAME_LEN = 32;

/** A string or struct in user memory; undefined for a bad pointer. */
export type IoctlArgument = RawText | {readonly flags: number} | undefined;

const SYNC_RW = 3;
const SYNC_END = 4;

/**
 * dma_buf_ioctl() of drivers/dma-buf/dma-buf.c, for those requests that need
 * no descriptor of their own.
 *
 * @returns the name for DMA_BUF_GET_NAME, else undefined
 * @throws KernelError EFAULT for a bad pointer, EINVAL for a name of 32 bytes
 *   or more or bad flags, EBUSY for a rename while a device is attached (5.3
 *   to 5.16), ENOTTY for a request this kernel does not know
 */
export function dmaBufIoctl(
  profile: KernelProfile,
  buffer: DmaBuf,
  request: number,
  argument: IoctlArgument,
): RawText | undefined {
  switch (request) {
    case DMA_BUF_IOCTL_SYNC:
      sync(argument);
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
  }
  throw new KernelError(
    'ENOTTY',
    `a dma-buf of kernel ${profile.name} has no ioctl 0x${request.toString(16)}`,
  );
}

function setName(
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

function sync(argument: IoctlArgument): void {
  if (typeof argument !== 'object') throw badPointer();
  const {flags} = argument;
  const known = (flags & ~(SYNC_RW | SYNC_END)) === 0;
  if (!known || (flags & SYNC_RW) === 0) {
    throw new KernelError('EINVAL', `bad sync flags 0x${flags.toString(16)}`);
  }
}

/**
 * The checks of DMA_BUF_IOCTL_EXPORT_SYNC_FILE, whose answer is a descriptor.
 *
 * @throws KernelError ENOTTY before 6.0, EINVAL for bad flags
 */
export function checkExportSyncFile(
  profile: KernelProfile,
  flags: number,
): void {
  if (!profile.syncFileIoctls) {
    throw new KernelError('ENOTTY', `${profile.name} exports no sync files`);
  }
  if ((flags & ~SYNC_RW) !== 0 || flags === 0) {
    throw new KernelError('EINVAL', `bad sync flags 0x${flags.toString(16)}`);
  }
}

function badPointer(): KernelError {
  return new KernelError('EFAULT', 'bad pointer');
}
