// SPDX-License-Identifier: Apache-2.0
import type {Adb} from './adb.js';
import type {AdbDevice} from './adb_device.js';
import {DeviceError} from './device.js';
import type {ListedDevice} from './device_list.js';
import type {SourceQuestion} from './select.js';
import {chooseSource} from './select.js';

export type OpenedSource =
  | {readonly kind: 'device'; readonly device: AdbDevice}
  | {readonly kind: 'simulator'; readonly why: string};

/**
 * Chooses as chooseSource does and opens the device. Whether it is an emulator
 * is asked of the device itself where its serial does not tell.
 *
 * @throws DeviceError
 */
export async function openSource(
  adb: Adb,
  question: Omit<SourceQuestion, 'devices'>,
): Promise<OpenedSource> {
  const devices =
    question.source === 'simulator' ? [] : await listedOrWhyNot(adb);
  const choice = chooseSource({...question, devices});
  if (choice.kind === 'simulator') return choice;

  const device = await adb.openDevice(choice.serial);
  const {serial, emulator} = device;
  const known = {serial, state: 'device', emulator};
  const settled = chooseSource({...question, serial, devices: [known]});
  if (settled.kind === 'simulator') {
    await device.close();
    return settled;
  }
  return {kind: 'device', device};
}

async function listedOrWhyNot(
  adb: Adb,
): Promise<readonly ListedDevice[] | DeviceError> {
  try {
    return await adb.listDevices();
  } catch (error) {
    if (error instanceof DeviceError) return error;
    throw error;
  }
}
