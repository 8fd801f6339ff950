// SPDX-License-Identifier: Apache-2.0
import {bytesFromRaw, type RawText} from '../../../core/model/index.js';

/** Two lower-case digits a byte. */
export function toHex(raw: RawText): string {
  let hex = '';
  for (const byte of bytesFromRaw(raw)) {
    hex += byte.toString(16).padStart(2, '0');
  }
  return hex;
}
