// SPDX-License-Identifier: Apache-2.0
// What changes add up to.
import type {Changes} from '../../../src/core/changes/index.js';
import {
  bufferKey,
  processKey,
  type Snapshot,
} from '../../../src/core/model/index.js';
import {compare} from '../../../src/core/changes/index.js';

/** The state that follows from changes, without what they do not tell. */
export interface Replayed {
  /** Key → name. */
  readonly buffers: Map<string, string | undefined>;
  /** Key → buffer's key → `FDS MAPS BYTES`. */
  readonly processes: Map<string, Map<string, string>>;
}

/**
 * Applies changes to a snapshot.
 *
 * @throws Error when one of them does not fit what was there
 */
export function replay(
  before: Snapshot | undefined,
  changes: Changes,
): Replayed {
  const state: Replayed =
    before === undefined
      ? {buffers: new Map(), processes: new Map()}
      : replay(undefined, compare(undefined, before));
  const {buffers, processes} = state;
  for (const buffer of changes.freed) remove(buffers, bufferKey(buffer));
  for (const {process, holding} of changes.released) {
    const held = processes.get(processKey(process));
    remove(held, bufferKey(holding.buffer));
  }
  for (const process of changes.exited) {
    const held = processes.get(processKey(process));
    if (held?.size !== 0) throw new Error('a process left with buffers');
    remove(processes, processKey(process));
  }
  for (const buffer of changes.allocated) {
    add(buffers, bufferKey(buffer), buffer.name?.raw);
  }
  for (const {before: earlier, after} of changes.renamed) {
    if (buffers.get(bufferKey(earlier)) !== earlier.name?.raw) {
      throw new Error('a name changed that was not there');
    }
    buffers.set(bufferKey(after), after.name?.raw);
  }
  for (const process of changes.started) {
    add(processes, processKey(process), new Map<string, string>());
  }
  for (const {process, holding} of changes.acquired) {
    const held = processes.get(processKey(process));
    add(held, bufferKey(holding.buffer), textOf(holding));
  }
  for (const {process, before: earlier, after} of changes.adjusted) {
    const held = processes.get(processKey(process));
    const key = bufferKey(after.buffer);
    if (held?.get(key) !== textOf(earlier)) {
      throw new Error('a holding changed that was not there');
    }
    held.set(key, textOf(after));
  }
  return state;
}

interface Counts {
  readonly fdRefs: number;
  readonly mapRefs: number;
  readonly mappedBytes: bigint;
}

function textOf({fdRefs, mapRefs, mappedBytes}: Counts): string {
  return `${fdRefs} ${mapRefs} ${mappedBytes}`;
}

function add<V>(map: Map<string, V> | undefined, key: string, value: V): void {
  if (map === undefined) throw new Error(`${key}: added to what is not there`);
  if (map.has(key)) throw new Error(`${key} was there already`);
  map.set(key, value);
}

function remove(map: Map<string, unknown> | undefined, key: string): void {
  if (map?.delete(key) !== true) throw new Error(`${key} was not there`);
}
