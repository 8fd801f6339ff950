// SPDX-License-Identifier: Apache-2.0
// How numbers and times read. What is not known is said to be unknown and never
// shown as zero.
import type {duration, time} from '../../base/time';
import type {Trace} from '../../public/trace';

export const UNKNOWN_TEXT = 'unknown';

const BYTE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];
const NS_PER_SECOND = 1_000_000_000n;

/** `12.5 MiB`; changes are written with their sign. */
export function formatBytes(bytes: bigint | number | undefined): string {
  if (bytes === undefined) return UNKNOWN_TEXT;
  const sign = bytes < 0 ? '-' : '';
  let value = Math.abs(Number(bytes));
  if (value < 1024) return `${sign}${Math.round(value)} B`;
  let unit = '';
  for (const next of BYTE_UNITS) {
    value /= 1024;
    unit = next;
    if (value < 1023.95) break;
  }
  return `${sign}${value.toFixed(1)} ${unit}`;
}

/** As `formatBytes`, with a plus before what grew. */
export function formatChange(bytes: bigint | number | undefined): string {
  const text = formatBytes(bytes);
  return bytes !== undefined && bytes > 0 ? `+${text}` : text;
}

/** `2 min 3.5 s`, `12.3 ms`. */
export function formatDuration(ns: duration | undefined): string {
  if (ns === undefined) return UNKNOWN_TEXT;
  if (ns < 1_000n) return `${ns} ns`;
  if (ns < 1_000_000n) return `${(Number(ns) / 1e3).toFixed(1)} us`;
  if (ns < NS_PER_SECOND) return `${(Number(ns) / 1e6).toFixed(1)} ms`;
  const minutes = ns / (60n * NS_PER_SECOND);
  const seconds = Number(ns - minutes * 60n * NS_PER_SECOND) / 1e9;
  const rest = `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return minutes === 0n ? rest : `${minutes} min ${rest}`;
}

/** Seconds as the time axis counts them, to the microsecond. */
export function formatTime(trace: TimeAxis, ts: time): string {
  const ns = trace.timeline.toDomainTime(ts);
  const sign = ns < 0n ? '-' : '';
  const micros = (ns < 0n ? -ns : ns) / 1_000n;
  const fraction = (micros % 1_000_000n).toString().padStart(6, '0');
  return `${sign}${micros / 1_000_000n}.${fraction} s`;
}

/** What `formatTime` needs of a trace. */
export interface TimeAxis {
  readonly timeline: Pick<Trace['timeline'], 'toDomainTime'>;
}
