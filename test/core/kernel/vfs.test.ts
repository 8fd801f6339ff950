// SPDX-License-Identifier: Apache-2.0
import {beforeEach, describe, expect, it} from 'vitest';
import {parseMaps, parseSmaps} from '../../../src/core/formats/maps.js';
import {parseProcStat} from '../../../src/core/formats/proc_stat.js';
import {parseProcStatus} from '../../../src/core/formats/proc_status.js';
import {parseProcUptime} from '../../../src/core/formats/proc_uptime.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {
  androidKernelProfile,
  kernelProfile,
} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import type {ProcFs} from '../../../src/core/kernel/vfs.js';
import {dumpKernel} from './kernel_dump.js';

let kernel: SimulatedKernel;
let vfs: ProcFs;
/** Of user 10001; its buffer is open as fd 0 and mapped. */
let pid: number;

beforeEach(() => {
  kernel = new SimulatedKernel({
    profile: androidKernelProfile('6.12'),
    seed: 5,
    bootId: '11111111-2222-4333-8444-555555555555',
  });
  kernel.advance(1_234_567_890n);
  vfs = kernel.vfs;
  pid = kernel.spawn({executable: '/system/bin/app', uid: 10001});
  const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 8192});
  kernel.mmap(pid, fd);
});

function errno(call: () => unknown): string {
  try {
    call();
    return '0';
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.errno;
  }
}

describe('a path', () => {
  it.each([
    ['/proc/99999', 'ENOENT'],
    ['/proc/1/nothing', 'ENOENT'],
    ['/proc/1/fd/99', 'ENOENT'],
    ['/proc/01', 'ENOENT'],
    ['/proc/1/fd/00', 'ENOENT'],
    ['/proc/1/constructor', 'ENOENT'],
    ['/proc/__proto__', 'ENOENT'],
    ['/etc/passwd', 'ENOENT'],
    ['/proc/uptime/x', 'ENOTDIR'],
    ['/proc/1', 'EISDIR'],
    ['/', 'EISDIR'],
  ])('%s can not be read: %s', (path, expected) => {
    expect(errno(() => vfs.read(path))).toBe(expected);
  });

  it('may hold empty parts', () => {
    expect(vfs.read(`//proc/./${pid}//comm`)).toBe('app\n');
  });

  it('is a directory, a file or a link', () => {
    expect(errno(() => vfs.list('/proc/uptime'))).toBe('ENOTDIR');
    expect(errno(() => vfs.readlink('/proc/uptime'))).toBe('EINVAL');
    expect(errno(() => vfs.read(`/proc/${pid}/fd/0`))).toBe('EINVAL');
  });
});

