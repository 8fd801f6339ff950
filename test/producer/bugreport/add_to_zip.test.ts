// SPDX-License-Identifier: Apache-2.0
import {execFileSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {openPromise} from 'yauzl';
import {addToZip} from '../../../src/producer/bugreport/add_to_zip.js';
import {Crc32} from '../../../src/producer/bugreport/crc32.js';
import {readBugReport} from '../../../src/producer/bugreport/index.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {temporaryFolder} from '../trace/temporary.js';
import {crc32} from './crc32.js';
import {android14, members, writeZip} from './made_report.js';
import {rawZip} from './raw_zip.js';

const folder = temporaryFolder();
let files = 0;
const place = (name: string): string => {
  const path = join(folder, String(files++));
  mkdirSync(path);
  return join(path, name);
};
const isHere = await hasTraceProcessor();
const NAME = 'FS/data/misc/perfetto-traces/bugreport/dmabuf.pftrace';

/** Whether an independent program is there to read zips. */
function independentReader(): string[] | undefined {
  for (const command of [
    ['unzip', '-tq'],
    ['python3', '-m', 'zipfile', '-t'],
  ]) {
    try {
      execFileSync(command[0] ?? '', ['--help'], {stdio: 'ignore'});
      return command;
    } catch {
      // Try the next.
    }
  }
  process.stderr.write(
    'SKIPPED: neither unzip nor python3 to check zips with\n',
  );
  return undefined;
}
const reader = independentReader();

/** Writes 4 GB, which takes half a minute. */
const hasRoom = process.env['PERFETTO_DMABUF_BIG_FILES'] !== undefined;
if (!hasRoom) {
  process.stderr.write(
    'SKIPPED: zips of over 4 GB: set PERFETTO_DMABUF_BIG_FILES to test them\n',
  );
}

function checkWithOthers(path: string): void {
  if (reader === undefined) return;
  const [program = '', ...args] = reader;
  execFileSync(program, [...args, path], {stdio: 'pipe'});
}

interface Seen {
  readonly name: string;
  readonly data: Buffer;
  readonly offset: number;
  readonly date: string;
}

async function contents(path: string): Promise<Seen[]> {
  const zip = await openPromise(path, {autoClose: false});
  const seen: Seen[] = [];
  for await (const entry of zip.eachEntry()) {
    const pieces: Buffer[] = [];
    for await (const piece of await zip.openReadStreamPromise(entry)) {
      pieces.push(piece as Buffer);
    }
    const data = Buffer.concat(pieces);
    expect(crc32(data)).toBe(entry.crc32);
    seen.push({
      name: entry.fileName,
      data,
      offset: entry.relativeOffsetOfLocalHeader,
      date: entry.getLastModDate().toISOString(),
    });
  }
  zip.close();
  return seen;
}

function traceFile(data: Uint8Array = randomBytes(70_000)): string {
  const path = place('x.pftrace');
  writeFileSync(path, data);
  return path;
}

const report = (): Promise<string> =>
  writeZip(place('report.zip'), members(android14()));

describe.each([
  ['as they come', undefined],
  ["with zip64's fields throughout", 1],
])('a trace added to a report, %s', (_name, zip64From) => {
  const options = zip64From === undefined ? {} : {zip64From};

  it('leaves every other byte as it was', async () => {
    const zip = await report();
    const out = place('out.zip');
    const trace = traceFile();
    await addToZip(zip, trace, NAME, out, options);
    const before = await contents(zip);
    const after = await contents(out);
    expect(after.slice(0, -1)).toEqual(before);
    expect(after.at(-1)?.name).toBe(NAME);
    expect(after.at(-1)?.data).toEqual(readFileSync(trace));
    // All up to the directory, and the directory's own records.
    const old = readFileSync(zip);
    const directory = old.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    const end = old.indexOf(Buffer.from('PK\x05\x06', 'latin1'));
    const made = readFileSync(out);
    expect(made.subarray(0, directory)).toEqual(old.subarray(0, directory));
    expect(made.includes(old.subarray(directory, end))).toBe(true);
    checkWithOthers(out);
  });

  it('is still the same bug report', async () => {
    const zip = await report();
    const out = place('out.zip');
    await addToZip(zip, traceFile(), NAME, out, options);
    const [before, after] = [
      await readBugReport(zip),
      await readBugReport(out),
    ];
    expect(after.snapshot).toEqual(before.snapshot);
    expect(after.traces.map(({entry}) => entry)).toEqual([NAME]);
  });

  it.skipIf(!isHere)('and Perfetto still opens it', async () => {
    const out = place('out.zip');
    await addToZip(await report(), traceFile(), NAME, out, options);
    if (zip64From !== undefined) {
      // It reads no zip64 entries; a trace would need 4 GB to be one.
      await expect(openTrace(readFileSync(out))).rejects.toThrow(
        /Unsupported zip features/,
      );
      return;
    }
    const db = await openTrace(readFileSync(out));
    try {
      expect(await db.importErrors()).toEqual([]);
      const [lines] = await db.query(
        'SELECT COUNT() AS n FROM android_dumpstate',
      );
      expect(lines?.['n']).toBeGreaterThan(50);
    } finally {
      db.close();
    }
  });
});

describe('zips of all kinds', () => {
  it("keeps the zip's comment", async () => {
    const path = rawZip(
      place('c.zip'),
      [{name: 'a.txt', data: Buffer.from('x')}],
      'taken by hand',
    );
    const out = place('out.zip');
    await addToZip(path, traceFile(), NAME, out);
    const made = await openPromise(out);
    expect(made.comment).toBe('taken by hand');
    made.close();
    checkWithOthers(out);
  });

  it('an empty trace, and one that does not compress', async () => {
    for (const data of [Buffer.alloc(0), randomBytes(1 << 17)]) {
      const out = place('out.zip');
      await addToZip(await report(), traceFile(data), NAME, out);
      expect((await contents(out)).at(-1)?.data).toEqual(data);
    }
  });

  it('more entries than 16 bits can count', async () => {
    const data = Buffer.alloc(0);
    const path = rawZip(
      place('many.zip'),
      Array.from({length: 65_534}, (_, i) => ({name: `FS/${i}`, data})),
    );
    const out = place('out.zip');
    await addToZip(path, traceFile(Buffer.from('x')), NAME, out);
    const made = await openPromise(out);
    expect(made.entryCount).toBe(65_535);
    made.close();
    checkWithOthers(out);
  });

  it.skipIf(!hasRoom)('more than 4 GB before the directory', async () => {
    // Sparse: a stored entry of zeros that takes no room on the disk.
    const path = place('big.zip');
    const size = 0x1_0000_1000;
    const small = rawZip(place('small.zip'), [
      {name: 'hole', data: Buffer.alloc(0)},
    ]);
    const old = readFileSync(small);
    const directory = old.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    writeFileSync(path, old.subarray(0, directory));
    truncateSync(path, size);
    const rest = Buffer.from(old.subarray(directory));
    const end = rest.indexOf(Buffer.from('PK\x05\x06', 'latin1'));
    const zip64 = Buffer.alloc(76);
    zip64.write('PK\x06\x06', 0, 'latin1');
    zip64.writeBigUInt64LE(44n, 4);
    zip64.writeBigUInt64LE(1n, 24);
    zip64.writeBigUInt64LE(1n, 32);
    zip64.writeBigUInt64LE(BigInt(end), 40);
    zip64.writeBigUInt64LE(BigInt(size), 48);
    zip64.write('PK\x06\x07', 56, 'latin1');
    zip64.writeBigUInt64LE(BigInt(size + end), 64);
    zip64.writeUInt32LE(1, 72);
    rest.writeUInt32LE(0xffffffff, end + 16);
    const tail = Buffer.concat([
      rest.subarray(0, end),
      zip64,
      rest.subarray(end),
    ]);
    writeFileSync(path, tail, {flag: 'a'});
    const out = place('out.zip');
    const before = process.memoryUsage().rss;
    await addToZip(path, traceFile(Buffer.from('trace')), NAME, out);
    expect(process.memoryUsage().rss - before).toBeLessThan(150 << 20);
    expect(statSync(out).size).toBeGreaterThan(size);
    const made = await contents(out);
    expect(made.map(({name}) => name)).toEqual(['hole', NAME]);
    expect(made[1]?.data.toString()).toBe('trace');
    expect(made[1]?.offset).toBe(size);
  });

  it('refuses one that has the name already', async () => {
    const zip = await writeZip(
      place('r.zip'),
      members(android14(), [{name: NAME, data: Buffer.from('x')}]),
    );
    await expect(
      addToZip(zip, traceFile(), NAME, place('out.zip')),
    ).rejects.toThrow(/already/);
  });

  it('refuses one with something behind its directory', async () => {
    const zip = readFileSync(await report());
    const end = zip.indexOf(Buffer.from('PK\x05\x06', 'latin1'));
    const path = place('signed.zip');
    writeFileSync(
      path,
      Buffer.concat([
        zip.subarray(0, end),
        Buffer.from('PK\x05\x05\x02\x00xx', 'latin1'),
        zip.subarray(end),
      ]),
    );
    await expect(
      addToZip(path, traceFile(), NAME, place('out.zip')),
    ).rejects.toThrow(/between its directory and its end/);
  });

  it('leaves nothing behind when it fails or is broken off', async () => {
    const zip = await report();
    const out = place('out.zip');
    await expect(
      addToZip(zip, join(folder, 'nowhere'), NAME, out),
    ).rejects.toThrow(/no such file/);
    const ended = new AbortController();
    ended.abort();
    await expect(
      addToZip(zip, traceFile(), NAME, out, {signal: ended.signal}),
    ).rejects.toThrow();
    expect(readdirSync(dirname(out))).toEqual([]);
    await expect(addToZip(zip, traceFile(), NAME, zip)).rejects.toThrow(
      /overwritten/,
    );
  });

  it('an older file in the place stays until the new one is whole', async () => {
    const out = place('out.zip');
    writeFileSync(out, 'old');
    await expect(
      addToZip(await report(), join(folder, 'nowhere'), NAME, out),
    ).rejects.toThrow();
    expect(readFileSync(out, 'utf8')).toBe('old');
    await addToZip(await report(), traceFile(), NAME, out);
    expect((await contents(out)).at(-1)?.name).toBe(NAME);
    expect(readdirSync(dirname(out))).toEqual(['out.zip']);
  });
});

describe('the checksum', () => {
  it('is that of zip, in pieces or not', () => {
    const crc = new Crc32();
    crc.update(Buffer.from('12345'));
    crc.update(Buffer.from('6789'));
    expect(crc.value).toBe(0xcbf43926);
    const data = randomBytes(1000);
    const other = new Crc32();
    other.update(data);
    expect(other.value).toBe(crc32(data));
  });
});
