// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/uptime (fs/proc/uptime.c): "%lu.%02lu %lu.%02lu\n", seconds since boot
 * (CLOCK_BOOTTIME) and the idle seconds of all CPUs, cut to 10 ms.
 */
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';

export interface ProcUptime {
  /** BOOTTIME, ns; the true value is up to 10 ms more. */
  readonly uptimeNs: bigint;
  readonly idleNs: bigint;
}

const TICK_NS = 10_000_000n;
const FORM = /^(\d{1,20})\.(\d\d) (\d{1,20})\.(\d\d)\n$/;

/** @throws FormatError when the text is cut or of another format. */
export function parseProcUptime(text: RawText): ProcUptime {
  const parts = FORM.exec(text) ?? undefined;
  if (parts === undefined) {
    throw new FormatError(
      '/proc/uptime',
      1,
      `expected two numbers of seconds, found ${quoteRaw(text)}`,
    );
  }
  const ns = (whole: number): bigint =>
    BigInt(`${parts[whole] ?? ''}${parts[whole + 1] ?? ''}`) * TICK_NS;
  return {uptimeNs: ns(1), idleNs: ns(3)};
}

export function renderProcUptime(uptime: ProcUptime): RawText {
  return `${seconds(uptime.uptimeNs)} ${seconds(uptime.idleNs)}\n`;
}

function seconds(ns: bigint): string {
  const ticks = ns / TICK_NS;
  return `${ticks / 100n}.${String(ticks % 100n).padStart(2, '0')}`;
}
