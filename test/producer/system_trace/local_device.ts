// SPDX-License-Identifier: Apache-2.0
// A shell of this machine in the place of a device's, with the device lab's
// stand-in for `perfetto`, or with the real one where that is installed.
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {Device, RawStream} from '../../../src/producer/device/device.js';
import {temporaryFolder} from '../trace/temporary.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const SOURCE = join(HERE, '../../device-lab/guest/perfetto.c');

/** Where the stand-in lies, compiled; undefined, and said, where it cannot be. */
export function standIn(): string | undefined {
  const folder = temporaryFolder();
  const built = spawnSync(
    'gcc',
    ['-O1', '-std=gnu11', '-o', join(folder, 'perfetto'), SOURCE],
    {encoding: 'utf8'},
  );
  const shell = spawnSync('mksh', ['-c', ':'], {encoding: 'utf8'});
  if (built.status === 0 && shell.status === 0) return folder;
  const why = built.error ?? shell.error ?? built.stderr;
  process.stderr.write(`SKIPPED: system traces: missing: gcc, mksh: ${why}\n`);
  return undefined;
}

/** A device whose shell is mksh, and which has what `path` leads to. */
export class LocalDevice implements Device {
  readonly kind = 'adb';
  readonly serial = 'local';
  readonly description = 'this machine';
  readonly children: ChildProcess[] = [];
  /** In the environment of all that runs on it. */
  private readonly mark = `PERFETTO_DMABUF_TEST=${randomUUID()}`;

  constructor(private readonly path: string) {}

  open(command: string): Promise<RawStream> {
    const child = spawn('mksh', ['-c', command], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: {
        ...process.env,
        PATH: `${this.path}:${process.env['PATH'] ?? ''}`,
        ...Object.fromEntries([this.mark.split('=')]),
      },
    });
    this.children.push(child);
    return Promise.resolve(streamOf(child));
  }

  run(): Promise<Uint8Array> {
    return Promise.reject(new Error('not of this device'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Of what runs on it under that name. */
  pidsOf(program: string): number[] {
    return processes(this.mark)
      .filter((line) => line.split(' ')[1] === program)
      .map((line) => parseInt(line, 10));
  }

  /** Waits until nothing of ours is left, and gives what is at the last. */
  async leftOvers(): Promise<string[]> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const left = [...files(), ...processes(this.mark)];
      if (left.length === 0 || performance.now() > deadline) return left;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function streamOf({stdin, stdout}: ChildProcess): RawStream {
  if (stdin === null || stdout === null) throw new Error('not piped');
  stdin.on('error', () => undefined);
  stdout.on('error', () => undefined);
  return {
    chunks: stdout.iterator({destroyOnReturn: false}) as AsyncIterable<Buffer>,
    write: (data) =>
      new Promise((resolve, reject) => {
        stdin.write(data, (error) => {
          if (error) reject(error);
          else resolve();
        });
      }),
    close: () => {
      stdin.end();
      return Promise.resolve();
    },
  };
}

/** Those of other tests vanish by themselves, a moment after they were made. */
function files(): string[] {
  return ['/data/misc/perfetto-traces', '/data/local/tmp', '/tmp']
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => /\/perfetto-dmabuf-[0-9a-f]{16}\.pftrace$/.test(path));
}

function processes(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => wordsOf(pid, 'environ').includes(mark))
    .map((pid) => `${pid} ${wordsOf(pid, 'cmdline').join(' ')}`);
}

/** Empty for a process that ended while we looked. */
function wordsOf(pid: string, file: 'cmdline' | 'environ'): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').split('\0');
  } catch {
    return [];
  }
}