describe('a file', () => {
  it('tells of the machine', () => {
    expect(vfs.read('/proc/sys/kernel/random/boot_id')).toBe(
      '11111111-2222-4333-8444-555555555555\n',
    );
    expect(parseProcUptime(vfs.read('/proc/uptime')).uptimeNs).toBe(
      61_230_000_000n,
    );
  });

  it('tells of the process', () => {
    expect(parseProcStat(vfs.read(`/proc/${pid}/stat`))).toMatchObject({
      pid,
      comm: 'app',
      state: 'S',
      ppid: 1,
      numThreads: 1,
      // Started 61.23 seconds after boot.
      startTicks: 6123n,
    });
    expect(parseProcStatus(vfs.read(`/proc/${pid}/status`))).toMatchObject({
      name: 'app',
      ppid: 1,
      uids: [10001, 10001, 10001, 10001],
    });
    expect(vfs.read(`/proc/${pid}/cmdline`)).toBe('/system/bin/app\0');
  });

  it('has the lines of status that the simulator knows', () => {
    const tid = kernel.startThread(pid, {comm: 'worker'});
    expect(vfs.read(`/proc/${pid}/task/${tid}/status`)).toBe(
      'Name:\tworker\nUmask:\t0022\nState:\tS (sleeping)\n' +
        `Tgid:\t${pid}\nNgid:\t0\nPid:\t${tid}\nPPid:\t1\nTracerPid:\t0\n` +
        'Uid:\t10001\t10001\t10001\t10001\n' +
        'Gid:\t10001\t10001\t10001\t10001\n' +
        `FDSize:\t64\nGroups:\t \nNStgid:\t${pid}\nNSpid:\t${tid}\n` +
        'Kthread:\t0\nThreads:\t2\n',
    );
  });

  it('tells by status of a kernel thread, a zombie and a large table', () => {
    const status = (of: number, ...keys: string[]): string[] =>
      vfs
        .read(`/proc/${of}/status`)
        .split('\n')
        .filter((line) => keys.some((key) => line.startsWith(`${key}:`)));
    const thread = kernel.spawn({comm: 'kswapd0', kernelThread: true});
    expect(status(thread, 'State', 'Kthread')).toEqual([
      'State:\tI (idle)',
      'Kthread:\t1',
    ]);
    kernel.dup(pid, 0, {lowest: 64});
    expect(status(pid, 'FDSize')).toEqual(['FDSize:\t128']);
    kernel.dup(pid, 0, {lowest: 256});
    expect(status(pid, 'FDSize')).toEqual(['FDSize:\t512']);
    kernel.exit(pid, {reap: false});
    expect(status(pid, 'Umask', 'State', 'FDSize')).toEqual([
      'State:\tZ (zombie)',
      'FDSize:\t0',
    ]);
  });

  it('shows every mapping in maps and smaps', () => {
    const maps = parseMaps(vfs.read(`/proc/${pid}/maps`));
    const smaps = [...parseSmaps(vfs.read(`/proc/${pid}/smaps`))];
    expect(smaps.map(({vma}) => vma)).toEqual(maps);
    const paths = maps.map(({path}) => path);
    for (const path of ['[heap]', '[stack]', '[vdso]', '/system/bin/app']) {
      expect(paths).toContain(path);
    }
    const buffer = smaps.find(({vma}) => vma.path === '/dmabuf:');
    expect(buffer?.kB.get('Size')).toBe(8n);
    // VM_PFNMAP pages are counted by nobody.
    expect(buffer?.kB.get('Rss')).toBe(0n);
    expect(buffer?.kB.get('Pss')).toBe(0n);
  });

  it.each([
    ['6.1', 'system', '    0', 'rd wr sh mr mw me ms pf io de dd '],
    ['6.12', 'system', '           0', 'rd wr sh mr mw me ms pf io de dd '],
    ['6.12', 'udmabuf', '           0', 'rd wr sh mr mw me ms pf de dd '],
    ['7.x', 'system', '           0', 'rd wr sh mr mw ms pf io de dd '],
    ['7.x', 'udmabuf', '           0', 'rd wr sh mr mw ms pf de dd '],
  ])('smaps of a buffer on %s from %s', (profile, exporter, thp, flags) => {
    const machine = new SimulatedKernel({
      profile: kernelProfile(profile),
      seed: 5,
    });
    const holder = machine.spawn({executable: '/system/bin/app'});
    machine.mmap(
      holder,
      machine.exportBuffer(holder, {exporter, sizeBytes: 4096}),
    );
    const areas = [...parseSmaps(machine.vfs.read(`/proc/${holder}/smaps`))];
    const {other} = areas.find(({vma}) => vma.path === '/dmabuf:') ?? {};
    expect(other?.get('THPeligible')).toBe(thp);
    expect(other?.get('VmFlags')).toBe(` ${flags}`);
  });

  it('leads to the whole buffer from map_files', () => {
    const directory = `/proc/${pid}/map_files`;
    const sizes = vfs
      .list(directory)
      .filter((name) => vfs.readlink(`${directory}/${name}`) === '/dmabuf:')
      .map((name) => vfs.stat(`${directory}/${name}`).size);
    expect(sizes).toEqual([8192n]);
  });

  it('shows other descriptors as what they are', () => {
    const fd = kernel.openAnonymous(pid, '[eventfd]', 'eventfd-count: 0\n');
    expect(vfs.readlink(`/proc/${pid}/fd/${fd}`)).toBe('anon_inode:[eventfd]');
    expect(vfs.read(`/proc/${pid}/fdinfo/${fd}`)).toMatch(
      /^pos:\t0\nflags:\t02000002\nmnt_id:\t\d+\nino:\t\d+\neventfd-count: 0\n$/,
    );
    const [read, write] = kernel.pipe(pid);
    expect(vfs.readlink(`/proc/${pid}/fd/${read}`)).toMatch(/^pipe:\[\d+\]$/);
    expect(vfs.stat(`/proc/${pid}/fd/${write}`)).toEqual(
      vfs.stat(`/proc/${pid}/fd/${read}`),
    );
    const flags = (end: number): string | undefined =>
      /^flags:\t(.*)$/m.exec(vfs.read(`/proc/${pid}/fdinfo/${end}`))?.[1];
    expect([flags(read), flags(write)]).toEqual(['02000000', '02000001']);
    const open = kernel.open(pid, '/data/x', {sizeBytes: 5000});
    expect(vfs.stat(`/proc/${pid}/fd/${open}`)).toMatchObject({
      size: 5000n,
      mode: 0o100644,
    });
  });
});

