// SPDX-License-Identifier: Apache-2.0
/** A moment of the trace, ns; in a device's traces CLOCK_BOOTTIME. */
export type time = bigint & {readonly __type: 'time'};
/** ns */
export type duration = bigint;

export class Time {
  static fromRaw(ns: bigint): time;
}
