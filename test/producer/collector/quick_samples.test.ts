// SPDX-License-Identifier: Apache-2.0
// What a sample finds that does not look everywhere.
import {describe, expect, it} from 'vitest';
import {account} from '../../../src/core/accounting/index.js';
import {
  androidKernelProfile,
  type KernelProfile,
  type SimulatedKernel,
} from '../../../src/core/kernel/index.js';
import type {Snapshot} from '../../../src/core/model/index.js';
import {MS, World} from './kernel_world.js';
import {observe, type Observer} from './observer.js';

const LISTED = androidKernelProfile('6.12', {dmabufRss: false});

interface Stage {
  readonly kernel: SimulatedKernel;
  readonly observer: Observer;
  /** Two processes. */
  readonly a: number;
  readonly b: number;
  /** A quick sample, a quarter of a second later. */
  look(): Promise<Snapshot>;
}

async function onStage(
  profile: KernelProfile,
  prepare: (kernel: SimulatedKernel, a: number, b: number) => void,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  const world = new World(profile);
  const {kernel} = world;
  const [a, b] = [kernel.spawn({comm: 'a'}), kernel.spawn({comm: 'b'})];
  prepare(kernel, a, b);
  await observe(world, async (observer) => {
    const first = await observer.sampler.sample();
    expect(first.cost.fullScan).toBe(true);
    const look = async (): Promise<Snapshot> => {
      kernel.advance(250n * MS);
      return observer.sampler.sample();
    };
    await play({kernel, observer, a, b, look});
  });
}

/** `INODE FDS MAPS` of what a process holds. */
function held(snapshot: Snapshot, pid: number): string[] {
  return [...(snapshot.processes.get(pid)?.holdings.values() ?? [])].map(
    ({buffer, fdRefs, mapRefs}) => `${buffer.inode} ${fdRefs} ${mapRefs}`,
  );
}

const one = (kernel: SimulatedKernel, pid: number): number =>
  kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 16384});

