// SPDX-License-Identifier: Apache-2.0

/**
 * A map that never changes, made from another one by a few differences. The
 * newest of a line of maps holds the entries; each older one holds what it has
 * other than the next. So a new map costs what is different in it, two maps of
 * a line are compared by looking at their differences only, and old maps that
 * nobody keeps cost nothing.
 */
export class DeltaMap<K, V extends object> implements ReadonlyMap<K, V> {
  /** All entries, of the newest of the line; else undefined. */
  private entriesOfAll: Map<K, V> | undefined;
  /**
   * Keys that differ in the next, and what is here under them; undefined:
   * nothing. They are put into a map once somebody looks one up.
   */
  private ownKeys: readonly K[] = [];
  private ownValues: readonly (V | undefined)[] = [];
  private ownByKey: ReadonlyMap<K, V | undefined> | undefined;
  private next: DeltaMap<K, V> | undefined;

  private constructor(entries: Map<K, V>) {
    this.entriesOfAll = entries;
    this.size = entries.size;
  }

  readonly size: number;

  static empty<K, V extends object>(): DeltaMap<K, V> {
    return new DeltaMap<K, V>(new Map());
  }

  /**
   * The same with what `edit` sets, or takes away where undefined.
   *
   * @param edit must not throw; gives with each key what it has set last, or
   *     what is here under it: asking the map costs as much as changing it
   */
  with(
    edit: (
      set: (key: K, value: V | undefined, before: V | undefined) => void,
    ) => void,
  ): DeltaMap<K, V> {
    const isNewest = this.entriesOfAll !== undefined;
    let entries: Map<K, V> | undefined;
    const keys: K[] = [];
    const values: (V | undefined)[] = [];
    edit((key, value, before) => {
      entries ??= this.entriesOfAll ?? new Map(this.entries());
      if (isNewest) {
        keys.push(key);
        values.push(before);
      }
      if (value === undefined) entries.delete(key);
      else entries.set(key, value);
    });
    if (entries === undefined) return this;
    const changed = new DeltaMap(entries);
    if (isNewest) {
      this.entriesOfAll = undefined;
      this.ownKeys = keys;
      this.ownValues = values;
      this.ownByKey = undefined;
      this.next = changed;
    }
    return changed;
  }

  private own(): ReadonlyMap<K, V | undefined> {
    if (this.ownByKey === undefined) {
      const own = new Map<K, V | undefined>();
      for (const [i, key] of this.ownKeys.entries()) {
        // What was there before counts, should a key have been set twice.
        if (!own.has(key)) own.set(key, this.ownValues[i]);
      }
      this.ownByKey = own;
    }
    return this.ownByKey;
  }

  get(key: K): V | undefined {
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    let map: DeltaMap<K, V> | undefined = this;
    for (; map !== undefined; map = map.next) {
      if (map.entriesOfAll !== undefined) return map.entriesOfAll.get(key);
      const own = map.own();
      const value = own.get(key);
      if (value !== undefined || own.has(key)) return value;
    }
    return undefined;
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  /** Keys under which this and another map may have different values. */
  differentKeys(other: DeltaMap<K, V>): Iterable<K> {
    return (
      this.keysUpTo(other) ??
      other.keysUpTo(this) ??
      new Set([...this.keys(), ...other.keys()])
    );
  }

  /** Keys that changed from here to a newer map; undefined if it is none. */
  private keysUpTo(newer: DeltaMap<K, V>): Set<K> | undefined {
    const keys = new Set<K>();
    for (const map of this.toNewest()) {
      if (map === newer) return keys;
      for (const key of map.ownKeys) keys.add(key);
    }
    return undefined;
  }

  /** This map and those made from it, one after the other. */
  private *toNewest(): Generator<DeltaMap<K, V>, undefined> {
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    let map: DeltaMap<K, V> | undefined = this;
    for (; map !== undefined; map = map.next) yield map;
  }

  *entries(): Generator<[K, V], undefined> {
    const own = new Map<K, V | undefined>();
    for (const map of this.toNewest()) {
      for (const [key, value] of map.own()) {
        if (!own.has(key)) own.set(key, value);
      }
      for (const entry of map.entriesOfAll ?? []) {
        if (!own.has(entry[0])) yield entry;
      }
    }
    for (const [key, value] of own) {
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
 * is the number of differences where one map was made from the other; else
 * the number of their keys.
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
