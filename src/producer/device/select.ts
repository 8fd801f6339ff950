// SPDX-License-Identifier: Apache-2.0
import {DeviceError} from './device.js';
import type {ListedDevice} from './device_list.js';
import {stateError} from './device_state.js';

export type SourceOption = 'auto' | 'device' | 'simulator';

export interface SourceQuestion {
  /** `--source` */
  readonly source: SourceOption;
  /** `-s` */
  readonly serial?: string | undefined;
  /** ANDROID_SERIAL; `-s` goes before it. */
  readonly envSerial?: string | undefined;
  /** What adb lists, or why it could not be asked. */
  readonly devices: readonly ListedDevice[] | DeviceError;
}

export type SourceChoice =
  | {readonly kind: 'device'; readonly serial: string}
  /** `why` completes the sentence 'simulated, because ...'. */
  | {readonly kind: 'simulator'; readonly why: string};

/**
 * Chooses what to record from, with no side effect.
 *
 * `auto` takes the device if there is one. It takes the simulator if none is
 * attached or if the one to take is an Android emulator, whose dma-bufs say
 * nothing about a real device; so it does of several if all are emulators. A
 * device that is there and cannot be used, or a choice of several, is an error:
 * a simulation would hide it.
 *
 * @throws DeviceError
 */
export function chooseSource(question: SourceQuestion): SourceChoice {
  const {source, devices} = question;
  // An empty ANDROID_SERIAL counts as none, as it does for adb.
  const serial = question.serial ?? '';
  if (source === 'simulator') {
    if (serial) {
      throw new DeviceError(
        'bad-options',
        `-s ${serial} names a device, --source simulator wants none`,
        'leave one of the two out',
      );
    }
    return {kind: 'simulator', why: '--source simulator asks for it'};
  }

  const named = serial || (question.envSerial ?? '');
  const mayFallBack = source === 'auto' && !named;
  if (devices instanceof DeviceError) {
    // Where adb was never installed no device can be attached. A server that
    // fails is another matter: there may be a device behind it.
    if (mayFallBack && devices.code === 'no-adb') {
      return {
        kind: 'simulator',
        why: 'there is no adb, so no device can be attached',
      };
    }
    throw devices;
  }
  if (mayFallBack && devices.length === 0) {
    return {kind: 'simulator', why: 'no device is attached'};
  }
  if (
    mayFallBack &&
    devices.length > 1 &&
    devices.every(({emulator}) => emulator === true)
  ) {
    return {
      kind: 'simulator',
      why:
        `all that is attached are Android emulators (${listing(devices)}; ` +
        '--source device -s SERIAL records one)',
    };
  }

  const device =
    named === ''
      ? onlyDevice(devices)
      : namedDevice(devices, named, serial ? '-s' : 'ANDROID_SERIAL');
  if (source === 'auto' && device.emulator === true) {
    return {
      kind: 'simulator',
      why: `${device.serial} is an Android emulator (--source device records it)`,
    };
  }
  const error = stateError(device);
  if (error) throw error;
  return {kind: 'device', serial: device.serial};
}

function onlyDevice(devices: readonly ListedDevice[]): ListedDevice {
  const [first, ...others] = devices;
  if (!first) {
    throw new DeviceError(
      'no-device',
      'no device is attached',
      'attach one with USB debugging enabled, or use --source simulator',
    );
  }
  if (others.length > 0) {
    throw new DeviceError(
      'several-devices',
      `${devices.length} devices are attached (${listing(devices)})`,
      'choose one with -s SERIAL or ANDROID_SERIAL',
    );
  }
  return first;
}

function namedDevice(
  devices: readonly ListedDevice[],
  serial: string,
  where: string,
): ListedDevice {
  const device = devices.find((candidate) => candidate.serial === serial);
  if (device) return device;
  throw new DeviceError(
    'unknown-serial',
    `no device ${serial}, which ${where} names, is attached`,
    devices.length > 0
      ? `name one of these: ${listing(devices)}`
      : 'attach it with USB debugging enabled',
  );
}

function listing(devices: readonly ListedDevice[]): string {
  return devices
    .map(({serial, state, model}) =>
      [
        serial,
        ...(model === undefined ? [] : [`(${model})`]),
        ...(state === 'device' ? [] : [state.split(' (')[0]]),
      ].join(' '),
    )
    .join(', ');
}
