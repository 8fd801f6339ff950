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
  const listed =
    question.source === 'simulator' ? [] : await listedOrWhyNot(adb);
  const devices =
    listed instanceof DeviceError || !asksWhatAllAre(question)
      ? listed
      : await knownIfAllEmulators(adb, listed);
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

/** Whether emulators alone lead to the simulator. */
function asksWhatAllAre({
  source,
  serial = '',
  envSerial = '',
}: Omit<SourceQuestion, 'devices'>): boolean {
  return source === 'auto' && serial === '' && envSerial === '';
}

/**
 * Of several devices, asks those whose serial does not tell whether they are
 * emulators, up to the first that is none.
 */
async function knownIfAllEmulators(
  adb: Adb,
  devices: readonly ListedDevice[],
): Promise<readonly ListedDevice[]> {
  if (devices.length < 2) return devices;
  const known: ListedDevice[] = [];
  for (const each of devices) {
    const emulator =
      each.emulator ??
      (each.state === 'device' ? await isEmulator(adb, each.serial) : false);
    if (!emulator) return devices;
    known.push({...each, emulator});
  }
  return known;
}

/** False where it cannot be asked. */
async function isEmulator(adb: Adb, serial: string): Promise<boolean> {
  try {
    const device = await adb.openDevice(serial);
    const {emulator} = device;
    await device.close();
    return emulator;
  } catch (error) {
    if (error instanceof DeviceError) return false;
    throw error;
  }
}
