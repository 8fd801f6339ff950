// SPDX-License-Identifier: Apache-2.0
// Replays on a simulated kernel what the program behind the captured text of
// test/fixtures did on real ones.
import {PROT_READ} from '../../../src/core/kernel/address_space.js';
import {DMA_BUF_SET_NAME_A} from '../../../src/core/kernel/dma_buf_ioctl.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {kernelProfile} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import type {RawText} from '../../../src/core/model/text.js';

/** A folder of test/fixtures, and the profile of its kernel. */
export interface CapturedKernel {
  readonly folder: string;
  readonly profile: string;
  /** Without, vgem is the only exporter. */
  readonly systemHeap: boolean;
}

export const CAPTURED_KERNELS: readonly CapturedKernel[] = [
  {folder: '5.10', profile: '5.10', systemHeap: false},
  {folder: '6.1', profile: '6.1', systemHeap: false},
  {folder: '6.1lab', profile: '6.1', systemHeap: true},
  {folder: '6.12', profile: '6.12', systemHeap: true},
  {folder: '7.3', profile: '7.x', systemHeap: true},
];

/** One process of the program. */
class Puppet {
  private drmFd: number | undefined = undefined;

  constructor(
    readonly kernel: SimulatedKernel,
    readonly captured: CapturedKernel,
    readonly pid: number,
  ) {}

  /** For a thread with descriptors of its own. */
  as(tid: number): Puppet {
    return new Puppet(this.kernel, this.captured, tid);
  }

  fork(comm: RawText): Puppet {
    const child = this.kernel.fork(this.pid);
    this.kernel.identify(child, {comm});
    return this.as(child);
  }

  /** `auto`: the system heap where there is one, else vgem. */
  make(exporter: string, sizeBytes: number, name?: RawText): number {
    const {kernel, pid, captured} = this;
    if (exporter === 'vgem' || !captured.systemHeap) {
      const fd = this.dumbBuffer(sizeBytes);
      if (name !== undefined) kernel.setName(pid, fd, name);
      return fd;
    }
    // The device is open while it allocates, and so is udmabuf's memfd.
    const device = kernel.open(pid, '/dev/dma_heap/system');
    const memfd = exporter === 'udmabuf' ? kernel.open(pid, '/memfd:') : device;
    const fd = kernel.exportBuffer(pid, {
      exporter: exporter === 'auto' ? 'system' : exporter,
      sizeBytes,
      ...(name === undefined ? {} : {name}),
    });
    if (memfd !== device) kernel.close(pid, memfd);
    kernel.close(pid, device);
    return fd;
  }

  drm(): number {
    return (this.drmFd ??= this.kernel.openDrm(this.pid));
  }

  private dumbBuffer(sizeBytes: number): number {
    const {kernel, pid} = this;
    const drm = this.drm();
    const handle = kernel.drmCreateDumb(pid, drm, sizeBytes);
    const fd = kernel.drmExport(pid, drm, handle);
    kernel.drmCloseHandle(pid, drm, handle);
    return fd;
  }
}

function boot(captured: CapturedKernel): Puppet {
  const kernel = new SimulatedKernel({
    profile: kernelProfile(captured.profile, {
      arch: 'x86_64',
      ...(captured.folder === '6.1lab' ? {} : {sysfsStats: false}),
    }),
    seed: 1,
  });
  const pid = kernel.spawn({executable: '/system/bin/dmalab'});
  kernel.open(pid, '/dev/null', {closeOnExec: false});
  const out = kernel.open(pid, '/tmp/scene.out', {flags: 1});
  kernel.dup(pid, out);
  return new Puppet(kernel, captured, pid);
}

/** Pids by the names that the captured files go by. */
export interface LabScene {
  readonly kernel: SimulatedKernel;
  readonly pids: ReadonlyMap<string, number>;
  readonly privateTid: number;
}

