// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {changedInodes, InodeMap} from '../../../src/core/model/index.js';

interface Value {
  readonly n: number;
}

type Change = readonly [bigint, number | undefined];

/** Some of them are no exact number. */
const inode = fc.oneof(
  {weight: 5, arbitrary: fc.bigInt(0n, 300n)},
  fc.bigInt(2n ** 53n - 3n, 2n ** 53n + 3n),
  fc.bigInt(2n ** 64n - 4n, 2n ** 64n - 1n),
);

/** Some steps, each of which sets or takes away something. */
const steps = fc.array(
  fc.array(fc.tuple(inode, fc.option(fc.nat(9), {nil: undefined, freq: 3})), {
    maxLength: 40,
  }),
  {maxLength: 30},
);

interface State {
  readonly map: InodeMap<Value>;
  readonly plain: ReadonlyMap<bigint, Value>;
}

const EMPTY: State = {map: InodeMap.empty<Value>(), plain: new Map()};

/** The maps after each step, and plain ones with the same content. */
function build(all: readonly (readonly Change[])[]): State[] {
  const states = [EMPTY];
  for (const step of all) {
    const {map, plain} = states.at(-1) ?? EMPTY;
    const next = new Map(plain);
    const changed = map.with((set) => {
      for (const [key, n] of step) {
        const value = n === undefined ? undefined : {n};
        set(key, value);
        if (value === undefined) next.delete(key);
        else next.set(key, value);
      }
    });
    states.push({map: changed, plain: next});
  }
  return states;
}

function edited(map: InodeMap<Value>, ...changes: Change[]): InodeMap<Value> {
  return map.with((set) => {
    for (const [key, n] of changes) set(key, n === undefined ? n : {n});
  });
}

function ascending<V>(map: ReadonlyMap<bigint, V>): [bigint, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Objects that are kept by one, itself included. */
function kept(root: object): number {
  const found = new Set<object>([root]);
  for (const object of found) {
    for (const value of Object.values(object) as unknown[]) {
      if (typeof value === 'object' && value !== null) found.add(value);
    }
  }
  return found.size;
}

describe('InodeMap', () => {
  it('holds what a plain map holds, in ascending order, at every step', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const states = build(all);
        for (const {map, plain} of states) {
          const expected = ascending(plain);
          expect(map.size).toBe(plain.size);
          expect([...map]).toEqual(expected);
          expect([...map.keys()]).toEqual(expected.map(([key]) => key));
          expect([...map.values()]).toEqual(expected.map(([, value]) => value));
          const seen: [bigint, Value][] = [];
          map.forEach((value, key) => seen.push([key, value]));
          expect(seen).toEqual(expected);
          for (const key of states.at(-1)?.plain.keys() ?? []) {
            expect(map.get(key)).toBe(plain.get(key));
            expect(map.has(key)).toBe(plain.has(key));
          }
        }
      }),
      {numRuns: 50},
    );
  });

  it('can be the origin of several others', () => {
    const one = edited(EMPTY.map, [1n, 1]);
    const two = edited(one, [2n, 2]);
    const other = edited(one, [1n, undefined]);
    expect([...one]).toEqual([[1n, {n: 1}]]);
    expect([...two]).toEqual([
      [1n, {n: 1}],
      [2n, {n: 2}],
    ]);
    expect([...other]).toEqual([]);
    expect(new Set(changedInodes(two, other))).toEqual(new Set([1n, 2n]));
    expect([...changedInodes(other, one)]).toEqual([1n]);
  });

  it('keeps nothing of the many that were made from it', () => {
    const first = edited(EMPTY.map, [1n, 1]);
    const before = kept(first);
    let last = first;
    for (let n = 0; n < 5000; n++) {
      last = edited(last, [2n, n], [BigInt(n + 3), n]);
    }
    expect(kept(first)).toBe(before);
    expect([...first]).toEqual([[1n, {n: 1}]]);
    expect([...changedInodes(first, last)]).toHaveLength(5001);
  });

  it('counts what is set last of an inode', () => {
    const one = edited(EMPTY.map, [1n, 1]);
    const two = edited(one, [1n, undefined], [1n, 2], [3n, 3], [3n, undefined]);
    expect([...one]).toEqual([[1n, {n: 1}]]);
    expect([...two]).toEqual([[1n, {n: 2}]]);
    expect([...changedInodes(one, two)]).toEqual([1n]);
  });

  it('is itself again when nothing changes', () => {
    const map = edited(EMPTY.map, [1n, 1]);
    expect(edited(map)).toBe(map);
  });
});

describe('changedInodes', () => {
  it('tells the inodes of different objects, of any two states', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (all, a, b) => {
        const states = build(all);
        const before = states[a % states.length] ?? EMPTY;
        const after = states[b % states.length] ?? EMPTY;
        const expected = new Set<bigint>();
        for (const key of [...before.plain.keys(), ...after.plain.keys()]) {
          if (before.plain.get(key) !== after.plain.get(key)) expected.add(key);
        }
        const told = [...changedInodes(before.map, after.map)];
        expect(told).toHaveLength(expected.size);
        expect(new Set(told)).toEqual(expected);
        const plainly = [...changedInodes(before.plain, after.plain)];
        expect(new Set(plainly)).toEqual(expected);
      }),
      {numRuns: 100},
    );
  });
});
