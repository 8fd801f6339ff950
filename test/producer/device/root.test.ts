// SPDX-License-Identifier: Apache-2.0
import {randomUUID} from 'node:crypto';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import type {Adb} from '../../../src/producer/device/index.js';
import {becomeRoot} from '../../../src/producer/device/index.js';
import {AdbBench, adbVersion} from './adb_bench.js';
import type {RootBehaviour} from './fake_adbd.js';
import {FakeAdbd} from './fake_adbd.js';
import {FakeTools} from './fake_tools.js';

const RESTARTING = 'restarting adbd as root';

describe.skipIf(adbVersion() === undefined)('becomeRoot', () => {
  let bench: AdbBench;
  let tools: FakeTools;
  let adb: Adb;
  let fake: FakeAdbd | undefined;

  beforeEach(async () => {
    bench = await AdbBench.create();
    tools = await FakeTools.create({uid: 2000});
    adb = bench.open();
  });

  afterEach(async () => {
    await fake?.close();
    await bench.close();
    await tools.remove();
  });

  async function attach(root?: RootBehaviour): Promise<FakeAdbd> {
    fake = await FakeAdbd.listen({env: tools.env, ...(root ? {root} : {})});
    await bench.connect(fake.serial);
    return fake;
  }

  async function rootOf(
    adbd: FakeAdbd,
    returnLimitMs?: number,
  ): Promise<string> {
    const device = await adb.openDevice(adbd.serial);
    const options = returnLimitMs === undefined ? {} : {returnLimitMs};
    const rooted = await becomeRoot(adb, device, options);
    const uid = Buffer.from(await rooted.run('id -u')).toString();
    return `${rooted.serial} ${uid.trim()}`;
  }

  it('asks nothing of an adbd that is root', async () => {
    await tools.setUid(0);
    const adbd = await attach();
    expect(await rootOf(adbd)).toBe(`${adbd.serial} 0`);
    expect(adbd.services).not.toContain('root:');
  });

  it('waits for the device to come back under its serial', async () => {
    const adbd = await attach({
      says: RESTARTING,
      then: (self) => {
        void tools.setUid(0).then(() => self.drop());
      },
    });
    expect(await rootOf(adbd)).toBe(`${adbd.serial} 0`);
  });

  it('connects a network device anew that stays away for a while', async () => {
    const adbd = await attach({
      says: RESTARTING,
      then: (self) => {
        const {port} = self;
        void tools
          .setUid(0)
          .then(() => self.close())
          .then(() => bench.adb('disconnect', `127.0.0.1:${port}`))
          .then(() => self.listenOn(port));
      },
    });
    const {serial} = adbd;
    expect(await rootOf(adbd)).toBe(`${serial} 0`);
  });

  it('finds the device again under another serial', async () => {
    const adbd = await attach({
      says: RESTARTING,
      then: (self) => {
        void tools
          .setUid(0)
          .then(() => self.close())
          .then(() => self.listenOn(0))
          .then(() => bench.connect(self.serial));
      },
    });
    const before = adbd.serial;
    const after = await rootOf(adbd);
    expect(after).toBe(`${adbd.serial} 0`);
    expect(adbd.serial).not.toBe(before);
  });

  it('takes no other device for it that is attached meanwhile', async () => {
    const otherTools = await FakeTools.create({uid: 0, bootId: randomUUID()});
    const other = await FakeAdbd.listen({env: otherTools.env});
    const adbd = await attach({
      says: RESTARTING,
      then: (self) => {
        void self.close().then(() => bench.connect(other.serial));
      },
    });
    await expect(rootOf(adbd, 3_000)).rejects.toMatchObject({code: 'gone'});
    await other.close();
    await otherTools.remove();
  });

  it('says so if the device does not come back', async () => {
    const adbd = await attach({
      says: RESTARTING,
      then: (self) => void self.close(),
    });
    const {serial} = adbd;
    await expect(rootOf(adbd, 1_000)).rejects.toMatchObject({
      code: 'gone',
      message: expect.stringContaining(
        `${serial} did not come back as root in 1 s`,
      ) as string,
    });
  });

  it.each([
    [
      'a production build',
      {says: 'adbd cannot run as root in production builds'},
      /production builds.*--su/,
    ],
    [
      'one with root switched off',
      {says: 'ADB Root access is disabled by system setting'},
      /disabled by system setting/,
    ],
    ['an adbd without the service', undefined, /cannot change its user/],
  ])('tells of %s', async (_, behaviour, message) => {
    const adbd = await attach(behaviour);
    await expect(rootOf(adbd)).rejects.toMatchObject({
      code: 'no-root',
      message: expect.stringMatching(message) as string,
    });
  });

  it('tells of an adbd that promises root and does not keep it', async () => {
    const adbd = await attach({
      says: RESTARTING,
      then: (self) => self.drop(),
    });
    await expect(rootOf(adbd, 3_000)).rejects.toMatchObject({
      code: 'no-root',
      message: expect.stringContaining('runs as uid 2000') as string,
    });
  });

  it('believes "already running as root" no more than id', async () => {
    const adbd = await attach({says: 'adbd is already running as root'});
    await expect(rootOf(adbd, 1_000)).rejects.toMatchObject({code: 'no-root'});
  });
});
