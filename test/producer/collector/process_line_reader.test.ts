// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  MAPPING_FORM,
  PATH_STAT_FORM,
  PROCESS_LINE_FORM,
  ProcessLineReader,
} from '../../../src/producer/collector/process_line_reader.js';
import {
  parseMappings,
  parsePathStats,
  parseProcessLines,
  type Lines,
} from '../../../src/producer/collector/sections.js';

describe('ProcessLineReader', () => {
  it('gives the same array for a process with the same lines', () => {
    const reader = new ProcessLineReader(PATH_STAT_FORM);
    const first = reader.read('7 20 /proc/1/fd\n8 5 /proc/2/fd\n');
    const second = reader.read('7 20 /proc/1/fd\n8 6 /proc/2/fd\n');
    expect(second.processes).toEqual([
      {
        ...second.processes[0],
        pid: 1,
        items: [{inode: 7n, size: 20n, pid: 1, rest: 'fd'}],
      },
      {
        ...second.processes[1],
        pid: 2,
        items: [{inode: 8n, size: 6n, pid: 2, rest: 'fd'}],
      },
    ]);
    expect(second.processes[0]?.items).toBe(first.processes[0]?.items);
    expect(second.processes[1]?.items).not.toBe(first.processes[1]?.items);
  });

  it('reads a line that grew at its end anew', () => {
    const reader = new ProcessLineReader(PROCESS_LINE_FORM);
    reader.read('/proc/1/dmabuf_rss:4096\n');
    const {processes} = reader.read('/proc/1/dmabuf_rss:40960\n');
    expect(processes[0]?.items).toEqual([{pid: 1, text: '40960'}]);
    const again = reader.read('/proc/1/dmabuf_rss:4096\n');
    expect(again.processes[0]?.items).toEqual([{pid: 1, text: '4096'}]);
  });

  it('keeps the mappings around one that went', () => {
    const line = (page: number): string =>
      `/proc/9/maps:7f000000${page}000-7f000000${page + 1}000 rw-s 00000000 ` +
      `00:0b ${page} /dmabuf:${page}\n`;
    const reader = new ProcessLineReader(MAPPING_FORM);
    const before = reader.read(line(1) + line(3) + line(5)).processes[0];
    const after = reader.read(line(1) + line(5)).processes[0];
    expect(after?.items).toHaveLength(2);
    expect(after?.items[0]).toBe(before?.items[0]);
    expect(after?.items[1]).toBe(before?.items[2]);
  });

  it('puts the lines of a process together wherever they are', () => {
    const reader = new ProcessLineReader(PROCESS_LINE_FORM);
    const body = '/proc/1/comm:a\n/proc/2/comm:b\n/proc/1/comm:c\n';
    for (let i = 0; i < 2; i++) {
      expect(reader.read(body).processes).toMatchObject([
        {pid: 1, items: [{text: 'a'}, {text: 'c'}]},
        {pid: 2, items: [{text: 'b'}]},
      ]);
    }
  });

  it('counts what it cannot read, each time', () => {
    const reader = new ProcessLineReader(PATH_STAT_FORM);
    const body = 'x\n7 20 /proc/1/fd\n\n7 20 /proc/1\n/proc/1/fd\n';
    for (let i = 0; i < 2; i++) {
      const {processes, malformed} = reader.read(body);
      expect(malformed).toBe(3);
      expect(processes).toMatchObject([{pid: 1, items: [{size: 20n}]}]);
    }
  });

  it('knows nothing of a process that it was told to forget', () => {
    const reader = new ProcessLineReader(PROCESS_LINE_FORM);
    const [first] = reader.read('/proc/1/comm:a\n').processes;
    reader.forget(1);
    const [second] = reader.read('/proc/1/comm:a\n').processes;
    expect(second?.items).toEqual(first?.items);
    expect(second?.items).not.toBe(first?.items);
  });

  /** What the reader gives, without its processes, and what it has to give. */
  function expectSame<T extends {pid: number}>(
    bodies: readonly string[],
    reader: ProcessLineReader<T>,
    parse: (body: string) => Lines<T>,
  ): void {
    let before = new Map<number, readonly T[]>();
    for (const body of bodies) {
      const {processes, changed, isSameSet, malformed} = reader.read(body);
      const after = new Map(processes.map(({pid, items}) => [pid, items]));
      expect(isSameSet).toBe(
        after.size === before.size &&
          [...after.keys()].every((pid) => before.has(pid)),
      );
      // Of a process that was away it is not told whether it changed.
      const others = processes.filter(
        ({pid, items}) => before.has(pid) && before.get(pid) !== items,
      );
      expect(changed.filter(({pid}) => before.has(pid))).toEqual(others);
      before = after;
      const expected = parse(body);
      expect(malformed).toBe(expected.malformed);
      for (const {pid, items} of processes) {
        expect(items).toEqual(expected.items.filter((i) => i.pid === pid));
      }
      expect(processes.flatMap(({items}) => items)).toHaveLength(
        expected.items.length,
      );
    }
  }

  const pid = fc.integer({min: 1, max: 4});
  const bodiesOf = (line: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
    fc.array(
      fc.array(line, {maxLength: 30}).map((lines) => lines.join('\n')),
      {maxLength: 4},
    );

  it('reads the same stats as without memory', () => {
    const line = fc
      .tuple(fc.integer({min: 0, max: 2}), fc.integer({min: 0, max: 12}), pid)
      .map(([inode, size, pid]) => `${inode} ${size} /proc/${pid}/fd`);
    fc.assert(
      fc.property(bodiesOf(fc.oneof(line, fc.string())), (bodies) => {
        const reader = new ProcessLineReader(PATH_STAT_FORM);
        expectSame(bodies, reader, parsePathStats);
      }),
    );
  });

  it('reads the same lines of files as without memory', () => {
    const line = fc
      .tuple(pid, fc.constantFrom('', '4', '40', '4096', 'a:b'))
      .map(([pid, text]) => `/proc/${pid}/comm:${text}`);
    fc.assert(
      fc.property(bodiesOf(fc.oneof(line, fc.string())), (bodies) => {
        const reader = new ProcessLineReader(PROCESS_LINE_FORM);
        expectSame(bodies, reader, parseProcessLines);
      }),
    );
  });

  it('reads the same mappings as without memory', () => {
    const line = fc
      .tuple(
        pid,
        fc.integer({min: 0, max: 9}),
        fc.constantFrom('/dmabuf:', '/dmabuf:\\012', '/data/dmabuf:', '/x', ''),
      )
      .map(
        ([pid, page, path]) =>
          `/proc/${pid}/maps:0000${page}000-0000${page}fff rw-s ` +
          `00000000 00:0b 9 ${path}`,
      );
    fc.assert(
      fc.property(bodiesOf(fc.oneof(line, fc.string())), (bodies) => {
        const reader = new ProcessLineReader(MAPPING_FORM);
        expectSame(bodies, reader, parseMappings);
      }),
    );
  });
});
