// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import type {Protection} from '../../../src/core/kernel/address_space.js';
import {
  PROT_READ,
  PROT_READ_WRITE,
} from '../../../src/core/kernel/address_space.js';
import {
  DMA_BUF_GET_NAME,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SET_NAME,
  DMA_BUF_SET_NAME_A,
  DMA_BUF_SET_NAME_B,
} from '../../../src/core/kernel/dma_buf_ioctl.js';
import {MAX_OPEN_FILES} from '../../../src/core/kernel/fd_table.js';
import {ERRNO, KernelError} from '../../../src/core/kernel/kernel_error.js';
import {O_RDONLY, O_WRONLY} from '../../../src/core/kernel/open_file.js';
import {
  PROFILE_NAMES,
  UnknownProfileError,
  kernelProfile,
} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import {SCM_MAX_FD} from '../../../src/core/kernel/unix_socket.js';
import {dumpKernel} from './kernel_dump.js';

/** Of arm64 with 39-bit addresses, which the profiles have. */
const TASK_SIZE = 2 ** 39;

interface Stage {
  kernel: SimulatedKernel;
  pid: number;
  /** A buffer of two pages. */
  fd: number;
  /** No dma-buf. */
  other: number;
}

function stage(profile = '6.12'): Stage {
  const kernel = new SimulatedKernel({
    profile: kernelProfile(profile),
    seed: 3,
  });
  const pid = kernel.spawn({});
  const other = kernel.open(pid, '/dev/null');
  const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 8192});
  return {kernel, pid, fd, other};
}

/** 0, or the errno's name; nothing may have changed then. */
function outcome({kernel}: Stage, call: () => unknown): string {
  const before = dumpKernel(kernel);
  try {
    call();
    return '0';
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    expect(error.message.startsWith(`${error.errno}: `)).toBe(true);
    expect(error.errnoNumber).toBe(ERRNO[error.errno]);
    expect(dumpKernel(kernel)).toBe(before);
    return error.errno;
  }
}

describe('DMA_BUF_SET_NAME', () => {
  it.each([
    ['31 bytes', 'x'.repeat(31), '0'],
    ['32 bytes', 'x'.repeat(32), 'EINVAL'],
    ['far more', 'x'.repeat(4096), 'EINVAL'],
    ['nothing', '', '0'],
    ['what follows a NUL', `ab\0${'x'.repeat(40)}`, '0'],
    ['a bad pointer', undefined, 'EFAULT'],
  ])('answers to %s', (_, name, errno) => {
    const s = stage();
    expect(outcome(s, () => s.kernel.setName(s.pid, s.fd, name))).toBe(errno);
  });

  it('ends the name at its NUL', () => {
    const {kernel, pid, fd} = stage();
    kernel.setName(pid, fd, 'ab\0cd');
    expect(kernel.vfs.readlink(`/proc/${pid}/fd/${fd}`)).toBe('/dmabuf:ab');
  });

  it('tells a name never set from an empty one', () => {
    const {kernel, pid, fd} = stage();
    const fdinfo = (): string => kernel.vfs.read(`/proc/${pid}/fdinfo/${fd}`);
    expect(fdinfo().endsWith('exp_name:\tsystem\n')).toBe(true);
    kernel.setName(pid, fd, '');
    expect(fdinfo().endsWith('exp_name:\tsystem\nname:\t\n')).toBe(true);
  });

  // Kernel: while no device is attached; while one is; SET_NAME_A.
  it.each([
    ['rfc-v1', '0', '0', 'ENOTTY'],
    ['5.3', '0', 'EBUSY', 'ENOTTY'],
    ['5.10', '0', 'EBUSY', '0'],
    ['5.15', '0', 'EBUSY', '0'],
    ['6.1', '0', '0', '0'],
    ['6.12', '0', '0', '0'],
    ['7.x', '0', '0', '0'],
  ])('on %s', (profile, alone, attached, compatible) => {
    const s = stage(profile);
    const {kernel, pid, fd} = s;
    const set = (request: number): string =>
      outcome(s, () => kernel.ioctl(pid, fd, request, 'name'));
    expect(set(DMA_BUF_SET_NAME)).toBe(alone);
    expect(set(DMA_BUF_SET_NAME_B)).toBe(alone);
    expect(set(DMA_BUF_SET_NAME_A)).toBe(compatible);
    const display = kernel.newImporter('display');
    const handle = display.import(kernel.bufferOf(pid, fd));
    expect(set(DMA_BUF_SET_NAME)).toBe(attached);
    // A bad name is refused before the device is asked for.
    expect(outcome(s, () => kernel.setName(pid, fd, 'x'.repeat(32)))).toBe(
      'EINVAL',
    );
    display.release(handle);
    expect(set(DMA_BUF_SET_NAME)).toBe(alone);
  });
});

