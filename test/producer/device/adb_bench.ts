// SPDX-License-Identifier: Apache-2.0
// A real adb server on a port of its own, for devices that tests make.
import {execFile, execFileSync} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, rm} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import type {Adb} from '../../../src/producer/device/index.js';
import {openAdb} from '../../../src/producer/device/index.js';

/** The version of adb; undefined, with a line saying so, without one. */
export function adbVersion(): string | undefined {
  try {
    return (
      /Version (\S+)/.exec(
        execFileSync('adb', ['version'], {encoding: 'utf8'}),
      )?.[1] ?? 'unknown'
    );
  } catch {
    process.stderr.write(
      "SKIPPED: the tests against a real adb server, as there is no adb here ('apt install adb')\n",
    );
    return undefined;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export class AdbBench {
  private constructor(
    readonly port: number,
    private readonly home: string,
  ) {}

  /** A port and a home directory; the server starts when adb is first used. */
  static async create(): Promise<AdbBench> {
    const home = await mkdtemp(join(tmpdir(), 'adb-bench-'));
    return new AdbBench(await freePort(), home);
  }

  /** Of the server: its keys in a home of its own, no emulators of others. */
  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      HOME: this.home,
      ANDROID_SDK_HOME: this.home,
      ADB_LOCAL_TRANSPORT_MAX_PORT: '5554',
      ANDROID_ADB_SERVER_PORT: `${this.port}`,
      ADB_SERVER_SOCKET: undefined,
    };
  }

  open(): Adb {
    return openAdb({env: this.env});
  }

  /** `adb connect`, whatever state it leads to. */
  async connect(serial: string): Promise<void> {
    await this.adb('connect', serial);
  }

  async killServer(): Promise<void> {
    await this.adb('kill-server').catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.killServer();
    await rm(this.home, {recursive: true, force: true});
  }

  async adb(...args: string[]): Promise<string> {
    const {stdout} = await promisify(execFile)('adb', args, {
      env: this.env,
      timeout: 30_000,
    });
    return stdout;
  }
}
