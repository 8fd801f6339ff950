// SPDX-License-Identifier: Apache-2.0
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import type {Device} from '../../../src/producer/device/index.js';
import {probeSu, throughSu} from '../../../src/producer/device/index.js';
import {AdbBench, adbVersion} from './adb_bench.js';
import {FakeAdbd} from './fake_adbd.js';
import {AOSP_SU, FakeTools, MAGISK_SU, REFUSING_SU} from './fake_tools.js';

describe.skipIf(adbVersion() === undefined)('su', () => {
  let bench: AdbBench;
  const cleanups: (() => Promise<void>)[] = [];

  beforeEach(async () => {
    bench = await AdbBench.create();
  });

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
    await bench.close();
  });

  async function deviceWith(su?: string): Promise<Device> {
    const tools = await FakeTools.create({
      uid: 2000,
      ...(su === undefined ? {} : {su}),
    });
    const fake = await FakeAdbd.listen({env: tools.env});
    cleanups.push(
      () => fake.close(),
      () => tools.remove(),
    );
    await bench.connect(fake.serial);
    return bench.open().openDevice(fake.serial);
  }

  const styles = [
    ['AOSP', AOSP_SU, 'exec'],
    ['Magisk', MAGISK_SU, 'login'],
  ] as const;

  describe.each(styles)('of %s', (_, su, style) => {
    it('is found', async () => {
      expect(await probeSu(await deviceWith(su))).toBe(style);
    });

    it('runs a command as root, whatever is in it', async () => {
      const device = throughSu(await deviceWith(su), style);
      const output = await device.run(`id -u; printf '%s|' "it's" '$HOME'`);
      expect(Buffer.from(output).toString()).toBe("0\nit's|$HOME|");
    });

    it('joins both directions and ends when the command does', async () => {
      const device = throughSu(await deviceWith(su), style);
      const stream = await device.open(
        `id -u; while read -r line; do [ "$line" = quit ] && exit; echo "<$line>"; done`,
      );
      let all = '';
      for await (const chunk of stream.chunks) {
        all += Buffer.from(chunk).toString();
        if (all === '0\n') await stream.write('first\n');
        if (all === '0\n<first>\n') await stream.write('second\nquit\n');
      }
      expect(all).toBe('0\n<first>\n<second>\n');
    });
  });

  it.each([
    ['is not there', undefined, /su: not found/],
    ['refuses', REFUSING_SU, /Permission denied/],
    ['does nothing', 'exit 0', /no output/],
    ['changes nothing', 'shift; exec "$@"', /uid=2000/],
  ])('is an error if it %s', async (_, su, message) => {
    await expect(probeSu(await deviceWith(su))).rejects.toMatchObject({
      code: 'no-su',
      message: expect.stringMatching(message) as string,
      fix: expect.stringContaining('grant root') as string,
    });
  });
});
