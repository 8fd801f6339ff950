// SPDX-License-Identifier: Apache-2.0
import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {
  mkdtemp,
  readFile,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {extract} from 'tar-stream';
import {describe, expect, test} from 'vitest';
import {
  fileMember,
  isMemberName,
  MemberChangedError,
  toMemberName,
  writeTarArchive,
  type TarMember,
} from '../../../src/producer/archive/tar_archive.js';
import {TraceReadError} from '../../../src/producer/trace/packet_stream.js';
import {TraceWriteError} from '../../../src/producer/trace/sinks.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {temporaryFolder} from '../trace/temporary.js';
import {everything, record} from '../trace/scene.js';

const root = temporaryFolder();
const hasFullDevice = existsSync('/dev/full');
if (!hasFullDevice) {
  process.stderr.write('SKIPPED: no /dev/full to be out of space on\n');
}
const isHere = await hasTraceProcessor();

const newFolder = (): Promise<string> => mkdtemp(join(root, 'tar-'));

function member(name: string, ...pieces: (string | Uint8Array)[]): TarMember {
  const buffers = pieces.map((piece) => Buffer.from(piece));
  return {
    name,
    sizeBytes: buffers.reduce((sum, {length}) => sum + length, 0),
    open: () => Readable.from(buffers, {objectMode: false}),
  };
}

/** Members of an archive as an independent reader sees them. */
async function read(path: string): Promise<[string, string][]> {
  const found: [string, string][] = [];
  const reader = extract();
  reader.end(await readFile(path));
  for await (const entry of reader) {
    const pieces: Buffer[] = [];
    for await (const piece of entry) pieces.push(piece as Buffer);
    found.push([entry.header.name, Buffer.concat(pieces).toString('latin1')]);
  }
  return found;
}

function failure(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as Error,
  );
}

describe('an archive', () => {
  test('has its members in the order given, byte for byte', async () => {
    const path = join(await newFolder(), 'a.tar');
    await writeTarArchive(path, [
      member('system.pftrace', 'first ', 'and more'),
      member('empty'),
      member('a b', 'x'.repeat(512)),
    ]);
    expect(await read(path)).toEqual([
      ['system.pftrace', 'first and more'],
      ['empty', ''],
      ['a b', 'x'.repeat(512)],
    ]);
    expect(execFileSync('tar', ['tf', path], {encoding: 'utf8'})).toBe(
      'system.pftrace\nempty\na b\n',
    );
  });

  test('takes members bigger than any buffer', async () => {
    const folder = await newFolder();
    const big = join(folder, 'big');
    await writeFile(big, Buffer.alloc(9_000_001, 'abc'));
    const path = join(folder, 'a.tar');
    await writeTarArchive(path, [
      await fileMember('big', big),
      member('after', 'end'),
    ]);
    const [first, second] = await read(path);
    expect(first?.[1]).toBe((await readFile(big)).toString('latin1'));
    expect(second).toEqual(['after', 'end']);
  });

  test('comes into its place over an older file, through a link', async () => {
    const folder = await newFolder();
    const path = join(folder, 'a.tar');
    const link = join(folder, 'link.tar');
    await writeFile(path, 'old');
    await symlink(path, link);
    await writeTarArchive(link, [member('new', 'new')]);
    expect(await read(path)).toEqual([['new', 'new']]);
    expect(readdirSync(folder).sort()).toEqual(['a.tar', 'link.tar']);
  });
});

