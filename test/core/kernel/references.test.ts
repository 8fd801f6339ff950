// SPDX-License-Identifier: Apache-2.0
import {beforeEach, describe, expect, it} from 'vitest';
import {PROT_READ} from '../../../src/core/kernel/address_space.js';
import type {DmaBuf} from '../../../src/core/kernel/dma_buf.js';
import {kernelProfile} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';

const PAGE = 4096;

let kernel: SimulatedKernel;
let a: number;
let b: number;
/** A buffer of eight pages, and its descriptor in `a`. */
let fd: number;
let buffer: DmaBuf;

beforeEach(() => {
  kernel = new SimulatedKernel({profile: kernelProfile('6.12'), seed: 1});
  a = kernel.spawn({executable: '/system/bin/a'});
  b = kernel.spawn({executable: '/system/bin/b'});
  fd = kernel.exportBuffer(a, {exporter: 'system', sizeBytes: 8 * PAGE});
  buffer = kernel.bufferOf(a, fd);
});

/** Descriptors, VMAs, in flight, in the kernel. */
function refs(): number[] {
  return (['fd', 'map', 'inFlight', 'kernel'] as const).map((kind) =>
    buffer.refsOf(kind),
  );
}

function heldBy(pid: number): unknown {
  return kernel.processes.find(pid)?.holdings.get(buffer);
}

describe('a descriptor', () => {
  it('holds the buffer until it is closed', () => {
    expect(refs()).toEqual([1, 0, 0, 0]);
    expect(kernel.dmaBufs.count).toBe(1);
    kernel.close(a, fd);
    expect(kernel.dmaBufs.count).toBe(0);
    expect(kernel.dmaBufs.totalBytes).toBe(0);
  });

  it('takes the lowest free number', () => {
    const next = kernel.dup(a, fd);
    expect(next).toBe(fd + 1);
    expect(kernel.dup(a, fd, {lowest: 100})).toBe(100);
    kernel.close(a, fd);
    expect(kernel.dup(a, next)).toBe(fd);
    expect(refs()).toEqual([3, 0, 0, 0]);
  });

  it('gives way to dup2', () => {
    const other = kernel.exportBuffer(a, {exporter: 'system', sizeBytes: 1});
    kernel.dup2(a, fd, other);
    expect(refs()).toEqual([2, 0, 0, 0]);
    expect(kernel.dmaBufs.count).toBe(1);
    kernel.dup2(a, fd, fd);
    expect(refs()).toEqual([2, 0, 0, 0]);
  });
});

