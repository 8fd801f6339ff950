// SPDX-License-Identifier: Apache-2.0
import type {Device} from './device.js';
import {DeviceError} from './device.js';
import {shellQuote} from './shell_quote.js';

/**
 * A way in which su takes a command. `exec` is AOSP's (system/extras/su):
 * `su 0 COMMAND ARGS...`, which becomes root and executes. `login` is that of
 * Magisk, KernelSU and plain Linux: `su -c 'COMMAND'`.
 */
export type SuStyle = 'exec' | 'login';

/** Magisk asks the owner on the screen, and waits some 10 s for the answer. */
const PROBE_LIMIT_MS = 20_000;

const IS_ROOT = 'echo "uid=$(id -u)"';

/**
 * Finds the style of su that makes the device's shell root.
 *
 * @throws DeviceError `no-su`, or what keeps the device from answering
 */
export async function probeSu(device: Device): Promise<SuStyle> {
  const said: string[] = [];
  for (const style of ['exec', 'login'] as const) {
    let output: string;
    try {
      const bytes = await device.run(suRun(style, IS_ROOT), {
        timeoutMs: PROBE_LIMIT_MS,
      });
      output = new TextDecoder().decode(bytes);
    } catch (error) {
      if (!(error instanceof DeviceError) || error.code !== 'timeout') {
        throw error;
      }
      output = 'no answer';
    }
    if (/^uid=0\r?$/m.test(output)) return style;
    said.push(output.trim());
  }
  const reasons = [...new Set(said)].filter((text) => text).join('; ');
  throw new DeviceError(
    'no-su',
    `no su on device ${device.serial} gives root (${reasons || 'no output'})`,
    'install a rooted or userdebug build, or grant root to the shell in the ' +
      'app that manages it',
  );
}

/** The command that runs `command` as root with nothing on its stdin. */
export function suRun(style: SuStyle, command: string): string {
  return style === 'exec'
    ? `${suCommand(style, command)} </dev/null`
    : `${suCommand(style, command)} </dev/null 2>&1 | cat`;
}

/** The command that runs `command` as root on the stream's stdin and stdout. */
export function suOpen(style: SuStyle, command: string): string {
  if (style === 'exec') return suCommand(style, command);
  // Magisk's su puts a cooked pty, with its echo and line ends, between itself
  // and the command for each of stdin, stdout and stderr that is a terminal; so
  // none may be one. The first cat would outlive the command, waiting for
  // input: it tells its pid first and is ended when su has ended, by the signal
  // that shells do not remark on.
  return [
    `sh -c 'echo $$; exec cat'`,
    `{ read -r reader; ${suCommand(style, command)} 2>&1; ` +
      `kill -PIPE "$reader" 2>/dev/null; }`,
    'cat',
  ].join(' | ');
}

function suCommand(style: SuStyle, command: string): string {
  return style === 'exec'
    ? `su 0 sh -c ${shellQuote(command)}`
    : `su -c ${shellQuote(command)}`;
}

/** The same device, but that everything on it runs as root through su. */
export function throughSu(device: Device, style: SuStyle): Device {
  return {
    kind: device.kind,
    serial: device.serial,
    description: device.description,
    open: (command, options) => device.open(suOpen(style, command), options),
    run: (command, options) => device.run(suRun(style, command), options),
    close: () => device.close(),
  };
}
