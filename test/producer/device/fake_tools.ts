// SPDX-License-Identifier: Apache-2.0
// Stand-ins for the commands in which an Android device differs from the
// machine that a test runs on, found first in PATH.
import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {delimiter, join} from 'node:path';

export interface FakeToolsOptions {
  /** What `id -u` prints, unless su was used. */
  readonly uid?: number;
  /** What the device shows as its boot id; the machine's own unless told. */
  readonly bootId?: string;
  readonly properties?: Readonly<Record<string, string>>;
  /** The script of `su`; not there unless told. */
  readonly su?: string;
  /** Scripts of others, by name. */
  readonly others?: Readonly<Record<string, string>>;
}

/**
 * AOSP's su: `su UID COMMAND ARGS...` becomes the user and executes
 * (system/extras/su/su.cpp).
 */
export const AOSP_SU = `
case $1 in
  0) shift; FAKE_UID=0 exec "$@" ;;
  *) echo "su: invalid uid/gid '$1'"; exit 1 ;;
esac`;

/**
 * Magisk's su: only -c takes a command. Real ones go on through a cooked pty if
 * they find a terminal; here that is an error.
 */
export const MAGISK_SU = `
if [ "$1" != -c ]; then
  FAKE_UID=0 exec sh
fi
if [ -t 0 ] || [ -t 1 ] || [ -t 2 ]; then
  echo 'su: on a terminal'
  exit 1
fi
FAKE_UID=0 exec sh -c "$2"`;

export const REFUSING_SU = `
echo 'su: Permission denied' >&2
exit 1`;

export class FakeTools {
  private constructor(private readonly directory: string) {}

  static async create(options: FakeToolsOptions): Promise<FakeTools> {
    const directory = await mkdtemp(join(tmpdir(), 'fake-tools-'));
    const tools = new FakeTools(directory);
    await tools.setUid(options.uid ?? 2000);
    const cases = Object.entries(options.properties ?? {}).map(
      ([name, value]) => `${name}) echo '${value}' ;;`,
    );
    await tools.write('getprop', `case $1 in\n${cases.join('\n')}\nesac`);
    if (options.bootId !== undefined) {
      await tools.write(
        'cat',
        `case $1 in */boot_id) echo ${options.bootId} ;; *) exec /bin/cat "$@" ;; esac`,
      );
    }
    await tools.write('su', options.su ?? 'echo "sh: su: not found"; exit 127');
    for (const [name, script] of Object.entries(options.others ?? {})) {
      await tools.write(name, script);
    }
    return tools;
  }

  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      PATH: `${this.directory}${delimiter}${process.env['PATH'] ?? ''}`,
    };
  }

  async setUid(uid: number): Promise<void> {
    await this.write('id', `[ "$1" = -u ] && echo "\${FAKE_UID:-${uid}}"`);
  }

  async remove(): Promise<void> {
    await rm(this.directory, {recursive: true, force: true});
  }

  private async write(name: string, script: string): Promise<void> {
    const path = join(this.directory, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
  }
}
