// SPDX-License-Identifier: Apache-2.0
import {Parser} from './adbkit.js';
import {DeviceError} from './device.js';
import {stateError} from './device_state.js';
import type {ServerAddress} from './server_address.js';

/** What the adb server gave as the reason of a FAIL; undefined for the rest. */
export function failReason(error: unknown): string | undefined {
  if (!(error instanceof Parser.FailError)) return undefined;
  // adbkit keeps the text in the message only.
  return /^Failure: '(.*)'$/s.exec(error.message)?.[1] ?? error.message;
}

export function noServerError(
  {host, port}: ServerAddress,
  why: string,
  fix: string,
  cause?: unknown,
): DeviceError {
  return new DeviceError(
    'no-server',
    `no adb server answers at ${host}:${port} (${why})`,
    fix,
    {cause},
  );
}

export function hungServerError({host, port}: ServerAddress): DeviceError {
  return new DeviceError(
    'timeout',
    `the adb server at ${host}:${port} does not answer`,
    "run 'adb kill-server' and try again",
  );
}

/** An error of a conversation with the adb server, made actionable. */
export function serverError(
  error: unknown,
  address: ServerAddress,
): DeviceError {
  if (error instanceof DeviceError) return error;
  const {host, port} = address;
  const reason = failReason(error);
  if (reason !== undefined) {
    return new DeviceError(
      'refused',
      `the adb server refused the request (${reason})`,
      "check that 'adb devices' works, or run 'adb kill-server'",
      {cause: error},
    );
  }
  if (error instanceof Parser.UnexpectedDataError) {
    return noServerError(
      address,
      'something else listens there',
      'free the port, or choose another with ANDROID_ADB_SERVER_PORT',
      error,
    );
  }
  if (isRefusedConnection(error)) {
    return noServerError(
      address,
      messageOf(error),
      "run 'adb start-server' where it should be, or correct " +
        'ADB_SERVER_SOCKET or ANDROID_ADB_SERVER_PORT',
      error,
    );
  }
  return new DeviceError(
    'gone',
    `the adb server at ${host}:${port} closed the connection ` +
      `(${messageOf(error)})`,
    "run 'adb devices' to start it anew, then try again",
    {cause: error},
  );
}

/** An error of a request to one device through the server. */
export function deviceError(
  error: unknown,
  serial: string,
  address: ServerAddress,
): DeviceError {
  const reason = failReason(error);
  if (reason === undefined) return serverError(error, address);
  if (/not found|no devices/.test(reason)) return goneError(serial, reason);
  for (const [pattern, state] of STATES_IN_REASONS) {
    const known = pattern.test(reason)
      ? stateError({serial, state})
      : undefined;
    if (known) return known;
  }
  return new DeviceError(
    'refused',
    `device ${serial} refused the request (${reason})`,
    `check that 'adb -s ${serial} shell true' works`,
    {cause: error},
  );
}

// packages/modules/adb, transport.cpp, acquire_one_transport.
const STATES_IN_REASONS: readonly (readonly [RegExp, string])[] = [
  [/unauthorized|authorizing/, 'unauthorized'],
  [/offline/, 'offline'],
  [/permissions/, 'no permissions'],
  [/connecting/, 'connecting'],
];

export function goneError(
  serial: string,
  why: string,
  cause?: unknown,
): DeviceError {
  return new DeviceError(
    'gone',
    `device ${serial} went away (${why})`,
    'check its cable or network, wait for it to boot, then try again',
    {cause},
  );
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
]);

function isRefusedConnection(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    UNREACHABLE.has(error.code)
  );
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