describe('a mapping', () => {
  it('holds the buffer after every descriptor is closed', () => {
    const address = kernel.mmap(a, fd);
    kernel.close(a, fd);
    expect(refs()).toEqual([0, 1, 0, 0]);
    expect(heldBy(a)).toEqual({
      fdRefs: 0,
      mapRefs: 1,
      mappedBytes: 8 * PAGE,
    });
    kernel.munmap(a, address, 8 * PAGE);
    expect(kernel.dmaBufs.count).toBe(0);
  });

  it('counts once for each time it is made', () => {
    kernel.mmap(a, fd, {length: PAGE});
    kernel.mmap(a, fd, {length: PAGE, offset: 7 * PAGE});
    expect(refs()).toEqual([1, 2, 0, 0]);
    expect(heldBy(a)).toMatchObject({mapRefs: 2, mappedBytes: 2 * PAGE});
  });

  it('is split by a hole', () => {
    const address = kernel.mmap(a, fd);
    kernel.munmap(a, address + 2 * PAGE, PAGE);
    expect(refs()).toEqual([1, 2, 0, 0]);
    expect(heldBy(a)).toMatchObject({mapRefs: 2, mappedBytes: 7 * PAGE});
    kernel.munmap(a, address + PAGE, 3 * PAGE);
    expect(heldBy(a)).toMatchObject({mapRefs: 2, mappedBytes: 5 * PAGE});
    kernel.munmap(a, address, 8 * PAGE);
    expect(refs()).toEqual([1, 0, 0, 0]);
  });

  it('is split in three by another protection in its middle', () => {
    const address = kernel.mmap(a, fd);
    kernel.mprotect(a, address + PAGE, PAGE, PROT_READ);
    expect(refs()).toEqual([1, 3, 0, 0]);
    expect(heldBy(a)).toMatchObject({mapRefs: 3, mappedBytes: 8 * PAGE});
    const lines = kernel.vfs
      .read(`/proc/${a}/maps`)
      .split('\n')
      .filter((line) => line.includes('/dmabuf:'));
    expect(lines.map((line) => line.split(' ').slice(1, 3))).toEqual([
      ['rw-s', '00000000'],
      ['r--s', '00001000'],
      ['rw-s', '00002000'],
    ]);
  });

  it('is protected up to a hole, where mprotect fails', () => {
    const address = kernel.mmap(a, fd);
    kernel.munmap(a, address + 4 * PAGE, PAGE);
    expect(() => {
      kernel.mprotect(a, address + PAGE, 5 * PAGE, PROT_READ);
    }).toThrow(/^ENOMEM: /);
    const mapped = kernel.processes
      .alive(a)
      .memory?.areas.filter(({file}) => file === buffer)
      .map(({start, end, protection}) => [
        (start - address) / PAGE,
        (end - address) / PAGE,
        protection.write,
      ]);
    expect(mapped).toEqual([
      [0, 1, true],
      [1, 4, false],
      [5, 8, true],
    ]);
    expect(heldBy(a)).toMatchObject({mapRefs: 3, mappedBytes: 7 * PAGE});
  });

  it('goes to the highest gap that is long enough', () => {
    const first = kernel.mmap(a, fd);
    const second = kernel.mmap(a, fd, {length: 2 * PAGE});
    const third = kernel.mmap(a, fd, {length: PAGE});
    expect(second).toBe(first - 2 * PAGE);
    expect(third).toBe(second - PAGE);
    kernel.munmap(a, second, 2 * PAGE);
    expect(kernel.mmap(a, fd, {length: 3 * PAGE})).toBe(third - 3 * PAGE);
    expect(kernel.mmap(a, fd, {length: PAGE})).toBe(second + PAGE);
  });
});

describe('a message', () => {
  it('holds the buffer while no process does', () => {
    const [out, inEnd] = kernel.socketPair(a, b);
    kernel.sendFds(a, out, [fd]);
    kernel.close(a, fd);
    expect(refs()).toEqual([0, 0, 1, 0]);
    expect([heldBy(a), heldBy(b)]).toEqual([undefined, undefined]);
    expect(kernel.vfs.read(`/proc/${b}/fdinfo/${inEnd}`)).toContain(
      'scm_fds: 1\n',
    );
    const [received = -1] = kernel.receiveFds(b, inEnd);
    expect(refs()).toEqual([1, 0, 0, 0]);
    expect(kernel.bufferOf(b, received)).toBe(buffer);
  });

  it('is lost with the socket it waits at', () => {
    const [out, inEnd] = kernel.socketPair(a, b);
    kernel.sendFds(a, out, [fd]);
    kernel.close(a, fd);
    kernel.close(b, inEnd);
    expect(kernel.dmaBufs.count).toBe(0);
  });

  it('is lost when the process that should receive it ends', () => {
    const [out] = kernel.socketPair(a, b);
    kernel.sendFds(a, out, [fd, fd]);
    kernel.close(a, fd);
    expect(refs()).toEqual([0, 0, 2, 0]);
    kernel.exit(b);
    expect(kernel.dmaBufs.count).toBe(0);
  });
});

