// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  parseIonHeaps,
  renderIonHeaps,
} from '../../../src/core/formats/index.js';

describe('ION heaps', () => {
  it('of a kernel 4.9, several of them', () => {
    const {heaps, problems} = parseIonHeaps(
      [
        '--- /d/ion/heaps/adsp',
        '          client              pid             size',
        '----------------------------------------------------',
        '----------------------------------------------------',
        'orphaned allocations (info is from last known client):',
        '----------------------------------------------------',
        '  total orphaned                0',
        '          total                 0',
        '----------------------------------------------------',
        '--- /d/ion/heaps/system',
        '          client              pid             size',
        '----------------------------------------------------',
        '  surfaceflinger              403         16588800',
        ' allocator@2.0-s              411             4096',
        '----------------------------------------------------',
        'orphaned allocations (info is from last known client):',
        ' Built-in Keyboa            24205            61440 0 1',
        '----------------------------------------------------',
        '  total orphaned            61440',
        '          total          16654336',
        '   deferred free                0',
        '----------------------------------------------------',
        '0 order 8 highmem pages in uncached pool = 0 total',
      ].join('\n'),
    );
    expect(problems).toEqual([]);
    expect(heaps.map(({name}) => name)).toEqual(['adsp', 'system']);
    expect(heaps[1]).toEqual({
      name: 'system',
      clients: [
        {name: 'surfaceflinger', pid: 403, bytes: 16588800n},
        {name: 'allocator@2.0-s', pid: 411, bytes: 4096n},
      ],
      orphaned: [{name: 'Built-in Keyboa', pid: 24205, bytes: 61440n}],
      totalOrphanedBytes: 61440n,
      totalBytes: 16654336n,
    });
  });

  it("of a Rockchip kernel, with the orphans' users", () => {
    const {heaps, problems} = parseIonHeaps(
      [
        '          client              pid             size',
        '----------------------------------------------------',
        '----------------------------------------------------',
        'orphaned allocations (info is from last known client):',
        '          client      pid             user user_pid             size  mcnt  rcnt',
        ' allocator@2.0-s      257  composer@2.1-se      258          7372800     0     1',
        '----------------------------------------------------',
        '  total orphaned          7372800',
        '          total           7372800',
      ].join('\n'),
    );
    expect(problems).toEqual([]);
    expect(heaps[0]?.name).toBeUndefined();
    expect(heaps[0]?.orphaned).toEqual([
      {name: 'allocator@2.0-s', pid: 257, bytes: 7372800n},
    ]);
  });

  it('cut before its total: says so, and knows no total', () => {
    const {heaps, problems} = parseIonHeaps(
      '/d/ion/heaps/mm\n   client   pid   size\n-----\n  a b   1   4096\n',
    );
    expect(heaps[0]?.totalBytes).toBeUndefined();
    expect(heaps[0]?.clients).toEqual([{name: 'a b', pid: 1, bytes: 4096n}]);
    expect(problems).toEqual([
      'the table of ION heap "mm" is cut: its total is missing',
    ]);
  });

  it('what was rendered is read back', () => {
    const client = fc.record({
      name: fc
        .string({
          unit: fc.constantFrom(...'ab z-:@0\x1b\xff'),
          minLength: 1,
          maxLength: 15,
        })
        .map((text) => `${text.trim()}x`),
      pid: fc.integer({min: 0, max: 4_194_304}),
      bytes: fc.bigInt(0n, 1n << 40n),
    });
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            name: fc.constantFrom('system', 'mm', 'qsecom', 'carveout_fb'),
            clients: fc.array(client, {maxLength: 4}),
            orphaned: fc.array(client, {maxLength: 4}),
            totalOrphanedBytes: fc.bigInt(0n, 1n << 40n),
            totalBytes: fc.bigInt(0n, 1n << 40n),
          }),
          {maxLength: 3},
        ),
        (heaps) => {
          expect(parseIonHeaps(renderIonHeaps(heaps))).toEqual({
            heaps,
            problems: [],
          });
        },
      ),
    );
  });
});
