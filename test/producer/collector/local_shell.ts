// SPDX-License-Identifier: Apache-2.0
// Runs the collector's script in a shell of this machine.
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {mkdtempSync, rmSync, symlinkSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {CollectorSession} from '../../../src/producer/collector/session.js';
import {COLLECTOR_SCRIPT} from '../../../src/producer/collector/script.js';
import type {RawStream} from '../../../src/producer/device/device.js';

/** A shell and the commands that it finds. */
export interface LocalShell {
  readonly name: string;
  readonly shell: string;
  /** PATH; undefined: this process's. */
  readonly path?: string;
}

function which(program: string): string | undefined {
  const {stdout} = spawnSync('sh', ['-c', `command -v ${program}`]);
  const found = stdout.toString().trim();
  return found === '' ? undefined : found;
}

/**
 * mksh with toybox, as on Android, and the shells and coreutils of Linux. What
 * this machine lacks is left out and told.
 */
export function localShells(): {shells: LocalShell[]; cleanUp(): void} {
  const shells: LocalShell[] = [];
  const missing = new Set<string>();
  for (const name of ['mksh', 'dash', 'bash']) {
    const shell = which(name);
    if (shell === undefined) missing.add(name);
    else shells.push({name, shell});
  }
  const toyboxPath = mkdtempSync(join(tmpdir(), 'toybox-'));
  const [mksh, toybox] = [which('mksh'), which('toybox')];
  if (toybox === undefined) missing.add('toybox');
  if (mksh !== undefined && toybox !== undefined) {
    for (const command of ['find', 'stat', 'grep']) {
      symlinkSync(toybox, join(toyboxPath, command));
    }
    shells.push({name: 'mksh and toybox', shell: mksh, path: toyboxPath});
  }
  for (const name of missing) {
    process.stderr.write(
      `SKIPPED: the collector's script with ${name}, which is not installed\n`,
    );
  }
  return {
    shells,
    cleanUp: () => {
      rmSync(toyboxPath, {recursive: true});
    },
  };
}

/** A collector that runs in a shell of this machine. */
export interface LocalCollector {
  readonly session: CollectorSession;
  readonly child: ChildProcess;
  /** Exit code or signal of the shell. */
  readonly exited: Promise<number | string | undefined>;
}

export async function startCollector(
  {shell, path}: LocalShell,
  nonce = 'c0ffee0123456789',
): Promise<LocalCollector> {
  const child = spawn(shell, ['-c', COLLECTOR_SCRIPT], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {...process.env, ...(path === undefined ? {} : {PATH: path})},
  });
  const exited = new Promise<number | string | undefined>((resolve) => {
    child.on('exit', (code, signal) => {
      resolve(code ?? signal ?? undefined);
    });
  });
  const session = await CollectorSession.start(streamOf(child), {
    nonce,
    timeoutMs: 30_000,
  });
  return {session, child, exited};
}

function streamOf(child: ChildProcess): RawStream {
  const {stdin, stdout} = child;
  if (!stdin || !stdout) throw new Error('not piped');
  stdin.on('error', () => undefined);
  return {
    chunks: stdout as AsyncIterable<Uint8Array>,
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