describe('a process', () => {
  it('inherits descriptors and mappings by fork', () => {
    kernel.mmap(a, fd);
    const child = kernel.fork(a);
    expect(refs()).toEqual([2, 2, 0, 0]);
    expect(buffer.holders).toBe(2);
    kernel.exit(a);
    expect(refs()).toEqual([1, 1, 0, 0]);
    expect(kernel.vfs.readlink(`/proc/${child}/fd/${fd}`)).toBe('/dmabuf:');
  });

  it('keeps over exec only what is not marked close-on-exec', () => {
    kernel.mmap(a, fd);
    const kept = kernel.dup(a, fd, {closeOnExec: false});
    kernel.exec(a, '/system/bin/new', ['new', '-x']);
    expect(refs()).toEqual([1, 0, 0, 0]);
    expect(kernel.vfs.list(`/proc/${a}/fd`)).toEqual([`${kept}`]);
    expect(kernel.vfs.read(`/proc/${a}/comm`)).toBe('new\n');
    expect(kernel.vfs.read(`/proc/${a}/cmdline`)).toBe('new\0-x\0');
  });

  it('lets all go when it exits, zombie or not', () => {
    kernel.mmap(a, fd);
    kernel.exit(a, {reap: false});
    expect(kernel.dmaBufs.count).toBe(0);
    expect(kernel.vfs.read(`/proc/${a}/stat`)).toMatch(/^\d+ \(a\) Z 1 /);
    expect(kernel.vfs.list(`/proc/${a}/fd`)).toEqual([]);
    expect(kernel.vfs.read(`/proc/${a}/maps`)).toBe('');
    expect(kernel.vfs.read(`/proc/${a}/cmdline`)).toBe('');
    kernel.reap(a);
    expect(kernel.vfs.list('/proc')).not.toContain(`${a}`);
  });

  it('leaves its children to init', () => {
    const child = kernel.fork(a);
    kernel.exit(a);
    expect(kernel.vfs.read(`/proc/${child}/status`)).toContain('PPid:\t1\n');
  });

  it('leaves its zombies to init, which reaps them', () => {
    const zombie = kernel.fork(a);
    const living = kernel.fork(a);
    kernel.exit(zombie, {reap: false});
    expect(kernel.vfs.list('/proc')).toContain(`${zombie}`);
    // Init does not wait until its parent's zombie goes.
    kernel.exit(a, {reap: false});
    expect(kernel.vfs.list('/proc')).not.toContain(`${zombie}`);
    expect(kernel.vfs.list('/proc')).toContain(`${a}`);
    expect(kernel.vfs.list('/proc')).toContain(`${living}`);
    expect(() => {
      kernel.reap(zombie);
    }).toThrow(/^ECHILD: /);
  });

  it('counts a buffer once, however it holds it', () => {
    kernel.dup(a, fd);
    kernel.mmap(a, fd);
    kernel.mmap(a, fd, {length: PAGE});
    kernel.transfer(a, fd, b);
    const processA = kernel.processes.alive(a);
    expect(processA.holdings.rssBytes).toBe(8 * PAGE);
    expect(processA.holdings.pssBytes).toBe(4 * PAGE);
  });

  it('gets a number that is free, from 300 on after the wrap', () => {
    const small = new SimulatedKernel({
      profile: kernelProfile('6.12'),
      seed: 1,
      pidMax: 303,
    });
    const first = small.spawn({});
    for (let i = first; i < 302; i++) small.exit(small.spawn({}));
    expect(small.spawn({})).toBe(300);
    expect(small.spawn({})).toBe(301);
  });
});

describe('a thread', () => {
  it('shares its process table', () => {
    const tid = kernel.startThread(a);
    expect(refs()).toEqual([1, 0, 0, 0]);
    kernel.close(tid, fd);
    expect(kernel.dmaBufs.count).toBe(0);
  });

  it('holds for its process what only its own table has', () => {
    const tid = kernel.startThread(a, {unshareFiles: true});
    expect(refs()).toEqual([2, 0, 0, 0]);
    kernel.close(a, fd);
    expect(heldBy(a)).toMatchObject({fdRefs: 1});
    expect(kernel.vfs.list(`/proc/${a}/fd`)).toEqual([]);
    expect(kernel.vfs.list(`/proc/${a}/task/${tid}/fd`)).toEqual([`${fd}`]);
    kernel.endThread(tid);
    expect(kernel.dmaBufs.count).toBe(0);
  });
});