describe('other requests', () => {
  it.each(PROFILE_NAMES)('DMA_BUF_GET_NAME on %s', (profile) => {
    const s = stage(profile);
    const {kernel, pid, fd} = s;
    const get = (): unknown => kernel.ioctl(pid, fd, DMA_BUF_GET_NAME, '');
    if (profile !== 'rfc-v1') {
      expect(outcome(s, get)).toBe('ENOTTY');
      return;
    }
    expect(get()).toBe('');
    kernel.setName(pid, fd, 'n1');
    expect(get()).toBe('n1');
    expect(
      outcome(s, () => kernel.ioctl(pid, fd, DMA_BUF_GET_NAME, undefined)),
    ).toBe('EFAULT');
  });

  it.each([
    [1, '0'],
    [3 | 4, '0'],
    [0, 'EINVAL'],
    [4, 'EINVAL'],
    [8, 'EINVAL'],
  ])('DMA_BUF_IOCTL_SYNC with flags %i', (flags, errno) => {
    const s = stage();
    const sync = (): unknown =>
      s.kernel.ioctl(s.pid, s.fd, DMA_BUF_IOCTL_SYNC, {flags});
    expect(outcome(s, sync)).toBe(errno);
  });

  it('DMA_BUF_IOCTL_SYNC with flags of more than 32 bits', () => {
    const s = stage();
    for (const flags of [2 ** 32 + 1, -1, 1.5, NaN]) {
      const sync = (): unknown =>
        s.kernel.ioctl(s.pid, s.fd, DMA_BUF_IOCTL_SYNC, {flags});
      expect(outcome(s, sync)).toBe('EINVAL');
    }
  });

  it('are unknown', () => {
    const s = stage();
    expect(outcome(s, () => s.kernel.ioctl(s.pid, s.fd, 0x6299, ''))).toBe(
      'ENOTTY',
    );
    expect(outcome(s, () => s.kernel.setName(s.pid, s.other, 'x'))).toBe(
      'ENOTTY',
    );
    expect(outcome(s, () => s.kernel.setName(s.pid, 99, 'x'))).toBe('EBADF');
  });
});

