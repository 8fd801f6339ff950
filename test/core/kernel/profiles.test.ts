// SPDX-License-Identifier: Apache-2.0
// What differs between the kernels; the captured text of some of them is
// compared in captured_text.test.ts.
import {describe, expect, it} from 'vitest';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {
  androidKernelProfile,
  kernelProfile,
} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';

const BUFINFO = '/sys/kernel/debug/dma_buf/bufinfo';

/** A process with a named buffer (fd 0) and an unnamed one (fd 1). */
function stage(profile: string): {kernel: SimulatedKernel; pid: number} {
  const kernel = new SimulatedKernel({
    profile: kernelProfile(profile),
    seed: 1,
  });
  const pid = kernel.spawn({executable: '/system/bin/holder'});
  const buffer = {exporter: 'system', sizeBytes: 8192};
  kernel.exportBuffer(pid, {...buffer, name: 'camera'});
  kernel.exportBuffer(pid, buffer);
  return {kernel, pid};
}

describe("the series' first version", () => {
  const {kernel, pid} = stage('rfc-v1');

  it('shows the same path for every buffer', () => {
    kernel.mmap(pid, 0);
    expect(kernel.vfs.readlink(`/proc/${pid}/fd/0`)).toBe('/dmabuf (deleted)');
    expect(kernel.vfs.readlink(`/proc/${pid}/fd/1`)).toBe('/dmabuf (deleted)');
    expect(kernel.vfs.read(`/proc/${pid}/maps`)).toMatch(
      / rw-s 00000000 00:0a 1 +\/dmabuf \(deleted\)\n/,
    );
  });

  it('tells size, count, exporter and name in fdinfo, but no inode', () => {
    expect(kernel.vfs.read(`/proc/${pid}/fdinfo/0`)).toBe(
      'pos:\t0\nflags:\t02000002\nmnt_id:\t11\n' +
        'size:\t8192\ncount:\t2\nexp_name:\tion\nname:\tcamera\n',
    );
  });

  it('lists inodes and names in bufinfo', () => {
    expect(kernel.vfs.read(BUFINFO)).toBe(
      '\nDma-buf Objects:\n' +
        'size    \tflags   \tmode    \tcount   \texp_name\tino     \n' +
        '00008192\t00000002\t00080007\t00000001\tion\t00000002\t\n' +
        '\tAttached Devices:\nTotal 0 devices attached\n\n' +
        '00008192\t00000002\t00080007\t00000002\tion\t00000001\tcamera\n' +
        '\tAttached Devices:\nTotal 0 devices attached\n\n' +
        '\nTotal 2 objects, 16384 bytes\n',
    );
  });

  it('skips a buffer that it can not lock', () => {
    const buffer = kernel.bufferOf(pid, 1);
    buffer.locked = true;
    expect(kernel.vfs.read(BUFINFO)).toContain(
      'ino     \n\tERROR locking buffer object: skipping\n00008192\t',
    );
    buffer.locked = false;
  });
});

describe('paths', () => {
  it.each(['5.3', '5.10', '5.15', '6.1', '6.12', '7.x'])('on %s', (profile) => {
    const {kernel, pid} = stage(profile);
    expect(kernel.vfs.readlink(`/proc/${pid}/fd/0`)).toBe('/dmabuf:camera');
    expect(kernel.vfs.readlink(`/proc/${pid}/fd/1`)).toBe('/dmabuf:');
  });

  it('escapes the newline, and nothing else, in maps alone', () => {
    const {kernel, pid} = stage('6.12');
    kernel.setName(pid, 0, 'a\n \\b\t');
    kernel.mmap(pid, 0);
    expect(kernel.vfs.readlink(`/proc/${pid}/fd/0`)).toBe('/dmabuf:a\n \\b\t');
    expect(kernel.vfs.read(`/proc/${pid}/maps`)).toContain(
      ' /dmabuf:a\\012 \\b\t\n',
    );
  });
});

