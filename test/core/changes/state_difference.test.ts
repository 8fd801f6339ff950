// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  compareStates,
  judgeGrowth,
  type Comparability,
  type State,
  type StateDifference,
} from '../../../src/core/changes/index.js';
import type {
  DmaBuf,
  ProcessHoldings,
  Snapshot,
} from '../../../src/core/model/index.js';
import {anySnapshot, buffer, hold, process, snapshot} from '../world.js';

const ONE_BOOT: Comparability = {
  identity: 'buffers',
  isOneRecording: false,
  reusesInodes: false,
};
const TWO_BOOTS: Comparability = {...ONE_BOOT, identity: 'sums'};

const MIB = 1n << 20n;

function listed(
  buffers: readonly DmaBuf[],
  processes: readonly ProcessHoldings[] = [],
  facts: Partial<State> & {unreadable?: number} = {},
): State {
  const {unreadable = 0, ...rest} = facts;
  return {
    snapshot: snapshot(buffers, processes, {
      kernelList: rest.listsAllBuffers === false ? undefined : 'bufinfo',
      unreadable,
    }),
    listsAllBuffers: true,
    listsAllProcesses: true,
    ...rest,
  };
}

/** No list of all buffers: only what processes hold is there. */
function unlisted(
  processes: readonly ProcessHoldings[],
  facts: Partial<State> & {unreadable?: number} = {},
): State {
  const held = processes.flatMap(({holdings}) =>
    [...holdings.values()].map((holding) => holding.buffer),
  );
  return listed(held, processes, {listsAllBuffers: false, ...facts});
}

function inodes(
  list: readonly {readonly buffer: DmaBuf}[] | undefined,
): bigint[] | undefined {
  return list?.map((item) => item.buffer.inode);
}

describe('buffers of one boot', () => {
  const old = buffer(1n, {sizeBytes: MIB});
  const kept = buffer(2n, {sizeBytes: 2n * MIB});
  const fresh = buffer(3n, {sizeBytes: 3n * MIB});

  it('are allocated and freed', () => {
    const {buffers, total} = compareStates(
      listed([old, kept]),
      listed([kept, fresh], [process(7, [hold(fresh)])]),
      ONE_BOOT,
    );
    expect(inodes(buffers?.allocated)).toEqual([3n]);
    expect(buffers?.allocated[0]?.holders.map(({pid}) => pid)).toEqual([7]);
    expect(inodes(buffers?.freed)).toEqual([1n]);
    expect(buffers?.kept).toBe(1);
    expect(total.before?.bytes).toBe(3n * MIB);
    expect(total.after?.bytes).toBe(5n * MIB);
    expect(total.growth).toEqual({
      bytes: 2n * MIB,
      mayBeMore: false,
      mayBeLess: false,
    });
  });

  it.each<[string, Partial<DmaBuf>, Partial<Comparability>, boolean]>([
    ['another size', {sizeBytes: 1n}, {}, false],
    ['another exporter', {exporter: 'vgem'}, {}, false],
    ['a size that was not told', {sizeBytes: undefined}, {}, true],
    ['an exporter that was not told', {exporter: undefined}, {}, true],
    ['another name', {name: {raw: 'b', doubtful: false}}, {}, true],
    [
      'another name, before 5.18',
      {name: {raw: 'b', doubtful: false}},
      {reusesInodes: true},
      false,
    ],
    [
      'a name that was not told, before 5.18',
      {name: undefined},
      {reusesInodes: true},
      true,
    ],
    [
      'no name yet, before 5.18',
      {name: {raw: undefined, doubtful: false}},
      {reusesInodes: true},
      true,
    ],
    ['a generation of another recording', {generation: 3}, {}, true],
    [
      'another generation of one recording',
      {generation: 3},
      {isOneRecording: true},
      false,
    ],
  ])('with one inode and %s', (_what, facts, how, isSame) => {
    const {buffers} = compareStates(
      listed([buffer(1n)]),
      listed([buffer(1n, facts)]),
      {...ONE_BOOT, ...how},
    );
    expect(buffers?.kept).toBe(isSame ? 1 : 0);
    expect(inodes(buffers?.allocated)).toEqual(isSame ? [] : [1n]);
    expect(inodes(buffers?.freed)).toEqual(isSame ? [] : [1n]);
  });

  it('are renamed only where both names are certain', () => {
    const names = [
      [undefined, 'a', 0],
      ['a', undefined, 0],
      ['a', 'a', 0],
      ['a', 'b', 1],
    ] as const;
    for (const [before, after, count] of names) {
      const named = (raw: string | undefined): DmaBuf =>
        buffer(1n, {
          name: raw === undefined ? undefined : {raw, doubtful: false},
        });
      const {buffers} = compareStates(
        listed([named(before)]),
        listed([named(after)]),
        ONE_BOOT,
      );
      expect(buffers?.renamed).toHaveLength(count);
    }
    const doubtful = buffer(1n, {name: {raw: 'x', doubtful: true}});
    expect(
      compareStates(listed([buffer(1n)]), listed([doubtful]), ONE_BOOT).buffers
        ?.renamed,
    ).toEqual([]);
    const unset = buffer(1n, {name: {raw: undefined, doubtful: false}});
    expect(
      compareStates(listed([unset]), listed([buffer(1n)]), ONE_BOOT).buffers
        ?.renamed,
    ).toHaveLength(1);
  });

  it('change hands', () => {
    const {buffers, processes} = compareStates(
      listed([kept], [process(1, [hold(kept)]), process(2, [])]),
      listed([kept], [process(1, []), process(2, [hold(kept)])]),
      ONE_BOOT,
    );
    const [change] = buffers?.changedHands ?? [];
    expect(change?.acquiredBy.map(({pid}) => pid)).toEqual([2]);
    expect(change?.releasedBy.map(({pid}) => pid)).toEqual([1]);
    expect(change?.holders.map(({pid}) => pid)).toEqual([2]);
    expect(
      processes.map(({growth, acquired, released}) => [
        growth?.bytes,
        acquired?.length,
        released?.length,
      ]),
    ).toEqual([
      [-2n * MIB, 0, 1],
      [2n * MIB, 1, 0],
    ]);
  });

  it('of unknown size make the growth a bound, unless they are kept', () => {
    const sizeless = buffer(9n, {sizeBytes: undefined});
    const growthOf = (before: DmaBuf[], after: DmaBuf[]): unknown =>
      compareStates(listed(before), listed(after), ONE_BOOT).total.growth;
    const exact = {bytes: 0n, mayBeMore: false, mayBeLess: false};
    expect(growthOf([sizeless], [sizeless])).toEqual(exact);
    expect(growthOf([], [sizeless])).toEqual({...exact, mayBeMore: true});
    expect(growthOf([sizeless], [])).toEqual({...exact, mayBeLess: true});
  });
});