describe('a thread', () => {
  it('is found in /proc by its number, but not listed', () => {
    const tid = kernel.startThread(pid, {comm: 'worker', unshareFiles: true});
    kernel.close(pid, 0);
    expect(vfs.list('/proc')).not.toContain(`${tid}`);
    expect(vfs.read(`/proc/${tid}/comm`)).toBe('worker\n');
    expect(vfs.list(`/proc/${tid}/task`)).toEqual([`${pid}`, `${tid}`]);
    // Its own descriptors, and the mappings of all.
    expect(vfs.readlink(`/proc/${tid}/fd/0`)).toBe('/dmabuf:');
    expect(vfs.read(`/proc/${tid}/maps`)).toBe(vfs.read(`/proc/${pid}/maps`));
    expect(vfs.stat(`/proc/${tid}`)).toMatchObject({mode: 0o040555});
    kernel.endThread(tid);
    expect(errno(() => vfs.read(`/proc/${tid}/comm`))).toBe('ENOENT');
  });

  it('has mappings below task, for who may look', () => {
    const tid = kernel.startThread(pid);
    for (const name of ['maps', 'smaps']) {
      const path = `/proc/${pid}/task/${tid}/${name}`;
      expect(vfs.read(path)).toBe(vfs.read(`/proc/${pid}/${name}`));
      expect(errno(() => kernel.vfsAs(2000).read(path))).toBe('EACCES');
    }
  });
});

describe('a reader who is not root', () => {
  const forbidden = (user: ProcFs, target: number): string[] =>
    [
      'fd',
      'fdinfo',
      'maps',
      'smaps',
      'task',
      'comm',
      'status',
      'stat',
      'cmdline',
      'dmabuf_rss',
    ].filter(
      (name) =>
        errno(() =>
          ['fd', 'fdinfo', 'task'].includes(name)
            ? user.list(`/proc/${target}/${name}`)
            : user.read(`/proc/${target}/${name}`),
        ) === 'EACCES',
    );

  it("does not see another user's descriptors and mappings", () => {
    const shell = kernel.vfsAs(2000);
    expect(forbidden(shell, pid)).toEqual(['fd', 'fdinfo', 'maps', 'smaps']);
    for (const path of ['fd/0', 'fdinfo/0', `task/${pid}/fd/0`]) {
      expect(errno(() => shell.stat(`/proc/${pid}/${path}`))).toBe('EACCES');
    }
    // The directory itself may be looked at, and tells their number.
    expect(shell.stat(`/proc/${pid}/fd`).size).toBe(1n);
  });

  it('sees its own', () => {
    const owner = kernel.vfsAs(10001);
    expect(forbidden(owner, pid)).toEqual([]);
    expect(owner.readlink(`/proc/${pid}/fd/0`)).toBe('/dmabuf:');
    expect(forbidden(owner, 1)).toEqual(['fd', 'fdinfo', 'maps', 'smaps']);
  });

  it('reads sysfs, and neither debugfs nor map_files', () => {
    const shell = kernel.vfsAs(2000);
    expect(shell.read('/sys/kernel/dmabuf/buffers/1/size')).toBe('8192\n');
    for (const path of [
      '/sys/kernel/debug/dma_buf/bufinfo',
      '/sys/kernel/debug',
      `/proc/${pid}/map_files`,
    ]) {
      expect(
        errno(() => shell.list(path)),
        path,
      ).toBe('EACCES');
    }
  });
});

describe('time', () => {
  it('runs what is scheduled in order, each at its own time', () => {
    const start = kernel.now;
    const seen: [string, bigint][] = [];
    const note = (what: string) => (): void => {
      seen.push([what, kernel.now - start]);
    };
    kernel.after(30n, note('late'));
    kernel.after(10n, note('first'));
    kernel.after(10n, note('second'));
    kernel.after(10n, () => {
      kernel.after(5n, note('nested'));
    });
    kernel.every(12n, () => {
      note('often')();
      return kernel.now - start < 30n;
    });
    kernel.after(1000n, note('never'));
    kernel.advance(100n);
    expect(seen).toEqual([
      ['first', 10n],
      ['second', 10n],
      ['often', 12n],
      ['nested', 15n],
      ['often', 24n],
      ['late', 30n],
      ['often', 36n],
    ]);
    expect(kernel.now - start).toBe(100n);
  });

  it('does not go backwards', () => {
    expect(() => {
      kernel.advance(-1n);
    }).toThrow(RangeError);
    expect(() => {
      kernel.every(0n, () => true);
    }).toThrow(RangeError);
  });

  it('does not stop at an event that fails', () => {
    kernel.after(1n, () => {
      kernel.close(pid, 99);
    });
    kernel.after(2n, () => {
      kernel.close(pid, 0);
    });
    const start = kernel.now;
    expect(() => {
      kernel.advance(10n);
    }).toThrow('EBADF');
    expect(kernel.now).toBe(start + 1n);
    kernel.advance(10n);
    expect(vfs.list(`/proc/${pid}/fd`)).toEqual([]);
  });
});

it('makes a boot id from the seed', () => {
  const {bootId} = new SimulatedKernel({
    profile: androidKernelProfile('6.12'),
    seed: 2 ** 40 + 1,
  });
  expect(bootId).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});

it('differs by seed in what is left to chance alone', () => {
  const dump = (seed: number): string =>
    dumpKernel(
      new SimulatedKernel({profile: androidKernelProfile('6.12'), seed}),
    );
  expect(dump(1)).toBe(dump(1));
  expect(dump(1)).not.toBe(dump(2));
});
