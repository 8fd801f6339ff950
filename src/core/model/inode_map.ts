// SPDX-License-Identifier: Apache-2.0
import sortedBtree from 'sorted-btree';
import diffAgainst from 'sorted-btree/extended/diffAgainst.js';
import {inodeKey, type InodeKey} from './inode_key.js';

const BTree = defaultOf(sortedBtree);
const diff = defaultOf(diffAgainst);
type Tree<V> = InstanceType<typeof BTree<InodeKey, V>>;

type DefaultOf<T> = T extends {readonly default: infer Default} ? Default : T;

/**
 * What a CommonJS module exports by default: to some loaders and compilers
 * that is the module itself.
 */
function defaultOf<T>(module: T): DefaultOf<T> {
  const {default: itself = module} = module as {readonly default?: T};
  return itself as DefaultOf<T>;
}

/**
 * Objects by inode, in ascending order. It never changes; another one is made
 * of it by a few differences, and shares with it all that is not different. So
 * a new map costs what is different in it, two maps are compared by looking at
 * their differences only, and one that is kept keeps nothing of those that
 * were made of it.
 */
export class InodeMap<V extends object> implements ReadonlyMap<bigint, V> {
  private constructor(private readonly tree: Tree<V>) {}

  static empty<V extends object>(): InodeMap<V> {
    return new InodeMap<V>(new BTree<InodeKey, V>(undefined, compare));
  }

  get size(): number {
    return this.tree.size;
  }

  /**
   * The same with what `edit` sets, or takes away where undefined.
   *
   * @param edit what it sets last of an inode counts
   */
  with(
    edit: (set: (inode: bigint, value: V | undefined) => void) => void,
  ): InodeMap<V> {
    let tree: Tree<V> | undefined;
    edit((inode, value) => {
      tree ??= this.tree.clone();
      const key = inodeKey(inode);
      if (value === undefined) tree.delete(key);
      else tree.set(key, value);
    });
    return tree === undefined ? this : new InodeMap(tree);
  }

  get(inode: bigint): V | undefined {
    return this.tree.get(inodeKey(inode));
  }

  has(inode: bigint): boolean {
    return this.tree.has(inodeKey(inode));
  }

  /** Inodes under which this and another map have different objects. */
  differentInodes(other: InodeMap<V>): bigint[] {
    const inodes: bigint[] = [];
    const add = (key: InodeKey): void => {
      inodes.push(BigInt(key));
    };
    diff(this.tree, other.tree, add, add, add);
    return inodes;
  }

  *entries(): Generator<[bigint, V], undefined> {
    for (const [key, value] of this.tree.entries()) yield [BigInt(key), value];
  }

  *keys(): Generator<bigint, undefined> {
    for (const key of this.tree.keys()) yield BigInt(key);
  }

  *values(): Generator<V, undefined> {
    yield* this.tree.values();
  }

  [Symbol.iterator](): Generator<[bigint, V], undefined> {
    return this.entries();
  }

  forEach(
    call: (value: V, inode: bigint, map: ReadonlyMap<bigint, V>) => void,
    self?: unknown,
  ): void {
    for (const [inode, value] of this) call.call(self, value, inode, this);
  }
}

function compare(a: InodeKey, b: InodeKey): number {
  return a < b ? -1 : Number(a > b);
}

/**
 * Inodes under which two maps hold different objects, each once. What it costs
 * is the number of differences where one map was made from the other; else
 * the number of their inodes.
 */
export function changedInodes<V extends object>(
  before: ReadonlyMap<bigint, V>,
  after: ReadonlyMap<bigint, V>,
): Iterable<bigint> {
  if (before === after) return [];
  if (before instanceof InodeMap && after instanceof InodeMap) {
    return (before as InodeMap<V>).differentInodes(after);
  }
  const inodes: bigint[] = [];
  for (const [inode, value] of after) {
    if (before.get(inode) !== value) inodes.push(inode);
  }
  for (const inode of before.keys()) if (!after.has(inode)) inodes.push(inode);
  return inodes;
}
