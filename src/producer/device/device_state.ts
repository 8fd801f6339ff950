// SPDX-License-Identifier: Apache-2.0
import {DeviceError} from './device.js';
import type {ListedDevice} from './device_list.js';

/** Why a listed device cannot be used, and the fix; undefined if it can. */
export function stateError({
  serial,
  state,
}: Pick<ListedDevice, 'serial' | 'state'>): DeviceError | undefined {
  if (state === 'device') return undefined;
  if (state.startsWith('no permissions')) {
    return new DeviceError(
      'no-permissions',
      `device ${serial} is attached, but you may not open it (${state})`,
      "on Linux install the udev rules for it ('apt install " +
        "android-sdk-platform-tools-common') and plug it in again",
    );
  }
  switch (state) {
    case 'unauthorized':
    case 'authorizing':
      return new DeviceError(
        'unauthorized',
        `device ${serial} has not authorized this computer`,
        "unlock it and accept 'Allow USB debugging?' on its screen (if it does " +
          "not ask: 'adb kill-server', then plug it in again)",
      );
    case 'offline':
      return new DeviceError(
        'offline',
        `device ${serial} is offline`,
        `plug it in again, or 'adb ${reconnectHint(serial)}'`,
      );
    case 'recovery':
    case 'rescue':
    case 'sideload':
    case 'bootloader':
      return new DeviceError(
        'not-ready',
        `device ${serial} is in ${state} mode`,
        `boot it into Android, with 'adb -s ${serial} reboot' or by hand`,
      );
    case 'connecting':
    case 'detached':
    default:
      return new DeviceError(
        'not-ready',
        `device ${serial} is not ready (adb calls its state '${state}')`,
        "wait until 'adb devices' shows it as 'device', then try again",
      );
  }
}

/** A device on the network stays offline until it is connected anew. */
function reconnectHint(serial: string): string {
  return serial.includes(':')
    ? `disconnect ${serial}' and 'adb connect ${serial}`
    : 'reconnect offline';
}