describe('an importer', () => {
  it('holds the buffer for the kernel, and is listed while attached', () => {
    const display = kernel.newImporter('soc:display');
    const handle = display.import(buffer, {refs: 2});
    kernel.close(a, fd);
    expect(refs()).toEqual([0, 0, 0, 2]);
    const bufinfo = '/sys/kernel/debug/dma_buf/bufinfo';
    expect(kernel.vfs.read(bufinfo)).toContain(
      '\tAttached Devices:\n\tsoc:display\nTotal 1 devices attached\n',
    );
    display.release(handle);
    expect(kernel.dmaBufs.count).toBe(0);
  });

  it('comes before those that attached earlier', () => {
    for (const device of ['isp', 'codec', 'display']) {
      kernel.newImporter(device).import(buffer);
    }
    expect(kernel.vfs.read('/sys/kernel/debug/dma_buf/bufinfo')).toContain(
      '\tAttached Devices:\n\tdisplay\n\tcodec\n\tisp\n' +
        'Total 3 devices attached\n',
    );
  });

  it('can not get hold of a buffer that is released', () => {
    const display = kernel.newImporter('display');
    kernel.close(a, fd);
    for (const attach of [true, false]) {
      expect(() => display.import(buffer, {attach})).toThrow(/^EBADF: /);
    }
    expect(() => kernel.dmaBufs.attach(buffer, 'isp')).toThrow(/^EBADF: /);
    expect(refs()).toEqual([0, 0, 0, 0]);
    expect(buffer.attachments.size).toBe(0);
    expect(kernel.dmaBufs.count).toBe(0);
    // The first handle is the next one's: none was given.
    const made = kernel.exportToDriver(display, {
      exporter: 'camera',
      sizeBytes: PAGE,
    });
    expect(made).toBe(1);
  });

  it('may export what no process ever holds', () => {
    const isp = kernel.newImporter('isp');
    const handle = kernel.exportToDriver(isp, {
      exporter: 'camera',
      sizeBytes: PAGE,
      name: 'firmware',
    });
    expect(kernel.dmaBufs.count).toBe(2);
    isp.release(handle);
    expect(kernel.dmaBufs.count).toBe(1);
  });
});

describe('a GEM handle', () => {
  it('holds what it exported twice, and what it imported three times', () => {
    const drm = kernel.openDrm(b);
    const own = kernel.drmCreateDumb(b, drm, PAGE);
    const exported = kernel.drmExport(b, drm, own);
    const made = kernel.bufferOf(b, exported);
    expect(made.refsOf('kernel')).toBe(2);
    // The same buffer again, not another.
    expect(kernel.bufferOf(b, kernel.drmExport(b, drm, own))).toBe(made);

    const sent = kernel.transfer(a, fd, b);
    const handle = kernel.drmImport(b, drm, sent);
    expect(kernel.drmImport(b, drm, sent)).toBe(handle);
    expect(refs()).toEqual([2, 0, 0, 3]);
    kernel.drmCloseHandle(b, drm, handle);
    expect(refs()).toEqual([2, 0, 0, 0]);
    kernel.drmCloseHandle(b, drm, own);
    expect(made.refsOf('kernel')).toBe(0);
  });

  it('goes with the last reference to its device file', () => {
    const drm = kernel.openDrm(a);
    kernel.drmImport(a, drm, fd);
    kernel.close(a, fd);
    const child = kernel.fork(a);
    kernel.exit(a);
    expect(refs()).toEqual([0, 0, 0, 3]);
    kernel.exit(child);
    expect(kernel.dmaBufs.count).toBe(0);
  });
});
