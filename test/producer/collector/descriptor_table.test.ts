// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {DescriptorTable} from '../../../src/producer/collector/descriptor_table.js';
import {
  TrackedBuffer,
  TrackedHolding,
} from '../../../src/producer/collector/tracked_buffer.js';
import {newProcess} from '../../../src/producer/collector/tracked_process.js';

function holdingOf(inode: number): TrackedHolding {
  const process = newProcess(1, 1n, 0n);
  return new TrackedHolding(process, inode, new TrackedBuffer(BigInt(inode)));
}

describe('DescriptorTable', () => {
  it('holds what a map holds, whatever the numbers', () => {
    const fd = fc.oneof(
      fc.nat(20),
      fc.nat(5000),
      fc.constantFrom(4_294_967_294, 4_294_967_295, 999_999_999_999_999),
    );
    const step = fc.tuple(fd, fc.option(fc.nat(9), {nil: undefined}));
    fc.assert(
      fc.property(fc.array(step, {maxLength: 60}), (steps) => {
        const table = new DescriptorTable();
        const map = new Map<number, TrackedHolding>();
        for (const [fd, inode] of steps) {
          if (inode === undefined) {
            expect(table.delete(fd)).toBe(map.get(fd));
            map.delete(fd);
          } else {
            const holding = holdingOf(inode);
            table.set(fd, holding);
            map.set(fd, holding);
          }
          expect(table.size).toBe(map.size);
          expect(table.get(fd)).toBe(map.get(fd));
        }
        const all = new Map<number, TrackedHolding>();
        table.forEach((holding, fd) => all.set(fd, holding));
        expect(all).toEqual(map);
        for (const [fd, holding] of map) {
          expect(table.find((each) => each === holding)).toBe(fd);
        }
        expect(table.find(() => false)).toBe(undefined);
      }),
    );
  });
});
