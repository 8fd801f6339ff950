// SPDX-License-Identifier: Apache-2.0

interface Event {
  readonly atNs: bigint;
  /** Orders events of the same instant by the order they were scheduled in. */
  readonly sequence: number;
  readonly run: () => void;
}

function before(a: Event, b: Event): boolean {
  return a.atNs < b.atNs || (a.atNs === b.atNs && a.sequence < b.sequence);
}

/** What happens when: a binary heap of events in virtual time. */
export class EventQueue {
  private readonly heap: Event[] = [];
  private sequence = 0;

  /** Schedules `run` for virtual time `atNs`. */
  push(atNs: bigint, run: () => void): void {
    const heap = this.heap;
    const event = {atNs, sequence: this.sequence++, run};
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || before(parent, event)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = event;
  }

  /** Takes the earliest event that is due at `nowNs`, if there is one. */
  popDue(nowNs: bigint): Event | undefined {
    const heap = this.heap;
    const first = heap[0];
    if (first === undefined || first.atNs > nowNs) return undefined;
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) this.sink(last);
    return first;
  }

  private sink(event: Event): void {
    const heap = this.heap;
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = heap[childIndex];
      if (child === undefined) break;
      const right = heap[childIndex + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        childIndex++;
      }
      if (before(event, child)) break;
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = event;
  }
}
