// SPDX-License-Identifier: Apache-2.0
import {DeviceError} from './device.js';

/** Where the adb server listens. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 5037;

/**
 * The server that `adb` itself would use in this environment:
 * ADB_SERVER_SOCKET goes before ANDROID_ADB_SERVER_ADDRESS and
 * ANDROID_ADB_SERVER_PORT (packages/modules/adb, client/commandline.cpp).
 *
 * @throws DeviceError `bad-address`
 */
export function serverAddress(env: Environment): ServerAddress {
  const socket = env['ADB_SERVER_SOCKET'] ?? '';
  if (socket) return parseSocketSpec(socket);
  const port = env['ANDROID_ADB_SERVER_PORT'] ?? '';
  return {
    host: (env['ANDROID_ADB_SERVER_ADDRESS'] ?? '') || DEFAULT_HOST,
    port: port ? parsePort(port, 'ANDROID_ADB_SERVER_PORT') : DEFAULT_PORT,
  };
}

/** Whether `adb start-server` can start a server there. */
export function isLocal({host}: ServerAddress): boolean {
  return ['localhost', '127.0.0.1', '::1'].includes(host);
}

/** `tcp:PORT`, `tcp:HOST:PORT` or `tcp:[V6]:PORT`. */
function parseSocketSpec(spec: string): ServerAddress {
  const match = /^tcp:(?:(?:\[([^\]]*)\]|([^:]*)):)?([^:]+)$/.exec(spec);
  if (match?.[3] === undefined) {
    throw new DeviceError(
      'bad-address',
      `ADB_SERVER_SOCKET is '${spec}', which is not an address of TCP`,
      "set it to tcp:PORT or tcp:HOST:PORT, or run 'unset ADB_SERVER_SOCKET'",
    );
  }
  return {
    host: (match[1] ?? match[2] ?? '') || DEFAULT_HOST,
    port: parsePort(match[3], 'ADB_SERVER_SOCKET'),
  };
}

function parsePort(text: string, variable: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) {
    throw new DeviceError(
      'bad-address',
      `${variable} has '${text}' for a port`,
      `set a port from 1 to 65535, or run 'unset ${variable}'`,
    );
  }
  return port;
}
