// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import type {
  ListedDevice,
  SourceChoice,
  SourceQuestion,
} from '../../../src/producer/device/index.js';
import {chooseSource, DeviceError} from '../../../src/producer/device/index.js';

const PIXEL: ListedDevice = {serial: '3A02', state: 'device', model: 'Pixel 8'};
const GALAXY: ListedDevice = {serial: 'R58N', state: 'device'};
const EMULATOR: ListedDevice = {
  serial: 'emulator-5554',
  state: 'device',
  emulator: true,
};
const NO_ADB = new DeviceError('no-adb', 'there is no adb', 'install it');
const NO_SERVER = new DeviceError('no-server', 'it fails', 'see why');

function inState(state: string): ListedDevice {
  return {serial: 'X1', state};
}

function choose(
  devices: SourceQuestion['devices'],
  options: Partial<SourceQuestion> = {},
): SourceChoice {
  return chooseSource({source: 'auto', devices, ...options});
}

/** The error that it throws; its message is one line that ends with the fix. */
function errorOf(
  devices: SourceQuestion['devices'],
  options?: Partial<SourceQuestion>,
): DeviceError {
  try {
    choose(devices, options);
  } catch (error) {
    expect(error).toBeInstanceOf(DeviceError);
    const deviceError = error as DeviceError;
    expect(deviceError.message).not.toMatch(/[\x00-\x1f]/);
    expect(deviceError.message.endsWith(deviceError.fix)).toBe(true);
    return deviceError;
  }
  throw new Error('nothing was thrown');
}

describe('the only device attached', () => {
  it.each(['auto', 'device'] as const)('is taken by %s', (source) => {
    expect(choose([PIXEL], {source})).toEqual({kind: 'device', serial: '3A02'});
  });

  it.each(['auto', 'device'] as const)(
    'is an error for %s if it cannot be used',
    (source) => {
      const cases: [string, string, RegExp][] = [
        ['unauthorized', 'unauthorized', /Allow USB debugging/],
        ['authorizing', 'unauthorized', /Allow USB debugging/],
        ['offline', 'offline', /plug it in again/],
        ['no permissions (x); see [y]', 'no-permissions', /udev/],
        ['recovery', 'not-ready', /adb -s X1 reboot/],
        ['bootloader', 'not-ready', /adb -s X1 reboot/],
        ['connecting', 'not-ready', /adb devices/],
        ['something new', 'not-ready', /'something new'/],
      ];
      for (const [state, code, message] of cases) {
        const error = errorOf([inState(state)], {source});
        expect([state, error.code]).toEqual([state, code]);
        expect(error.message).toMatch(message);
        expect(error.message).toContain('X1');
      }
    },
  );

  it('names the way to reconnect it on the network', () => {
    const device = {serial: '10.0.0.7:5555', state: 'offline'};
    expect(errorOf([device]).fix).toContain(
      "'adb disconnect 10.0.0.7:5555' and 'adb connect 10.0.0.7:5555'",
    );
  });
});

describe('no device attached', () => {
  it('means the simulator for auto', () => {
    expect(choose([])).toEqual({
      kind: 'simulator',
      why: 'no device is attached',
    });
  });

  it('is an error for device', () => {
    const error = errorOf([], {source: 'device'});
    expect(error.code).toBe('no-device');
    expect(error.fix).toContain('--source simulator');
  });

  it.each([{serial: '3A02'}, {envSerial: '3A02'}])(
    'is an error if one was named: %o',
    (named) => {
      expect(errorOf([], named).code).toBe('unknown-serial');
    },
  );
});

describe('several devices', () => {
  it.each(['auto', 'device'] as const)('are an error for %s', (source) => {
    const error = errorOf([PIXEL, GALAXY], {source});
    expect(error.code).toBe('several-devices');
    expect(error.message).toContain('3A02 (Pixel 8), R58N');
    expect(error.fix).toContain('-s SERIAL');
  });

  it('are an error even if only one can be used', () => {
    const error = errorOf([PIXEL, inState('unauthorized')]);
    expect(error.code).toBe('several-devices');
    expect(error.message).toContain('X1 unauthorized');
  });

  it('are an error even if one is an emulator', () => {
    expect(errorOf([PIXEL, EMULATOR]).code).toBe('several-devices');
  });

  it('are no trouble if one is named', () => {
    expect(choose([PIXEL, GALAXY], {serial: 'R58N'})).toEqual({
      kind: 'device',
      serial: 'R58N',
    });
    expect(choose([PIXEL, GALAXY], {envSerial: '3A02'})).toEqual({
      kind: 'device',
      serial: '3A02',
    });
  });
});

