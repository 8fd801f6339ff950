// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {expect, it} from 'vitest';
import {parseBufinfo} from '../../../src/core/formats/bufinfo.js';
import {parseFdinfo} from '../../../src/core/formats/fdinfo.js';
import {parseMaps} from '../../../src/core/formats/maps.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';
import {PROFILE_NAMES} from '../../../src/core/kernel/profile.js';
import type {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import {dumpKernel} from './kernel_dump.js';
import {
  Fixture,
  OPERATIONS,
  play,
  script,
  step,
  type Operation,
} from './random_kernel.js';

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

function note(op: string): void {
  succeeded.set(op, (succeeded.get(op) ?? 0) + 1);
}

it.each(PROFILE_NAMES)(
  'keeps its books through random operations on %s',
  (profile) => {
    fc.assert(
      fc.property(script, (steps) => {
        const fixture = new Fixture(profile);
        play(fixture, steps, note);
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
            // mprotect changes what lies before the page that it fails at.
            if (op === 'mprotect') continue;
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
      play(fixture, steps, note);
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
