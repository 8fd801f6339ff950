// SPDX-License-Identifier: Apache-2.0
import type {time} from '../base/time';

export interface TraceInfo {
  readonly start: time;
  readonly end: time;
}