/** Every way of holding a dma-buf, one process each. */
export function playScene(captured: CapturedKernel): LabScene {
  const parent = boot(captured);
  const {kernel} = parent;
  const [sv0, sv1] = kernel.socketPair(parent.pid);
  const [sv2] = kernel.socketPair(parent.pid);

  const consumer = parent.fork('lab-consumer');
  kernel.close(consumer.pid, sv0);

  const producer = parent.fork('lab-producer');
  kernel.close(producer.pid, sv1);
  const exporters = captured.systemHeap
    ? ['system', 'udmabuf', 'vgem']
    : ['', '', 'vgem'];
  for (const [i, exporter] of exporters.entries()) {
    if (exporter === '') continue;
    producer.make(exporter, 65536 << i, `plain-${exporter}`);
  }
  const a = producer.make('auto', 1 << 20, 'shared-a');
  const b = producer.make('auto', 2 << 20, 'shared-b-sender-closed');
  kernel.sendFds(producer.pid, sv0, [a]);
  kernel.sendFds(producer.pid, sv0, [b]);
  kernel.close(producer.pid, b);
  const d = producer.make('auto', 12288, 'dup3');
  kernel.dup(producer.pid, d);
  kernel.dup(producer.pid, d, {lowest: 100, closeOnExec: true});
  producer.make('auto', 4096);
  // The program received into descriptors as the messages came.
  kernel.receiveFds(consumer.pid, sv1);
  kernel.receiveFds(consumer.pid, sv1);

  const mapper = parent.fork('lab-mapper');
  const map = (fd: number, options = {}): number =>
    kernel.mmap(mapper.pid, fd, options);
  for (const [i, exporter] of exporters.entries()) {
    if (exporter === '') continue;
    const fd = mapper.make(exporter, 16384 << i, `maponly-${exporter}`);
    map(fd);
    kernel.close(mapper.pid, fd);
  }
  map(mapper.make('auto', 8192, 'map+fd'), {protection: PROT_READ});
  const twice = mapper.make('auto', 32768, 'map-twice-partial');
  map(twice, {length: 8192});
  map(twice, {length: 4096, offset: 16384});
  kernel.close(mapper.pid, twice);
  for (const name of [undefined, 'map nl\nmap sp', 'renamed-old']) {
    const fd = mapper.make('auto', 4096, name);
    map(fd, {protection: PROT_READ});
    if (name === 'renamed-old') kernel.setName(mapper.pid, fd, 'renamed-new');
    kernel.close(mapper.pid, fd);
  }

  const inflight = parent.fork('lab inflight)');
  const sent = inflight.make('auto', 20480, 'in-flight-scm');
  kernel.sendFds(inflight.pid, sv2, [sent]);
  kernel.close(inflight.pid, sent);

  const importer = parent.fork('lab-importer');
  const drm = kernel.openDrm(importer.pid);
  const imported = importer.make('auto', 24576, 'imported-gem-only');
  kernel.drmImport(importer.pid, drm, imported);
  kernel.setName(importer.pid, imported, 'renamed-attached');
  kernel.close(importer.pid, imported);
  const handle = kernel.drmCreateDumb(importer.pid, drm, 32768);
  const fenced = kernel.drmExport(importer.pid, drm, handle);
  kernel.setName(importer.pid, fenced, 'fenced');
  kernel.dmaBufs.addFence(kernel.bufferOf(importer.pid, fenced), {
    usage: 'read',
    driver: 'vgem',
    timeline: 'unbound',
    context: 1n,
    seqno: 1n,
    signalled: false,
  });

  const threads = parent.fork('lab-threads');
  const privateTid = kernel.startThread(threads.pid, {
    comm: 'lab-thr-own-fds',
    unshareFiles: true,
  });
  threads.as(privateTid).make('auto', 28672, 'thread-private-fd');

  const user = parent.fork('lab-uid2000');
  user.make('auto', 36864, 'held-by-uid-2000');
  kernel.identify(user.pid, {uid: 2000});

  const forker = parent.fork('lab-forker');
  kernel.mmap(forker.pid, forker.make('auto', 40960, 'fork-inherited'));
  const forkchild = forker.fork('lab-forkchild');
  const split = forker.make('auto', 45056, 'vma-split');
  const address = kernel.mmap(forker.pid, split);
  kernel.mprotect(forker.pid, address + 4096, 4096, PROT_READ);
  kernel.close(forker.pid, split);

  const puppets = {
    consumer,
    producer,
    mapper,
    inflight,
    importer,
    threads,
    uid2000: user,
    forker,
    forkchild,
  };
  return {
    kernel,
    privateTid,
    pids: new Map(
      Object.entries(puppets).map(([name, puppet]) => [name, puppet.pid]),
    ),
  };
}

/** The names that the program tried, in its order. */
const NAMES: readonly RawText[] = [
  'simple',
  '',
  'with space',
  'two  spaces ',
  ' lead',
  'tab\there',
  'nl\nhere',
  'nl-end\n',
  'colon:here',
  'name:\tfake',
  'back\\slash',
  '(deleted)',
  'x (deleted)',
  '/dmabuf:fake',
  'quote"\'',
  '\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80',
  'bad\xff\xfeutf8',
  'ctl\x01\x1b[31m',
  'cr\rhere',
  '\ncount:\t99',
  'a'.repeat(31),
  'b'.repeat(32),
  'c'.repeat(40),
];

/** Names of every kind; `answers` as the program printed them. */
export function playNames(captured: CapturedKernel): {
  kernel: SimulatedKernel;
  pid: number;
  answers: string[];
} {
  const puppet = boot(captured);
  const {kernel, pid} = puppet;
  const answers: string[] = [];
  for (const name of NAMES) {
    const fd = puppet.make('auto', 4096);
    const a = answer(() => kernel.ioctl(pid, fd, DMA_BUF_SET_NAME_A, name));
    const b = answer(() => kernel.setName(pid, fd, name));
    answers.push(`A:${a} B:${b}`);
  }
  const fd = puppet.make('auto', 4096);
  answers.push(
    `bad pointer: ${answer(() => kernel.setName(pid, fd, undefined))}`,
  );
  kernel.setName(pid, fd, 'first');
  kernel.setName(pid, fd, 'second-overwrites');
  kernel.setName(pid, fd, '');
  // One byte from the heap, which only some of the kernels have.
  if (captured.systemHeap) puppet.make('auto', 1);
  return {kernel, pid, answers};
}

const STRERROR: Partial<Record<string, string>> = {
  EINVAL: 'Invalid argument',
  EFAULT: 'Bad address',
};

function answer(call: () => unknown): string {
  try {
    call();
    return 'rc=0 errno=0(-)';
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const text = STRERROR[error.errno] ?? error.errno;
    return `rc=-1 errno=${error.errnoNumber}(${text})`;
  }
}