describe('what one state could not see', () => {
  const held = buffer(1n);
  const other = buffer(2n);

  it('is not allocated or freed, but appeared and vanished', () => {
    const without = unlisted([process(1, [hold(held)])]);
    const gone = compareStates(listed([held, other]), without, ONE_BOOT);
    expect(gone.buffers?.freed).toEqual([]);
    expect(inodes(gone.buffers?.vanished)).toEqual([2n]);
    expect(gone.total).toMatchObject({after: undefined, growth: undefined});
    expect(gone.kernelOnly.growth).toBeUndefined();
    expect(gone.scope).toBe('held');

    const back = compareStates(without, listed([held, other]), ONE_BOOT);
    expect(back.buffers?.allocated).toEqual([]);
    expect(inodes(back.buffers?.appeared)).toEqual([2n]);
  });

  it('is not in the sums of names and exporters', () => {
    const {names, exporters} = compareStates(
      unlisted([process(1, [hold(held)])]),
      listed([held, other], [process(1, [hold(held)])]),
      ONE_BOOT,
    );
    expect(names).toEqual([]);
    expect(exporters).toEqual([]);
  });

  it('is not released by a process that cannot be read', () => {
    const unreadable = process(1, [], {readState: 'unreadable'});
    const difference = compareStates(
      listed([held], [process(1, [hold(held)])]),
      listed([held], [unreadable], {unreadable: 1}),
      ONE_BOOT,
    );
    expect(difference.buffers?.changedHands).toEqual([]);
    const [change] = difference.processes;
    expect(change?.before.rssBytes).toBe(4096n);
    expect(change?.after.rssBytes).toBeUndefined();
    expect(change?.growth).toBeUndefined();
    expect(change?.released).toBeUndefined();
    expect(difference.held.after).toBeUndefined();
    expect(difference.held.growth).toBeUndefined();
  });

  it('is not acquired by a process that could not be read', () => {
    const difference = compareStates(
      listed([held], [process(1, [], {readState: 'partial'})], {unreadable: 1}),
      listed([held], [process(1, [hold(held)])]),
      ONE_BOOT,
    );
    expect(difference.buffers?.changedHands).toEqual([]);
    expect(difference.processes[0]?.acquired).toBeUndefined();
    // What it let go could be told; it let nothing go.
    expect(difference.processes[0]?.released).toEqual([]);
  });

  it('is nothing for a process that a whole list does not have', () => {
    const before = listed([held], [process(1, [hold(held)])]);
    const after = (facts: Parameters<typeof listed>[2]): StateDifference =>
      compareStates(before, listed([held], [], facts), ONE_BOOT);
    expect(after({unreadable: 1}).processes[0]?.after.rssBytes).toBe(0n);
    const unsure = after({unreadable: 1, listsAllProcesses: false});
    expect(unsure.processes[0]?.after.rssBytes).toBeUndefined();
    expect(unsure.buffers?.changedHands).toEqual([]);
    const sure = after({listsAllProcesses: false});
    expect(sure.processes[0]?.after.rssBytes).toBe(0n);
    expect(sure.buffers?.changedHands).toHaveLength(1);
  });

  it('makes sums bounds, and their growth too', () => {
    const whole = listed([held, other], [process(1, [hold(held)])]);
    const partial = listed([held, other], [process(1, [hold(held)])], {
      unreadable: 1,
    });
    const growths = (
      a: State,
      b: State,
    ): Pick<StateDifference, 'held' | 'kernelOnly' | 'total'> =>
      compareStates(a, b, ONE_BOOT);
    const none = {bytes: 0n, mayBeMore: false, mayBeLess: false};
    // More may be held than was read, and that less be kernel-only.
    expect(growths(whole, partial)).toMatchObject({
      total: {growth: none},
      held: {growth: {...none, mayBeMore: true}},
      kernelOnly: {growth: {...none, mayBeLess: true}},
    });
    expect(growths(partial, whole)).toMatchObject({
      total: {growth: none},
      held: {growth: {...none, mayBeLess: true}},
      kernelOnly: {growth: {...none, mayBeMore: true}},
    });
  });

  it("is told by the kernel's own sums where those are all there is", () => {
    const summed = (rss: bigint): State =>
      unlisted([process(1, [], {readState: 'unreadable', rss})], {
        unreadable: 1,
      });
    const {processes} = compareStates(summed(MIB), summed(3n * MIB), ONE_BOOT);
    expect(processes[0]?.growth?.bytes).toBe(2n * MIB);
    expect(processes[0]?.after.buffers).toBeUndefined();
  });

  it('is filled in from the other state for a buffer of both', () => {
    const bare = buffer(1n, {name: undefined, exporter: undefined});
    const {names, exporters} = compareStates(
      listed([bare]),
      listed([held]),
      ONE_BOOT,
    );
    expect(names).toEqual([]);
    expect(exporters).toEqual([]);
  });
});