describe('what fails leaves the place as it was', () => {
  const failing = (): Readable =>
    Readable.from(
      (function* () {
        yield Buffer.from('some');
        throw Object.assign(new Error('EIO: i/o error, read'), {
          code: 'EIO',
          syscall: 'read',
        });
      })(),
    );

  test.each<[string, TarMember, new (...args: never[]) => Error, RegExp]>([
    [
      'a member that shrank',
      {...member('short', 'abc'), sizeBytes: 9},
      MemberChangedError,
      /^short changed while it was read \(it had 9 bytes, now it has 3\)/,
    ],
    [
      'a member that grew',
      {...member('long', 'abcdef'), sizeBytes: 5},
      MemberChangedError,
      /^long changed while it was read \(it had 5 bytes, now it has more\)/,
    ],
    [
      'a member that cannot be read',
      {name: 'broken', sizeBytes: 9, open: failing},
      TraceReadError,
      /^cannot read broken: EIO/,
    ],
  ])('%s', async (_what, bad, type, message) => {
    const folder = await newFolder();
    const path = join(folder, 'a.tar');
    await writeFile(path, 'old');
    const error = await failure(
      writeTarArchive(path, [member('good', 'good'), bad, member('z', 'z')]),
    );
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    expect(readdirSync(folder)).toEqual(['a.tar']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  test('a file that is cut under the reader', async () => {
    const folder = await newFolder();
    const source = join(folder, 'source');
    await writeFile(source, Buffer.alloc(5_000_000));
    const cut = await fileMember('cut', source);
    await truncate(source, 100);
    const error = await failure(writeTarArchive(join(folder, 'a.tar'), [cut]));
    expect(error).toBeInstanceOf(MemberChangedError);
    expect(readdirSync(folder)).toEqual(['source']);
  });

  test('a member that is no file', async () => {
    const error = await failure(fileMember('x', join(root, 'none')));
    expect(error).toBeInstanceOf(TraceReadError);
    expect(error.message).toMatch(/none: there is no such file$/);
  });

  test('a folder that is not there', async () => {
    const path = join(root, 'no', 'a.tar');
    const error = await failure(writeTarArchive(path, [member('x', 'x')]));
    expect(error).toBeInstanceOf(TraceWriteError);
    expect(error.message).toBe(
      `cannot write ${path}: there is no such folder: create it, or choose ` +
        'another with -o',
    );
  });

  test.skipIf(!hasFullDevice)('a full disk, whatever the size', async () => {
    for (const size of [1, 1_000_000, 20_000_000]) {
      const error = await failure(
        writeTarArchive('/dev/full', [member('x', Buffer.alloc(size))]),
      );
      expect(error).toBeInstanceOf(TraceWriteError);
      expect(error).toMatchObject({code: 'ENOSPC'});
      expect(error.message).toMatch(/^cannot write \/dev\/full: the disk is/);
    }
  });
});

describe('names', () => {
  const hostile = [
    '',
    '.',
    '..',
    '.hidden',
    '../up',
    '/etc/passwd',
    'a/b',
    'a\\b',
    'new\nline',
    'naïve',
    '名前.zip',
    `${'x'.repeat(120)}.pftrace`,
    'a'.repeat(101),
  ];

  test.each(hostile)('%j becomes one that Perfetto finds again', (text) => {
    expect(isMemberName(toMemberName(text))).toBe(true);
  });

  test('good ones stay, long ones keep their ends', () => {
    expect(toMemberName('bugreport-oriole-2026.zip')).toBe(
      'bugreport-oriole-2026.zip',
    );
    expect(toMemberName(`${'x'.repeat(120)}.pftrace`)).toMatch(
      /^x{60}\.\.\.x{29}\.pftrace$/,
    );
  });

  test('a bad one, or one twice, is refused before anything is touched', async () => {
    const folder = await newFolder();
    const path = join(folder, 'a.tar');
    for (const members of [
      [member('a/b', '')],
      [member('名前', '')],
      [member('a', ''), member('a', '')],
    ]) {
      const error = await failure(writeTarArchive(path, members));
      expect(error).toBeInstanceOf(RangeError);
    }
    expect(readdirSync(folder)).toEqual([]);
  });
});

test.skipIf(!isHere)('the trace processor opens it', async () => {
  const path = join(await newFolder(), 'a.tar');
  await writeTarArchive(path, [
    member(toMemberName('名前.pftrace'), ...record(everything())),
  ]);
  const db = await openTrace(await readFile(path));
  try {
    expect(await db.importErrors()).toEqual([]);
    expect(
      await db.query(
        'SELECT name, trace_type AS type FROM __intrinsic_trace_file ORDER BY id',
      ),
    ).toMatchObject([{type: 'tar'}, {name: '__.pftrace', type: 'proto'}]);
  } finally {
    db.close();
  }
});
