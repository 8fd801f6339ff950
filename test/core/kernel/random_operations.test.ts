// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {expect, it} from 'vitest';
import {parseBufinfo} from '../../../src/core/formats/bufinfo.js';
import {parseFdinfo} from '../../../src/core/formats/fdinfo.js';
import {parseMaps} from '../../../src/core/formats/maps.js';
import {PROT_READ} from '../../../src/core/kernel/address_space.js';
import {DmaBuf} from '../../../src/core/kernel/dma_buf.js';
import {DrmFile} from '../../../src/core/kernel/drm.js';
import type {Importer} from '../../../src/core/kernel/importer.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {
  PROFILE_NAMES,
  androidKernelProfile,
} from '../../../src/core/kernel/profile.js';
import type {OpenFile} from '../../../src/core/kernel/open_file.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import {UnixSocket} from '../../../src/core/kernel/unix_socket.js';
import {dumpKernel} from './kernel_dump.js';

interface Step {
  readonly op: keyof typeof OPERATIONS;
  /** Choose among what there is; a large one may miss. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** A kernel under test, and what only the test knows of it. */
class Fixture {
  readonly kernel: SimulatedKernel;
  readonly importer: Importer;
  /** Import handles that are still held. */
  readonly imports: number[] = [];
  readonly exporters = ['system', 'udmabuf', 'vframe-secure', 'some-driver'];

  constructor(profile: string) {
    this.kernel = new SimulatedKernel({
      profile: androidKernelProfile(profile),
      seed: 7,
      pidMax: 12,
    });
    this.importer = this.kernel.newImporter('e0000000.isp');
    const first = this.kernel.spawn({});
    const second = this.kernel.spawn({uid: 10001});
    this.kernel.socketPair(first, second);
    this.kernel.socketPair(second, first);
    for (const pid of [first, second]) {
      this.kernel.openDrm(pid);
      for (const sizeBytes of [4096, 16384]) {
        this.kernel.exportBuffer(pid, {exporter: 'system', sizeBytes});
      }
    }
  }

  /** A task id; one beyond those that there are, now and then. */
  task(choice: number): number {
    const tids = this.kernel.processes
      .list()
      .filter(({pid}) => pid !== 1)
      .flatMap((process) => [...process.threads.keys()]);
    return tids[choice % (tids.length + 1)] ?? 11;
  }

  /**
   * A descriptor of a task, mostly of the kind that is wanted; one that is not
   * open, now and then.
   */
  fd(task: number, choice: number, kind: 'any' | FileKind = 'any'): number {
    const process = this.kernel.processes.find(task);
    const table = process?.threads.get(task)?.files;
    if (process === undefined || process.zombie || table === undefined) {
      return 31;
    }
    const strict = choice % 8 !== 0;
    const fds = table
      .descriptors()
      .filter((fd) => !strict || isKind(table.get(fd).file, kind));
    return fds[choice % (strict ? fds.length : fds.length + 1)] ?? 31;
  }

