// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  parseFdPaths,
  parseMappings,
  parsePathStats,
  parseProcessLines,
  parseSlurp,
  parseWalkErrors,
} from '../../../src/producer/collector/sections.js';

describe('parsePathStats', () => {
  it('reads inode, size and path', () => {
    expect(
      parsePathStats('25868 280 /proc/1/fd\n99 0 /proc/22/task/23/fd\n'),
    ).toEqual({
      items: [
        {inode: 25868n, size: 280n, pid: 1, rest: 'fd'},
        {inode: 99n, size: 0n, pid: 22, rest: 'task/23/fd'},
      ],
      malformed: 0,
    });
  });

  it('counts what it cannot read', () => {
    const body = '1 2 /proc/x/fd\n\n1 /proc/1/fd\n5 6 /proc/7/fd\n-1 2 /proc/8';
    expect(parsePathStats(body)).toMatchObject({
      items: [{pid: 7}],
      malformed: 3,
    });
  });

  it('reads numbers beyond 2^53', () => {
    const [item] = parsePathStats(
      '18446744073709551615 9007199254740993 /proc/1/map_files/a-b\n',
    ).items;
    expect(item).toMatchObject({
      inode: 18446744073709551615n,
      size: 9007199254740993n,
      rest: 'map_files/a-b',
    });
  });
});

describe('parseFdPaths', () => {
  it('reads inode and path', () => {
    expect(parseFdPaths('17/proc/5/fd/3\n18/proc/5/task/6/fd/33\n')).toEqual({
      items: [
        {inode: 17n, pid: 5, rest: 'fd/3'},
        {inode: 18n, pid: 5, rest: 'task/6/fd/33'},
      ],
      malformed: 0,
    });
  });

  it.each([
    '17/proc/5/fd',
    '17/proc/5/fd/',
    '17 /proc/5/fd/3',
    '/proc/5/fd/3',
    '17/proc/5/fd/3 x',
    '17/proc/5/fdinfo/3',
    'x17/proc/5/fd/3',
  ])('counts %j', (line) => {
    expect(parseFdPaths(`${line}\n`)).toEqual({items: [], malformed: 1});
  });
});

describe('parseMappings', () => {
  const maps = (line: string): string => `/proc/12/maps:${line}\n`;

  it('reads a mapping and its name', () => {
    const line =
      '7f00b91b4000-7f00b91c4000 rw-s 100000000 00:0b 9          /dmabuf:a: b ';
    expect(parseMappings(maps(line))).toEqual({
      items: [
        {
          pid: 12,
          inode: 9n,
          range: '7f00b91b4000-7f00b91c4000',
          lengthBytes: 0x10000n,
          name: {raw: 'a: b ', doubtful: false},
        },
      ],
      malformed: 0,
    });
  });

  it('names ranges as map_files does, without zeros in front', () => {
    const [item] = parseMappings(
      maps('00400000-00401000 rw-s 00000000 00:0b 9 /dmabuf:'),
    ).items;
    expect(item?.range).toBe('400000-401000');
    expect(item?.name).toEqual({raw: undefined, doubtful: true});
  });

  it('reads no name where all buffers have one path', () => {
    const [item] = parseMappings(
      maps('00400000-00401000 rw-s 00000000 00:0b 9 /dmabuf (deleted)'),
    ).items;
    expect(item).toMatchObject({inode: 9n, name: undefined});
  });

  it('passes over files that have the word in their path', () => {
    const line = '00400000-00401000 r--p 00000000 fe:00 9 /data/dmabuf:x';
    expect(parseMappings(maps(line))).toEqual({items: [], malformed: 0});
  });

  it('counts lines that are cut', () => {
    expect(parseMappings(maps('00400000-0040'))).toEqual({
      items: [],
      malformed: 1,
    });
    expect(parseMappings('/proc/12/ma\n').malformed).toBe(1);
  });
});

describe('parseProcessLines', () => {
  it('reads the lines of files of processes', () => {
    expect(
      parseProcessLines('/proc/1/dmabuf_rss:4096\n/proc/2/comm:a:b\n'),
    ).toEqual({
      items: [
        {pid: 1, text: '4096'},
        {pid: 2, text: 'a:b'},
      ],
      malformed: 0,
    });
    expect(parseProcessLines('grep: what\n').malformed).toBe(1);
  });
});