describe('a quick sample', () => {
  it('reads no process while nothing changes', async () => {
    let requests = 0;
    await onStage(
      LISTED,
      (kernel, a) => one(kernel, a),
      async ({observer, look}) => {
        observer.onRequest = () => requests++;
        const {cost} = await look();
        expect(cost).toMatchObject({fullScan: false, processesScanned: 0});
        // The clock twice, the list and the fd counts.
        expect(requests).toBe(4);
      },
    );
  });

  it('reads the process whose number of fds changed, and no other', async () => {
    await onStage(
      LISTED,
      (kernel, a) => one(kernel, a),
      async ({kernel, a, b, look}) => {
        const fd = one(kernel, b);
        const inode = kernel.bufferOf(b, fd).inode;
        const sample = await look();
        expect(held(sample, b)).toEqual([`${inode} 1 0`]);
        expect(held(sample, a)).toHaveLength(1);
        expect(sample.cost.processesScanned).toBe(1);
      },
    );
  });

  it('sees a buffer change hands while the number of fds stays', async () => {
    let fds = [0, 0];
    await onStage(
      LISTED,
      (kernel, a) => {
        fds = [one(kernel, a), one(kernel, a)];
      },
      async ({kernel, a, look}) => {
        const [kept = 0, lost = 0] = fds;
        const {inode} = kernel.bufferOf(a, kept);
        kernel.dup2(a, kept, lost);
        expect(held(await look(), a)).toEqual([`${inode} 2 0`]);
      },
    );
  });

  it('sees a process exchange its buffer for another', async () => {
    let fd = 0;
    await onStage(
      LISTED,
      (kernel, a) => {
        fd = one(kernel, a);
      },
      async ({kernel, a, look}) => {
        kernel.close(a, fd);
        const {inode} = kernel.bufferOf(a, one(kernel, a));
        expect(held(await look(), a)).toEqual([`${inode} 1 0`]);
      },
    );
  });

  it('sees a mapping come and go by the count of references', async () => {
    let fd = 0;
    await onStage(
      LISTED,
      (kernel, a) => {
        fd = one(kernel, a);
      },
      async ({kernel, a, look}) => {
        const {inode} = kernel.bufferOf(a, fd);
        const address = kernel.mmap(a, fd);
        expect(held(await look(), a)).toEqual([`${inode} 1 1`]);
        kernel.munmap(a, address, 16384);
        expect(held(await look(), a)).toEqual([`${inode} 1 0`]);
      },
    );
  });

  it('sees the last mapping go by dmabuf_rss, without a list', async () => {
    let address = 0;
    const profile = androidKernelProfile('6.1', {
      debugfs: false,
      sysfsStats: false,
    });
    await onStage(
      profile,
      (kernel, a) => {
        const fd = one(kernel, a);
        address = kernel.mmap(a, fd);
        kernel.close(a, fd);
      },
      async ({kernel, a, look}) => {
        expect(held(await look(), a)).toHaveLength(1);
        kernel.munmap(a, address, 16384);
        const sample = await look();
        expect(held(sample, a)).toEqual([]);
        expect(sample.cost.fullScan).toBe(false);
      },
    );
  });

  it('sees an mmap whose fd is closed', async () => {
    let fd = 0;
    await onStage(
      androidKernelProfile('6.12', {debugfs: false, sysfsStats: false}),
      (kernel, a) => {
        fd = one(kernel, a);
      },
      async ({kernel, a, look}) => {
        const {inode} = kernel.bufferOf(a, fd);
        kernel.mmap(a, fd, {length: 4096});
        kernel.close(a, fd);
        const sample = await look();
        expect(held(sample, a)).toEqual([`${inode} 0 1`]);
        expect(sample.buffers.get(inode)?.sizeBytes).toBe(16384n);
      },
    );
  });

  it('sees a new name', async () => {
    let fd = 0;
    await onStage(
      LISTED,
      (kernel, a) => {
        fd = one(kernel, a);
      },
      async ({kernel, a, look}) => {
        const {inode} = kernel.bufferOf(a, fd);
        for (const name of ['one', 'two', 'nl\nhere', '\ncount:\t99', '']) {
          kernel.setName(a, fd, name);
          const {buffers} = await look();
          expect(buffers.get(inode)?.name).toEqual({
            raw: name,
            doubtful: false,
          });
        }
      },
    );
  });

  it('counts the references that no process has', async () => {
    let fd = 0;
    await onStage(
      LISTED,
      (kernel, a) => {
        fd = one(kernel, a);
      },
      async ({kernel, a, look}) => {
        const buffer = kernel.bufferOf(a, fd);
        const importer = kernel.newImporter('camera');
        const handle = importer.import(buffer, {refs: 3});
        const kernelRefs = async () =>
          account(await look()).buffers.get(buffer.inode)?.kernelRefs;
        expect(await kernelRefs()).toBe(3n);
        expect(await kernelRefs()).toBe(3n);
        importer.release(handle);
        expect(await kernelRefs()).toBe(0n);
      },
    );
  });

  it('follows a buffer on its way through a socket', async () => {
    let fd = 0;
    let ends = [0, 0];
    await onStage(
      LISTED,
      (kernel, a, b) => {
        fd = one(kernel, a);
        ends = kernel.socketPair(a, b);
      },
      async ({kernel, a, b, look}) => {
        const [from = 0, to = 0] = ends;
        const {inode} = kernel.bufferOf(a, fd);
        kernel.sendFds(a, from, [fd]);
        kernel.close(a, fd);
        const under = await look();
        expect(held(under, a)).toEqual([]);
        const buffer = under.buffers.get(inode);
        expect(buffer?.generation).toBe(0);
        expect(account(under).kernelOnly?.buffers).toBe(1);
        kernel.receiveFds(b, to);
        const there = await look();
        expect(held(there, b)).toEqual([`${inode} 1 0`]);
        // It is still the same buffer.
        expect(there.buffers.get(inode)?.generation).toBe(0);
      },
    );
  });

  it('takes a buffer that comes back for the same, without a list', async () => {
    let fd = 0;
    let ends = [0, 0];
    await onStage(
      androidKernelProfile('6.12', {debugfs: false, sysfsStats: false}),
      (kernel, a, b) => {
        fd = one(kernel, a);
        ends = kernel.socketPair(a, b);
      },
      async ({kernel, a, b, look}) => {
        const [from = 0, to = 0] = ends;
        const {inode} = kernel.bufferOf(a, fd);
        kernel.sendFds(a, from, [fd]);
        kernel.close(a, fd);
        expect((await look()).buffers.has(inode)).toBe(false);
        kernel.receiveFds(b, to);
        expect((await look()).buffers.get(inode)?.generation).toBe(0);
      },
    );
  });

  it('sees processes come and go', async () => {
    await onStage(
      LISTED,
      () => undefined,
      async ({kernel, look}) => {
        const pid = kernel.spawn({comm: 'new'});
        one(kernel, pid);
        const there = await look();
        expect(held(there, pid)).toHaveLength(1);
        expect(there.processes.get(pid)?.process.comm).toBe('new');
        kernel.exit(pid);
        const gone = await look();
        expect(gone.processes.has(pid)).toBe(false);
        expect(gone.cost.fullScan).toBe(false);
      },
    );
  });
});
