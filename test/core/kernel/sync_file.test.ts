// SPDX-License-Identifier: Apache-2.0
// A buffer's fences as a file, and back.
import {beforeEach, describe, expect, it} from 'vitest';
import type {DmaBuf, Fence} from '../../../src/core/kernel/dma_buf.js';
import {MAX_OPEN_FILES} from '../../../src/core/kernel/fd_table.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {
  DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_WRITE,
  SimulatedKernel,
  kernelProfile,
} from '../../../src/core/simulator.js';
import {dumpKernel} from './kernel_dump.js';

let kernel: SimulatedKernel;
let pid: number;
/** Two buffers. */
let fd: number;
let buffer: DmaBuf;
let otherFd: number;
let other: DmaBuf;

function boot(profile: string): void {
  kernel = new SimulatedKernel({profile: kernelProfile(profile), seed: 1});
  pid = kernel.spawn({});
  fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
  buffer = kernel.bufferOf(pid, fd);
  otherFd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
  other = kernel.bufferOf(pid, otherFd);
}

beforeEach(() => {
  boot('6.12');
});

/** 0, or the errno's name; nothing may have changed then. */
function outcome(call: () => unknown): string {
  const before = dumpKernel(kernel);
  try {
    call();
    return '0';
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    expect(dumpKernel(kernel)).toBe(before);
    return error.errno;
  }
}

/** Each on a context of its own. */
function add(usage: Fence['usage'], seqno: bigint): Fence {
  const fence = {
    usage,
    driver: 'gpu',
    timeline: 'ring',
    context: seqno,
    seqno,
    signalled: false,
  };
  kernel.dmaBufs.addFence(buffer, fence);
  return fence;
}

function fencesOf({fences}: DmaBuf): string[] {
  return fences.map(({usage, seqno}) => `${usage} ${seqno}`);
}

describe('the numbers', () => {
  it('are those of include/uapi/linux/dma-buf.h', () => {
    expect(DMA_BUF_IOCTL_EXPORT_SYNC_FILE).toBe(0xc008_6202);
    expect(DMA_BUF_IOCTL_IMPORT_SYNC_FILE).toBe(0x4008_6203);
  });

  // Kernel: whether it knows them.
  it.each([
    ['rfc-v1', 'ENOTTY'],
    ['5.3', 'ENOTTY'],
    ['5.10', 'ENOTTY'],
    ['5.15', 'ENOTTY'],
    ['6.1', '0'],
    ['6.12', '0'],
    ['7.x', '0'],
  ])('on %s', (profile, errno) => {
    boot(profile);
    const flags = DMA_BUF_SYNC_READ;
    expect(outcome(() => kernel.exportSyncFile(pid, fd, flags))).toBe(errno);
    const syncFile = otherFd + 1;
    expect(outcome(() => kernel.importSyncFile(pid, fd, syncFile, flags))).toBe(
      errno,
    );
    const null_ = kernel.open(pid, '/dev/null');
    expect(outcome(() => kernel.exportSyncFile(pid, null_, flags))).toBe(
      'ENOTTY',
    );
    expect(outcome(() => kernel.exportSyncFile(pid, 99, flags))).toBe('EBADF');
  });
});

describe('export', () => {
  it('gives the lowest free descriptor, of an anonymous file', () => {
    const made = kernel.ioctl(pid, fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, {
      flags: DMA_BUF_SYNC_READ,
    });
    expect(made).toBe(otherFd + 1);
    const path = `/proc/${pid}/fd/${otherFd + 1}`;
    expect(kernel.vfs.readlink(path)).toBe('anon_inode:sync_file');
    // Opened without flags, and close-on-exec.
    expect(kernel.vfs.read(`/proc/${pid}/fdinfo/${otherFd + 1}`)).toMatch(
      /^pos:\t0\nflags:\t02000000\nmnt_id:\t\d+\nino:\t\d+\n$/,
    );
    kernel.exec(pid, '/system/bin/x');
    expect(kernel.vfs.list(`/proc/${pid}/fd`)).toEqual([]);
  });

  it.each([0, 4, 8, 1 | 4, 2 ** 32 + 1, NaN])('refuses flags %d', (flags) => {
    expect(outcome(() => kernel.exportSyncFile(pid, fd, flags))).toBe('EINVAL');
  });

  it('refuses a bad pointer, and a full table', () => {
    const request = DMA_BUF_IOCTL_EXPORT_SYNC_FILE;
    expect(outcome(() => kernel.ioctl(pid, fd, request, undefined))).toBe(
      'EFAULT',
    );
    for (let i = otherFd + 1; i < MAX_OPEN_FILES; i++) kernel.dup(pid, fd);
    expect(() => kernel.exportSyncFile(pid, fd, 1)).toThrow(/^EMFILE: /);
  });
});