describe('parseSlurp', () => {
  const text = fc.string({
    unit: fc.constantFrom(...'\n\n /01259abc\xff\x07'),
    minLength: 1,
    maxLength: 40,
  });

  it('gives back what was written, whatever is in the files', () => {
    fc.assert(
      fc.property(fc.array(text, {maxLength: 8}), (texts) => {
        const files = texts.map((each, i) => [`/proc/${i}/f`, each] as const);
        const body = files
          .map(([path, each]) => `${path} ${each.length}\n${each}\n`)
          .join('');
        expect([...parseSlurp(body)]).toEqual(files);
      }),
    );
  });

  it('gives what is whole of a text that is cut', () => {
    const body = '/a 3\nabc\n/b 5\nabcde\n';
    expect([...parseSlurp(body.slice(0, -3)).keys()]).toEqual(['/a']);
    expect([...parseSlurp(`${body}nonsense\n/c 1\nx\n`).keys()]).toEqual([
      '/a',
      '/b',
    ]);
  });
});

describe('parseSlurp of any text', () => {
  /** The same by a regular expression for each header. */
  function expected(body: string): [string, string][] {
    const files = new Map<string, string>();
    for (let at = 0; ;) {
      const lineEnd = body.indexOf('\n', at);
      const header = /^(\/\S+) (\d+)$/.exec(body.slice(at, lineEnd));
      if (lineEnd === -1 || header === null) return [...files];
      const end = lineEnd + 1 + Number(header[2]);
      if (end > body.length) return [...files];
      files.set(header[1] ?? '', body.slice(lineEnd + 1, end));
      at = end + 1;
    }
  }

  it('takes the same headers as a regular expression', () => {
    const piece = fc.oneof(
      fc
        .tuple(
          fc.constantFrom('/a', '/a/b', '/', '', 'a', '/a b', '/\xa0', '/\r'),
          fc.constantFrom('0', '1', '2', '03', '', 'x', '99', '-1'),
          fc.string({maxLength: 3}),
        )
        .map(([path, size, text]) => `${path} ${size}\n${text}\n`),
      fc.string({unit: fc.constantFrom(...'/a 01\n'), maxLength: 9}),
    );
    fc.assert(
      fc.property(fc.array(piece, {maxLength: 6}), (pieces) => {
        const body = pieces.join('');
        expect([...parseSlurp(body)]).toEqual(expected(body));
      }),
      {numRuns: 2000},
    );
  });
});

describe('parseWalkErrors', () => {
  it.each([
    "find: '/proc/12/fd': Permission denied",
    'find: \xe2\x80\x98/proc/12/fd\xe2\x80\x99: Permission denied',
    'find: /proc/12/fd: Permission denied',
    "find: '/proc/12/fd/0': Permission denied",
    'grep: /proc/12/maps: Permission denied',
    "stat: cannot statx '/proc/12/map_files/1-2': Operation not permitted",
    "find: '/proc/12/task/13/fd': Permission denied",
  ])('%s: refused', (line) => {
    const {refused, vanished, other} = parseWalkErrors(`${line}\n`);
    expect([...refused]).toEqual([12]);
    expect([...vanished]).toEqual([]);
    expect(other).toEqual([]);
  });

  it.each([
    "find: '/proc/12/fd': No such file or directory",
    'find: \xe2\x80\x98/proc/12/fd\xe2\x80\x99: No such file or directory',
    'find: /proc/12/fd: No such file or directory',
    'grep: /proc/12/maps: No such process',
    "stat: cannot statx '/proc/12/fd': No such file or directory",
  ])('%s: vanished', (line) => {
    const {refused, vanished, other} = parseWalkErrors(line);
    expect([...vanished]).toEqual([12]);
    expect([...refused]).toEqual([]);
    expect(other).toEqual([]);
  });

  it.each([
    "find: '/proc/12/fd/7': No such file or directory",
    'find: /proc/12/task/13/fd/7: No such file or directory',
    'find: /proc/12/task/13/fd: No such file or directory',
    'stat: /proc/12/map_files/1-2: No such file or directory',
    "find: '/proc/12/fd/7': Transport endpoint is not connected",
    'find: \xe2\x80\x98/proc/12/task/13/fd/7\xe2\x80\x99: Stale file handle',
    "find: File system loop detected; '/proc/12/fd/7' is part of the same",
  ])('%s: nothing', (line) => {
    const {refused, vanished, other} = parseWalkErrors(line);
    expect([...vanished, ...refused, ...other]).toEqual([]);
  });

  it('keeps what else was said, but not all of it', () => {
    const line = 'find: unknown predicate -lname';
    expect(parseWalkErrors(`${line}\n`).other).toEqual([line]);
    expect(parseWalkErrors(`${line}\n`.repeat(99)).other).toHaveLength(10);
  });
});

