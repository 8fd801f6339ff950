// SPDX-License-Identifier: Apache-2.0

/** One line of `adb devices -l`. */
export interface ListedDevice {
  readonly serial: string;
  /**
   * `device` when it can be used; else `unauthorized`, `offline`, `recovery`,
   * `no permissions (...); see [...]`, ...
   */
  readonly state: string;
  /** `Pixel 8`; only known while the device is connected. */
  readonly model?: string;
  /** Another one each time the device connects anew. */
  readonly transportId?: string;
  /**
   * Whether it is an Android emulator; undefined until it was asked, unless its
   * serial tells.
   */
  readonly emulator?: boolean;
}

/** Whether a serial is one that adb gives to emulators on this machine only. */
export function isEmulatorSerial(serial: string): boolean {
  return serial.startsWith('emulator-');
}

/**
 * Reads the answer to `host:devices-l`: a line for each device with its serial
 * (padded to 22 columns), its state and what is known of `usb:`, `product:`,
 * `model:`, `device:` and, always last, `transport_id:`
 * (packages/modules/adb, transport.cpp, append_transport). A state may hold
 * blanks, as in
 * `0123 no permissions (missing udev rules?); see [http://...] usb:1-2 transport_id:3`.
 */
export function parseDeviceList(text: string): ListedDevice[] {
  return text
    .split('\n')
    .map(parseLine)
    .filter((device) => device !== undefined);
}

const LINE = /^(\(no serial number\)|\S+)\s+(\S.*)$/;
const DETAIL = /^(usb|product|model|device|transport_id):(\S*)$/;

function parseLine(line: string): ListedDevice | undefined {
  const [, serial, rest] = LINE.exec(line) ?? [];
  if (serial === undefined || rest === undefined) return undefined;

  const words = rest.trimEnd().split(' ');
  const details = new Map<string, string>();
  while (words.length > 1) {
    const [, key, value] = DETAIL.exec(words.at(-1) ?? '') ?? [];
    if (key === undefined || value === undefined) break;
    details.set(key, value);
    words.pop();
  }
  const model = details.get('model') ?? '';
  const transportId = details.get('transport_id') ?? '';
  return {
    serial,
    state: words.join(' '),
    // adb puts an underscore for each character that is no letter or digit.
    ...(model ? {model: model.replaceAll('_', ' ')} : {}),
    ...(transportId ? {transportId} : {}),
    ...(isEmulatorSerial(serial) ? {emulator: true} : {}),
  };
}
