// SPDX-License-Identifier: Apache-2.0
import {existsSync} from 'node:fs';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {PassThrough, Writable} from 'node:stream';
import {describe, expect, test} from 'vitest';
import {
  openFileSink,
  streamSink,
  TraceWriteError,
} from '../../../src/producer/trace/sinks.js';
import {temporaryFolder} from './temporary.js';

const folder = temporaryFolder();
const hasFullDevice = existsSync('/dev/full');
if (!hasFullDevice) {
  process.stderr.write('SKIPPED: no /dev/full to be out of space on\n');
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('file sink', () => {
  test('appends piece by piece, over an older file', async () => {
    const path = join(folder, 'trace');
    await writeFile(path, 'something old and longer');
    const sink = await openFileSink(path);
    await sink.write(bytes('one '));
    expect(await readFile(path, 'utf8')).toBe('one ');
    await sink.write(bytes('two'));
    await sink.close();
    expect(sink.bytesWritten).toBe(7);
    expect(await readFile(path, 'utf8')).toBe('one two');
  });

  test.each([
    ['ENOENT', 'no/such/folder/trace', /no such folder: create it/],
    ['EISDIR', 'folder', /it is a folder/],
    ['ENOTDIR', 'file/trace', /not a folder/],
  ])('%s names the file and the fix', async (code, name, message) => {
    await mkdir(join(folder, 'folder'), {recursive: true});
    await writeFile(join(folder, 'file'), '');
    const path = join(folder, name);
    const error = await openFileSink(path).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TraceWriteError);
    expect(error).toMatchObject({code});
    expect((error as Error).message).toContain(`cannot write ${path}: `);
    expect((error as Error).message).toMatch(message);
  });

  test.skipIf(!hasFullDevice)('a full disk', async () => {
    const sink = await openFileSink('/dev/full');
    const error = await sink.write(bytes('x')).catch((e: unknown) => e);
    expect(error).toMatchObject({code: 'ENOSPC'});
    expect((error as Error).message).toMatch(/disk is full: free some space/);
    expect(sink.bytesWritten).toBe(0);
    await sink.close();
  });
});

describe('stream sink', () => {
  test('waits for a slow reader', async () => {
    const release: (() => void)[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => release.push(done),
    });
    const sink = streamSink(slow);
    let isWritten = false;
    const writing = sink.write(bytes('piece')).then(() => (isWritten = true));
    await new Promise(setImmediate);
    expect(isWritten).toBe(false);
    release.forEach((done) => done());
    await writing;
    expect(sink.bytesWritten).toBe(5);
  });

  test('a reader that goes away is an error, at once and later', async () => {
    const stream = new Writable({
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error('write EPIPE'), {code: 'EPIPE'})),
    });
    const sink = streamSink(stream, 'standard output');
    for (let i = 0; i < 2; i++) {
      const error = await sink.write(bytes('x')).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(TraceWriteError);
      expect(error).toMatchObject({
        code: 'EPIPE',
        message: 'cannot write standard output: its reader went away',
      });
      await new Promise(setImmediate);
    }
    expect(sink.bytesWritten).toBe(0);
  });

  test('does not end a stream that is not its own', async () => {
    const stream = new PassThrough();
    const sink = streamSink(stream);
    await sink.write(bytes('x'));
    await sink.close();
    expect(stream.writableEnded).toBe(false);
  });
});
