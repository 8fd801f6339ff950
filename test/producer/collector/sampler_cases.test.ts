// SPDX-License-Identifier: Apache-2.0
// The sampler where it cannot see everything, is looked after badly, or runs
// for long.
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {account} from '../../../src/core/accounting/index.js';
import {compare} from '../../../src/core/changes/index.js';
import {FormatError} from '../../../src/core/formats/index.js';
import {androidKernelProfile} from '../../../src/core/kernel/index.js';
import type {
  DmaBuf as ModelBuffer,
  Snapshot,
} from '../../../src/core/model/index.js';
import {DeviceError} from '../../../src/producer/device/device.js';
import {expectPossible, expectTruth} from './expect_truth.js';
import {
  MS,
  OPERATION_NAMES,
  SECOND,
  SETTINGS,
  World,
  step,
  stepOf,
} from './kernel_world.js';
import {observe} from './observer.js';
import {replay} from './replay.js';

const steps = fc.array(step, {maxLength: 40});
const BUFINFO = SETTINGS.filter(({title}) => title.endsWith('bufinfo'));

describe('without root', () => {
  const UID = 2000;
  const open = stepOf(OPERATION_NAMES.filter((op) => op !== 'privateThread'));
  const rounds = fc.array(fc.array(open, {maxLength: 10}), {
    minLength: 1,
    maxLength: 8,
  });

  it.each(['5.10', '6.1', '7.x'])(
    'tells what it sees and no more, on %s',
    async (name) => {
      await fc.assert(
        fc.asyncProperty(rounds, async (played) => {
          const world = new World(androidKernelProfile(name));
          world.kernel.spawn({uid: UID, comm: 'mine'});
          await observe(
            world,
            async ({sampler, capabilities, pid: collector}) => {
              expect(capabilities.bufinfo).toBe('no permission');
              for (const round of played) {
                world.play(round);
                const sample = await sampler.sample({full: true});
                const processes = world.kernel.processes
                  .list()
                  .filter(({pid}) => pid !== collector);
                let refused = 0;
                const accounts = account(sample).processes;
                expect(sample.processes.size).toBe(processes.length);
                for (const {pid, uid, memory, holdings} of processes) {
                  const found = sample.processes.get(pid);
                  const rss = BigInt(holdings.rssBytes);
                  const known = found?.kernelRssBytes;
                  if (name === '5.10' || memory === undefined) {
                    expect(known).toBeUndefined();
                  } else {
                    expect(known).toBe(rss);
                    expect(found?.kernelPssBytes).toBe(
                      BigInt(holdings.pssBytes),
                    );
                  }
                  if (uid === UID && memory !== undefined) {
                    expect(found?.readState).toBe('complete');
                    expect(found?.holdings.size).toBe(
                      [...holdings.entries()].length,
                    );
                    continue;
                  }
                  refused++;
                  expect(found?.readState).toBe('unreadable');
                  expect(found?.holdings.size).toBe(0);
                  // Unknown is never zero.
                  expect(accounts.get(pid)?.rssBytes).toBe(known);
                }
                expect(sample.coverage.processesUnreadable).toBe(refused);
                expect(sample.coverage.fileCounts).toBe(false);
                expect(sample.coverage.problems).toEqual([]);
                for (const entry of account(sample).buffers.values()) {
                  expect(entry.kernelRefs).toBeUndefined();
                }
              }
            },
            {uid: UID},
          );
        }),
        {numRuns: 12},
      );
    },
  );

  it('follows dmabuf_rss in quick samples', async () => {
    const world = new World(androidKernelProfile('6.12'));
    const pid = world.kernel.spawn({uid: 1000, comm: 'other'});
    await observe(
      world,
      async ({sampler}) => {
        await sampler.sample();
        world.kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 12288});
        world.kernel.advance(250n * MS);
        const sample = await sampler.sample();
        expect(sample.cost.fullScan).toBe(false);
        expect(sample.processes.get(pid)?.kernelRssBytes).toBe(12288n);
        expect(sample.cost.processesScanned).toBe(0);
      },
      {uid: UID},
    );
  });
});

