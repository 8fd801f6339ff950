// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them. What is not known is `?`, never 0.

export const UNKNOWN = '?';

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** `512 B`, `4.0 KiB`, `1.5 GiB`; `?` when not known. */
export function formatBytes(bytes: bigint | number | undefined): string {
  if (bytes === undefined) return UNKNOWN;
  const value = Number(bytes);
  const size = Math.abs(value);
  if (size < 1024) {
    return `${Number.isInteger(value) ? value : value.toFixed(1)} B`;
  }
  let scaled = size;
  let unit = '';
  for (const next of UNITS) {
    scaled /= 1024;
    unit = next;
    // What would round to 1024.0 is 1.0 of the next.
    if (scaled < 1023.95) break;
  }
  return `${value < 0 ? '-' : ''}${scaled.toFixed(1)} ${unit}`;
}

/** As formatBytes, with a sign: `+4.0 KiB`, `-4.0 KiB`, `0 B`. */
export function formatGrowth(bytes: bigint | number): string {
  return `${bytes > 0 ? '+' : ''}${formatBytes(bytes)}`;
}

export function formatCount(count: bigint | number | undefined): string {
  return count === undefined ? UNKNOWN : String(count);
}

/** `1 buffer`, `2 buffers`, `? buffers`. */
export function plural(
  count: bigint | number | undefined,
  one: string,
  many = `${one}s`,
): string {
  return `${formatCount(count)} ${Number(count) === 1 ? one : many}`;
}

/** `250 ms`, `1.5 s`, `2 min 3 s`, `1 h 2 min`; from ns. */
export function formatDuration(ns: bigint | number | undefined): string {
  if (ns === undefined) return UNKNOWN;
  const ms = Number(ns) / 1e6;
  if (ms < 10) return `${trimZeros(ms.toFixed(2))} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59_950) return `${trimZeros((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) {
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A running clock: `00:07`, `1:02:03`; from ms. */
export function formatElapsed(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const hours = Math.floor(seconds / 3600);
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) =>
    String(part).padStart(2, '0'),
  );
  return [...(hours > 0 ? [String(hours)] : []), ...parts].join(':');
}

function trimZeros(text: string): string {
  return text.replace(/\.?0+$/, '');
}