describe('processes of one boot', () => {
  const held = buffer(1n);

  it('are other ones when their pid was given out again', () => {
    const {processes} = compareStates(
      listed([held], [process(1, [hold(held)], {startTicks: 1n})]),
      listed([held], [process(1, [hold(held)], {startTicks: 2n})]),
      ONE_BOOT,
    );
    expect(processes.map(({growth}) => growth?.bytes)).toEqual([-4096n, 4096n]);
  });

  it.each([
    [{comm: 'a'}, {comm: 'a'}, true],
    [{comm: 'a'}, {comm: 'b'}, false],
    [{cmdline: '/system/bin/surfaceflinger'}, {comm: 'surfaceflinger'}, true],
    [{comm: 'ple.camera.app2'}, {cmdline: 'com.example.camera.app2'}, true],
    [{cmdline: 'com.example.mail'}, {comm: 'surfaceflinger'}, false],
    [{}, {}, true],
  ])('without a start time go by their names: %o, %o', (a, b, isSame) => {
    const named = (names: object): ProcessHoldings => {
      const each = process(1, [hold(held)]);
      const nameless = {pid: 1, startTicks: undefined};
      return {
        ...each,
        process: {...nameless, comm: undefined, cmdline: undefined, ...names},
      };
    };
    const {processes} = compareStates(
      listed([held], [named(a)]),
      listed([held], [named(b)]),
      ONE_BOOT,
    );
    expect(processes).toHaveLength(isSame ? 0 : 2);
  });
});

