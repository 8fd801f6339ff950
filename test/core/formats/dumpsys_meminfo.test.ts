// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  parseDumpsysMeminfo,
  renderDumpsysMeminfo,
  type MeminfoGraphics,
} from '../../../src/core/formats/index.js';

const KB = 1024;

describe('dumpsys meminfo', () => {
  it('of Android 15: DMA-BUF, its heaps, GPU', () => {
    const {graphics, elapsedRealtimeMs, hasTotals} = parseDumpsysMeminfo(
      [
        'Applications Memory Usage (in Kilobytes):',
        'Uptime: 8211334 Realtime: 9211334',
        '',
        '          0K: GL mtrack',
        'Total RAM: 7,698,860K (status normal)',
        ' Free RAM: 1,234K (2,345K cached pss + 3,456K cached kernel + 4,567K free)',
        'DMA-BUF:   817,715K (      152K mapped +   817,563K unmapped)',
        'DMA-BUF Heaps:    24,844K',
        'DMA-BUF Heaps pool:         0K',
        '      GPU:   258,796K (  258,796K dmabuf +         0K private)',
        '      Kernel CMA:         0K',
      ].join('\n'),
    );
    expect(elapsedRealtimeMs).toBe(9211334);
    expect(hasTotals).toBe(true);
    expect(graphics).toEqual({
      dmabuf: 817715 * KB,
      dmabufMapped: 152 * KB,
      dmabufUnmapped: 817563 * KB,
      dmabufHeaps: 24844 * KB,
      dmabufHeapsPool: 0,
      ion: undefined,
      ionMapped: undefined,
      ionUnmapped: undefined,
      ionPools: undefined,
      gpu: 258796 * KB,
      gpuDmabuf: 258796 * KB,
      gpuPrivate: 0,
    } satisfies MeminfoGraphics);
  });

  it('of Android 11 with ION', () => {
    const {graphics} = parseDumpsysMeminfo(
      [
        'Total RAM: 3,486,196K (status moderate)',
        '      ION:   132,124K (  6,924K mapped +   125,200K unmapped +   0K pools)',
        '      GPU:   194,788K',
      ].join('\n'),
    );
    expect(graphics.ion).toBe(132124 * KB);
    expect(graphics.ionUnmapped).toBe(125200 * KB);
    expect(graphics.ionPools).toBe(0);
    expect(graphics.gpu).toBe(194788 * KB);
    expect(graphics.gpuDmabuf).toBeUndefined();
    expect(graphics.dmabuf).toBeUndefined();
  });

  it('of Android 12: the heap in the singular, no parts', () => {
    const {graphics} = parseDumpsysMeminfo(
      'DMA-BUF: 100K\nDMA-BUF Heap: 60K\nDMA-BUF Heaps pool: 4K\n',
    );
    expect(graphics.dmabuf).toBe(100 * KB);
    expect(graphics.dmabufHeaps).toBe(60 * KB);
    expect(graphics.dmabufHeapsPool).toBe(4 * KB);
    expect(graphics.dmabufMapped).toBeUndefined();
  });

  it('without a line there is no number', () => {
    const {graphics, hasTotals} = parseDumpsysMeminfo('');
    expect(Object.values(graphics).every((x) => x === undefined)).toBe(true);
    expect(hasTotals).toBe(false);
  });

  it('what was rendered is read back', () => {
    const size = fc.option(
      fc.nat({max: 64 * 1024 * 1024}).map((kb) => kb * KB),
      {nil: undefined},
    );
    fc.assert(
      fc.property(
        fc.record({
          dmabuf: size,
          dmabufMapped: size,
          dmabufUnmapped: size,
          dmabufHeaps: size,
          dmabufHeapsPool: size,
          ion: size,
          ionMapped: size,
          ionUnmapped: size,
          ionPools: size,
          gpu: size,
          gpuDmabuf: size,
          gpuPrivate: size,
        }),
        (all) => {
          // Parts stand behind their sums.
          const graphics: MeminfoGraphics = {
            ...all,
            ...(all.dmabuf === undefined && {
              dmabufMapped: undefined,
              dmabufUnmapped: undefined,
            }),
            ...(all.ion === undefined && {
              ionMapped: undefined,
              ionUnmapped: undefined,
              ionPools: undefined,
            }),
            ...(all.gpu === undefined && {
              gpuDmabuf: undefined,
              gpuPrivate: undefined,
            }),
          };
          const made = {graphics, elapsedRealtimeMs: 77, hasTotals: true};
          expect(parseDumpsysMeminfo(renderDumpsysMeminfo(made))).toEqual(made);
        },
      ),
    );
  });
});
