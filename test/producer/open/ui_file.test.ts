// SPDX-License-Identifier: Apache-2.0
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import {gzipSync} from 'node:zlib';
import {describe, expect, test} from 'vitest';
import {OpenError, openUiFile} from '../../../src/producer/open/index.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();

async function fileOf(content: Uint8Array | string): Promise<string> {
  const path = join(folder, 'file');
  await writeFile(path, content);
  return path;
}

describe('a file for the UI', () => {
  test('can be read as often as one likes', async () => {
    const file = await openUiFile(await fileOf('\n\0some bytes'));
    for (let i = 0; i < 2; i++) {
      expect((await buffer(file.read())).toString()).toBe('\n\0some bytes');
    }
    expect(file.sizeBytes).toBe(12);
    expect(file.name).toBe('file');
    await file.close();
  });

  test.each<[string, Uint8Array | string, boolean]>([
    ['a trace', '\n\x02\x50\x01', true],
    ['a gzip', gzipSync('x'), true],
    ['a zip', 'PK\x03\x04', true],
    ['a tar', `${'\0'.repeat(257)}ustar`, true],
    ['a Chrome trace', '{"traceEvents": []}', true],
    ['a systrace', '<!DOCTYPE html>', true],
    ['ftrace text', '# tracer: nop', true],
    ['a bug report', `${'='.repeat(56)}\n== dumpstate: 2026`, true],
    ['a picture', '\x89PNG\r\n', false],
    ['a program', '\x7fELF', false],
    ['one byte', 'x', false],
  ])('%s is opened', async (_what, content, looksFamiliar) => {
    const path = await fileOf(
      typeof content === 'string' ? Buffer.from(content, 'latin1') : content,
    );
    const file = await openUiFile(path);
    expect(file.looksFamiliar).toBe(looksFamiliar);
    await file.close();
  });

  test.each<[string, () => Promise<string> | string, RegExp]>([
    ['absent', () => join(folder, 'none'), /none: there is no such file$/],
    ['empty', () => fileOf(''), /it is empty$/],
    ['a folder', () => folder, /it is a folder$/],
    ['a device', () => '/dev/zero', /it is no plain file$/],
  ])('%s is refused in one line', async (_what, pathOf, message) => {
    const error = await openUiFile(await pathOf()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OpenError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });
});