// Kernel: `ino:` in fdinfo, size of /proc/PID/fd, exporter of the system heap,
// mode of fdinfo's directory.
describe.each([
  ['rfc-v1', false, 0n, 'ion', 0o500],
  ['5.3', false, 0n, 'ion', 0o500],
  ['5.10', false, 0n, 'system', 0o500],
  ['5.15', true, 0n, 'system', 0o555],
  ['6.1', true, 0n, 'system', 0o555],
  ['6.12', true, 2n, 'system', 0o555],
  ['7.x', true, 2n, 'system', 0o555],
])('kernel %s', (profile, inode, fdCount, exporter, mode) => {
  const {kernel, pid} = stage(profile);

  it('prints fdinfo', () => {
    const text = kernel.vfs.read(`/proc/${pid}/fdinfo/0`);
    expect(text.includes('\nino:\t1\n')).toBe(inode);
    expect(text).toContain(`\nexp_name:\t${exporter}\n`);
  });

  it('tells the number of descriptors', () => {
    expect(kernel.vfs.stat(`/proc/${pid}/fd`).size).toBe(fdCount);
    expect(kernel.vfs.stat(`/proc/${pid}/fdinfo`).mode & 0o777).toBe(mode);
  });

  it('names itself', () => {
    const {release} = kernel.profile;
    expect(
      release.startsWith(profile === '7.x' ? '7.' : '5.0') ||
        release.startsWith(profile),
    ).toBe(true);
    expect(kernel.vfs.read('/proc/sys/kernel/osrelease')).toBe(`${release}\n`);
    expect(kernel.vfs.read('/proc/version')).toContain(
      `Linux version ${release} `,
    );
  });

  it('tells size, inode and mode by stat', () => {
    expect(kernel.vfs.stat(`/proc/${pid}/fd/0`)).toEqual({
      ino: 1n,
      size: 8192n,
      blocks: 16n,
      // No type bits: alloc_anon_inode() sets none.
      mode: 0o600,
      dev: {major: 0, minor: kernel.profile.minors.dmabuf},
    });
  });
});

describe('inode numbers', () => {
  it('are 1, 2, 3, ... and never come back from 5.18 on', () => {
    const {kernel, pid} = stage('6.1');
    kernel.close(pid, 1);
    kernel.pipe(pid);
    const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
    expect(kernel.bufferOf(pid, fd).inode).toBe(3n);
  });

  it('are shared with sockets and pipes before', () => {
    const {kernel, pid} = stage('5.10');
    kernel.pipe(pid);
    kernel.socketPair(pid);
    const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
    expect(kernel.bufferOf(pid, fd).inode).toBe(6n);
  });

  it('come in batches of 1024 for each CPU', () => {
    const {kernel, pid} = stage('5.10');
    const other = kernel.spawn({});
    const fd = kernel.exportBuffer(other, {exporter: 'system', sizeBytes: 1});
    expect(kernel.bufferOf(other, fd).inode).toBe(1025n);
    expect(kernel.bufferOf(pid, 1).inode).toBe(2n);
  });

  it('are shared on no release of 5.15.y that has the counter of its own', () => {
    for (const {profile} of [
      stage('5.15').kernel,
      new SimulatedKernel({profile: androidKernelProfile('5.15'), seed: 1}),
    ]) {
      expect(profile.inodes).toBe('shared');
      // March 2022; the fix is of May.
      expect(profile.release).toMatch(/^5\.15\.30(?:-|$)/);
    }
  });

  /** Keeps inode 1 after the wrap, until the number comes up again. */
  function comesAgain(sysfsStats: boolean): string {
    const kernel = new SimulatedKernel({
      profile: kernelProfile('5.15', {sysfsStats, cpus: 1}),
      seed: 1,
      sharedInodesFrom: 0xffff_fc00,
    });
    const pid = kernel.spawn({});
    const make = (): number =>
      kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
    const inodes: bigint[] = [];
    for (let i = 0; i < 2047; i++) {
      const fd = make();
      const {inode} = kernel.bufferOf(pid, fd);
      inodes.push(inode);
      if (inode !== 1n) kernel.close(pid, fd);
    }
    expect(inodes.slice(1021, 1025)).toEqual([
      0xffff_fffen,
      0xffff_ffffn,
      // 0 is left out.
      1n,
      2n,
    ]);
    expect(inodes.at(-1)).toBe(1024n);
    try {
      return `inode ${kernel.bufferOf(pid, make()).inode}`;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      return error.errno;
    }
  }

  it('wrap at 32 bits and collide', () => {
    expect(comesAgain(false)).toBe('inode 1');
  });

  it('collide in sysfs, so that the allocation fails', () => {
    expect(comesAgain(true)).toBe('EEXIST');
  });
});

