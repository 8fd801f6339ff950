// SPDX-License-Identifier: Apache-2.0
// The tool as a user runs it, against a lab: within this process, or in one of
// its own that can be killed.

import {type ChildProcess, spawn} from 'node:child_process';
import {dirname, join} from 'node:path';
import {PassThrough} from 'node:stream';
import {fileURLToPath} from 'node:url';
import {realEffects, type Effects} from '../../src/producer/cli/effects.js';
import type {Io} from '../../src/producer/cli/io.js';
import {run} from '../../src/producer/cli/main.js';
import type {Lab} from './lab.js';

/** How a command line ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command line that runs. */
export interface Started {
  readonly done: Promise<Ran>;
  /** Its Ctrl-C. */
  readonly interrupt: () => void;
  /** Resolves once a recording has so many samples; rejects if it ends before. */
  readonly sampled: (samples: number) => Promise<void>;
  /** Samples of its recording so far. */
  readonly samples: () => number;
}

/** Starts the command line within this process. */
export function start(
  lab: Pick<Lab, 'adbEnv'>,
  args: readonly string[],
  onStderr: (text: string) => void = () => undefined,
): Started {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const chunks = {stdout: [] as Buffer[], stderr: [] as Buffer[]};
  stdout.on('data', (chunk: Buffer) => chunks.stdout.push(chunk));
  stderr.on('data', (chunk: Buffer) => {
    chunks.stderr.push(chunk);
    onStderr(Buffer.concat(chunks.stderr).toString());
  });
  const listeners = new Set<() => void>();
  const io: Io = {
    stdout,
    stderr,
    isTTY: {stdout: false, stderr: false},
    env: {...process.env, ...lab.adbEnv},
    columns: undefined,
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const samples = new SampleCount();
  const done = run(args, io, samples.effects).then((code) => ({
    code,
    stdout: Buffer.concat(chunks.stdout).toString(),
    stderr: Buffer.concat(chunks.stderr).toString(),
  }));
  return {
    done,
    interrupt: () => {
      for (const listener of listeners) listener();
    },
    sampled: (wanted) =>
      Promise.race([
        samples.reach(wanted),
        done.then(({code, stderr: said}) => {
          // It may have ended with the very sample that was waited for.
          if (samples.count >= wanted) return;
          throw new Error(
            `ended (${code}) after ${samples.count} samples: ${said}`,
          );
        }),
      ]),
    samples: () => samples.count,
  };
}

/** Runs a command line to its end. */
export function runToEnd(
  lab: Pick<Lab, 'adbEnv'>,
  ...args: readonly string[]
): Promise<Ran> {
  return start(lab, args).done;
}

/** What a command line had to say of a failure, without warnings and notes. */
export function errorLines({stderr}: Ran): string[] {
  return stderr
    .split('\n')
    .filter((line) => /^perfetto-dmabuf: (?!warning: )/.test(line));
}

/** Counts the samples of a recording, which nothing else of it does. */
class SampleCount {
  count = 0;
  private readonly waiting = new Map<() => void, number>();

  readonly effects: Effects = {
    ...realEffects,
    record: (source, sink, options) =>
      realEffects.record(source, sink, {
        ...options,
        onProgress: (progress) => {
          options.onProgress?.(progress);
          this.count = progress.samples;
          for (const [resolve, wanted] of this.waiting) {
            if (this.count >= wanted) resolve();
          }
        },
      }),
  };

  reach(wanted: number): Promise<void> {
    if (this.count >= wanted) return Promise.resolve();
    return new Promise((resolve) => this.waiting.set(resolve, wanted));
  }
}

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');

/** Starts the command line in a process of its own, from the sources. */
export function startProcess(
  lab: Pick<Lab, 'adbEnv'>,
  args: readonly string[],
): ChildProcess {
  const main = join(HERE, 'command_line_main.ts');
  // Not npx or tsx's own command, which would be the one that is killed.
  return spawn(process.execPath, ['--import', 'tsx', main, ...args], {
    cwd: ROOT,
    env: {...process.env, ...lab.adbEnv},
    stdio: 'ignore',
  });
}