describe('while things happen', () => {
  it.each(SETTINGS)(
    'shows nothing that never was, and comes to the truth: $title',
    async (setting) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, {minLength: 20, maxLength: 120}),
          fc.integer({min: 1, max: 4}),
          async (played, every) => {
            const world = new World(setting.profile);
            await observe(world, async (observer) => {
              const {sampler} = observer;
              let next = 0;
              let requests = 0;
              observer.onRequest = () => {
                const each = played[next];
                if (requests++ % every !== 0 || each === undefined) return;
                next++;
                world.playOne(each);
              };
              let before: Snapshot | undefined;
              for (let i = 0; i < 12; i++) {
                const sample = await sampler.sample({full: i % 3 === 0});
                expectPossible(observer, sample);
                expect(replay(before, compare(before, sample))).toEqual(
                  replay(undefined, compare(undefined, sample)),
                );
                before = sample;
                world.kernel.advance(SECOND / 4n);
              }
              observer.onRequest = undefined;
              const last = await sampler.sample({full: true, threads: true});
              expectTruth(observer, last, setting);
            });
          },
        ),
        {numRuns: 12},
      );
    },
  );
});

describe('an fd that becomes another buffer while it is read', () => {
  it.each(['5.10', '6.12'])(
    'lends its size and name to no other, on %s',
    async (name) => {
      const profile = androidKernelProfile(name, {
        debugfs: false,
        sysfsStats: false,
      });
      for (let at = 1; at <= 12; at++) {
        const world = new World(profile);
        const {kernel} = world;
        const pid = kernel.spawn({comm: 'changing'});
        const sizes = new Map<bigint, bigint>();
        const [a = 0, b = 0] = [4096, 8192].map((sizeBytes) => {
          const fd = kernel.exportBuffer(pid, {
            exporter: `of ${sizeBytes}`,
            sizeBytes,
          });
          const buffer = kernel.bufferOf(pid, fd);
          kernel.newImporter('keeper').import(buffer);
          sizes.set(buffer.inode, BigInt(sizeBytes));
          return fd;
        });
        const other = kernel.bufferOf(pid, b);
        kernel.close(pid, b);
        await observe(world, async (observer) => {
          let requests = 0;
          observer.onRequest = () => {
            if (++requests !== at) return;
            kernel.close(pid, a);
            kernel.installBuffer(pid, other);
          };
          const {buffers} = await observer.sampler.sample();
          for (const [inode, sizeBytes] of sizes) {
            const {sizeBytes: told = sizeBytes, exporter} =
              buffers.get(inode) ?? {};
            expect(told).toBe(sizeBytes);
            expect([undefined, `of ${sizeBytes}`]).toContain(exporter);
          }
        });
      }
    },
  );
});

describe('on a stream that is damaged', () => {
  it.each(BUFINFO)(
    'notices, and finds the truth afterwards: $title',
    async (setting) => {
      let noticed = 0;
      await fc.assert(
        fc.asyncProperty(
          steps,
          steps,
          fc.array(
            fc.record({
              chunk: fc.nat(12),
              at: fc.double({min: 0, max: 0.999, noNaN: true}),
              lost: fc.nat(40),
              added: fc.string({maxLength: 20, unit: 'binary-ascii'}),
            }),
            {minLength: 1, maxLength: 3},
          ),
          async (first, second, mishaps) => {
            const world = new World(setting.profile);
            world.play(first);
            await observe(
              world,
              async (observer) => {
                await observer.sampler.sample();
                world.play(second);
                let chunks = 0;
                observer.tamper = (chunk) => {
                  let bytes = Buffer.from(chunk);
                  for (const {chunk, at, lost, added} of mishaps) {
                    if (chunk !== chunks) continue;
                    const from = Math.floor(at * bytes.length);
                    // The same number of bytes would be another text.
                    const to = from + (lost === added.length ? 0 : lost);
                    bytes = Buffer.concat([
                      bytes.subarray(0, from),
                      Buffer.from(added, 'latin1'),
                      bytes.subarray(to),
                    ]);
                  }
                  chunks++;
                  return bytes;
                };
                for (let i = 0; i < 2; i++) {
                  try {
                    const sample = await observer.sampler.sample({
                      full: true,
                      threads: true,
                    });
                    expectPossible(observer, sample);
                    if (sample.coverage.problems.length > 0) noticed++;
                    else expectTruth(observer, sample, setting);
                  } catch (error) {
                    noticed++;
                    if (error instanceof FormatError) continue;
                    if (!(error instanceof DeviceError)) throw error;
                    expect(error.code).toBe('timeout');
                  }
                }
                observer.tamper = undefined;
                const again = () =>
                  observer.sampler.sample({full: true, threads: true});
                // The first one may meet the rest of the damage.
                await again().catch(() => undefined);
                expectTruth(observer, await again(), setting);
              },
              {timeoutMs: 100},
            );
          },
        ),
        {numRuns: 20},
      );
      expect(noticed).toBeGreaterThan(5);
    },
  );
});

