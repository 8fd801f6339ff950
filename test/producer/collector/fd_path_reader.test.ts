// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  FdPathReader,
  type FdTableReading,
} from '../../../src/producer/collector/fd_path_reader.js';
import {parseFdPaths} from '../../../src/producer/collector/sections.js';
import type {FdRef} from '../../../src/producer/collector/descriptor_table.js';

/** `PID/TABLE FD=INODE ...` */
function shown(reading: FdTableReading): string {
  const fds = reading.refs().map(({fd, inode}) => `${fd}=${inode}`);
  return `${reading.pid}/${reading.table} ${fds.join(' ')}`;
}

function numbers(refs: readonly FdRef[] | undefined): number[] | undefined {
  return refs?.map(({fd}) => fd);
}

describe('FdPathReader', () => {
  it('groups the lines by table', () => {
    const {tables, malformed} = new FdPathReader().read(
      '17/proc/5/fd/3\n18/proc/5/fd/12\n19/proc/6/task/7/fd/3\n' +
        '20/proc/6/task/70/fd/4\n',
    );
    expect(tables.map(shown)).toEqual([
      '5/fd 3=17 12=18',
      '6/task/7/fd 3=19',
      '6/task/70/fd 4=20',
    ]);
    expect(tables[1]?.refs()).toEqual([{inode: 19, fd: 3}]);
    expect(malformed).toBe(0);
  });

  it('tells that a table is unchanged', () => {
    const reader = new FdPathReader();
    const body = '17/proc/5/fd/3\n18/proc/5/fd/12\n';
    const version = reader.read(body).tables[0]?.version;
    const [after] = reader.read(`1/proc/4/fd/0\n${body}`).tables.slice(1);
    expect(after?.version).toBe(version);
    expect(after?.change).toEqual({since: version, removed: [], added: []});
  });

  it('tells what came, went, and leads elsewhere', () => {
    const reader = new FdPathReader();
    const fds = (...pairs: string[]): string =>
      pairs.map((p) => p.replace(/(.*)=(.*)/, '$2/proc/5/fd/$1\n')).join('');
    const before = reader.read(fds('1=10', '3=30', '5=50', '8=80')).tables[0]
      ?.version;
    const [after] = reader.read(fds('1=10', '2=20', '5=55', '8=80')).tables;
    expect(after === undefined ? '' : shown(after)).toBe(
      '5/fd 1=10 2=20 5=55 8=80',
    );
    expect(after?.version).not.toBe(before);
    expect(after?.change).toEqual({
      since: before,
      removed: [
        {fd: 3, inode: 30},
        {fd: 5, inode: 50},
      ],
      added: [
        {fd: 2, inode: 20},
        {fd: 5, inode: 55},
      ],
    });
  });

  it('tells what went from the end of a table', () => {
    const reader = new FdPathReader();
    reader.read('10/proc/5/fd/1\n20/proc/5/fd/2\n');
    const [table] = reader.read('10/proc/5/fd/1\n').tables;
    expect(numbers(table?.refs())).toEqual([1]);
    expect(numbers(table?.change?.removed)).toEqual([2]);
  });

  it('tells no change of a table that was not in the answer before', () => {
    const reader = new FdPathReader();
    expect(reader.read('10/proc/5/fd/1\n').tables[0]?.change).toBe(undefined);
    reader.forget(5);
    expect(reader.read('10/proc/5/fd/1\n').tables[0]?.change).toBe(undefined);
  });

  it('compares with the last answer that had the table', () => {
    const reader = new FdPathReader();
    const before = reader.read('10/proc/5/fd/1\n').tables[0]?.version;
    reader.read('');
    const [after] = reader.read('10/proc/5/fd/1\n').tables;
    // Who dropped the table meanwhile does not have this version any more.
    expect(after?.change?.since).toBe(before);
  });

  it('reads on where lines of another table stood between', () => {
    const reader = new FdPathReader();
    reader.read('1/proc/5/fd/1\n2/proc/5/fd/2\n9/proc/6/fd/1\n');
    const {tables} = reader.read(
      '1/proc/5/fd/1\n9/proc/6/fd/1\n2/proc/5/fd/2\n3/proc/5/fd/3\n',
    );
    expect(tables.map(shown)).toEqual(['5/fd 1=1 2=2 3=3', '6/fd 1=9']);
    expect(numbers(tables[0]?.change?.added)).toEqual([3]);
    expect(tables[1]?.change?.added).toEqual([]);
  });

  it('takes the last line about a descriptor, in any order', () => {
    const reader = new FdPathReader();
    reader.read('1/proc/5/fd/1\n2/proc/5/fd/2\n3/proc/5/fd/3\n');
    const [table] = reader.read(
      '4/proc/5/fd/4\n2/proc/5/fd/2\n8/proc/5/fd/4\n',
    ).tables;
    expect(table === undefined ? '' : shown(table)).toBe('5/fd 2=2 4=8');
    expect(table?.change).toBe(undefined);
    const version = table?.version;
    const [next] = reader.read('2/proc/5/fd/2\n').tables;
    expect(next?.change).toEqual({
      since: version,
      removed: [{fd: 4, inode: 8}],
      added: [],
    });
  });

  it('holds numbers that no kernel gives at no cost', () => {
    const reader = new FdPathReader();
    const body =
      '1/proc/5/fd/1\n2/proc/5/fd/4294967290\n3/proc/5/fd/999999999999999\n';
    for (let i = 0; i < 2; i++) {
      const [table] = reader.read(body).tables;
      expect(table === undefined ? '' : shown(table)).toBe(
        '5/fd 1=1 4294967290=2 999999999999999=3',
      );
      expect(table?.change).toBe(undefined);
    }
    const [table] = reader.read('1/proc/5/fd/1\n').tables;
    expect(table === undefined ? '' : shown(table)).toBe('5/fd 1=1');
    expect(table?.change).toBe(undefined);
  });

  it('tells inodes apart that no number holds', () => {
    const reader = new FdPathReader();
    const of = (inode: bigint): FdTableReading | undefined =>
      reader.read(`${inode}/proc/5/fd/1\n`).tables[0];
    of(18446744073709551615n);
    expect(of(18446744073709551615n)?.change?.added).toEqual([]);
    expect(of(18446744073709551614n)?.refs()).toEqual([
      {fd: 1, inode: 18446744073709551614n},
    ]);
  });

  it('counts what it cannot read', () => {
    const {tables, malformed} = new FdPathReader().read(
      '17/proc/5/fd\n17/proc/5/fd/\n\n17 /proc/5/fd/3\n17/proc/5/fd/3\n',
    );
    expect(tables.map(shown)).toEqual(['5/fd 3=17']);
    expect(malformed).toBe(3);
  });

  it('follows long tables of which a little changes', () => {
    const edit = fc.record({
      fd: fc.integer({min: 0, max: 200}),
      inode: fc.option(fc.integer({min: 1, max: 9}), {nil: undefined}),
      noise: fc.constantFrom('', 'x\n', '1/proc/8/fd/0\n'),
    });
    fc.assert(
      fc.property(
        fc.array(fc.integer({min: 1, max: 9}), {minLength: 50, maxLength: 200}),
        fc.array(fc.array(edit, {maxLength: 6}), {maxLength: 6}),
        (inodes, answers) => {
          const reader = new FdPathReader();
          const fds = new Map(inodes.map((inode, fd) => [fd, inode]));
          let before: ReadonlyMap<number, number> | undefined;
          let version: number | undefined;
          for (const edits of [[], ...answers]) {
            const noise = new Map<number, string>();
            for (const {fd, inode, noise: text} of edits) {
              if (inode === undefined) fds.delete(fd);
              else fds.set(fd, inode);
              noise.set(fd, text);
            }
            const all = [...fds].sort(([a], [b]) => a - b);
            const body = all
              .map(
                ([fd, inode]) =>
                  `${noise.get(fd) ?? ''}${inode}/proc/7/fd/${fd}\n`,
              )
              .join('');
            const table = reader.read(body).tables.find(({pid}) => pid === 7);
            expect(table?.refs().map(({fd, inode}) => [fd, inode])).toEqual(
              all,
            );
            expect(table?.change?.since).toBe(version);
            if (before !== undefined) {
              const others = (
                a: ReadonlyMap<number, number>,
                b: ReadonlyMap<number, number>,
              ): number[] =>
                [...a.keys()]
                  .filter((fd) => a.get(fd) !== b.get(fd))
                  .sort((a, b) => a - b);
              const {added, removed} = table?.change ?? {};
              expect(numbers(added)).toEqual(others(fds, before));
              expect(numbers(removed)).toEqual(others(before, fds));
            }
            before = new Map(fds);
            version = table?.version;
          }
        },
      ),
    );
  });

  it('reads the same as without memory, and tells every change', () => {
    const line = fc
      .tuple(
        fc.integer({min: 1, max: 3}),
        fc.integer({min: 1, max: 3}),
        fc.constantFrom('', 'task/1/', 'task/11/'),
        // Some of them in blocks of their own.
        fc.oneof(fc.integer({min: 0, max: 12}), fc.integer({max: 140, min: 0})),
      )
      .map(([inode, pid, task, fd]) => `${inode}/proc/${pid}/${task}fd/${fd}`);
    const answer = (sorted: boolean): fc.Arbitrary<string> =>
      fc.array(fc.oneof(line, fc.string()), {maxLength: 40}).map((lines) => {
        const key = (text: string): number => Number(/\d+$/.exec(text)?.[0]);
        const ordered = sorted
          ? [...lines].sort((a, b) => key(a) - key(b))
          : lines;
        return ordered.join('\n');
      });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(answer(true), answer(false)), {maxLength: 5}),
        (bodies) => {
          const reader = new FdPathReader();
          const held = new Map<string, ReadonlyMap<number, unknown>>();
          const versions = new Map<string, number>();
          for (const body of bodies) {
            const expected = parseFdPaths(body);
            const {tables, malformed} = reader.read(body);
            expect(malformed).toBe(expected.malformed);
            const inBody = new Map<string, Map<number, unknown>>();
            for (const {inode, pid, rest} of expected.items) {
              const slash = rest.lastIndexOf('/');
              const key = `${pid}/${rest.slice(0, slash)}`;
              const fds = inBody.get(key) ?? new Map<number, unknown>();
              fds.set(Number(rest.slice(slash + 1)), Number(inode));
              inBody.set(key, fds);
            }
            expect(tables.map(({pid, table}) => `${pid}/${table}`)).toEqual([
              ...inBody.keys(),
            ]);
            for (const each of tables) {
              const {pid, table, version, change} = each;
              const key = `${pid}/${table}`;
              const refs = each.refs();
              const whole = new Map(refs.map(({fd, inode}) => [fd, inode]));
              expect(whole).toEqual(inBody.get(key));
              expect([...refs].sort((a, b) => a.fd - b.fd)).toEqual(refs);
              if (change !== undefined) {
                expect(change.since).toBe(versions.get(key));
                const fds = new Map(held.get(key) ?? []);
                for (const {fd} of change.removed) fds.delete(fd);
                for (const {fd, inode} of change.added) fds.set(fd, inode);
                expect(fds).toEqual(whole);
              }
              held.set(key, whole);
              versions.set(key, version);
            }
          }
        },
      ),
    );
  });
});
