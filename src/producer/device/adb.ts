// SPDX-License-Identifier: Apache-2.0
import {AdbDevice} from './adb_device.js';
import {AdbServer} from './adb_server.js';
import {DeviceError} from './device.js';
import type {ListedDevice} from './device_list.js';
import {stateError} from './device_state.js';
import type {Environment} from './server_address.js';
import {serverAddress} from './server_address.js';
import {ServerStarter} from './server_starter.js';
import {delay} from './time_limit.js';

export interface AdbOptions {
  /** Of the adb server; as adb itself finds it unless told. */
  readonly host?: string;
  readonly port?: number;
  /** The program that starts the server; `adb` in PATH unless told. */
  readonly adbPath?: string;
  readonly env?: Environment;
}

/** The devices behind one adb server. */
export interface Adb {
  readonly server: AdbServer;
  /**
   * Every device that adb lists, usable or not; starts the server if needed.
   *
   * @throws DeviceError
   */
  listDevices(): Promise<ListedDevice[]>;
  /**
   * @throws DeviceError if no such device is attached or it cannot be used
   */
  openDevice(serial: string): Promise<AdbDevice>;
}

/** How long devices get to settle that are just connecting. */
const SETTLE_MS = 3_000;
const SETTLE_POLL_MS = 100;

/**
 * Reaches the adb server that `adb` would use in this environment. Nothing is
 * connected or started before the first call needs it.
 *
 * @throws DeviceError `bad-address`
 */
export function openAdb(options: AdbOptions = {}): Adb {
  const env = options.env ?? process.env;
  const known = options.host !== undefined && options.port !== undefined;
  const address = {
    ...(known ? {host: '', port: 0} : serverAddress(env)),
    ...(options.host === undefined ? {} : {host: options.host}),
    ...(options.port === undefined ? {} : {port: options.port}),
  };
  const server = new AdbServer(
    address,
    new ServerStarter(address, options.adbPath ?? 'adb', env),
  );
  return {
    server,
    listDevices: () => settledDevices(server),
    openDevice: (serial) => openDevice(server, serial),
  };
}

/** A device passes through other states for a moment when it connects. */
async function settledDevices(server: AdbServer): Promise<ListedDevice[]> {
  for (let waitedMs = 0; ; waitedMs += SETTLE_POLL_MS) {
    const devices = await server.devices();
    const unsettled = devices.some(
      ({state}) =>
        state === 'connecting' ||
        state === 'authorizing' ||
        (state === 'offline' && server.started),
    );
    if (!unsettled || waitedMs >= SETTLE_MS) return devices;
    await delay(SETTLE_POLL_MS);
  }
}

async function openDevice(
  server: AdbServer,
  serial: string,
): Promise<AdbDevice> {
  const devices = await settledDevices(server);
  const listed = devices.find((candidate) => candidate.serial === serial);
  if (!listed) {
    throw new DeviceError(
      'unknown-serial',
      `no device ${serial} is attached`,
      "see 'adb devices' for those that are",
    );
  }
  const error = stateError(listed);
  if (error) throw error;
  return AdbDevice.open(server, listed);
}
