// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {changedKeys, DeltaMap} from '../../../src/core/model/index.js';

interface Value {
  readonly n: number;
}

/** Some steps, each of which sets or takes away some keys. */
const steps = fc.array(
  fc.array(
    fc.tuple(fc.nat(300), fc.option(fc.nat(9), {nil: undefined, freq: 3})),
    {maxLength: 40},
  ),
  {maxLength: 30},
);

/** The maps after each step, and plain ones with the same content. */
function build(
  all: readonly (readonly (readonly [number, number | undefined])[])[],
): {delta: DeltaMap<number, Value>; plain: Map<number, Value>}[] {
  const states = [
    {delta: DeltaMap.empty<number, Value>(), plain: new Map<number, Value>()},
  ];
  for (const step of all) {
    const {delta, plain} = states.at(-1) ?? states[0] ?? fail();
    const changes = new Map<number, Value | undefined>();
    const next = new Map(plain);
    for (const [key, n] of step) {
      const value = n === undefined ? undefined : {n};
      changes.set(key, value);
      if (value === undefined) next.delete(key);
      else next.set(key, value);
    }
    states.push({delta: edited(delta, changes), plain: next});
  }
  return states;
}

/** A map with what another one has, too; undefined: taken away. */
function edited<K, V extends object>(
  map: DeltaMap<K, V>,
  changes: ReadonlyMap<K, V | undefined>,
): DeltaMap<K, V> {
  return map.with((set) => {
    changes.forEach((value, key) => {
      set(key, value, map.get(key));
    });
  });
}

function fail(): never {
  throw new Error('no state');
}

function sorted<V>(entries: Iterable<[number, V]>): [number, V][] {
  return [...entries].sort(([a], [b]) => a - b);
}

describe('DeltaMap', () => {
  it('holds what a plain map holds, at every step', () => {
    fc.assert(
      fc.property(steps, (all) => {
        for (const {delta, plain} of build(all)) {
          expect(delta.size).toBe(plain.size);
          expect(sorted(delta)).toEqual(sorted(plain));
          expect([...delta.keys()].sort()).toEqual([...plain.keys()].sort());
          expect([...delta.values()]).toHaveLength(plain.size);
          for (let key = 0; key <= 300; key++) {
            expect(delta.get(key)).toBe(plain.get(key));
            expect(delta.has(key)).toBe(plain.has(key));
          }
          const seen = new Map<number, Value>();
          delta.forEach((value, key) => seen.set(key, value));
          expect(sorted(seen)).toEqual(sorted(plain));
        }
      }),
      {numRuns: 30},
    );
  });

  it('can be the origin of several others', () => {
    const one = edited(DeltaMap.empty<number, Value>(), new Map([[1, {n: 1}]]));
    const two = edited(one, new Map([[2, {n: 2}]]));
    const other = edited(one, new Map([[1, undefined]]));
    expect(sorted(one)).toEqual([[1, {n: 1}]]);
    expect(sorted(two)).toEqual([
      [1, {n: 1}],
      [2, {n: 2}],
    ]);
    expect(sorted(other)).toEqual([]);
    expect([...changedKeys(two, other)].sort()).toEqual([1, 2]);
    expect([...changedKeys(other, one)]).toEqual([1]);
  });

  it('is read however many were made from it', () => {
    const first = edited(
      DeltaMap.empty<number, Value>(),
      new Map([[1, {n: 1}]]),
    );
    let last = first;
    for (let n = 0; n < 50_000; n++) last = edited(last, new Map([[2, {n}]]));
    expect(first.get(2)).toBeUndefined();
    expect(first.get(1)).toEqual({n: 1});
    expect([...changedKeys(first, last)]).toEqual([2]);
  });

  it('stays what it was when it was read before another was made', () => {
    const one = edited(DeltaMap.empty<number, Value>(), new Map([[1, {n: 1}]]));
    expect(sorted(one)).toEqual([[1, {n: 1}]]);
    edited(one, new Map([[1, undefined]]));
    expect(sorted(one)).toEqual([[1, {n: 1}]]);
    expect(one.get(1)).toEqual({n: 1});
  });

  it('keeps what was there first of a key that is set twice', () => {
    const first = {n: 1};
    const one = DeltaMap.empty<number, Value>().with((set) => {
      set(1, first, undefined);
    });
    const passing = {n: 3};
    const two = one.with((set) => {
      set(1, undefined, first);
      set(1, {n: 2}, undefined);
      set(3, passing, undefined);
      set(3, undefined, passing);
    });
    expect(sorted(one)).toEqual([[1, {n: 1}]]);
    expect(sorted(two)).toEqual([[1, {n: 2}]]);
    expect([...changedKeys(one, two)]).toEqual([1]);
  });

  it('is itself again when nothing changes', () => {
    const map = edited(DeltaMap.empty<number, Value>(), new Map([[1, {n: 1}]]));
    expect(edited(map, new Map())).toBe(map);
  });
});

describe('changedKeys', () => {
  it('tells the keys of different objects, of any two states', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (all, a, b) => {
        const states = build(all);
        const before = states[a % states.length] ?? fail();
        const after = states[b % states.length] ?? fail();
        const expected = new Set<number>();
        for (let key = 0; key <= 300; key++) {
          if (before.plain.get(key) !== after.plain.get(key)) expected.add(key);
        }
        const told = [...changedKeys(before.delta, after.delta)];
        expect(told).toHaveLength(expected.size);
        expect(new Set(told)).toEqual(expected);
        const plainly = [...changedKeys(before.plain, after.plain)];
        expect(new Set(plainly)).toEqual(expected);
      }),
      {numRuns: 100},
    );
  });
});
