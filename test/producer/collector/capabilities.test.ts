// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {
  androidKernelProfile,
  kernelProfile,
  SimulatedKernel,
  type KernelProfile,
} from '../../../src/core/kernel/index.js';
import {hasUniqueInodes} from '../../../src/producer/collector/capabilities.js';
import {connectCollector} from '../../../src/producer/collector/connect.js';
import type {Device} from '../../../src/producer/device/device.js';
import {deviceOfKernel} from '../../../src/producer/device/simulated_device.js';
import {World} from './kernel_world.js';
import {observe, tampered} from './observer.js';

describe('what a device offers', () => {
  it('is all of it to root, on a new Android kernel', async () => {
    const world = new World(androidKernelProfile('7.x'));
    await observe(world, async ({capabilities}) => {
      expect(capabilities).toMatchObject({
        kernelRelease: world.kernel.profile.release,
        bootId: world.kernel.bootId,
        uid: 0,
        bufinfo: 'yes',
        debugfsMounted: true,
        bpf: 'yes',
        sysfs: 'absent',
        fds: 'yes',
        maps: 'yes',
        dmabufRss: 'yes',
        dmabufPss: 'yes',
        fdCounts: true,
        kernelList: 'bufinfo',
      });
      await Promise.resolve();
    });
  });

  it('is little to the shell of a production device', async () => {
    const world = new World(androidKernelProfile('6.1'));
    await observe(
      world,
      async ({capabilities}) => {
        expect(capabilities).toMatchObject({
          uid: 2000,
          bufinfo: 'no permission',
          debugfsMounted: false,
          bpf: 'absent',
          sysfs: 'yes',
          fds: 'no permission',
          maps: 'no permission',
          dmabufRss: 'yes',
          fdCounts: false,
          kernelList: 'sysfs',
        });
        await Promise.resolve();
      },
      {uid: 2000},
    );
  });

  it.each([
    [{debugfs: false, sysfsStats: true, bpfIterator: true}, 'bpf'],
    [{debugfs: false, sysfsStats: true, bpfIterator: false}, 'sysfs'],
    [{debugfs: false, sysfsStats: false, bpfIterator: false}, undefined],
    [{debugfs: true, sysfsStats: true, bpfIterator: true}, 'bufinfo'],
  ])('has its best list of buffers: %j', async (points, list) => {
    const world = new World(androidKernelProfile('6.12', points));
    await observe(world, async ({capabilities}) => {
      expect(capabilities.kernelList).toBe(list);
      expect(capabilities.debugfsMounted).toBe(points.debugfs);
      expect(capabilities.bufinfo).toBe(points.debugfs ? 'yes' : 'absent');
      await Promise.resolve();
    });
  });

  it('has its lists also while there is no buffer', async () => {
    for (const points of [
      {debugfs: true},
      {debugfs: false, bpfIterator: true, sysfsStats: false},
      {debugfs: false, bpfIterator: false, sysfsStats: true},
    ]) {
      const kernel = new SimulatedKernel({
        profile: androidKernelProfile('6.12', points),
        seed: 1,
      });
      const device = deviceOfKernel(kernel, {description: 'empty'});
      const {capabilities, sampler, close} = await connectCollector(device);
      expect(capabilities.kernelList).toBeDefined();
      const {buffers, coverage} = await sampler.sample();
      expect(buffers.size).toBe(0);
      expect(coverage.problems).toEqual([]);
      await close();
    }
  });

  it('counts fds since 6.2', async () => {
    for (const [name, counts] of [
      ['5.10', false],
      ['6.1', false],
      ['6.12', true],
    ] as const) {
      await observe(
        new World(androidKernelProfile(name)),
        async ({capabilities}) => {
          expect(capabilities.fdCounts).toBe(counts);
          await Promise.resolve();
        },
      );
    }
  });

  it('reuses no inode since 5.18', async () => {
    for (const [name, unique] of [
      ['5.10', false],
      ['5.15', false],
      ['6.1', true],
      ['7.x', true],
    ] as const) {
      await observe(
        new World(androidKernelProfile(name)),
        async ({capabilities}) => {
          expect(hasUniqueInodes(capabilities)).toBe(unique);
          await Promise.resolve();
        },
      );
    }
  });
});

/** The device with a bufinfo whose column of inodes is some other one. */
function withoutInodes(device: Device): Device {
  return tampered(device, (chunk) => {
    const text = Buffer.from(chunk).toString('latin1');
    const other = text.replace('\tino     ', '\tabc     ');
    return Buffer.from(other, 'latin1');
  });
}

describe('a kernel', () => {
  const kernelOf = (release: string, points: Partial<KernelProfile> = {}) =>
    new SimulatedKernel({
      profile: kernelProfile('5.3', {release, ...points}),
      seed: 1,
    });
  const refusalOf = async (
    kernel: SimulatedKernel,
    change = (device: Device) => device,
  ): Promise<unknown> => {
    const device = change(deviceOfKernel(kernel, {description: 'old'}));
    const error: unknown = await connectCollector(device).catch(
      (reason: unknown) => reason,
    );
    // Nothing is left running there.
    expect(kernel.processes.list().map(({comm}) => comm)).toEqual(['init']);
    return error;
  };

  it.each(['4.19.191', '5.2.0'])(
    '%s is refused where nothing shows that it was patched',
    async (release) => {
      const error = await refusalOf(kernelOf(release, {debugfs: false}));
      expect(error).toMatchObject({code: 'refused'});
      expect(String(error)).toMatch(
        new RegExp(
          `kernel ${release} is too old: before 5\\.3 .* column ino of ` +
            '/sys/kernel/debug/dma_buf/bufinfo shows, .* cannot be read: ' +
            'become root .* debugfs mounted .* 5\\.3 or newer',
        ),
      );
    },
  );

  it.each(['4.19.191', '5.3.0', 'custom'])(
    '%s is refused where its list has no inodes',
    async (release) => {
      const error = await refusalOf(kernelOf(release), withoutInodes);
      expect(error).toMatchObject({code: 'refused'});
      expect(String(error)).toMatch(
        new RegExp(
          `kernel ${release} is too old: all its dma-bufs share one inode ` +
            '.* no column ino',
        ),
      );
    },
  );

  it.each([
    ['4.14.212', {}],
    ['4.19.191', {}],
    ['5.0.0-rc8', {pathText: 'deleted'}],
    ['5.3.0', {debugfs: false}],
    ['10.0', {debugfs: false}],
    ['custom', {debugfs: false}],
  ] as const)('%s with %j is not', async (release, points) => {
    const device = deviceOfKernel(kernelOf(release, points), {
      description: 'new enough',
    });
    const {capabilities, close} = await connectCollector(device);
    expect(capabilities.kernelRelease).toBe(release);
    await close();
  });
});
