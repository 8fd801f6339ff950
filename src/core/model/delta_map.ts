// SPDX-License-Identifier: Apache-2.0

/** Below so many changes a map is not copied, however small it is. */
const FEW_CHANGES = 64;
/** A delta of more than this share of the base is merged into a new base. */
const LARGEST_SHARE = 8;

/**
 * A map that never changes and shares most of itself with the map it was made
 * from: what a snapshot costs is what is different in it, and two snapshots
 * can be compared by looking at their differences only.
 */
export class DeltaMap<K, V extends object> implements ReadonlyMap<K, V> {
  private constructor(
    private readonly base: ReadonlyMap<K, V>,
    /** What is different from the base; undefined: not there. */
    private readonly delta: ReadonlyMap<K, V | undefined>,
    readonly size: number,
  ) {}

  static empty<K, V extends object>(): DeltaMap<K, V> {
    return new DeltaMap<K, V>(new Map(), new Map(), 0);
  }

  /** The same with some values set, or taken away where undefined. */
  with(changes: ReadonlyMap<K, V | undefined>): DeltaMap<K, V> {
    if (changes.size === 0) return this;
    const limit = Math.max(FEW_CHANGES, this.base.size / LARGEST_SHARE);
    if (this.delta.size + changes.size > limit) return this.merged(changes);
    const delta = new Map(this.delta);
    let {size} = this;
    for (const [key, value] of changes) {
      size += Number(value !== undefined) - Number(this.has(key));
      delta.set(key, value);
    }
    return new DeltaMap(this.base, delta, size);
  }

  private merged(changes: ReadonlyMap<K, V | undefined>): DeltaMap<K, V> {
    const base = new Map(this.base);
    for (const part of [this.delta, changes]) {
      for (const [key, value] of part) {
        if (value === undefined) base.delete(key);
        else base.set(key, value);
      }
    }
    return new DeltaMap<K, V>(base, new Map(), base.size);
  }

  get(key: K): V | undefined {
    const value = this.delta.get(key);
    if (value !== undefined || this.delta.has(key)) return value;
    return this.base.get(key);
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  /** Keys under which this and another map may have different values. */
  *differentKeys(other: DeltaMap<K, V>): Generator<K> {
    if (this === other) return;
    if (this.base === other.base) {
      yield* this.delta.keys();
      for (const key of other.delta.keys()) {
        if (!this.delta.has(key)) yield key;
      }
      return;
    }
    yield* this.keys();
    for (const key of other.keys()) if (!this.has(key)) yield key;
  }

  *entries(): Generator<[K, V], undefined> {
    const {base, delta} = this;
    for (const entry of base) if (!delta.has(entry[0])) yield entry;
    for (const [key, value] of delta) {
      if (value !== undefined) yield [key, value];
    }
  }

  *keys(): Generator<K, undefined> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<V, undefined> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): Generator<[K, V], undefined> {
    return this.entries();
  }

  forEach(
    call: (value: V, key: K, map: ReadonlyMap<K, V>) => void,
    self?: unknown,
  ): void {
    for (const [key, value] of this) call.call(self, value, key, this);
  }
}

/**
 * Keys under which two maps hold different objects, each once. What it costs
 * is the number of differences where one map was made from the other, or both
 * from a third; else the number of their keys.
 */
export function* changedKeys<K, V extends object>(
  before: ReadonlyMap<K, V>,
  after: ReadonlyMap<K, V>,
): Generator<K> {
  if (before === after) return;
  if (before instanceof DeltaMap && after instanceof DeltaMap) {
    for (const key of (after as DeltaMap<K, V>).differentKeys(before)) {
      if (before.get(key) !== after.get(key)) yield key;
    }
    return;
  }
  for (const [key, value] of after) if (before.get(key) !== value) yield key;
  for (const key of before.keys()) if (!after.has(key)) yield key;
}
