// SPDX-License-Identifier: Apache-2.0
// A stand-in for Android's bugreportz, with its words and their order
// (frameworks/native, cmds/bugreportz): it makes no report, a test does. And a
// device whose shell is this machine's.
import {spawn} from 'node:child_process';
import type {Device, RawStream} from '../../../src/producer/device/index.js';

/** A script that waits until a recording has samples in it. */
export function untilRecorded(trace: string): string {
  return `until [ "$(wc -c < '${trace}')" -gt 4000 ]; do sleep 0.05; done`;
}

/**
 * The script of a bugreportz that gives `zip`.
 *
 * @param before what it does first.
 */
export function bugreportz(zip: string, before = ':'): string {
  return `
if [ "$1" != -p ]; then echo "OK:${zip}"; exit 0; fi
echo "BEGIN:${zip}"
${before}
for done in 10 40 70 100; do echo "PROGRESS:$done/100"; sleep 0.2; done
echo "OK:${zip}"`;
}

/** A shell of this machine, in which `functions` are defined. */
export class ShellDevice implements Device {
  readonly kind = 'adb';
  readonly serial = '3A';
  readonly description = 'Pixel 8 (3A)';
  readonly commands: string[] = [];

  constructor(private readonly functions: string) {}

  open(command: string): Promise<RawStream> {
    this.commands.push(command);
    const child = spawn(
      'sh',
      ['-c', `exec 2>&1\n${this.functions}\n${command}`],
      {
        detached: true,
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const hangUp = (): void => {
      try {
        process.kill(-(child.pid ?? 0), 'SIGHUP');
      } catch {
        // It has just ended by itself.
      }
    };
    return Promise.resolve({
      chunks: child.stdout.iterator({
        destroyOnReturn: false,
      }) as AsyncIterable<Uint8Array>,
      write: () => Promise.resolve(),
      close: () => {
        hangUp();
        child.stdout.destroy();
        return Promise.resolve();
      },
    });
  }

  async run(command: string): Promise<Uint8Array> {
    const stream = await this.open(command);
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream.chunks) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** As a function of the shell that a ShellDevice runs. */
export function shellFunction(name: string, body: string): string {
  return `${name}() {\n${body}\n}`;
}
