// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {compare} from '../../../src/core/changes/index.js';
import {bufferKey, processKey} from '../../../src/core/model/index.js';
import type {Snapshot} from '../../../src/core/model/index.js';
import {anySnapshot, buffer, hold, process, snapshot} from '../world.js';

const frame = buffer(1n);

describe('compare', () => {
  it('finds everything new without an earlier snapshot', () => {
    const changes = compare(
      undefined,
      snapshot([frame], [process(1, [hold(frame)])]),
    );
    expect(changes.allocated).toEqual([frame]);
    expect(changes.started.map(({pid}) => pid)).toEqual([1]);
    expect(changes.acquired.map(({holding}) => holding.buffer)).toEqual([
      frame,
    ]);
  });

  it('finds nothing between a snapshot and itself', () => {
    const same = snapshot([frame], [process(1, [hold(frame)])]);
    for (const list of Object.values(compare(same, same))) {
      expect(list).toEqual([]);
    }
  });

  it('takes an inode that stands for another buffer as freed and allocated', () => {
    const again = buffer(1n, {generation: 1});
    const changes = compare(
      snapshot([frame], [process(1, [hold(frame)])]),
      snapshot([again], [process(1, [hold(again)])]),
    );
    expect(changes.freed).toEqual([frame]);
    expect(changes.allocated).toEqual([again]);
    expect(changes.released.map(({holding}) => holding.buffer)).toEqual([
      frame,
    ]);
    expect(changes.acquired.map(({holding}) => holding.buffer)).toEqual([
      again,
    ]);
    expect(changes.renamed).toEqual([]);
  });

  it('takes a pid that stands for another process as exited and started', () => {
    const changes = compare(
      snapshot([frame], [process(1, [hold(frame)], {startTicks: 1n})]),
      snapshot([frame], [process(1, [hold(frame)], {startTicks: 2n})]),
    );
    expect(changes.exited.map(({startTicks}) => startTicks)).toEqual([1n]);
    expect(changes.started.map(({startTicks}) => startTicks)).toEqual([2n]);
    expect(changes.released).toHaveLength(1);
    expect(changes.acquired).toHaveLength(1);
  });

  it('finds a new name, also from and to none', () => {
    const named = buffer(1n, {name: {raw: 'later', doubtful: false}});
    expect(
      compare(snapshot([frame], []), snapshot([named], [])).renamed,
    ).toEqual([{before: frame, after: named}]);
    const untold = buffer(1n, {name: undefined});
    const empty = buffer(1n, {name: {raw: '', doubtful: false}});
    const {renamed} = compare(snapshot([untold], []), snapshot([empty], []));
    expect(renamed).toHaveLength(1);
  });

  it('finds other numbers of references to a buffer still held', () => {
    const {adjusted, acquired, released} = compare(
      snapshot([frame], [process(1, [hold(frame, {fds: 1})])]),
      snapshot([frame], [process(1, [hold(frame, {fds: 1, maps: 1})])]),
    );
    expect(adjusted).toHaveLength(1);
    expect(acquired).toEqual([]);
    expect(released).toEqual([]);
  });
});

/** Every (process, buffer) pair of a snapshot, by identity. */
function pairs({processes}: Snapshot): Set<string> {
  return new Set(
    [...processes.values()].flatMap(({process: holder, holdings}) =>
      [...holdings.values()].map(
        (holding) => `${processKey(holder)} ${bufferKey(holding.buffer)}`,
      ),
    ),
  );
}

describe('properties', () => {
  it('the earlier snapshot with the changes is the later one', () => {
    fc.assert(
      fc.property(anySnapshot, anySnapshot, (before, after) => {
        const changes = compare(before, after);
        const buffers = new Set([...before.buffers.values()].map(bufferKey));
        for (const each of changes.freed) {
          expect(buffers.delete(bufferKey(each))).toBe(true);
        }
        for (const each of changes.allocated) {
          expect(buffers.has(bufferKey(each))).toBe(false);
          buffers.add(bufferKey(each));
        }
        expect(buffers).toEqual(
          new Set([...after.buffers.values()].map(bufferKey)),
        );

        const held = pairs(before);
        for (const {process: holder, holding} of changes.released) {
          const key = `${processKey(holder)} ${bufferKey(holding.buffer)}`;
          expect(held.delete(key)).toBe(true);
        }
        for (const {process: holder, holding} of changes.acquired) {
          const key = `${processKey(holder)} ${bufferKey(holding.buffer)}`;
          expect(held.has(key)).toBe(false);
          held.add(key);
        }
        expect(held).toEqual(pairs(after));
      }),
    );
  });
});