describe('states of two boots', () => {
  it('are compared by what names and exporters add up to', () => {
    const frames = [1n, 2n].map((inode) =>
      buffer(inode, {name: {raw: 'frame', doubtful: false}, sizeBytes: MIB}),
    );
    const later = [1n, 7n, 8n].map((inode) =>
      buffer(inode, {name: {raw: 'frame', doubtful: false}, sizeBytes: MIB}),
    );
    const {buffers, names, exporters, total} = compareStates(
      listed(frames),
      listed(later),
      TWO_BOOTS,
    );
    expect(buffers).toBeUndefined();
    expect(names.map(({key, growth}) => [key, growth?.bytes])).toEqual([
      ['frame', MIB],
    ]);
    expect(exporters.map(({key, growth}) => [key, growth?.bytes])).toEqual([
      ['system', MIB],
    ]);
    expect(total.growth?.bytes).toBe(MIB);
  });

  it('match processes by the names of their programs', () => {
    const [a, b] = [buffer(1n), buffer(2n)];
    const named = (pid: number, held: DmaBuf[], cmdline: string) => {
      const each = process(
        pid,
        held.map((one) => hold(one)),
      );
      return {...each, process: {...each.process, cmdline}};
    };
    const {processes} = compareStates(
      listed([a], [named(10, [a], '/system/bin/flinger')]),
      listed([a, b], [named(20, [a], 'flinger'), named(21, [a, b], 'flinger')]),
      TWO_BOOTS,
    );
    expect(processes).toHaveLength(1);
    const [change] = processes;
    expect(change?.before.rssBytes).toBe(4096n);
    expect(change?.after.rssBytes).toBe(3n * 4096n);
    expect(change?.after.processes.map(({pid}) => pid)).toEqual([20, 21]);
    expect(change?.growth?.bytes).toBe(2n * 4096n);
    expect(change?.acquired).toBeUndefined();
  });
});

describe('judgeGrowth', () => {
  const growth = (bytes: bigint, more = false, less = false) => ({
    bytes,
    mayBeMore: more,
    mayBeLess: less,
  });
  it.each([
    [growth(11n), 'grown'],
    [growth(10n), 'not grown'],
    [growth(-99n), 'not grown'],
    [growth(11n, true), 'grown'],
    [growth(10n, true), 'unknown'],
    [growth(11n, false, true), 'unknown'],
    [growth(10n, false, true), 'not grown'],
    [growth(11n, true, true), 'unknown'],
    [undefined, 'unknown'],
  ])('of %o by more than 10 is %s', (given, verdict) => {
    expect(judgeGrowth(given, 10n)).toBe(verdict);
  });
});

describe('properties', () => {
  const state = (taken: Snapshot): State => ({
    snapshot: taken,
    listsAllBuffers: true,
    listsAllProcesses: true,
  });
  const anyWay = fc.record<Comparability>({
    identity: fc.constantFrom('buffers', 'sums'),
    isOneRecording: fc.boolean(),
    reusesInodes: fc.boolean(),
  });

  it('a state is no different from itself', () => {
    fc.assert(
      fc.property(anySnapshot, anyWay, (taken, how) => {
        const difference = compareStates(state(taken), state(taken), how);
        expect(difference.total.growth?.bytes).toBe(0n);
        expect(difference.names).toEqual([]);
        expect(difference.exporters).toEqual([]);
        if (how.identity === 'sums') return;
        expect(difference.processes).toEqual([]);
        const {buffers} = difference;
        expect(buffers?.kept).toBe(taken.buffers.size);
        for (const list of [
          buffers?.allocated,
          buffers?.freed,
          buffers?.changedHands,
          buffers?.renamed,
        ]) {
          expect(list).toEqual([]);
        }
      }),
    );
  });

  it('what came less what went is the growth, and no buffer is lost', () => {
    fc.assert(
      fc.property(anySnapshot, anySnapshot, anyWay, (a, b, how) => {
        const {total, names, exporters, buffers} = compareStates(
          state(a),
          state(b),
          how,
        );
        const sum = (list: readonly {growth: typeof total.growth}[]): bigint =>
          list.reduce((bytes, {growth}) => bytes + (growth?.bytes ?? 0n), 0n);
        expect(sum(names)).toBe(total.growth?.bytes);
        expect(sum(exporters)).toBe(total.growth?.bytes);
        if (buffers === undefined) return;
        const {kept, allocated, freed} = buffers;
        expect(kept + allocated.length).toBe(b.buffers.size);
        expect(kept + freed.length).toBe(a.buffers.size);
      }),
    );
  });

  it('turned round, it is the opposite', () => {
    fc.assert(
      fc.property(anySnapshot, anySnapshot, anyWay, (a, b, how) => {
        const there = compareStates(state(a), state(b), how);
        const back = compareStates(state(b), state(a), how);
        expect(back.total.growth?.bytes).toBe(
          -(there.total.growth?.bytes ?? 0n),
        );
        expect(back.held.before).toEqual(there.held.after);
        expect(back.processes).toHaveLength(there.processes.length);
        expect(inodes(back.buffers?.freed)).toEqual(
          inodes(there.buffers?.allocated),
        );
        expect(back.buffers?.changedHands.length).toBe(
          there.buffers?.changedHands.length,
        );
      }),
    );
  });
});
