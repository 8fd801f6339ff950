// SPDX-License-Identifier: Apache-2.0
// A simulated kernel on which processes do what they like, and what it knows
// that a collector has to find.
import fc from 'fast-check';
import {
  KernelError,
  SimulatedKernel,
  androidKernelProfile,
  type KernelProfile,
} from '../../../src/core/kernel/index.js';
import {PROT_READ} from '../../../src/core/kernel/address_space.js';
import {DmaBuf} from '../../../src/core/kernel/dma_buf.js';
import {DrmFile} from '../../../src/core/kernel/drm.js';
import type {FdTable} from '../../../src/core/kernel/fd_table.js';
import type {Importer} from '../../../src/core/kernel/importer.js';
import type {OpenFile} from '../../../src/core/kernel/open_file.js';
import type {Process} from '../../../src/core/kernel/process_table.js';
import {UnixSocket} from '../../../src/core/kernel/unix_socket.js';
import type {RawText} from '../../../src/core/model/index.js';

export const MS = 1_000_000n;
export const SECOND = 1000n * MS;

/** What one operation is to do; numbers choose among what there is. */
export interface Step {
  readonly op: OperationName;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** Names that other texts could be mistaken for. */
export const HOSTILE_NAMES: readonly RawText[] = [
  '',
  'plain',
  '<none>',
  ' lead and trail ',
  'tab\there',
  'nl\nhere',
  'nl-end\n',
  '\ncount:\t99',
  '\nname:\tforged',
  'back\\slash \\012',
  'x (deleted)',
  '/dmabuf:fake',
  'bad\xff\xfeutf8\x07',
  'ctl\x01\x1b[31m',
  '@0123 1 0 1',
  '\n00004096\t00000002\t00080007\t00',
  'b'.repeat(31),
];

/** A kernel, some processes on it, and hands to play with them. */
export class World {
  readonly kernel: SimulatedKernel;
  private readonly importer: Importer;
  private readonly imports: number[] = [];
  /** `PID.START` → inodes of buffers that it has ever held. */
  readonly everHeld = new Map<string, Set<bigint>>();
  /** Inode → names that its buffers have ever had. */
  readonly everNamed = new Map<bigint, Set<RawText | undefined>>();
  /** Pids that are not to be touched: the collector's own. */
  readonly spared = new Set<number>([1]);

  constructor(
    profile: KernelProfile,
    options: {sharedInodesFrom?: number; pidMax?: number} = {},
  ) {
    this.kernel = new SimulatedKernel({
      profile,
      seed: 7,
      pidMax: options.pidMax ?? 20,
      ...(options.sharedInodesFrom === undefined
        ? {}
        : {sharedInodesFrom: options.sharedInodesFrom}),
    });
    this.importer = this.kernel.newImporter('e0000000.isp');
    const first = this.kernel.spawn({comm: 'a (b) c', uid: 1000});
    const second = this.kernel.spawn({uid: 10001});
    this.kernel.socketPair(first, second);
    for (const pid of [first, second]) {
      this.kernel.openDrm(pid);
      this.kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 8192});
    }
    this.note();
  }

  play(steps: readonly Step[]): void {
    for (const step of steps) this.playOne(step);
  }

  /** Does one step and lets 20 ms pass, so that no two starts are one tick. */
  playOne({op, a, b, c}: Step): void {
    const operation: Operation = OPERATIONS[op];
    try {
      operation(this, a, b, c);
      done.set(op, (done.get(op) ?? 0) + 1);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
    this.note();
    this.kernel.advance(20n * MS);
  }

  /** A task; one that does not exist, now and then. */
  task(choice: number): number {
    const tids = this.kernel.processes
      .list()
      .filter(({pid}) => !this.spared.has(pid))
      .flatMap((process) => [...process.threads.keys()]);
    return tids[choice % (tids.length + 1)] ?? 4711;
  }

  /** Threads that are not the main ones. */
  threads(): number[] {
    return this.kernel.processes
      .list()
      .flatMap(({pid, threads}) =>
        [...threads.keys()].filter((t) => t !== pid),
      );
  }

  fd(task: number, choice: number, kind: FileKind): number {
    const process = this.processOf(task);
    const table = process?.threads.get(task)?.files;
    if (process === undefined || process.zombie || table === undefined) {
      return 999;
    }
    const fds = table
      .descriptors()
      .filter((fd) => isKind(table.get(fd).file, kind));
    return fds[choice % Math.max(1, fds.length)] ?? 999;
  }

  /** A page of a mapping that can be unmapped. */
  page(task: number, choice: number): number {
    const pages = (this.processOf(task)?.memory?.areas ?? [])
      .filter(({shared}) => shared)
      .flatMap(({start, end}) =>
        Array.from({length: (end - start) / 4096}, (_, i) => start + i * 4096),
      );
    return pages[choice % Math.max(1, pages.length)] ?? 0x1000;
  }

  import(buffer: DmaBuf, refs: number): void {
    this.imports.push(this.importer.import(buffer, {refs}));
  }

  release(choice: number): void {
    const at = choice % Math.max(1, this.imports.length);
    const [handle] = this.imports.splice(at, 1);
    if (handle !== undefined) this.importer.release(handle);
  }

  private processOf(task: number): Process | undefined {
    return this.kernel.processes.list().find(({threads}) => threads.has(task));
  }

  /** Remembers who holds what, and what it is called. */
  private note(): void {
    for (const {inode, name} of this.kernel.dmaBufs.oldestFirst()) {
      const names = this.everNamed.get(inode);
      if (names === undefined) this.everNamed.set(inode, new Set([name]));
      else names.add(name);
    }
    for (const process of this.kernel.processes.list()) {
      for (const [buffer] of process.holdings.entries()) {
        const key = keyOf(process);
        let held = this.everHeld.get(key);
        if (held === undefined) this.everHeld.set(key, (held = new Set()));
        held.add(buffer.inode);
      }
    }
  }
}

