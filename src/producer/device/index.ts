// SPDX-License-Identifier: Apache-2.0
export type {Adb, AdbOptions} from './adb.js';
export {openAdb} from './adb.js';
export type {AdbDevice} from './adb_device.js';
export type {
  Device,
  DeviceErrorCode,
  OpenOptions,
  RawStream,
  RunOptions,
  SteppedTime,
} from './device.js';
export {DeviceError, oneLine} from './device.js';
export type {ListedDevice} from './device_list.js';
export {stateError} from './device_state.js';
export type {RootOptions} from './root.js';
export {becomeRoot} from './root.js';
export type {SourceChoice, SourceOption, SourceQuestion} from './select.js';
export {chooseSource} from './select.js';
export {shellQuote} from './shell_quote.js';
export type {OpenedSource} from './source.js';
export {openSource} from './source.js';
export type {SuStyle} from './su.js';
export {probeSu, throughSu} from './su.js';
