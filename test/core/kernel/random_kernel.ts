// SPDX-License-Identifier: Apache-2.0
// Random operations on a simulated kernel, for tests of what holds whatever
// happens.
import fc from 'fast-check';
import {PROT_READ} from '../../../src/core/kernel/address_space.js';
import {DmaBuf} from '../../../src/core/kernel/dma_buf.js';
import {DrmFile} from '../../../src/core/kernel/drm.js';
import type {Importer} from '../../../src/core/kernel/importer.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {androidKernelProfile} from '../../../src/core/kernel/profile.js';
import type {OpenFile} from '../../../src/core/kernel/open_file.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import {UnixSocket} from '../../../src/core/kernel/unix_socket.js';

export interface Step {
  readonly op: keyof typeof OPERATIONS;
  /** Choose among what there is; a large one may miss. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** A kernel under test, and what only the test knows of it. */
export class Fixture {
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

export type Operation = (f: Fixture, a: number, b: number, c: number) => void;

export const OPERATIONS = {
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
  identify: (f, a, b) => {
    f.kernel.identify(f.task(a), {uid: b % 2 === 0 ? 0 : 10001});
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

export const step: fc.Arbitrary<Step> = fc.record({
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

/** Enough operations to get into odd states. */
export const script = fc.array(step, {
  minLength: 40,
  maxLength: 100,
  size: 'max',
});

/**
 * Does what can be done; what the kernel refuses is passed over.
 *
 * @param done called with the name of each operation that succeeded
 */
export function play(
  fixture: Fixture,
  steps: readonly Step[],
  done: (op: string) => void = () => undefined,
): void {
  for (const {op, a, b, c} of steps) {
    const operation: Operation = OPERATIONS[op];
    try {
      operation(fixture, a, b, c);
      done(op);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
  }
}