describe('what is there', () => {
  const sysfs = '/sys/kernel/dmabuf/buffers';
  const there = (kernel: SimulatedKernel, path: string): boolean => {
    try {
      kernel.vfs.stat(path);
      return true;
    } catch (error) {
      expect((error as KernelError).errno).toBe('ENOENT');
      return false;
    }
  };

  // Android kernel: sysfs statistics, dmabuf_rss, BPF iterator.
  it.each([
    ['5.3', false, false, false],
    ['5.10', true, false, false],
    ['5.15', true, false, false],
    ['6.1', true, true, false],
    ['6.12', true, true, false],
    ['7.x', false, true, true],
  ])('on Android %s', (name, stats, rss, bpf) => {
    const kernel = new SimulatedKernel({
      profile: androidKernelProfile(name),
      seed: 1,
    });
    const iterator = '/sys/fs/bpf/dmabuf/prog_dmabufIter_iter_dmabuf';
    expect(there(kernel, sysfs)).toBe(stats);
    expect(there(kernel, '/proc/1/dmabuf_rss')).toBe(rss);
    expect(there(kernel, '/proc/1/dmabuf_rss_hwm')).toBe(rss);
    expect(there(kernel, '/proc/1/dmabuf_pss')).toBe(rss);
    expect(there(kernel, iterator)).toBe(bpf);
  });

  it('prints the BPF iterator', () => {
    const kernel = new SimulatedKernel({
      profile: androidKernelProfile('7.x'),
      seed: 1,
    });
    const pid = kernel.spawn({});
    kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1, name: 'a\nb'});
    kernel.exportBuffer(pid, {exporter: 'camera', sizeBytes: 8192});
    expect(
      kernel.vfs.read('/sys/fs/bpf/dmabuf/prog_dmabufIter_iter_dmabuf'),
    ).toBe('2\n8192\n\ncamera\n1\n4096\na b\nsystem\n');
  });

  it('leaves dmabuf_rss empty for who has no memory', () => {
    const kernel = new SimulatedKernel({
      profile: androidKernelProfile('6.1'),
      seed: 1,
    });
    const thread = kernel.spawn({comm: 'kswapd0', kernelThread: true});
    expect(kernel.vfs.read(`/proc/${thread}/dmabuf_rss`)).toBe('');
    expect(kernel.vfs.read('/proc/1/dmabuf_rss')).toBe('0\n');
  });

  it('remembers the most that dmabuf_rss was, for each process', () => {
    const kernel = new SimulatedKernel({
      profile: androidKernelProfile('6.1'),
      seed: 1,
    });
    const pid = kernel.spawn({});
    const rss = (of: number): string[] =>
      ['dmabuf_rss', 'dmabuf_rss_hwm'].map((name) =>
        kernel.vfs.read(`/proc/${of}/${name}`).trimEnd(),
      );
    const make = (sizeBytes: number): number =>
      kernel.exportBuffer(pid, {exporter: 'system', sizeBytes});
    const large = make(16384);
    make(4096);
    // Held twice, but counted once.
    kernel.mmap(pid, large);
    kernel.dup(pid, large);
    expect(rss(pid)).toEqual(['20480', '20480']);
    // The copy by dup stays open, and the peak is the process's.
    kernel.exec(pid, '/system/bin/x');
    expect(rss(pid)).toEqual(['16384', '20480']);
    const child = kernel.fork(pid);
    expect(rss(child)).toEqual(['16384', '16384']);
    expect(kernel.vfs.stat(`/proc/${pid}/dmabuf_rss_hwm`).mode).toBe(0o100644);
    kernel.exit(pid, {reap: false});
    expect(rss(pid)).toEqual(['', '']);
  });

  it('has no debugfs where it is not mounted', () => {
    const kernel = new SimulatedKernel({
      profile: kernelProfile('6.12', {debugfs: false}),
      seed: 1,
    });
    expect(there(kernel, BUFINFO)).toBe(false);
    expect(kernel.vfs.list('/sys/kernel/debug')).toEqual([]);
  });
});

// One fence of each sort, signalled and not.
it.each([
  [
    '5.15',
    '\tExclusive fence: gpu ring0 signalled\n\tShared fence: gpu ring0 unsignalled\n',
  ],
  [
    '6.1',
    '\twrite fence:gpu ring0 seq 6 signalled\n\tread fence:gpu ring0 seq 7 unsignalled\n',
  ],
  [
    '7.x',
    '\twrite fence:3:6   signalled\n\tread fence:3:7 ring0 gpu unsignalled\n',
  ],
])('prints fences as %s does', (profile, lines) => {
  const {kernel, pid} = stage(profile);
  const fence = {driver: 'gpu', timeline: 'ring0', context: 3n};
  const buffer = kernel.bufferOf(pid, 1);
  const running = {
    ...fence,
    usage: 'read' as const,
    seqno: 7n,
    signalled: false,
  };
  const done = {...fence, usage: 'write' as const, seqno: 6n, signalled: false};
  kernel.dmaBufs.addFence(buffer, done);
  kernel.dmaBufs.addFence(buffer, running);
  done.signalled = true;
  expect(kernel.vfs.read(BUFINFO)).toContain(`${lines}\tAttached Devices:\n`);
});