  /** A page somewhere in a shared mapping of a task. */
  page(task: number, choice: number): number {
    const process = this.kernel.processes.find(task);
    const pages = (process?.memory?.areas ?? [])
      .filter(({shared}) => shared)
      .flatMap(({start, end}) =>
        Array.from({length: (end - start) / 4096}, (_, i) => start + i * 4096),
      );
    return pages[choice % (pages.length + 1)] ?? 0x1000;
  }
}

type FileKind = 'dmabuf' | 'socket' | 'drm';

function isKind(file: OpenFile, kind: 'any' | FileKind): boolean {
  switch (kind) {
    case 'any':
      return true;
    case 'dmabuf':
      return file instanceof DmaBuf;
    case 'socket':
      return file instanceof UnixSocket;
    case 'drm':
      return file instanceof DrmFile;
  }
}

type Operation = (f: Fixture, a: number, b: number, c: number) => void;

const OPERATIONS = {
  export: (f, a, b, c) => {
    f.kernel.exportBuffer(f.task(a), {
      exporter: f.exporters[b % f.exporters.length] ?? '',
      // Up to four pages, not always whole; zero is refused.
      sizeBytes: c % 16385,
      ...(c % 3 === 0 ? {} : {name: 'n'.repeat(c % 34)}),
    });
  },
  close: (f, a, b) => {
    f.kernel.close(f.task(a), f.fd(f.task(a), b));
  },
  dup: (f, a, b, c) => {
    f.kernel.dup(f.task(a), f.fd(f.task(a), b), {
      lowest: c % 70,
      closeOnExec: c % 2 === 0,
    });
  },
  dup2: (f, a, b, c) => {
    f.kernel.dup2(f.task(a), f.fd(f.task(a), b), c % 70);
  },
  fork: (f, a) => {
    f.kernel.fork(f.task(a));
  },
  thread: (f, a, b) => {
    f.kernel.startThread(f.task(a), {unshareFiles: b % 2 === 0});
  },
  endThread: (f, a) => {
    f.kernel.endThread(f.task(a));
  },
  exec: (f, a) => {
    f.kernel.exec(f.task(a), '/system/bin/other');
  },
  exit: (f, a, b) => {
    f.kernel.exit(f.task(a), {reap: b % 3 > 0});
  },
  reap: (f, a) => {
    const zombies = f.kernel.processes.list().filter(({zombie}) => zombie);
    f.kernel.reap(zombies[a % zombies.length]?.pid ?? f.task(a));
  },
  spawn: (f) => {
    f.kernel.spawn({});
  },
  mmap: (f, a, b, c) => {
    f.kernel.mmap(f.task(a), f.fd(f.task(a), b, 'dmabuf'), {
      offset: (c % 5) * 4096,
      length: ((c >> 3) % 5) * 4096,
      ...(c % 2 === 0 ? {protection: PROT_READ} : {}),
    });
  },
  munmap: (f, a, b, c) => {
    f.kernel.munmap(f.task(a), f.page(f.task(a), b), (c % 4) * 4096);
  },
  mprotect: (f, a, b, c) => {
    const length = (c % 4) * 4096;
    f.kernel.mprotect(f.task(a), f.page(f.task(a), b), length, PROT_READ);
  },
  setName: (f, a, b, c) => {
    const name = c % 9 === 0 ? undefined : 'x\n\t'.repeat(c % 12);
    f.kernel.setName(f.task(a), f.fd(f.task(a), b, 'dmabuf'), name);
  },
  socketPair: (f, a, b) => {
    f.kernel.socketPair(f.task(a), f.task(b));
  },
  send: (f, a, b, c) => {
    const task = f.task(a);
    f.kernel.sendFds(task, f.fd(task, b, 'socket'), [f.fd(task, c, 'dmabuf')]);
  },
  receive: (f, a, b) => {
    f.kernel.receiveFds(f.task(a), f.fd(f.task(a), b, 'socket'));
  },
  transfer: (f, a, b, c) => {
    f.kernel.transfer(f.task(a), f.fd(f.task(a), b), f.task(c));
  },
  import: (f, a, b, c) => {
    const task = f.task(a);
    const buffer = f.kernel.bufferOf(task, f.fd(task, b, 'dmabuf'));
    f.imports.push(f.importer.import(buffer, {refs: c % 3}));
  },
  release: (f, a) => {
    const handle = f.imports[a % (f.imports.length + 1)] ?? 0;
    f.importer.release(handle);
    f.imports.splice(f.imports.indexOf(handle), 1);
  },
  drmCreate: (f, a, b, c) => {
    const task = f.task(a);
    f.kernel.drmCreateDumb(task, f.fd(task, b, 'drm'), c % 9000);
  },
  drmExport: (f, a, b, c) => {
    f.kernel.drmExport(f.task(a), f.fd(f.task(a), b, 'drm'), c % 4);
  },
  drmImport: (f, a, b, c) => {
    const task = f.task(a);
    f.kernel.drmImport(task, f.fd(task, b, 'drm'), f.fd(task, c, 'dmabuf'));
  },
  drmClose: (f, a, b, c) => {
    f.kernel.drmCloseHandle(f.task(a), f.fd(f.task(a), b, 'drm'), c % 4);
  },
} satisfies Record<string, Operation>;

/** What empties the stage comes up less often. */
const RARE: ReadonlySet<string> = new Set([
  'exit',
  'exec',
  'spawn',
  'endThread',
]);

const step: fc.Arbitrary<Step> = fc.record({
  op: fc.oneof(
    ...(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]).map((op) => ({
      weight: RARE.has(op) ? 1 : 5,
      arbitrary: fc.constant(op),
    })),
  ),
  a: fc.nat(10_000),
  b: fc.nat(10_000),
  c: fc.nat(100_000),
});

const script = fc.array(step, {minLength: 40, maxLength: 100, size: 'max'});

/** References by serial, counted anew from every table there is. */
function recount(kernel: SimulatedKernel): Map<number, number> {
  const counts = new Map<number, number>();
  for (const buffer of kernel.dmaBufs.oldestFirst()) {
    counts.set(
      buffer.serial,
      buffer.refsOf('inFlight') + buffer.refsOf('kernel'),
    );
  }
  const add = (file: object | undefined): void => {
    const serial = (file as {serial?: number} | undefined)?.serial;
    if (serial === undefined) return;
    const count = counts.get(serial);
    if (count === undefined) throw new Error(`${serial} is held but not live`);
    counts.set(serial, count + 1);
  };
  for (const process of kernel.processes.list()) {
    if (process.zombie) continue;
    const tables = new Set([...process.threads.values()].map((t) => t.files));
    for (const table of tables) {
      for (const fd of table.descriptors()) add(table.get(fd).file);
    }
    for (const vma of process.memory?.areas ?? []) add(vma.file);
  }
  return counts;
}

function checkInvariants({kernel}: Fixture): void {
  // References: descriptors + VMAs + in flight + the kernel's own.
  const counts = recount(kernel);
  for (const buffer of kernel.dmaBufs.oldestFirst()) {
    expect(buffer.refCount).toBe(counts.get(buffer.serial));
    expect(buffer.refCount).toBeGreaterThan(0);
  }
  checkAccounting(kernel);
  checkBufinfo(kernel);
  checkLayout(kernel);
}

