// SPDX-License-Identifier: Apache-2.0

/**
 * A set, in no order, of objects that know their place in it: -1 for none.
 * Unlike a Set, which is copied again and again while much comes and goes, it
 * stays where it is in memory.
 */
export class PlacedList<P extends string, T extends Record<P, number>> {
  private readonly members: T[] = [];

  /** @param place property with the place in this set, in no other one */
  constructor(private readonly place: P) {}

  get size(): number {
    return this.members.length;
  }

  has(object: T): boolean {
    return object[this.place] !== -1;
  }

  /** Puts an object in, or takes it out. */
  put(object: T, isMember: boolean): void {
    if (this.has(object) === isMember) return;
    const places: Record<P, number> = object;
    const {members, place} = this;
    if (isMember) {
      places[place] = members.length;
      members.push(object);
      return;
    }
    const at = places[place];
    const last = members.pop();
    if (last !== undefined && last !== object) {
      members[at] = last;
      const moved: Record<P, number> = last;
      moved[place] = at;
    }
    places[place] = -1;
  }

  /** The members as they are now. */
  list(): T[] {
    return this.members.slice();
  }
}
