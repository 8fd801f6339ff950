// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {PlacedList} from '../../../src/producer/collector/placed_list.js';

interface Member {
  readonly n: number;
  place: number;
}

describe('PlacedList', () => {
  it('has the members of a set to which the same is done', () => {
    const step = fc.tuple(fc.nat(9), fc.boolean());
    fc.assert(
      fc.property(fc.array(step, {maxLength: 60}), (steps) => {
        const objects: Member[] = [];
        for (let n = 0; n < 10; n++) objects.push({n, place: -1});
        const list = new PlacedList<'place', Member>('place');
        const set = new Set<Member>();
        for (const [n, isMember] of steps) {
          const object = objects[n];
          if (object === undefined) continue;
          list.put(object, isMember);
          if (isMember) set.add(object);
          else set.delete(object);
          expect(list.has(object)).toBe(isMember);
          expect(list.size).toBe(set.size);
          expect(new Set(list.list())).toEqual(set);
          expect(list.list()).toHaveLength(set.size);
        }
      }),
    );
  });
});
