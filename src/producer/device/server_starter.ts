// SPDX-License-Identifier: Apache-2.0
import type {ChildProcess} from 'node:child_process';
import {execFile} from 'node:child_process';
import {messageOf, noServerError} from './adb_errors.js';
import {DeviceError} from './device.js';
import type {Environment, ServerAddress} from './server_address.js';
import {isLocal} from './server_address.js';
import {withTimeLimit} from './time_limit.js';

/** A server first waits for the devices that it finds: up to 3 s. */
export const START_LIMIT_MS = 15_000;

/** Starts the adb server when it is not running. */
export class ServerStarter {
  private hasStarted = false;

  constructor(
    private readonly address: ServerAddress,
    private readonly adbPath: string,
    private readonly env: Environment,
    private readonly limitMs = START_LIMIT_MS,
  ) {}

  get started(): boolean {
    return this.hasStarted;
  }

  /** @throws DeviceError `no-adb`, `no-server` */
  async start(): Promise<ChildProcess> {
    if (!isLocal(this.address)) {
      throw noServerError(
        this.address,
        'it is on another machine and cannot be started from here',
        "run 'adb -a start-server' there, or correct ADB_SERVER_SOCKET",
      );
    }
    const child = await this.run([
      '-P',
      `${this.address.port}`,
      'start-server',
    ]);
    this.hasStarted = true;
    return child;
  }

  private run(args: string[]): Promise<ChildProcess> {
    let child: ChildProcess | undefined;
    const ended = new Promise<ChildProcess>((resolve, reject) => {
      child = execFile(
        this.adbPath,
        args,
        {env: {...this.env}},
        (error, _stdout, stderr) => {
          if (error) reject(this.explain(error, stderr));
          else if (child) resolve(child);
        },
      );
    });
    return withTimeLimit(ended, this.limitMs, () => {
      child?.kill('SIGKILL');
      // A wedged daemon can hold the pipes open after adb itself is dead.
      child?.stdout?.destroy();
      child?.stderr?.destroy();
      child?.unref();
      return noServerError(
        this.address,
        `'adb start-server' does not come to an end`,
        "run 'adb kill-server', or end the adb processes by hand",
      );
    });
  }

  private explain(error: Error, stderr: string): DeviceError {
    const code = 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'EACCES') {
      const {host, port} = this.address;
      return new DeviceError(
        'no-adb',
        `no adb server runs at ${host}:${port}, and there is no program ` +
          `'${this.adbPath}' to start it with`,
        "install it ('apt install adb', or the SDK's platform-tools) and put " +
          'it into PATH',
        {cause: error},
      );
    }
    return noServerError(
      this.address,
      stderr.trim() || messageOf(error),
      "run 'adb start-server' to see why",
      error,
    );
  }
}