describe('the scanners of lines', () => {
  /** Lines of the forms, and others that look much like them. */
  const number = fc.oneof(
    fc.bigInt({min: 0n, max: 2n ** 64n}).map(String),
    fc.constantFrom('', '0', '007', 'x', '-1', '1.5', '123456789012345678901'),
  );
  const part = fc.constantFrom(
    ...['/proc/', '/proc', 'fd', 'fd/', '/fd/', 'task/', '/task/', 'maps:'],
    ...['/maps:', '/comm:', 'dmabuf_rss:', '/dmabuf:', ' ', '  ', '/', ':'],
    ...['rw-s 00000000 00:0b ', '-', '\r', '\0', '\xff', '\u2028', 'a', 'f0'],
  );
  const fd = fc
    .tuple(number, number, fc.constantFrom('', 'task/1/', 'task//'), number)
    .map(([inode, pid, task, fd]) => `${inode}/proc/${pid}/${task}fd/${fd}`);
  const stat = fc
    .tuple(number, number, number, fc.constantFrom('', 'fd', 'a\r', 'a b'))
    .map(([a, b, pid, rest]) => `${a} ${b} /proc/${pid}/${rest}`);
  const told = fc
    .tuple(number, fc.constantFrom('comm', 'Comm', ''), fc.string())
    .map(([pid, file, text]) => `/proc/${pid}/${file}:${text}`);
  const mess = fc
    .array(fc.oneof(number, part), {maxLength: 9})
    .map((parts) => parts.join(''));
  const bodies = fc
    .array(fc.oneof(fd, stat, told, mess), {maxLength: 8})
    .map((lines) => lines.join('\n'));

  function expectAs(
    parse: (body: string) => {
      readonly items: unknown;
      readonly malformed: number;
    },
    form: RegExp,
    item: (match: readonly string[]) => unknown,
  ): void {
    fc.assert(
      fc.property(bodies, (body) => {
        const lines = body.split('\n').filter((line) => line !== '');
        const matches = lines.flatMap((line) => {
          const match = form.exec(line);
          return match === null ? [] : [[...match]];
        });
        expect(parse(body)).toEqual({
          items: matches.map(item),
          malformed: lines.length - matches.length,
        });
      }),
      {numRuns: 2000},
    );
  }

  it('take the same stats as a regular expression', () => {
    expectAs(
      parsePathStats,
      /^(\d+) (\d+) \/proc\/(\d+)\/([^\r\n]+)$/,
      ([, inode = '', size = '', pid = '', rest]) => ({
        inode: BigInt(inode),
        size: BigInt(size),
        pid: Number(pid),
        rest,
      }),
    );
  });

  it('take the same descriptors as a regular expression', () => {
    expectAs(
      parseFdPaths,
      /^(\d+)\/proc\/(\d+)\/((?:task\/\d+\/)?fd\/\d+)$/,
      ([, inode = '', pid = '', rest]) => ({
        inode: BigInt(inode),
        pid: Number(pid),
        rest,
      }),
    );
  });

  it('take the same lines of files as a regular expression', () => {
    expectAs(
      parseProcessLines,
      /^\/proc\/(\d+)\/[a-z_]+:([^]*)$/,
      ([, pid = '', text]) => ({pid: Number(pid), text}),
    );
  });
});