describe('import', () => {
  // Flags of the export: what comes along.
  it.each([
    [DMA_BUF_SYNC_READ, ['write 1', 'write 2']],
    [DMA_BUF_SYNC_WRITE, ['write 1', 'write 2', 'write 3']],
    [DMA_BUF_SYNC_READ | DMA_BUF_SYNC_WRITE, ['write 1', 'write 2', 'write 3']],
  ])('brings what was exported with flags %i', (flags, expected) => {
    add('kernel', 1n);
    add('write', 2n);
    add('read', 3n);
    add('bookkeep', 4n);
    const syncFile = kernel.exportSyncFile(pid, fd, flags);
    kernel.importSyncFile(pid, otherFd, syncFile, DMA_BUF_SYNC_WRITE);
    expect(fencesOf(other)).toEqual(expected);
  });

  it('makes them fences of readers or of writers', () => {
    add('write', 1n);
    const syncFile = kernel.exportSyncFile(pid, fd, DMA_BUF_SYNC_READ);
    kernel.importSyncFile(pid, otherFd, syncFile, DMA_BUF_SYNC_READ);
    expect(fencesOf(other)).toEqual(['read 1']);
    kernel.importSyncFile(pid, otherFd, syncFile, DMA_BUF_SYNC_WRITE);
    expect(fencesOf(other)).toEqual(['write 1']);
  });

  it('leaves a fence the one that it is', () => {
    const fence = add('write', 1n);
    const syncFile = kernel.exportSyncFile(pid, fd, DMA_BUF_SYNC_READ);
    // The file keeps what the buffer had then.
    add('write', 2n);
    kernel.importSyncFile(pid, otherFd, syncFile, DMA_BUF_SYNC_READ);
    expect(fencesOf(other)).toEqual(['read 1']);
    expect(other.fences[0]?.signalled).toBe(false);
    fence.signalled = true;
    expect(other.fences[0]?.signalled).toBe(true);
  });

  it('brings a stub where all was done', () => {
    add('write', 1n).signalled = true;
    const syncFile = kernel.exportSyncFile(pid, fd, DMA_BUF_SYNC_READ);
    kernel.importSyncFile(pid, otherFd, syncFile, DMA_BUF_SYNC_WRITE);
    expect(kernel.vfs.read('/sys/kernel/debug/dma_buf/bufinfo')).toContain(
      '\twrite fence:stub stub seq 0 signalled\n',
    );
  });

  it.each([0, 4, 8, NaN])('refuses flags %d', (flags) => {
    const syncFile = kernel.exportSyncFile(pid, fd, 1);
    expect(
      outcome(() => kernel.importSyncFile(pid, otherFd, syncFile, flags)),
    ).toBe('EINVAL');
    expect(other.fences).toEqual([]);
  });

  it('refuses alike what is no sync file and what is not open', () => {
    const lookalike = kernel.openAnonymous(pid, 'sync_file');
    for (const no of [fd, lookalike, 99, -1]) {
      expect(outcome(() => kernel.importSyncFile(pid, otherFd, no, 1))).toBe(
        'EINVAL',
      );
    }
    const request = DMA_BUF_IOCTL_IMPORT_SYNC_FILE;
    expect(outcome(() => kernel.ioctl(pid, fd, request, undefined))).toBe(
      'EFAULT',
    );
  });
});
