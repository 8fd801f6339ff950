// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {account, Accountant, Pss} from '../../../src/core/accounting/index.js';
import {anySnapshot, buffer, hold, process, snapshot} from '../world.js';

const MIB = 1n << 20n;

describe('RSS and PSS', () => {
  it('count a buffer once however many fds and mappings hold it', () => {
    const frame = buffer(1n, {sizeBytes: 3n * MIB});
    const {processes, held} = account(
      snapshot([frame], [process(7, [hold(frame, {fds: 3, maps: 2})])]),
    );
    expect(processes.get(7)?.rssBytes).toBe(3n * MIB);
    expect(processes.get(7)?.pssBytes).toBe(Number(3n * MIB));
    expect(held.bytes).toBe(3n * MIB);
  });

  it('count the whole buffer where only a part is mapped', () => {
    const partly = buffer(1n, {sizeBytes: 32768n});
    const {processes, mappedOnly} = account(
      snapshot(
        [partly],
        [process(7, [hold(partly, {fds: 0, maps: 1, mapped: 4096n})])],
      ),
    );
    expect(processes.get(7)?.rssBytes).toBe(32768n);
    expect(mappedOnly?.bytes).toBe(32768n);
  });

  it('keep the fractions: thirds of 10 bytes add up to 10', () => {
    const odd = buffer(1n, {sizeBytes: 10n});
    const three = [1, 2, 3].map((pid) => process(pid, [hold(odd)]));
    const {processes} = account(snapshot([odd], three));
    expect(processes.get(1)?.pss.fraction()).toEqual({
      numerator: 10n,
      denominator: 3n,
    });
    const sum = new Pss();
    for (const each of processes.values()) sum.addAll(each.pss);
    expect(sum.fraction()).toEqual({numerator: 10n, denominator: 1n});
    expect(processes.get(1)?.pssBytes).toBeCloseTo(10 / 3, 12);
  });

  it('are unknown, not zero, for a process that could not be read', () => {
    const {processes} = account(
      snapshot([], [process(1, [], {readState: 'unreadable'})]),
    );
    expect(processes.get(1)?.rssBytes).toBeUndefined();
    expect(processes.get(1)?.pssBytes).toBeUndefined();
  });

  it("are the kernel's where only the kernel knows them", () => {
    const {processes} = account(
      snapshot(
        [],
        [process(1, [], {readState: 'unreadable', rss: 5n, pss: 2n})],
      ),
    );
    expect(processes.get(1)?.rssBytes).toBe(5n);
    expect(processes.get(1)?.pssBytes).toBe(2);
  });

  it('leave out a size that nothing told, and say so', () => {
    const unknown = buffer(1n, {sizeBytes: undefined});
    const known = buffer(2n);
    const {processes, total} = account(
      snapshot(
        [unknown],
        [process(1, [hold(unknown)]), process(2, [hold(unknown), hold(known)])],
      ),
    );
    expect(processes.get(1)?.rssBytes).toBeUndefined();
    expect(processes.get(1)?.unknownSizes).toBe(1);
    expect(processes.get(2)).toMatchObject({rssBytes: 4096n, unknownSizes: 1});
    expect(total).toEqual({bytes: 0n, buffers: 1, unknownSizes: 1});
  });
});

describe('what no process explains', () => {
  it('is what the file count has beyond fds and mappings', () => {
    const shared = buffer(1n, {fileCount: 6n});
    const {buffers} = account(
      snapshot(
        [shared],
        [
          process(1, [hold(shared, {fds: 2})]),
          process(2, [hold(shared, {fds: 0, maps: 1})]),
        ],
      ),
    );
    expect(buffers.get(1n)).toMatchObject({
      holders: 2,
      fdRefs: 2,
      mapRefs: 1,
      kernelRefs: 3n,
      mappedOnly: false,
    });
  });

  it('is never below zero, and unknown without a file count', () => {
    const raced = buffer(1n, {fileCount: 0n});
    const uncounted = buffer(2n);
    const {buffers} = account(
      snapshot(
        [raced, uncounted],
        [process(1, [hold(raced), hold(uncounted)])],
      ),
    );
    expect(buffers.get(1n)?.kernelRefs).toBe(0n);
    expect(buffers.get(2n)?.kernelRefs).toBeUndefined();
  });

  it('is kernel-only where nobody holds it: an upper bound if some could not be read', () => {
    const imported = buffer(1n, {sizeBytes: 7n, fileCount: 2n});
    const all = account(snapshot([imported], [process(1, [])]));
    expect(all.kernelOnly?.bytes).toBe(7n);
    expect(all.kernelOnlyIsUpperBound).toBe(false);
    const some = account(
      snapshot([imported], [process(1, [])], {
        kernelList: 'bufinfo',
        unreadable: 1,
      }),
    );
    expect(some.kernelOnlyIsUpperBound).toBe(true);
  });

  it('cannot be told without a list of all buffers', () => {
    const seen = buffer(1n);
    const {total, kernelOnly, held} = account(
      snapshot([seen], [process(1, [hold(seen)])], {kernelList: undefined}),
    );
    expect(total).toBeUndefined();
    expect(kernelOnly).toBeUndefined();
    expect(held.bytes).toBe(4096n);
  });
});

describe('properties', () => {
  it('the PSS of all readable processes adds up to what they hold, exactly', () => {
    fc.assert(
      fc.property(anySnapshot, (any) => {
        const {processes} = account(any);
        const everyone = [...any.processes.values()];
        fc.pre(everyone.every(({readState}) => readState === 'complete'));
        const sum = new Pss();
        for (const each of processes.values()) sum.addAll(each.pss);
        const {held} = account(any);
        expect(sum.fraction()).toEqual({
          numerator: held.bytes,
          denominator: 1n,
        });
      }),
    );
  });

  it('total is held plus kernel-only; exporters and names add up to it', () => {
    fc.assert(
      fc.property(anySnapshot, (any) => {
        const {total, held, kernelOnly, byExporter, byName} = account(any);
        expect(total?.bytes).toBe(held.bytes + (kernelOnly?.bytes ?? 0n));
        expect(total?.buffers).toBe(held.buffers + (kernelOnly?.buffers ?? 0));
        for (const sums of [byExporter, byName]) {
          const all = [...sums.values()];
          expect(all.reduce((sum, {bytes}) => sum + bytes, 0n)).toBe(
            total?.bytes,
          );
        }
      }),
    );
  });

  it('an accountant that follows a recording adds up as a new one would', () => {
    fc.assert(
      fc.property(fc.array(anySnapshot, {maxLength: 6}), (recording) => {
        const following = new Accountant();
        let earlier = recording[0];
        for (const each of recording) {
          // Some objects stay the same from snapshot to snapshot.
          const processes = new Map(each.processes);
          const kept = earlier?.processes.entries().next().value;
          const buffers = new Map(each.buffers);
          if (kept !== undefined) {
            processes.set(...kept);
            for (const {buffer: held} of kept[1].holdings.values()) {
              buffers.set(held.inode, held);
            }
          }
          const mixed = {...each, processes, buffers};
          expect(following.account(mixed)).toEqual(account(mixed));
          earlier = mixed;
        }
      }),
    );
  });
});