/** dmabuf_rss and _pss against what fdinfo and maps of each process show. */
function checkAccounting(kernel: SimulatedKernel): void {
  const {vfs} = kernel;
  const holders = new Map<bigint, Set<number>>();
  const held = new Map<number, Map<bigint, bigint>>();
  for (const {pid} of kernel.processes.list()) {
    const sizes = new Map<bigint, bigint>();
    held.set(pid, sizes);
    const hold = (inode: bigint, sizeBytes: bigint): void => {
      sizes.set(inode, sizeBytes);
      const pids = holders.get(inode) ?? new Set();
      holders.set(inode, pids.add(pid));
    };
    for (const tid of vfs.list(`/proc/${pid}/task`)) {
      const task = `/proc/${pid}/task/${tid}`;
      for (const fd of vfs.list(`${task}/fdinfo`)) {
        const {dmaBuf} = parseFdinfo(vfs.read(`${task}/fdinfo/${fd}`));
        const {ino, size} = vfs.stat(`${task}/fd/${fd}`);
        if (dmaBuf === undefined) continue;
        expect(dmaBuf.sizeBytes).toBe(size);
        hold(ino, size);
      }
    }
    for (const vma of parseMaps(vfs.read(`/proc/${pid}/maps`))) {
      if (!vma.path.startsWith('/dmabuf')) continue;
      const range = `${vma.start.toString(16)}-${vma.end.toString(16)}`;
      const {size} = vfs.stat(`/proc/${pid}/map_files/${range}`);
      hold(vma.inode, size);
    }
  }
  for (const process of kernel.processes.list()) {
    const sizes = [...(held.get(process.pid) ?? [])];
    const rss = sizes.reduce((sum, [, size]) => sum + size, 0n);
    const pss = sizes.reduce(
      (sum, [inode, size]) =>
        sum + size / BigInt(holders.get(inode)?.size ?? 1),
      0n,
    );
    expect(BigInt(process.holdings.rssBytes)).toBe(rss);
    expect(BigInt(process.holdings.pssBytes)).toBe(pss);
  }
}

function checkBufinfo(kernel: SimulatedKernel): void {
  const text = kernel.vfs.read('/sys/kernel/debug/dma_buf/bufinfo');
  const {total} = parseBufinfo(text);
  expect(total).toEqual({
    objects: kernel.dmaBufs.count,
    bytes: BigInt(kernel.dmaBufs.totalBytes),
  });
}

/** Mappings are in order, do not overlap and stay in their file. */
function checkLayout(kernel: SimulatedKernel): void {
  for (const {memory} of kernel.processes.list()) {
    let end = 0;
    for (const vma of memory?.areas ?? []) {
      expect(vma.start).toBeGreaterThanOrEqual(end);
      expect(vma.end).toBeGreaterThan(vma.start);
      end = vma.end;
    }
  }
}

/** How often each operation succeeded, over all runs. */
const succeeded = new Map<string, number>();

function play(fixture: Fixture, steps: readonly Step[]): void {
  for (const {op, a, b, c} of steps) {
    const operation: Operation = OPERATIONS[op];
    try {
      operation(fixture, a, b, c);
      succeeded.set(op, (succeeded.get(op) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
  }
}

it.each(PROFILE_NAMES)(
  'keeps its books through random operations on %s',
  (profile) => {
    fc.assert(
      fc.property(script, (steps) => {
        const fixture = new Fixture(profile);
        play(fixture, steps);
        checkInvariants(fixture);
      }),
      {numRuns: 60},
    );
  },
);

it('changes nothing that can be seen when an operation is refused', () => {
  let refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...PROFILE_NAMES),
      fc.array(step, {minLength: 10, maxLength: 30, size: 'max'}),
      (profile, steps) => {
        const fixture = new Fixture(profile);
        for (const {op, a, b, c} of steps) {
          const operation: Operation = OPERATIONS[op];
          const before = dumpKernel(fixture.kernel);
          try {
            operation(fixture, a, b, c);
          } catch (error) {
            if (!(error instanceof KernelError)) throw error;
            refused++;
            expect(dumpKernel(fixture.kernel)).toBe(before);
          }
        }
      },
    ),
    {numRuns: 30},
  );
  expect(refused).toBeGreaterThan(0);
});

it('releases every buffer once all who hold one have ended', () => {
  fc.assert(
    fc.property(fc.constantFrom(...PROFILE_NAMES), script, (profile, steps) => {
      const fixture = new Fixture(profile);
      const {kernel} = fixture;
      play(fixture, steps);
      for (const {pid, zombie} of kernel.processes.list()) {
        if (pid !== 1 && !zombie) kernel.exit(pid);
      }
      fixture.importer.releaseAll();
      expect(kernel.dmaBufs.count).toBe(0);
      expect(kernel.dmaBufs.totalBytes).toBe(0);
    }),
    {numRuns: 100},
  );
});

it('got every operation done', () => {
  for (const op of Object.keys(OPERATIONS)) {
    expect(succeeded.get(op), op).toBeGreaterThan(0);
  }
});
