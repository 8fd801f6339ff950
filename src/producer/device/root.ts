// SPDX-License-Identifier: Apache-2.0
import type {Adb} from './adb.js';
import type {AdbDevice} from './adb_device.js';
import {failReason, messageOf} from './adb_errors.js';
import type {AdbServer} from './adb_server.js';
import {RootCommand} from './adbkit.js';
import {DeviceError} from './device.js';
import type {ListedDevice} from './device_list.js';
import {delay, withTimeLimit} from './time_limit.js';

const REQUEST_LIMIT_MS = 10_000;
const RETURN_LIMIT_MS = 30_000;
const POLL_MS = 200;
/** A network device that has not come back by itself is connected anew. */
const RECONNECT_AFTER_MS = 2_000;

export interface RootOptions {
  /** How long the device may take to come back. */
  readonly returnLimitMs?: number;
}

/**
 * Asks the device's adbd to run as root (`adb root`), waits for it to come back
 * and gives it as it is then: with another connection, perhaps with another
 * serial. Gives `device` itself if it is root already; closes it otherwise.
 *
 * @throws DeviceError `no-root` if adbd refuses, `gone` if it does not return
 */
export async function becomeRoot(
  adb: Adb,
  device: AdbDevice,
  options: RootOptions = {},
): Promise<AdbDevice> {
  if ((await uidOf(device)) === 0) return device;
  const bootId = await bootIdOf(device);
  const before = await adb.server.devices();

  await requestRoot(adb.server, device.serial);
  await device.close();
  const limitMs = options.returnLimitMs ?? RETURN_LIMIT_MS;
  const reborn = await waitForReturn(
    adb,
    {serial: device.serial, bootId, before},
    limitMs,
  );
  if (reborn.root) return reborn.root;
  throw reborn.uid === undefined
    ? new DeviceError(
        'gone',
        `device ${device.serial} did not come back as root in ` +
          `${limitMs / 1000} s`,
        "plug it in again or 'adb connect' it; it may come up as root",
      )
    : noRoot(
        device.serial,
        `adbd said it would restart, yet runs as uid ${reborn.uid}`,
      );
}

async function requestRoot(server: AdbServer, serial: string): Promise<void> {
  const connection = await server.connectDevice(serial);
  try {
    await withTimeLimit(
      new RootCommand(connection).execute(),
      REQUEST_LIMIT_MS,
      () =>
        new DeviceError(
          'timeout',
          `device ${serial} does not answer 'adb root'`,
          'plug it in again, then try again',
        ),
    );
  } catch (error) {
    if (error instanceof DeviceError) throw error;
    // adbkit passes on whatever adbd says but 'restarting adbd as root'.
    const said = failReason(error) ?? messageOf(error);
    if (/already running as root/.test(said)) return;
    // The connection may break before adbd's last words are through.
    if (said === '' || isBroken(error)) return;
    throw noRoot(
      serial,
      said === 'closed' ? 'its adbd cannot change its user' : said,
    );
  } finally {
    connection.socket.destroy();
  }
}

function isBroken(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === 'PrematureEOFError' ||
      ('code' in error && error.code === 'ECONNRESET'))
  );
}

function noRoot(serial: string, why: string): DeviceError {
  return new DeviceError(
    'no-root',
    `adbd on device ${serial} cannot be root (${why})`,
    'use --su if the device has su, or a userdebug or eng build',
  );
}

/** What is known of the device before it goes. */
interface Departed {
  readonly serial: string;
  /** The same until the kernel boots again; undefined if unreadable. */
  readonly bootId: string | undefined;
  readonly before: readonly ListedDevice[];
}

interface Return {
  readonly root?: AdbDevice;
  /** As it came back, if not as root. */
  readonly uid?: number;
}

async function waitForReturn(
  adb: Adb,
  departed: Departed,
  limitMs: number,
): Promise<Return> {
  const deadline = performance.now() + limitMs;
  let reconnectAt = performance.now() + RECONNECT_AFTER_MS;
  for (;;) {
    let last: Return = {};
    const devices = await adb.server.devices();
    for (const candidate of candidates(devices, departed)) {
      last = await tryRoot(adb, candidate, departed);
      if (last.root) return last;
    }
    if (performance.now() >= deadline) return last;
    if (performance.now() >= reconnectAt) {
      await reconnect(adb.server, devices, departed.serial);
      reconnectAt = performance.now() + RECONNECT_AFTER_MS;
    }
    await delay(POLL_MS);
  }
}

/** The old serial first, then connections that were not there before. */
function candidates(
  devices: readonly ListedDevice[],
  {serial, bootId, before}: Departed,
): ListedDevice[] {
  const usable = devices.filter(({state}) => state === 'device');
  const old = usable.filter((device) => device.serial === serial);
  if (old.length > 0 || bootId === undefined) return old;
  return usable.filter(
    ({transportId}) => !before.some((was) => was.transportId === transportId),
  );
}

async function tryRoot(
  adb: Adb,
  {serial}: ListedDevice,
  departed: Departed,
): Promise<Return> {
  let device: AdbDevice | undefined;
  try {
    device = await adb.openDevice(serial);
    const isOurs =
      serial === departed.serial ||
      (await bootIdOf(device)) === departed.bootId;
    if (!isOurs) return {};
    const uid = await uidOf(device);
    if (uid === 0) return {root: device};
    return uid === undefined ? {} : {uid};
  } catch (error) {
    // It goes and comes while it is looked at.
    if (error instanceof DeviceError) return {};
    throw error;
  }
}

/** The server gives up a network device that is away for too long. */
async function reconnect(
  server: AdbServer,
  devices: readonly ListedDevice[],
  serial: string,
): Promise<void> {
  if (!/:\d+$/.test(serial)) return;
  const listed = devices.find((device) => device.serial === serial);
  if (listed?.state === 'device') return;
  try {
    // 'connect' takes one that is listed as offline for connected.
    if (listed) await server.query(`host:disconnect:${serial}`);
    await server.query(`host:connect:${serial}`);
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
  }
}

/** The uid that adbd's commands run as; undefined if it did not say. */
export async function uidOf(device: AdbDevice): Promise<number | undefined> {
  const output = await text(device, 'echo "uid=$(id -u)"');
  const uid = /^uid=(\d+)\r?$/m.exec(output)?.[1];
  return uid === undefined ? undefined : Number(uid);
}

async function bootIdOf(device: AdbDevice): Promise<string | undefined> {
  const output = await text(
    device,
    'cat /proc/sys/kernel/random/boot_id 2>/dev/null',
  );
  return /^[0-9a-f-]{36}$/m.exec(output)?.[0];
}

async function text(device: AdbDevice, command: string): Promise<string> {
  return new TextDecoder().decode(await device.run(command));
}