describe('identity', () => {
  /** Lets the kernel hand out few inode numbers, over and over. */
  function reuseInodes(world: World, numbers: bigint[], onlyFree: boolean) {
    const {dmaBufs} = world.kernel;
    let last = 0;
    const next = (): bigint => {
      for (let tries = 0; tries < numbers.length; tries++) {
        const inode = numbers[last++ % numbers.length] ?? 0n;
        if (!onlyFree || dmaBufs.find(inode) === undefined) return inode;
      }
      return BigInt(1000 + last++);
    };
    Object.assign(dmaBufs, {inodes: {next}});
  }

  const churn = fc.array(
    fc.array(
      stepOf(['export', 'close', 'dup', 'transfer', 'exit', 'sendAndClose']),
      {maxLength: 12},
    ),
    {minLength: 4, maxLength: 10},
  );

  const OLD = SETTINGS.filter(({title}) =>
    title.startsWith('5.10 with bufinfo'),
  );

  it.each(OLD)(
    'of buffers outlives the reuse of inodes: $title',
    async (setting) => {
      let reused = 0;
      await fc.assert(
        fc.asyncProperty(churn, async (played) => {
          const world = new World(setting.profile);
          reuseInodes(world, [90n, 91n, 92n], true);
          await observe(world, async (observer) => {
            /** Inode → the buffer behind it when it was seen last. */
            const last = new Map<
              bigint,
              {serial: number; buffer: ModelBuffer}
            >();
            const gone = new Set<bigint>();
            for (const round of played) {
              world.play(round);
              const {buffers} = await observer.sampler.sample({full: true});
              for (const {
                inode,
                serial,
              } of world.kernel.dmaBufs.oldestFirst()) {
                const buffer = buffers.get(inode);
                if (buffer === undefined)
                  throw new Error(`${inode} is missing`);
                const before = last.get(inode);
                const {generation, sizeBytes, exporter} = buffer;
                if (before?.serial === serial) {
                  expect(generation).toBe(before.buffer.generation);
                } else if (before !== undefined) {
                  reused++;
                  // A twin that came between two samples looks the same.
                  const isTwin =
                    !gone.has(inode) &&
                    before.buffer.sizeBytes === sizeBytes &&
                    before.buffer.exporter === exporter;
                  if (!isTwin) {
                    expect(generation).toBeGreaterThan(
                      before.buffer.generation,
                    );
                  }
                }
                gone.delete(inode);
                last.set(inode, {serial, buffer});
              }
              for (const inode of last.keys()) {
                if (!buffers.has(inode)) gone.add(inode);
              }
            }
          });
        }),
        {numRuns: 100},
      );
      expect(reused).toBeGreaterThan(10);
    },
  );
});

describe('identity of processes', () => {
  it('outlives the reuse of pids', async () => {
    const world = new World(androidKernelProfile('6.12'), {pidMax: 8});
    const {kernel} = world;
    await observe(world, async ({sampler}) => {
      const starts = new Map<number, Set<bigint | undefined>>();
      for (let i = 0; i < 12; i++) {
        kernel.advance(100n * MS);
        const pid = kernel.spawn({comm: `life ${i}`});
        kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
        const {processes} = await sampler.sample();
        const {process, holdings} = processes.get(pid) ?? {};
        expect(process?.comm).toBe(`life ${i}`);
        expect(holdings?.size).toBe(1);
        const seen = starts.get(pid) ?? new Set();
        expect(seen.has(process?.startTicks)).toBe(false);
        starts.set(pid, seen.add(process?.startTicks));
        kernel.exit(pid);
      }
      expect(starts.size).toBeLessThan(12);
    });
  });

  it('gets a new name while the process is young', async () => {
    const world = new World(androidKernelProfile('6.12'));
    const {kernel} = world;
    const pid = kernel.spawn({comm: 'main', args: ['zygote64']});
    kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
    await observe(world, async ({sampler}) => {
      const named = async () =>
        (await sampler.sample({full: true})).processes.get(pid)?.process;
      expect(await named()).toMatchObject({comm: 'main', cmdline: 'zygote64'});
      kernel.identify(pid, {comm: 'm.example.app', args: ['com.example.app']});
      kernel.advance(SECOND);
      expect(await named()).toMatchObject({
        comm: 'm.example.app',
        cmdline: 'com.example.app',
      });
    });
  });
});

