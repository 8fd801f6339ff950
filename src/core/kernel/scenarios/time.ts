// SPDX-License-Identifier: Apache-2.0

/** Milliseconds in ns. */
export function ms(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1000)) * 1000n;
}

/** Seconds in ns. */
export function seconds(count: number): bigint {
  return ms(count * 1000);
}

/** The time of one frame at a rate in Hz, ns. */
export function framePeriod(hz: number): bigint {
  return BigInt(Math.round(1e9 / hz));
}