describe('misuse', () => {
  const cases: [string, (s: Stage) => unknown, string][] = [
    ['close a closed fd', (s) => s.kernel.close(s.pid, 99), 'EBADF'],
    ['close for nobody', (s) => s.kernel.close(4000, 0), 'ESRCH'],
    ['dup a closed fd', (s) => s.kernel.dup(s.pid, 99), 'EBADF'],
    [
      'dup above the limit',
      (s) => s.kernel.dup(s.pid, s.fd, {lowest: 1e9}),
      'EINVAL',
    ],
    ['dup2 above the limit', (s) => s.kernel.dup2(s.pid, s.fd, 1e9), 'EBADF'],
    [
      'map beyond the end',
      (s) => s.kernel.mmap(s.pid, s.fd, {length: 12288}),
      'EINVAL',
    ],
    [
      'map from the end on',
      (s) => s.kernel.mmap(s.pid, s.fd, {offset: 8192, length: 1}),
      'EINVAL',
    ],
    ['map nothing', (s) => s.kernel.mmap(s.pid, s.fd, {length: 0}), 'EINVAL'],
    [
      'map at an odd offset',
      (s) => s.kernel.mmap(s.pid, s.fd, {offset: 12}),
      'EINVAL',
    ],
    ['map what is no dma-buf', (s) => s.kernel.mmap(s.pid, s.other), 'EINVAL'],
    ['unmap an odd address', (s) => s.kernel.munmap(s.pid, 12, 4096), 'EINVAL'],
    ['unmap no length', (s) => s.kernel.munmap(s.pid, 4096, 0), 'EINVAL'],
    ['unmap nothing', (s) => s.kernel.munmap(s.pid, 4096, 4096), '0'],
    [
      'unmap the last page of the address space',
      (s) => s.kernel.munmap(s.pid, TASK_SIZE - 4096, 1),
      '0',
    ],
    [
      'unmap above the address space',
      (s) => s.kernel.munmap(s.pid, TASK_SIZE - 4096, 4097),
      'EINVAL',
    ],
    ['unmap from NaN', (s) => s.kernel.munmap(s.pid, NaN, 4096), 'EINVAL'],
    ['unmap NaN', (s) => s.kernel.munmap(s.pid, 4096, NaN), 'EINVAL'],
    ['unmap all', (s) => s.kernel.munmap(s.pid, 4096, Infinity), 'EINVAL'],
    ['unmap a fraction', (s) => s.kernel.munmap(s.pid, 4096, 0.5), 'EINVAL'],
    ['unmap below 0', (s) => s.kernel.munmap(s.pid, 4096, -4096), 'EINVAL'],
    [
      'protect from NaN',
      (s) => s.kernel.mprotect(s.pid, NaN, 4096, PROT_READ),
      'EINVAL',
    ],
    [
      'protect NaN',
      (s) => s.kernel.mprotect(s.pid, 4096, NaN, PROT_READ),
      'EINVAL',
    ],
    [
      'protect all',
      (s) => s.kernel.mprotect(s.pid, 4096, Infinity, PROT_READ),
      'EINVAL',
    ],
    [
      'protect an odd address',
      (s) => s.kernel.mprotect(s.pid, 12, 4096, PROT_READ),
      'EINVAL',
    ],
    [
      'protect no length',
      (s) => s.kernel.mprotect(s.pid, 4096, 0, PROT_READ),
      '0',
    ],
    [
      'protect what is not mapped',
      (s) => s.kernel.mprotect(s.pid, 4096, 4096, PROT_READ),
      'ENOMEM',
    ],
    [
      'protect above the address space',
      (s) => s.kernel.mprotect(s.pid, TASK_SIZE, 4096, PROT_READ),
      'ENOMEM',
    ],
    ['seek to the end', (s) => s.kernel.seek(s.pid, s.fd, 0, 'end'), '0'],
    ['seek to the start', (s) => s.kernel.seek(s.pid, s.fd, 0, 'set'), '0'],
    [
      'seek into the middle',
      (s) => s.kernel.seek(s.pid, s.fd, 1, 'set'),
      'EINVAL',
    ],
    [
      'seek before the end',
      (s) => s.kernel.seek(s.pid, s.fd, -1, 'end'),
      'EINVAL',
    ],
    [
      'seek from here',
      (s) => s.kernel.seek(s.pid, s.fd, 0, 'current'),
      'EINVAL',
    ],
    [
      'export nothing',
      (s) => s.kernel.exportBuffer(s.pid, {exporter: 'system', sizeBytes: 0}),
      'EINVAL',
    ],
    [
      'export a fraction',
      (s) => s.kernel.exportBuffer(s.pid, {exporter: 'system', sizeBytes: 0.5}),
      'EINVAL',
    ],
    [
      'export too much',
      (s) =>
        s.kernel.exportBuffer(s.pid, {exporter: 'system', sizeBytes: 2 ** 45}),
      'ENOMEM',
    ],
    [
      'export from nowhere',
      (s) => s.kernel.exportBuffer(s.pid, {exporter: '', sizeBytes: 1}),
      'ENOENT',
    ],
    [
      'export under a long name',
      (s) =>
        s.kernel.exportBuffer(s.pid, {
          exporter: 'system',
          sizeBytes: 1,
          name: 'x'.repeat(32),
        }),
      'EINVAL',
    ],
    [
      'send over no socket',
      (s) => s.kernel.sendFds(s.pid, s.other, [s.fd]),
      'ENOTSOCK',
    ],
    [
      'receive from no socket',
      (s) => s.kernel.receiveFds(s.pid, s.other),
      'ENOTSOCK',
    ],
    ['end init', (s) => s.kernel.exit(1), 'EPERM'],
    ['reap the living', (s) => s.kernel.reap(s.pid), 'ECHILD'],
    ['end the main thread alone', (s) => s.kernel.endThread(s.pid), 'EINVAL'],
    ['spawn without parent', (s) => s.kernel.spawn({parent: 4000}), 'ESRCH'],
    [
      'import no GEM',
      (s) => s.kernel.drmImport(s.pid, s.other, s.fd),
      'ENOTTY',
    ],
  ];

  it.each(cases)('%s', (_, call, errno) => {
    const s = stage();
    expect(outcome(s, () => call(s))).toBe(errno);
  });

  it('of sockets', () => {
    const s = stage();
    const {kernel, pid, fd} = s;
    const [near, far] = kernel.socketPair(pid);
    expect(outcome(s, () => kernel.receiveFds(pid, far))).toBe('EAGAIN');
    expect(outcome(s, () => kernel.sendFds(pid, near, []))).toBe('EINVAL');
    expect(outcome(s, () => kernel.sendFds(pid, near, [fd, 99]))).toBe('EBADF');
    expect(outcome(s, () => kernel.sendFds(pid, near, [far]))).toBe(
      'EOPNOTSUPP',
    );
    const most = new Array<number>(SCM_MAX_FD).fill(fd);
    expect(outcome(s, () => kernel.sendFds(pid, near, [...most, fd]))).toBe(
      'EINVAL',
    );
    // As many as that, closed or not: their number is looked at first.
    expect(outcome(s, () => kernel.sendFds(pid, near, [...most, 99]))).toBe(
      'EINVAL',
    );
    expect(outcome(s, () => kernel.sendFds(pid, near, most))).toBe('0');
    expect(kernel.receiveFds(pid, far)).toHaveLength(253);
    kernel.close(pid, far);
    expect(outcome(s, () => kernel.sendFds(pid, near, [fd]))).toBe('EPIPE');
  });

  it('of a buffer that may only be read', () => {
    const s = stage();
    const {kernel, pid} = s;
    const fd = kernel.exportBuffer(pid, {
      exporter: 'system',
      sizeBytes: 4096,
      flags: O_RDONLY,
    });
    expect(outcome(s, () => kernel.mmap(pid, fd))).toBe('EACCES');
    const address = kernel.mmap(pid, fd, {protection: PROT_READ});
    const protect = (protection: Protection): string =>
      outcome(s, () => kernel.mprotect(pid, address, 4096, protection));
    expect(protect(PROT_READ_WRITE)).toBe('EACCES');
    expect(protect(PROT_READ)).toBe('0');
    // A child's copy may not be written either.
    const child = kernel.fork(pid);
    expect(() => {
      kernel.mprotect(child, address, 4096, PROT_READ_WRITE);
    }).toThrow(/^EACCES: /);
    const flags = kernel.vfs
      .read(`/proc/${pid}/smaps`)
      .split('\n')
      .filter((line) => line.startsWith('VmFlags:'));
    // Shared as seen from outside (ms), but neither sh nor mw.
    expect(flags).toContain('VmFlags: rd mr me ms pf io de dd ');
  });

  it('of a buffer that may only be written', () => {
    const s = stage();
    const {kernel, pid} = s;
    const fd = kernel.exportBuffer(pid, {
      exporter: 'system',
      sizeBytes: 4096,
      flags: O_WRONLY,
    });
    for (const protection of [PROT_READ, PROT_READ_WRITE]) {
      expect(outcome(s, () => kernel.mmap(pid, fd, {protection}))).toBe(
        'EACCES',
      );
    }
  });

  it('of an export by DRM that may only be written', () => {
    const s = stage();
    const {kernel, pid} = s;
    const drm = kernel.openDrm(pid);
    const handle = kernel.drmCreateDumb(pid, drm, 4096);
    expect(
      outcome(s, () => kernel.drmExport(pid, drm, handle, {flags: O_WRONLY})),
    ).toBe('EINVAL');
  });

  it('of the end of an access that never began, of udmabuf alone', () => {
    const s = stage();
    const {kernel, pid} = s;
    const end = (exporter: string): string => {
      const fd = kernel.exportBuffer(pid, {exporter, sizeBytes: 4096});
      const sync = (flags: number): string =>
        outcome(s, () => kernel.ioctl(pid, fd, DMA_BUF_IOCTL_SYNC, {flags}));
      return [sync(5), sync(1), sync(5)].join(' ');
    };
    expect(end('system')).toBe('0 0 0');
    expect(end('udmabuf')).toBe('EINVAL 0 0');
  });

  it('of secure memory, which nobody maps', () => {
    const s = stage();
    const {kernel, pid} = s;
    const fd = kernel.exportBuffer(pid, {
      exporter: 'vframe-secure',
      sizeBytes: 4096,
    });
    expect(outcome(s, () => kernel.mmap(pid, fd))).toBe('EINVAL');
  });

  it('of a kernel thread and a zombie', () => {
    const s = stage();
    const {kernel} = s;
    const thread = kernel.spawn({comm: 'kswapd0', kernelThread: true});
    expect(outcome(s, () => kernel.fork(thread))).toBe('EPERM');
    expect(outcome(s, () => kernel.open(thread, '/x'))).toBe('EBADF');
    const zombie = kernel.spawn({});
    kernel.exit(zombie, {reap: false});
    expect(outcome(s, () => kernel.exit(zombie))).toBe('ESRCH');
    expect(outcome(s, () => kernel.open(zombie, '/x'))).toBe('ESRCH');
  });

  it('of a full table: nothing is allocated for it', () => {
    const {kernel, pid, fd} = stage();
    for (let i = 2; i < MAX_OPEN_FILES; i++) kernel.dup(pid, fd);
    const count = kernel.dmaBufs.count;
    for (const call of [
      () => kernel.dup(pid, fd),
      () => kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1}),
      () => kernel.socketPair(pid),
    ]) {
      expect(call).toThrow(/^EMFILE: /);
    }
    expect(kernel.dmaBufs.count).toBe(count);
    kernel.close(pid, 7);
    expect(kernel.dup(pid, fd)).toBe(7);
  });

  it('of the names of kernels', () => {
    expect(() => kernelProfile('4.19')).toThrow(UnknownProfileError);
    expect(() => kernelProfile('4.19')).toThrow(/rfc-v1, 5\.3, .*7\.x/);
  });
});
