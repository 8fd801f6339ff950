// SPDX-License-Identifier: Apache-2.0
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {openAdb, openSource} from '../../../src/producer/device/index.js';
import {AdbBench, adbVersion, freePort} from './adb_bench.js';
import type {FakeAdbdOptions} from './fake_adbd.js';
import {FakeAdbd} from './fake_adbd.js';
import {FakeTools} from './fake_tools.js';

describe.skipIf(adbVersion() === undefined)('openSource', () => {
  let bench: AdbBench;
  const cleanups: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    bench = await AdbBench.create();
  });

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
    await bench.close();
  });

  async function attach(
    properties: Record<string, string>,
    options?: FakeAdbdOptions,
  ): Promise<string> {
    const tools = await FakeTools.create({properties});
    const fake = await FakeAdbd.listen({env: tools.env, ...options});
    cleanups.push(
      () => fake.close(),
      () => tools.remove(),
    );
    await bench.connect(fake.serial);
    return fake.serial;
  }

  it('opens a device and describes it by its own name', async () => {
    const serial = await attach({'ro.product.model': 'Pixel 8 \x1b[31mPro'});
    const source = await openSource(bench.open(), {source: 'auto', serial});
    if (source.kind !== 'device') throw new Error(source.why);
    expect(source.device.description).toBe(`Pixel 8 [31mPro (${serial})`);
    expect(source.device.emulator).toBe(false);
  });

  it.each(['ro.boot.qemu', 'ro.kernel.qemu'])(
    'takes the simulator in place of an emulator that %s tells',
    async (property) => {
      const serial = await attach({[property]: '1'});
      const adb = bench.open();
      const source = await openSource(adb, {source: 'auto', serial});
      expect(source).toMatchObject({
        kind: 'simulator',
        why: expect.stringContaining(serial) as string,
      });
      const insisted = await openSource(adb, {source: 'device', serial});
      expect(insisted.kind).toBe('device');
    },
  );

  it('takes the simulator in place of several emulators, but of no device', async () => {
    await attach({'ro.boot.qemu': '1'});
    await attach({'ro.kernel.qemu': '1'});
    const adb = bench.open();
    expect(await openSource(adb, {source: 'auto'})).toMatchObject({
      kind: 'simulator',
      why: expect.stringMatching(
        /emulators \(\S+ .*, \S+ .*; --source device -s SERIAL records one\)$/,
      ) as string,
    });
    await expect(openSource(adb, {source: 'device'})).rejects.toMatchObject({
      code: 'several-devices',
    });
    await attach({});
    await expect(openSource(adb, {source: 'auto'})).rejects.toMatchObject({
      code: 'several-devices',
    });
  });

  it('throws for a device that cannot be used', async () => {
    const serial = await attach({}, {handshake: 'demand-auth'});
    await expect(
      openSource(bench.open(), {source: 'auto', envSerial: serial}),
    ).rejects.toMatchObject({code: 'unauthorized'});
  });

  it('asks no adb server for the simulator', async () => {
    const adb = bench.open();
    const source = await openSource(adb, {source: 'simulator'});
    expect(source.kind).toBe('simulator');
    expect(adb.server.started).toBe(false);
  });
});

describe('openSource with no adb at all', () => {
  it('takes the simulator and says why', async () => {
    const port = await freePort();
    const adb = openAdb({host: '127.0.0.1', port, env: {PATH: ''}});
    expect(await openSource(adb, {source: 'auto'})).toEqual({
      kind: 'simulator',
      why: 'there is no adb, so no device can be attached',
    });
    await expect(openSource(adb, {source: 'device'})).rejects.toMatchObject({
      code: 'no-adb',
    });
  });
});
