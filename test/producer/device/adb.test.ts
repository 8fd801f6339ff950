// SPDX-License-Identifier: Apache-2.0
// adbkit and our commands against a real adb server and a device side of ours.
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import type {AddressInfo, Server} from 'node:net';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import type {
  AdbDevice,
  DeviceError,
  RawStream,
} from '../../../src/producer/device/index.js';
import {openAdb, shellQuote} from '../../../src/producer/device/index.js';
import {ServerStarter} from '../../../src/producer/device/server_starter.js';
import {AdbBench, adbVersion, freePort} from './adb_bench.js';
import type {FakeAdbdOptions} from './fake_adbd.js';
import {FakeAdbd} from './fake_adbd.js';

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** What the stream yields until `isEnough` says so of all of it. */
async function read(
  stream: RawStream,
  isEnough: (all: string) => boolean = () => false,
): Promise<string> {
  let all = '';
  for await (const chunk of stream.chunks) {
    all += text(chunk);
    if (isEnough(all)) break;
  }
  return all;
}

async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.skipIf(adbVersion() === undefined)('with a real adb server', () => {
  let bench: AdbBench;
  const fakes: FakeAdbd[] = [];

  beforeEach(async () => {
    bench = await AdbBench.create();
  });

  afterEach(async () => {
    for (const fake of fakes.splice(0)) await fake.close();
    await bench.close();
  });

  async function attach(options?: FakeAdbdOptions): Promise<FakeAdbd> {
    const fake = await FakeAdbd.listen(options);
    fakes.push(fake);
    await bench.connect(fake.serial);
    return fake;
  }

  async function open(
    options?: FakeAdbdOptions,
  ): Promise<[AdbDevice, FakeAdbd]> {
    const fake = await attach(options);
    return [await bench.open().openDevice(fake.serial), fake];
  }

  describe('the server', () => {
    it('is started if it does not run', async () => {
      const adb = bench.open();
      await adb.listDevices();
      expect(adb.server.started).toBe(true);
      const again = bench.open();
      await again.listDevices();
      expect(again.server.started).toBe(false);
    });

    it('is the one that ADB_SERVER_SOCKET names', async () => {
      const {env, port} = bench;
      const socket = {ADB_SERVER_SOCKET: `tcp:127.0.0.1:${port}`};
      const adb = openAdb({
        env: {...env, ANDROID_ADB_SERVER_PORT: '1', ...socket},
      });
      await adb.listDevices();
      expect(adb.server.address.port).toBe(port);
      expect(adb.server.started).toBe(true);
      expect(await bench.adb('devices')).toContain('List of devices');
    });

    it('is started once more when it was killed in between', async () => {
      const adb = bench.open();
      await adb.listDevices();
      await bench.killServer();
      await expect(adb.listDevices()).resolves.toBeInstanceOf(Array);
    });

    it('needs no adb in PATH if it runs', async () => {
      await bench.open().listDevices();
      const adb = openAdb({env: {...bench.env, PATH: '/nonexistent'}});
      await expect(adb.listDevices()).resolves.toBeInstanceOf(Array);
    });
  });

  describe('the device list', () => {
    it('tells serial, state and model', async () => {
      const fake = await attach({model: 'Pixel 8'});
      const devices = await bench.open().listDevices();
      expect(devices).toContainEqual(
        expect.objectContaining({
          serial: fake.serial,
          state: 'device',
          model: 'Pixel 8',
        }),
      );
    });

    it.each([
      ['unauthorized', {handshake: 'demand-auth'}, 'unauthorized'],
      ['in recovery', {banner: 'recovery'}, 'not-ready'],
      ['in sideload', {banner: 'sideload'}, 'not-ready'],
    ] as const)('refuses a device that is %s', async (_, options, code) => {
      const fake = await attach(options);
      await expect(bench.open().openDevice(fake.serial)).rejects.toMatchObject({
        name: 'DeviceError',
        code,
      });
    });

    it.each(['silence', 'garbage'] as const)(
      'has no usable device where one answers with %s',
      async (handshake) => {
        const fake = await FakeAdbd.listen({handshake});
        fakes.push(fake);
        const adb = bench.open();
        await adb.listDevices();
        // adb itself waits 10 s for such a device; nobody has to wait for adb.
        const connecting = bench.connect(fake.serial).catch(() => undefined);
        await fake.connected;
        const outcome: unknown = await adb
          .openDevice(fake.serial)
          .catch((error: unknown) => error);
        expect(outcome).toMatchObject({name: 'DeviceError'});
        expect(['offline', 'not-ready', 'unknown-serial']).toContain(
          (outcome as DeviceError).code,
        );
        await bench.killServer();
        await connecting;
      },
    );
  });

  describe('run', () => {
    it('gives the bytes as they are', async () => {
      const [device] = await open();
      const bytes = await device.run(`printf 'a\\r\\n\\000\\377\\033b\\n'`);
      expect([...bytes]).toEqual([97, 13, 10, 0, 255, 27, 98, 10]);
    });

    it('gives a few megabytes', async () => {
      const [device] = await open();
      const bytes = await device.run('head -c 5000000 /dev/zero');
      expect(bytes.length).toBe(5_000_000);
    });

    it('takes a command with anything in it', async () => {
      const [device] = await open();
      const word = `it's "$HOME" \`id\` \\ é\n\t!`;
      const output = await device.run(`printf %s ${shellQuote(word)}`);
      expect(Buffer.from(output).toString()).toBe(word);
    });

    it('takes a command of 60,000 bytes and refuses one of 70,000', async () => {
      const [device] = await open();
      const long = 'x'.repeat(60_000);
      await expect(device.run(`echo ${long} | wc -c`)).resolves.toBeDefined();
      await expect(device.run('x'.repeat(70_000))).rejects.toMatchObject({
        code: 'too-large',
      });
    });

    it('stops at the limit of bytes', async () => {
      const [device] = await open();
      await expect(
        device.run('cat /dev/zero', {maxBytes: 1_000_000}),
      ).rejects.toMatchObject({code: 'too-large'});
    });

    it('stops at the limit of time', async () => {
      const [device] = await open();
      await expect(
        device.run('sleep 1000', {timeoutMs: 300}),
      ).rejects.toMatchObject({code: 'timeout'});
    });

    it('notices that the device goes in the middle', async () => {
      const [device, fake] = await open();
      const output = device.run('echo half; sleep 1000');
      const outcome = expect(output).rejects.toMatchObject({code: 'gone'});
      await eventually(() => fake.services.some((s) => s.includes('half')));
      await fake.close();
      await outcome;
    });

    it('says what a device without exec: answers', async () => {
      const fake = await attach({exec: false});
      await expect(bench.open().openDevice(fake.serial)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('closed') as string,
      });
    });
  });

  describe('open', () => {
    it('joins both directions until the command ends', async () => {
      const [device] = await open();
      const stream = await device.open(
        'echo hello; while read -r line; do echo "<$line>"; done',
      );
      expect(await read(stream, (all) => all.endsWith('\n'))).toBe('hello\n');
      await stream.write('one\n');
      expect(await read(stream, (all) => all.endsWith('\n'))).toBe('<one>\n');
      await stream.write(Buffer.from('two\nthree\n'));
      expect(await read(stream, (all) => all.includes('three'))).toBe(
        '<two>\n<three>\n',
      );
      await stream.close();
    });

    it('ends when the command does, with all it printed', async () => {
      const [device] = await open();
      const stream = await device.open('head -c 300000 /dev/zero; echo end');
      const all = await read(stream);
      expect(all.length).toBe(300_004);
      expect(all.endsWith('end\n')).toBe(true);
      await expect(stream.write('more')).rejects.toMatchObject({
        code: 'gone',
      });
    });

    it('makes the command on the device end when it is closed', async () => {
      const [device] = await open();
      const directory = await mkdtemp(join(tmpdir(), 'hangup-'));
      const mark = join(directory, 'mark');
      const stream = await device.open(
        `trap 'echo >${mark}; exit' HUP; echo ready; while :; do sleep 0.1; done`,
      );
      await read(stream, (all) => all.includes('ready'));
      await stream.close();
      await eventually(() => existsSync(mark));
      await rm(directory, {recursive: true});
    });

    it('ends quietly for its reader when it is closed', async () => {
      const [device] = await open();
      const stream = await device.open('echo ready; sleep 1000');
      const all = read(stream);
      await device.close();
      await expect(all).resolves.toMatch(/^(ready\n)?$/);
      await expect(stream.write('x')).rejects.toMatchObject({code: 'gone'});
    });

    it.each(['drop', 'close'] as const)(
      'throws for its reader and writer when the device goes (%s)',
      async (how) => {
        const [device, fake] = await open();
        const stream = await device.open('echo ready; cat');
        await read(stream, (all) => all.includes('ready'));
        const outcome = expect(read(stream)).rejects.toMatchObject({
          code: 'gone',
          message: expect.stringContaining(fake.serial) as string,
        });
        await fake[how]();
        await outcome;
        await expect(stream.write('x')).rejects.toMatchObject({code: 'gone'});
      },
    );

    it('works anew when the device came back', async () => {
      const [device, fake] = await open();
      const stream = await device.open('echo ready; cat');
      const outcome = expect(read(stream)).rejects.toMatchObject({
        code: 'gone',
      });
      fake.drop();
      await outcome;
      await bench.adb('-s', fake.serial, 'wait-for-device');
      const again = await bench.open().openDevice(fake.serial);
      expect(text(await again.run('echo here'))).toBe('here\n');
    });

    it('throws when the adb server is killed', async () => {
      const [device] = await open();
      const stream = await device.open('echo ready; cat');
      await read(stream, (all) => all.includes('ready'));
      const outcome = expect(read(stream)).rejects.toMatchObject({
        code: 'gone',
        message: expect.stringContaining('the adb server') as string,
      });
      await bench.killServer();
      await outcome;
    });

    it('survives a broken connection that nobody reads from', async () => {
      const [device] = await open();
      const stream = await device.open('echo ready; cat');
      await bench.killServer();
      const error = await writeUntilItFails(stream);
      expect(error).toMatchObject({code: 'gone'});
    });

    it('holds a writer back while the device reads nothing', async () => {
      const [device] = await open();
      const stream = await device.open('echo ready; sleep 1000');
      await read(stream, (all) => all.includes('ready'));
      let acceptedBytes = 0;
      const block = Buffer.alloc(1024 * 1024);
      const writer = (async () => {
        for (;;) {
          await stream.write(block);
          acceptedBytes += block.length;
        }
      })().catch((error: unknown) => error);
      await expect(writer).resolves.toMatchObject({code: 'timeout'});
      expect(acceptedBytes).toBeLessThan(200 * 1024 * 1024);
      await stream.close();
    });
  });
});

