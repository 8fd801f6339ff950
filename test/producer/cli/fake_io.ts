// SPDX-License-Identifier: Apache-2.0
import {PassThrough, type Writable} from 'node:stream';
import type {Effects} from '../../../src/producer/cli/effects.js';
import {realEffects} from '../../../src/producer/cli/effects.js';
import type {Io} from '../../../src/producer/cli/io.js';
import {run} from '../../../src/producer/cli/main.js';

export interface FakeIoOptions {
  readonly env?: Io['env'];
  /** Both outputs are terminals of that width. */
  readonly columns?: number;
  /** In place of one that is kept. */
  readonly stdout?: Writable;
}

/** Outputs that are kept, and a Ctrl-C to press. */
export class FakeIo implements Io {
  readonly stdout: Writable;
  readonly stderr = new PassThrough();
  readonly isTTY: Io['isTTY'];
  readonly env: Io['env'];
  readonly columns: number | undefined;
  private readonly out: Buffer[] = [];
  private readonly err: Buffer[] = [];
  private readonly listeners = new Set<() => void>();

  constructor(options: FakeIoOptions = {}) {
    const isTTY = options.columns !== undefined;
    this.isTTY = {stdout: isTTY, stderr: isTTY};
    this.columns = options.columns;
    this.env = options.env ?? process.env;
    const kept = new PassThrough();
    kept.on('data', (chunk: Buffer) => this.out.push(chunk));
    this.stdout = options.stdout ?? kept;
    this.stderr.on('data', (chunk: Buffer) => this.err.push(chunk));
  }

  readonly onInterrupt = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  pressCtrlC(): void {
    for (const listener of [...this.listeners]) listener();
  }

  /** True while a command listens to Ctrl-C. */
  get isListening(): boolean {
    return this.listeners.size > 0;
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.out);
  }

  get stdoutText(): string {
    return this.stdoutBytes.toString();
  }

  get stderrText(): string {
    return Buffer.concat(this.err).toString();
  }
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line to its end. */
export async function runCli(
  argv: readonly string[],
  options: FakeIoOptions & {readonly effects?: Partial<Effects>} = {},
): Promise<Ran> {
  const io = new FakeIo(options);
  const code = await run(argv, io, {...realEffects, ...options.effects});
  return {code, stdout: io.stdoutText, stderr: io.stderrText};
}

/** Anything that could steer a terminal, line ends aside. */
export const STEERS_TERMINAL = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u;
