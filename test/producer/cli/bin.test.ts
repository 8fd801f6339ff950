// SPDX-License-Identifier: Apache-2.0
import {spawnSync} from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterEach, beforeEach, expect, it} from 'vitest';

const BIN = fileURLToPath(
  new URL('../../../bin/perfetto-dmabuf.js', import.meta.url),
);

/** A package with nothing but the program in it. */
let folder: string;
let program: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfetto-dmabuf-'));
  program = join(folder, 'bin', 'perfetto-dmabuf.js');
  mkdirSync(join(folder, 'bin'));
  copyFileSync(BIN, program);
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
});

afterEach(() => {
  rmSync(folder, {recursive: true, force: true});
});

function start(...args: string[]): {code: number | null; stderr: string} {
  const {status, stderr} = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
  });
  return {code: status, stderr};
}

it('says to build it first', () => {
  expect(start('--help')).toEqual({
    code: 1,
    stderr: "perfetto-dmabuf: it is not built yet: run 'npm run build' first\n",
  });
});

it('ends with the exit code, whatever is still open', () => {
  const dist = join(folder, 'dist', 'producer', 'cli');
  mkdirSync(dist, {recursive: true});
  writeFileSync(
    join(dist, 'main.js'),
    `export async function run(argv) {
      setInterval(() => {}, 1000);
      return Number(argv[0]);
    }`,
  );
  expect(start('130')).toEqual({code: 130, stderr: ''});
});
