// SPDX-License-Identifier: Apache-2.0
import type {time} from '../../../../../src/ui-plugin/api/base/time';

export class Time {
  static fromRaw(ns: bigint): time {
    return ns as time;
  }
}