describe('a named device', () => {
  it('is the one of -s before that of ANDROID_SERIAL', () => {
    const named = {serial: 'R58N', envSerial: '3A02'};
    expect(choose([PIXEL, GALAXY], named)).toMatchObject({serial: 'R58N'});
  });

  it('is none if ANDROID_SERIAL is empty', () => {
    expect(choose([PIXEL], {envSerial: ''})).toMatchObject({serial: '3A02'});
  });

  it('is an error that lists the others if it is not attached', () => {
    const error = errorOf([PIXEL], {serial: 'nope'});
    expect(error.code).toBe('unknown-serial');
    expect(error.message).toMatch(/nope.*-s.*3A02 \(Pixel 8\)/);
    expect(errorOf([PIXEL], {envSerial: 'nope'}).message).toContain(
      'ANDROID_SERIAL',
    );
  });

  it('is an error if it cannot be used, whatever else is attached', () => {
    const error = errorOf([PIXEL, inState('offline')], {serial: 'X1'});
    expect(error.code).toBe('offline');
  });
});

describe('an Android emulator', () => {
  it('means the simulator for auto', () => {
    const choice = choose([EMULATOR]);
    expect(choice.kind).toBe('simulator');
    expect(choice).toHaveProperty(
      'why',
      expect.stringMatching(/emulator-5554 is an Android emulator/),
    );
    expect(choose([PIXEL, EMULATOR], {serial: EMULATOR.serial}).kind).toBe(
      'simulator',
    );
    expect(choose([PIXEL, EMULATOR], {envSerial: EMULATOR.serial}).kind).toBe(
      'simulator',
    );
  });

  it('means so in any state and by its properties alone', () => {
    expect(choose([{...EMULATOR, state: 'offline'}]).kind).toBe('simulator');
    expect(choose([{...PIXEL, emulator: true}]).kind).toBe('simulator');
    expect(choose([{...PIXEL, emulator: false}]).kind).toBe('device');
  });

  it('means so however many there are, if there is nothing else', () => {
    const other = {...EMULATOR, serial: 'emulator-5556'};
    expect(choose([EMULATOR, other])).toEqual({
      kind: 'simulator',
      why:
        'all that is attached are Android emulators (emulator-5554, ' +
        'emulator-5556; --source device -s SERIAL records one)',
    });
    expect(errorOf([EMULATOR, other], {source: 'device'}).code).toBe(
      'several-devices',
    );
    expect(
      choose([EMULATOR, other], {source: 'device', serial: other.serial}),
    ).toEqual({kind: 'device', serial: other.serial});
    expect(errorOf([EMULATOR, inState('unauthorized')]).code).toBe(
      'several-devices',
    );
  });

  it('is taken if --source device insists', () => {
    expect(choose([EMULATOR], {source: 'device'})).toEqual({
      kind: 'device',
      serial: EMULATOR.serial,
    });
  });
});

describe('adb that cannot be asked', () => {
  it('means the simulator for auto if it is not installed', () => {
    expect(choose(NO_ADB)).toMatchObject({
      kind: 'simulator',
      why: expect.stringContaining('there is no adb') as string,
    });
  });

  it('is an error otherwise', () => {
    expect(errorOf(NO_ADB, {source: 'device'})).toBe(NO_ADB);
    expect(errorOf(NO_ADB, {serial: '3A02'})).toBe(NO_ADB);
    expect(errorOf(NO_SERVER)).toBe(NO_SERVER);
  });
});

describe('--source simulator', () => {
  it('looks at no device', () => {
    expect(choose([PIXEL], {source: 'simulator'}).kind).toBe('simulator');
    expect(
      choose(NO_SERVER, {source: 'simulator', envSerial: '3A02'}).kind,
    ).toBe('simulator');
  });

  it('contradicts -s', () => {
    const error = errorOf([PIXEL], {source: 'simulator', serial: '3A02'});
    expect(error.code).toBe('bad-options');
  });
});

describe('text from a device', () => {
  it('loses its control characters in a message', () => {
    const error = errorOf([
      {serial: 'X\x1b]0;title\x07', state: 'a\tb\x1b[2J'},
    ]);
    expect(error.message).not.toMatch(/[\x00-\x1f\x7f]/);
    expect(error.message).toContain('a b [2J');
  });
});
