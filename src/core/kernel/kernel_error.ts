// SPDX-License-Identifier: Apache-2.0

/** Numbers as in the kernel's include/uapi/asm-generic/errno*.h. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ESPIPE: 29,
  EPIPE: 32,
  EOVERFLOW: 75,
  ENOTSOCK: 88,
  EOPNOTSUPP: 95,
  ENOBUFS: 105,
} as const;

export type ErrnoName = keyof typeof ERRNO;

/**
 * A system call, or a read in the simulated /proc or /sys, that failed as the
 * kernel would have failed it. The simulated state is what it was before.
 */
export class KernelError extends Error {
  override readonly name = 'KernelError';

  /** @param errno the error's name, such as `EBADF` */
  constructor(
    readonly errno: ErrnoName,
    detail: string,
  ) {
    super(`${errno}: ${detail}`);
  }

  /** The number a system call returns, negated, for this error. */
  get errnoNumber(): number {
    return ERRNO[this.errno];
  }
}