export function keyOf({pid, startNs}: Process): string {
  return `${pid}.${startNs / (10n * MS)}`;
}

type FileKind = 'dmabuf' | 'socket' | 'drm' | 'any';

function isKind(file: OpenFile, kind: FileKind): boolean {
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

type Operation = (w: World, a: number, b: number, c: number) => void;

const EXPORTERS = ['system', 'udmabuf', 'vframe-secure', 'some-driver'];

const OPERATIONS = {
  export: (w, a, b, c) => {
    w.kernel.exportBuffer(w.task(a), {
      exporter: EXPORTERS[b % EXPORTERS.length] ?? '',
      sizeBytes: 4096 * (1 + (c % 4)),
      ...(c % 3 === 0 ? {} : {name: nameOf(c)}),
    });
  },
  exportToDriver: (w, _, b, c) => {
    const importer = w.kernel.newImporter('driver');
    w.kernel.exportToDriver(importer, {
      exporter: 'system',
      sizeBytes: 4096 * (1 + (c % 4)),
      ...(b % 2 === 0 ? {} : {name: nameOf(c)}),
    });
  },
  close: (w, a, b) => {
    w.kernel.close(w.task(a), w.fd(w.task(a), b, 'dmabuf'));
  },
  closeAny: (w, a, b) => {
    w.kernel.close(w.task(a), w.fd(w.task(a), b, 'any'));
  },
  /** The number of fds stays as it was. */
  replace: (w, a, b, c) => {
    const task = w.task(a);
    w.kernel.dup2(task, w.fd(task, b, 'dmabuf'), w.fd(task, c, 'dmabuf'));
  },
  dup: (w, a, b, c) => {
    w.kernel.dup(w.task(a), w.fd(w.task(a), b, 'dmabuf'), {lowest: c % 70});
  },
  open: (w, a) => {
    w.kernel.open(w.task(a), '/vendor/lib64/libx.so', {sizeBytes: 5000});
  },
  fork: (w, a) => {
    w.kernel.fork(w.task(a));
  },
  thread: (w, a) => {
    w.kernel.startThread(w.task(a), {unshareFiles: false});
  },
  privateThread: (w, a, b, c) => {
    const tid = w.kernel.startThread(w.task(a), {unshareFiles: true});
    w.kernel.exportBuffer(tid, {
      exporter: 'system',
      sizeBytes: 4096 * (1 + (c % 4)),
      name: nameOf(b),
    });
  },
  endThread: (w, a) => {
    const tids = w.threads();
    w.kernel.endThread(tids[a % Math.max(1, tids.length)] ?? 4711);
  },
  exec: (w, a) => {
    w.kernel.exec(w.task(a), '/system/bin/other', ['other', '--now']);
  },
  exit: (w, a, b) => {
    w.kernel.exit(w.task(a), {reap: b % 3 > 0});
  },
  spawn: (w, a) => {
    w.kernel.spawn({uid: 10_000 + (a % 3), kernelThread: a % 7 === 0});
  },
  identify: (w, a, b) => {
    w.kernel.identify(w.task(a), {
      comm: `renamed ${b % 5}`,
      args: b % 4 === 0 ? [] : [`com.example.app${b % 5}`, 'x'],
    });
  },
  mmap: (w, a, b, c) => {
    w.kernel.mmap(w.task(a), w.fd(w.task(a), b, 'dmabuf'), {
      offset: (c % 3) * 4096,
      ...(c % 2 === 0 ? {protection: PROT_READ} : {}),
      ...(c % 5 === 0 ? {} : {length: (1 + ((c >> 3) % 2)) * 4096}),
    });
  },
  mapAndClose: (w, a, b) => {
    const task = w.task(a);
    const fd = w.fd(task, b, 'dmabuf');
    w.kernel.mmap(task, fd);
    w.kernel.close(task, fd);
  },
  munmap: (w, a, b, c) => {
    w.kernel.munmap(w.task(a), w.page(w.task(a), b), (1 + (c % 3)) * 4096);
  },
  mprotect: (w, a, b) => {
    w.kernel.mprotect(w.task(a), w.page(w.task(a), b), 4096, PROT_READ);
  },
  setName: (w, a, b, c) => {
    w.kernel.setName(w.task(a), w.fd(w.task(a), b, 'dmabuf'), nameOf(c));
  },
  socketPair: (w, a, b) => {
    w.kernel.socketPair(w.task(a), w.task(b));
  },
  send: (w, a, b, c) => {
    const task = w.task(a);
    w.kernel.sendFds(task, w.fd(task, b, 'socket'), [w.fd(task, c, 'dmabuf')]);
  },
  sendAndClose: (w, a, b, c) => {
    const task = w.task(a);
    const fd = w.fd(task, c, 'dmabuf');
    w.kernel.sendFds(task, w.fd(task, b, 'socket'), [fd]);
    w.kernel.close(task, fd);
  },
  receive: (w, a, b) => {
    w.kernel.receiveFds(w.task(a), w.fd(w.task(a), b, 'socket'));
  },
  transfer: (w, a, b, c) => {
    w.kernel.transfer(w.task(a), w.fd(w.task(a), b, 'dmabuf'), w.task(c));
  },
  import: (w, a, b, c) => {
    const task = w.task(a);
    w.import(w.kernel.bufferOf(task, w.fd(task, b, 'dmabuf')), 1 + (c % 2));
  },
  release: (w, a) => {
    w.release(a);
  },
  drmExport: (w, a, b, c) => {
    const task = w.task(a);
    const drm = w.fd(task, b, 'drm');
    const handle = w.kernel.drmCreateDumb(task, drm, 4096 * (1 + (c % 3)));
    w.kernel.drmExport(task, drm, handle);
    if (c % 2 === 0) w.kernel.drmCloseHandle(task, drm, handle);
  },
  drmImport: (w, a, b, c) => {
    const task = w.task(a);
    w.kernel.drmImport(task, w.fd(task, b, 'drm'), w.fd(task, c, 'dmabuf'));
  },
} satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

function nameOf(choice: number): RawText {
  return HOSTILE_NAMES[choice % HOSTILE_NAMES.length] ?? '';
}

/** How often each operation was done, over all runs. */
export const done = new Map<OperationName, number>();

export const OPERATION_NAMES = Object.keys(OPERATIONS) as OperationName[];

/** What empties the stage comes up less often. */
const RARE: ReadonlySet<OperationName> = new Set(['exit', 'exec', 'closeAny']);

/** A step of any operation, or of some. */
export function stepOf(
  operations: readonly OperationName[] = OPERATION_NAMES,
): fc.Arbitrary<Step> {
  return fc.record({
    op: fc.oneof(
      ...operations.map((op) => ({
        weight: RARE.has(op) ? 1 : 3,
        arbitrary: fc.constant(op),
      })),
    ),
    a: fc.nat(10_000),
    b: fc.nat(10_000),
    c: fc.nat(10_000),
  });
}

export const step: fc.Arbitrary<Step> = stepOf();

// -- the truth ---------------------------------------------------------------

export interface TrueHolding {
  readonly inode: bigint;
  readonly fdRefs: number;
  readonly mapRefs: number;
  readonly mappedBytes: bigint;
}

export interface TrueProcess {
  readonly pid: number;
  readonly startTicks: bigint;
  readonly comm: RawText;
  /**
   * What it holds, in each way in which it can look: nothing in /proc tells a
   * thread's private descriptor table from a shared one if it looks the same.
   */
  readonly variants: TrueHolding[][];
}

export interface TrueBuffer {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly exporter: RawText;
  readonly name: RawText | undefined;
  /** All references to its file. */
  readonly refs: bigint;
}

export interface Truth {
  readonly processes: TrueProcess[];
  readonly buffers: TrueBuffer[];
}

/** What the kernel knows. */
export function truthOf({kernel}: World, collectorPid: number): Truth {
  const processes = kernel.processes
    .list()
    .filter(({pid}) => pid !== collectorPid)
    .map((process) => ({
      pid: process.pid,
      startTicks: process.startNs / (10n * MS),
      comm: process.threads.get(process.pid)?.comm ?? process.comm,
      variants: variantsOf(process, kernel.profile),
    }));
  const buffers = [...kernel.dmaBufs.oldestFirst()].map((buffer) => ({
    inode: buffer.inode,
    sizeBytes: BigInt(buffer.sizeBytes),
    exporter: buffer.exporter,
    name: buffer.name,
    refs: BigInt(buffer.refCount),
  }));
  return {processes, buffers: buffers.sort(byInode)};
}

/**
 * Since 6.2 stat tells the number of fds, and a table with another number is
 * a private one; before, one with other dma-bufs is.
 */
function variantsOf(process: Process, profile: KernelProfile): TrueHolding[][] {
  if (process.zombie) return [[]];
  const look = (table: FdTable): string =>
    profile.fdCountInStat
      ? `${table.size}: ${contentOf(table)}`
      : contentOf(table);
  const isLike = (a: FdTable, b: FdTable): boolean =>
    profile.fdCountInStat ? a.size === b.size : look(a) === look(b);
  const [main, ...others] = new Set(
    [...process.threads.values()].map(({files}) => files),
  );
  if (main === undefined) return [[]];
  const sure: FdTable[] = [main];
  const open: FdTable[] = [];
  for (const table of others) {
    const twin = sure.slice(1).some((other) => look(other) === look(table));
    (isLike(table, main) || twin ? open : sure).push(table);
  }
  const variants: TrueHolding[][] = [];
  for (let bits = 0; bits < 2 ** open.length; bits++) {
    const chosen = open.filter((_, i) => (bits >> i) % 2 === 1);
    variants.push(holdingsOf(process, [...sure, ...chosen]));
  }
  return variants;
}

function holdingsOf(
  process: Process,
  tables: readonly FdTable[],
): TrueHolding[] {
  const sums = new Map<
    bigint,
    {fdRefs: number; mapRefs: number; mappedBytes: bigint}
  >();
  const of = (inode: bigint) => {
    let sum = sums.get(inode);
    if (sum === undefined) {
      sum = {fdRefs: 0, mapRefs: 0, mappedBytes: 0n};
      sums.set(inode, sum);
    }
    return sum;
  };
  for (const table of tables) {
    for (const fd of table.descriptors()) {
      const {file} = table.get(fd);
      if (file instanceof DmaBuf) of(file.inode).fdRefs++;
    }
  }
  for (const {file, start, end} of process.memory?.areas ?? []) {
    if (!(file instanceof DmaBuf)) continue;
    const sum = of(file.inode);
    sum.mapRefs++;
    sum.mappedBytes += BigInt(end - start);
  }
  return [...sums].map(([inode, sum]) => ({inode, ...sum})).sort(byInode);
}

function contentOf(table: FdTable): string {
  return table
    .descriptors()
    .flatMap((fd) => {
      const {file} = table.get(fd);
      return file instanceof DmaBuf ? [`${fd}=${file.serial}`] : [];
    })
    .join();
}

function byInode(a: {inode: bigint}, b: {inode: bigint}): number {
  return a.inode < b.inode ? -1 : 1;
}

/** A kernel in which the collector has these lists of all buffers. */
export interface Setting {
  readonly title: string;
  readonly profile: KernelProfile;
}

const LISTS = {
  bufinfo: {},
  sysfs: {debugfs: false, sysfsStats: true, bpfIterator: false},
  bpf: {debugfs: false, sysfsStats: false, bpfIterator: true},
  nothing: {debugfs: false, sysfsStats: false, bpfIterator: false},
} as const;

type List = keyof typeof LISTS;

/**
 * Kernels 5.10 to 7.x, each with every list that there may be, and the first
 * ones, of which only bufinfo shows that they have inodes.
 */
export const SETTINGS: readonly Setting[] = [
  ...['rfc-v1', '5.3'].map((name) => settingOf(name, 'bufinfo')),
  ...['5.10', '5.15', '6.1', '6.12', '7.x'].flatMap((name) =>
    (Object.keys(LISTS) as List[]).map((list) => settingOf(name, list)),
  ),
];

function settingOf(name: string, list: List): Setting {
  return {
    title: `${name} with ${list}`,
    profile: androidKernelProfile(name, {
      ...LISTS[list],
      // Some have the sums of Android's kernels, some do not.
      dmabufRss: ['6.1', '7.x'].includes(name),
    }),
  };
}
