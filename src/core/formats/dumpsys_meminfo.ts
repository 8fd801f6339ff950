// SPDX-License-Identifier: Apache-2.0
/**
 * The lines about graphics memory at the end of `dumpsys meminfo`
 * (frameworks/base, ActivityManagerService.dumpApplicationMemoryUsage), sizes
 * in kB with thousands separators:
 *
 *     Uptime: 8211334 Realtime: 9211334
 *     DMA-BUF:   817,715K (      152K mapped +   817,563K unmapped)
 *     DMA-BUF Heaps:    24,844K
 *     DMA-BUF Heaps pool:         0K
 *           GPU:   258,796K (  258,796K dmabuf +         0K private)
 *           ION:   132,124K (    6,924K mapped +   125,200K unmapped +   0K pools)
 *
 * The ION line is that of Android 10 to 12 on kernels that still have ION, the
 * others came with Android 11 and 12. A line is absent where the device has no
 * such number.
 */
import type {RawText} from '../model/text.js';

/** Bytes; undefined where there is no such line. */
export interface MeminfoGraphics {
  readonly dmabuf: number | undefined;
  readonly dmabufMapped: number | undefined;
  readonly dmabufUnmapped: number | undefined;
  readonly dmabufHeaps: number | undefined;
  readonly dmabufHeapsPool: number | undefined;
  readonly ion: number | undefined;
  readonly ionMapped: number | undefined;
  readonly ionUnmapped: number | undefined;
  readonly ionPools: number | undefined;
  readonly gpu: number | undefined;
  readonly gpuDmabuf: number | undefined;
  readonly gpuPrivate: number | undefined;
}

export interface DumpsysMeminfo {
  readonly graphics: MeminfoGraphics;
  /** CLOCK_BOOTTIME as the dump began, ms. */
  readonly elapsedRealtimeMs: number | undefined;
  /** `Total RAM:` was there: the text was not cut before its end. */
  readonly hasTotals: boolean;
}

const LINES: ReadonlyMap<string, keyof MeminfoGraphics> = new Map([
  ['DMA-BUF', 'dmabuf'],
  // Android 11 to 14; later ones have the plural.
  ['DMA-BUF Heap', 'dmabufHeaps'],
  ['DMA-BUF Heaps', 'dmabufHeaps'],
  ['DMA-BUF Heaps pool', 'dmabufHeapsPool'],
  ['ION', 'ion'],
  ['GPU', 'gpu'],
]);

const PARTS: Readonly<
  Record<string, Readonly<Record<string, keyof MeminfoGraphics>>>
> = {
  'DMA-BUF': {mapped: 'dmabufMapped', unmapped: 'dmabufUnmapped'},
  ION: {mapped: 'ionMapped', unmapped: 'ionUnmapped', pools: 'ionPools'},
  GPU: {dmabuf: 'gpuDmabuf', private: 'gpuPrivate'},
};

const SIZE = '([\\d,]{1,20})K';
const LINE = new RegExp(
  `^ {0,10}(DMA-BUF(?: Heaps?(?: pool)?)?|ION|GPU): {0,20}${SIZE}(.*)$`,
);
const PART = new RegExp(`${SIZE} (\\w{1,10})`, 'g');
const UPTIME = /^Uptime: \d{1,15} Realtime: (\d{1,15})$/;
const TOTAL_RAM = /^ {0,10}Total RAM: /;
/** Such a line is short; a longer one is something else. */
const LONGEST_LINE = 200;

/** Takes any text; lines of other things are passed over. */
export function parseDumpsysMeminfo(text: RawText): DumpsysMeminfo {
  const graphics: {-readonly [K in keyof MeminfoGraphics]: number | undefined} =
    {
      ...NOTHING,
    };
  let elapsedRealtimeMs: number | undefined;
  let hasTotals = false;
  for (const full of text.split('\n')) {
    if (full.length > LONGEST_LINE) continue;
    const line = full.trimEnd();
    const uptime = UPTIME.exec(line);
    if (uptime !== null) elapsedRealtimeMs ??= Number(uptime[1]);
    hasTotals ||= TOTAL_RAM.test(line);
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, label = '', size = '', rest = ''] = match;
    const key = LINES.get(label);
    if (key === undefined || graphics[key] !== undefined) continue;
    graphics[key] = toBytes(size);
    for (const [, part = '', name = ''] of rest.matchAll(PART)) {
      const partKey = PARTS[label]?.[name];
      if (partKey !== undefined) graphics[partKey] ??= toBytes(part);
    }
  }
  return {
    graphics,
    elapsedRealtimeMs,
    hasTotals,
  };
}

const NOTHING: MeminfoGraphics = {
  dmabuf: undefined,
  dmabufMapped: undefined,
  dmabufUnmapped: undefined,
  dmabufHeaps: undefined,
  dmabufHeapsPool: undefined,
  ion: undefined,
  ionMapped: undefined,
  ionUnmapped: undefined,
  ionPools: undefined,
  gpu: undefined,
  gpuDmabuf: undefined,
  gpuPrivate: undefined,
};

/** kB to bytes; beyond 2^53 bytes no device goes. */
function toBytes(size: string): number | undefined {
  const kb = Number(size.replaceAll(',', ''));
  const bytes = kb * 1024;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The lines as Android 15 prints them; those of undefined are absent. */
export function renderDumpsysMeminfo({
  graphics: g,
  elapsedRealtimeMs,
  hasTotals,
}: DumpsysMeminfo): RawText {
  const lines: string[] = [];
  if (elapsedRealtimeMs !== undefined) {
    lines.push(
      'Applications Memory Usage (in Kilobytes):',
      `Uptime: ${elapsedRealtimeMs} Realtime: ${elapsedRealtimeMs}`,
    );
  }
  if (hasTotals) lines.push('Total RAM: 7,698,860K (status normal)');
  const add = (
    label: string,
    total: number | undefined,
    parts: readonly (readonly [number | undefined, string])[],
  ): void => {
    if (total === undefined) return;
    const known = parts.filter(([size]) => size !== undefined);
    const rest = known.map(([size, name]) => `${kb(size)} ${name}`).join(' + ');
    lines.push(`${label}: ${kb(total)}${rest === '' ? '' : ` (${rest})`}`);
  };
  add('      ION', g.ion, [
    [g.ionMapped, 'mapped'],
    [g.ionUnmapped, 'unmapped'],
    [g.ionPools, 'pools'],
  ]);
  add('DMA-BUF', g.dmabuf, [
    [g.dmabufMapped, 'mapped'],
    [g.dmabufUnmapped, 'unmapped'],
  ]);
  add('DMA-BUF Heaps', g.dmabufHeaps, []);
  add('DMA-BUF Heaps pool', g.dmabufHeapsPool, []);
  add('      GPU', g.gpu, [
    [g.gpuDmabuf, 'dmabuf'],
    [g.gpuPrivate, 'private'],
  ]);
  return lines.map((line) => `${line}\n`).join('');
}

function kb(bytes = 0): string {
  return `${(bytes / 1024).toLocaleString('en-US').padStart(9)}K`;
}
