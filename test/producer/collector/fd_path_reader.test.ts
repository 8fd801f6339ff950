// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  FdPathReader,
  type FdTableLines,
} from '../../../src/producer/collector/fd_path_reader.js';
import {parseFdPaths} from '../../../src/producer/collector/sections.js';
import type {FdRef} from '../../../src/producer/collector/descriptor_table.js';

/** `PID/TABLE FD=INODE ...` */
function shown({pid, table, lines}: FdTableLines): string {
  const fds = lines.map(({fd, inode}) => `${fd}=${inode}`);
  return `${pid}/${table} ${fds.join(' ')}`;
}

function numbers(lines: readonly FdRef[] | undefined): number[] | undefined {
  return lines?.map(({fd}) => fd);
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
    expect(tables[1]?.lines).toMatchObject([{inode: 19, fd: 3}]);
    expect(malformed).toBe(0);
  });

  it('gives the same lines for a table that is unchanged', () => {
    const reader = new FdPathReader();
    const body = '17/proc/5/fd/3\n18/proc/5/fd/12\n';
    const [before] = reader.read(body).tables;
    const [after] = reader.read(`1/proc/4/fd/0\n${body}`).tables.slice(1);
    expect(after?.lines).toBe(before?.lines);
    expect(after?.change).toEqual({
      since: before?.lines,
      removed: [],
      added: [],
    });
  });

  it('tells what came, went, and leads elsewhere', () => {
    const reader = new FdPathReader();
    const fds = (...pairs: string[]): string =>
      pairs.map((p) => p.replace(/(.*)=(.*)/, '$2/proc/5/fd/$1\n')).join('');
    const [before] = reader.read(fds('1=10', '3=30', '5=50', '8=80')).tables;
    const [after] = reader.read(fds('1=10', '2=20', '5=55', '8=80')).tables;
    expect(after === undefined ? '' : shown(after)).toBe(
      '5/fd 1=10 2=20 5=55 8=80',
    );
    expect(after?.change?.since).toBe(before?.lines);
    expect(numbers(after?.change?.removed)).toEqual([3, 5]);
    expect(numbers(after?.change?.added)).toEqual([2, 5]);
    expect(after?.lines[3]).toBe(before?.lines[3]);
  });

  it('tells what went from the end of a table', () => {
    const reader = new FdPathReader();
    reader.read('10/proc/5/fd/1\n20/proc/5/fd/2\n');
    const [table] = reader.read('10/proc/5/fd/1\n').tables;
    expect(numbers(table?.lines)).toEqual([1]);
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
    const [before] = reader.read('10/proc/5/fd/1\n').tables;
    reader.read('');
    const [after] = reader.read('10/proc/5/fd/1\n').tables;
    // Who dropped the table meanwhile does not have these lines any more.
    expect(after?.change?.since).toBe(before?.lines);
  });

  it('tells inodes apart that no number holds', () => {
    const reader = new FdPathReader();
    const of = (inode: bigint): FdTableLines | undefined =>
      reader.read(`${inode}/proc/5/fd/1\n`).tables[0];
    const first = of(18446744073709551615n);
    expect(of(18446744073709551615n)?.lines).toBe(first?.lines);
    expect(of(18446744073709551614n)?.lines).toMatchObject([
      {inode: 18446744073709551614n},
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
          let before: FdTableLines | undefined;
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
            expect(table?.lines.map(({fd, inode}) => [fd, inode])).toEqual(all);
            const same = table?.lines.filter(
              (line) => before?.lines.includes(line) ?? false,
            );
            const {added = [], removed = []} = table?.change ?? {};
            expect(table?.change?.since).toBe(before?.lines);
            if (before !== undefined) {
              expect(added).toHaveLength(
                (table?.lines.length ?? 0) - (same?.length ?? 0),
              );
              expect(removed).toHaveLength(
                before.lines.length - (same?.length ?? 0),
              );
            }
            before = table ?? before;
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
          const last = new Map<string, readonly FdRef[]>();
          for (const body of bodies) {
            const expected = parseFdPaths(body);
            const {tables, malformed} = reader.read(body);
            expect(malformed).toBe(expected.malformed);
            const keys = new Set<string>();
            for (const {pid, table, lines, change} of tables) {
              const key = `${pid}/${table}`;
              expect(keys).not.toContain(key);
              keys.add(key);
              expect(
                lines.map(({inode, fd}) => ({
                  inode: BigInt(inode),
                  pid,
                  rest: `${table}/${fd}`,
                })),
              ).toEqual(
                expected.items.filter(
                  (item) =>
                    item.pid === pid &&
                    item.rest.slice(0, item.rest.lastIndexOf('/')) === table,
                ),
              );
              const whole = new Map(lines.map(({fd, inode}) => [fd, inode]));
              if (change !== undefined) {
                expect(change.since).toBe(last.get(key));
                const fds = new Map(held.get(key) ?? []);
                for (const {fd} of change.removed) fds.delete(fd);
                for (const {fd, inode} of change.added) fds.set(fd, inode);
                const byFd = [...fds].sort(([a], [b]) => a - b);
                expect(byFd).toEqual([...whole]);
              }
              held.set(key, whole);
              last.set(key, lines);
            }
            expect(tables.flatMap(({lines}) => lines)).toHaveLength(
              expected.items.length,
            );
          }
        },
      ),
    );
  });
});