describe('inodes that two live buffers share', () => {
  it('are told, and harm no other buffer', async () => {
    const world = new World(androidKernelProfile('5.10', {sysfsStats: false}));
    const {kernel} = world;
    const pid = kernel.spawn({comm: 'holder'});
    const other = kernel.spawn({comm: 'other'});
    let inode = 500n;
    Object.assign(kernel.dmaBufs, {inodes: {next: () => inode}});
    kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
    kernel.exportBuffer(other, {exporter: 'system', sizeBytes: 8192});
    inode = 501n;
    kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 16384});
    await observe(world, async ({sampler}) => {
      let generation: number | undefined;
      for (let i = 0; i < 3; i++) {
        kernel.advance(SECOND);
        const {buffers, coverage} = await sampler.sample({full: i % 2 === 0});
        expect(coverage.inodeCollisions).toBe(1);
        expect(buffers.get(501n)?.sizeBytes).toBe(16384n);
        generation ??= buffers.get(500n)?.generation;
        expect(buffers.get(500n)?.generation).toBe(generation);
      }
    });
  });
});

describe('a long recording', () => {
  it('keeps nothing of what is gone', async () => {
    const world = new World(androidKernelProfile('5.10'), {pidMax: 32768});
    const {kernel} = world;
    await observe(world, async ({sampler}) => {
      const sizes = (): number => {
        const {state, strangers, activeUntil} = sampler as unknown as Record<
          string,
          Record<string, Map<unknown, unknown>>
        >;
        const maps = [strangers, activeUntil, ...Object.values(state ?? {})];
        return maps
          .filter((each) => each instanceof Map || each instanceof Set)
          .reduce(
            (sum, map) => sum + (map as unknown as {size: number}).size,
            0,
          );
      };
      const round = async (): Promise<number> => {
        const pid = kernel.spawn({comm: 'short-lived'});
        for (let i = 0; i < 10; i++) {
          kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
        }
        kernel.advance(SECOND / 4n);
        await sampler.sample();
        kernel.exit(pid);
        kernel.advance(SECOND / 4n);
        await sampler.sample();
        return sizes();
      };
      for (let i = 0; i < 10; i++) await round();
      const before = await round();
      for (let i = 0; i < 50; i++) await round();
      // But for the inodes whose next buffer is another one: those are bounded.
      expect((await round()) - before).toBeLessThanOrEqual(51 * 10);
    });
  });
});

describe('a device with very much of everything', () => {
  it('has 5,000 processes', async () => {
    const world = new World(androidKernelProfile('6.12'), {pidMax: 32768});
    const {kernel} = world;
    const pids = Array.from({length: 5000}, () =>
      kernel.spawn({kernelThread: true}),
    );
    const [last] = [kernel.spawn({comm: 'last'})];
    const fd = kernel.exportBuffer(last, {exporter: 'system', sizeBytes: 4096});
    await observe(world, async (observer) => {
      const {sampler} = observer;
      const first = await sampler.sample();
      expect(first.processes.size).toBe(pids.length + 4);
      kernel.advance(SECOND / 4n);
      kernel.dup(last, fd);
      const quick = await sampler.sample();
      expect(quick.cost.processesScanned).toBe(1);
      const [holding] = quick.processes.get(last)?.holdings.values() ?? [];
      expect(holding?.fdRefs).toBe(2);
    });
  });

  it('has a process with 30,000 fds of dma-bufs', async () => {
    const world = new World(androidKernelProfile('6.12'));
    const {kernel} = world;
    const pid = kernel.spawn({comm: 'hoarder'});
    const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
    for (let i = 1; i < 30_000; i++) kernel.dup(pid, fd);
    await observe(world, async (observer) => {
      const sample = await observer.sampler.sample({full: true});
      expectTruth(observer, sample, {
        title: '',
        profile: kernel.profile,
      });
      expect([...(sample.processes.get(pid)?.holdings.values() ?? [])]).toEqual(
        [expect.objectContaining({fdRefs: 30_000})],
      );
    });
  });

  it('has more threads than may be read at once', async () => {
    const world = new World(androidKernelProfile('6.1'), {pidMax: 32768});
    const {kernel} = world;
    const pid = kernel.spawn({comm: 'busy'});
    for (let i = 0; i < 500; i++) kernel.startThread(pid);
    const tid = kernel.startThread(pid, {unshareFiles: true});
    kernel.exportBuffer(tid, {exporter: 'system', sizeBytes: 4096});
    await observe(world, async ({sampler}) => {
      const asked: number[] = [];
      for (let i = 0; i < 6; i++) {
        const {processes} = await sampler.sample({full: true});
        kernel.advance(21n * SECOND);
        asked.push(processes.get(pid)?.holdings.size ?? 0);
      }
      // Not at once, but in the end.
      expect(asked[0]).toBe(0);
      expect(asked.at(-1)).toBe(1);
      const whole = await sampler.sample({full: true, threads: true});
      expect(whole.processes.get(pid)?.holdings.size).toBe(1);
    });
  });
});
