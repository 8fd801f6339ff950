// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {parseDeviceList} from '../../../src/producer/device/device_list.js';

describe('parseDeviceList', () => {
  it('reads what adb prints for a usable device', () => {
    expect(
      parseDeviceList(
        '3A021FDH2000AB         device usb:1-2 product:shiba model:Pixel_8 device:shiba transport_id:3\n',
      ),
    ).toEqual([
      {
        serial: '3A021FDH2000AB',
        state: 'device',
        model: 'Pixel 8',
        transportId: '3',
      },
    ]);
  });

  it('reads a plain Linux, whose properties are empty', () => {
    expect(
      parseDeviceList(
        '127.0.0.1:15555        device product: model: device: transport_id:16\n',
      ),
    ).toEqual([
      {serial: '127.0.0.1:15555', state: 'device', transportId: '16'},
    ]);
  });

  it('keeps a state of several words whole', () => {
    const state =
      'no permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com/tools/device.html]';
    expect(
      parseDeviceList(
        `0123456789ABCDEF       ${state} usb:1-4 transport_id:7\n`,
      ),
    ).toEqual([{serial: '0123456789ABCDEF', state, transportId: '7'}]);
  });

  it('reads several, in each state', () => {
    const devices = parseDeviceList(
      [
        'emulator-5554          offline transport_id:1',
        'R58N123456             unauthorized usb:1-3 transport_id:2',
        '(no serial number)     connecting usb:1-5 transport_id:4',
        'adb-3A02-x9._adb-tls-connect._tcp device product:p model:M device:d transport_id:5',
        '',
      ].join('\n'),
    );
    expect(devices.map(({serial, state}) => [serial, state])).toEqual([
      ['emulator-5554', 'offline'],
      ['R58N123456', 'unauthorized'],
      ['(no serial number)', 'connecting'],
      ['adb-3A02-x9._adb-tls-connect._tcp', 'device'],
    ]);
    expect(devices.map(({emulator}) => emulator)).toEqual([
      true,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('reads an old server, which tells no more than the state', () => {
    expect(parseDeviceList('0123456789ABCDEF\tdevice\n')).toEqual([
      {serial: '0123456789ABCDEF', state: 'device'},
    ]);
  });

  it('makes nothing of an empty list or a line with no state', () => {
    expect(parseDeviceList('')).toEqual([]);
    expect(parseDeviceList('serial\n\n')).toEqual([]);
  });
});