async function writeUntilItFails(stream: RawStream): Promise<unknown> {
  for (;;) {
    try {
      await stream.write('x\n');
      await new Promise((resolve) => setTimeout(resolve, 10));
    } catch (error) {
      return error;
    }
  }
}

describe('without a usable adb server', () => {
  let server: Server | undefined;

  afterEach(() => {
    server?.close();
    server = undefined;
  });

  async function serve(greeting: string): Promise<number> {
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(greeting);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  it('says so if there is no adb to start one', async () => {
    const adb = openAdb({
      host: '127.0.0.1',
      port: await freePort(),
      env: {PATH: ''},
    });
    await expect(adb.listDevices()).rejects.toMatchObject({
      code: 'no-adb',
      message: expect.stringContaining('apt install adb') as string,
    });
  });

  it('says so if adb cannot start one', async () => {
    const adb = openAdb({
      host: '127.0.0.1',
      port: await freePort(),
      adbPath: '/bin/false',
    });
    await expect(adb.listDevices()).rejects.toMatchObject({code: 'no-server'});
  });

  it('does not wait forever for adb to start one', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'slow-adb-'));
    const path = join(directory, 'adb');
    await writeFile(path, '#!/bin/sh\nexec sleep 1000\n', {mode: 0o755});
    const address = {host: '127.0.0.1', port: await freePort()};
    const starter = new ServerStarter(address, path, process.env, 300);
    await expect(starter.start()).rejects.toMatchObject({
      code: 'no-server',
      message: expect.stringContaining('does not come to an end') as string,
    });
    await rm(directory, {recursive: true});
  });

  it('starts none for another machine', async () => {
    // Nothing says that this address is ours, though nobody else answers there.
    const adb = openAdb({host: '127.0.0.2', port: await freePort()});
    await expect(adb.listDevices()).rejects.toMatchObject({
      code: 'no-server',
      message: expect.stringContaining('on another machine') as string,
    });
    expect(adb.server.started).toBe(false);
  });

  it('says so if something else listens there', async () => {
    const adb = openAdb({
      host: '127.0.0.1',
      port: await serve('SSH-2.0-x\r\n'),
    });
    await expect(adb.listDevices()).rejects.toMatchObject({
      code: 'no-server',
      message: expect.stringContaining('something else') as string,
    });
  });

  it('does not wait forever for one that hangs', async () => {
    const adb = openAdb({host: '127.0.0.1', port: await serve('')});
    await expect(adb.listDevices()).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('adb kill-server') as string,
    });
  });
});
