// SPDX-License-Identifier: Apache-2.0
import {deviceError, goneError} from './adb_errors.js';
import type {AdbServer} from './adb_server.js';
import {ANSWER_LIMIT_MS} from './adb_server.js';
import {AdbStream} from './adb_stream.js';
import type {Device, OpenOptions, RawStream, RunOptions} from './device.js';
import {DeviceError, oneLine} from './device.js';
import type {ListedDevice} from './device_list.js';
import {isEmulatorSerial} from './device_list.js';
import {ExecCommand, MAX_COMMAND_BYTES} from './exec_command.js';
import {delay, withTimeLimit} from './time_limit.js';

const RUN_LIMIT_MS = 10_000;
const RUN_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * A device that goes down may end a command before adb notices that it is
 * going; so long is looked after it when a long-lived stream ends.
 */
const FAREWELL_MS = 500;
const FAREWELL_POLL_MS = 100;

/** A device behind the adb server. */
export class AdbDevice implements Device {
  readonly kind = 'adb';
  readonly serial: string;
  private readonly streams = new Set<RawStream>();

  private constructor(
    private readonly server: AdbServer,
    private readonly listed: ListedDevice,
    private readonly properties: Properties,
  ) {
    this.serial = listed.serial;
  }

  /**
   * Opens a device that the server lists as `device`.
   *
   * @throws DeviceError
   */
  static async open(
    server: AdbServer,
    listed: ListedDevice,
  ): Promise<AdbDevice> {
    const unknown = new AdbDevice(server, listed, {model: '', emulator: false});
    const output = await unknown.run(READ_PROPERTIES);
    return new AdbDevice(server, listed, parseProperties(output));
  }

  get description(): string {
    const model = oneLine(this.properties.model || (this.listed.model ?? ''));
    const serial = oneLine(this.serial);
    return model ? `${model} (${serial})` : serial;
  }

  /** Whether it is an Android emulator. */
  get emulator(): boolean {
    return this.properties.emulator || isEmulatorSerial(this.serial);
  }

  async open(command: string, options?: OpenOptions): Promise<RawStream> {
    const stream = await this.exec(command, options?.timeoutMs, FAREWELL_MS);
    this.streams.add(stream);
    void stream.hungUp.then(() => this.streams.delete(stream));
    return stream;
  }

  async run(command: string, options: RunOptions = {}): Promise<Uint8Array> {
    const limitMs = options.timeoutMs ?? RUN_LIMIT_MS;
    const stream = await this.exec(command, Math.min(limitMs, RUN_LIMIT_MS), 0);
    try {
      return await withTimeLimit(
        collect(stream, options.maxBytes ?? RUN_LIMIT_BYTES, this.serial),
        limitMs,
        () =>
          new DeviceError(
            'timeout',
            `device ${this.serial} took over ${limitMs / 1000} s for a command`,
            'check that it still responds, then try again',
          ),
      );
    } finally {
      await stream.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.streams].map((stream) => stream.close()));
    this.streams.clear();
  }

  private async exec(
    command: string,
    limitMs = ANSWER_LIMIT_MS,
    farewellMs: number,
  ): Promise<AdbStream> {
    if (Buffer.byteLength(command) > MAX_COMMAND_BYTES) {
      throw new DeviceError(
        'too-large',
        `a command of ${Buffer.byteLength(command)} bytes is more than adb takes`,
        'send the rest on its standard input',
      );
    }
    const connection = await this.server.connectDevice(this.serial);
    const {address} = this.server;
    try {
      const socket = await withTimeLimit(
        new ExecCommand(connection).execute(command),
        limitMs,
        () =>
          new DeviceError(
            'timeout',
            `device ${this.serial} does not start a command`,
            'check that it still responds, or plug it in again',
          ),
      );
      return new AdbStream(socket, (cause) => this.diagnose(cause, farewellMs));
    } catch (error) {
      connection.socket.destroy();
      throw deviceError(error, this.serial, address);
    }
  }

  /**
   * Why a stream ended. The server closes it alike for a command that ended, a
   * device that vanished and one that came back as another transport.
   */
  private async diagnose(
    cause: unknown,
    farewellMs: number,
  ): Promise<DeviceError | undefined> {
    for (let waitedMs = 0; ; waitedMs += FAREWELL_POLL_MS) {
      const why = await this.whyGone(cause);
      if (why !== undefined) return why;
      if (waitedMs >= farewellMs) break;
      await delay(FAREWELL_POLL_MS);
    }
    return undefined;
  }

  private async whyGone(cause: unknown): Promise<DeviceError | undefined> {
    let devices: ListedDevice[];
    try {
      devices = await this.server.devices({mayStart: false});
    } catch (error) {
      return new DeviceError(
        'gone',
        `device ${this.serial} went away (the adb server died)`,
        "run 'adb start-server' and try again",
        {cause: error},
      );
    }
    const gone = (why: string): DeviceError =>
      goneError(this.serial, why, cause);
    const now = devices.find(({serial}) => serial === this.serial);
    if (!now) return gone('it is no longer attached');
    if (now.state !== 'device') return gone(`adb calls it '${now.state}' now`);
    return now.transportId === this.listed.transportId
      ? undefined
      : gone('it left and came back');
  }
}

async function collect(
  stream: RawStream,
  maxBytes: number,
  serial: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream.chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) {
      throw new DeviceError(
        'too-large',
        `device ${serial} answered a command with over ${maxBytes} bytes`,
        'this is not expected of any device: please report it',
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

interface Properties {
  /** ro.product.model; empty if unknown. */
  readonly model: string;
  readonly emulator: boolean;
}

// A plain Linux has no getprop. ro.kernel.qemu is the name before Android 12.
const READ_PROPERTIES = ['ro.product.model', 'ro.boot.qemu', 'ro.kernel.qemu']
  .map((name) => `echo "${name}=$(getprop ${name} 2>/dev/null)"`)
  .join('; ');

function parseProperties(output: Uint8Array): Properties {
  const lines = new TextDecoder().decode(output).split(/\r?\n/);
  return {
    model:
      lines
        .find((line) => line.startsWith('ro.product.model='))
        ?.slice('ro.product.model='.length) ?? '',
    emulator:
      lines.includes('ro.boot.qemu=1') || lines.includes('ro.kernel.qemu=1'),
  };
}
