// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/cmdline (fs/proc/base.c): the arguments, each ended by NUL. Empty
 * for kernel threads and zombies. A process may overwrite it with anything,
 * without NUL (setproctitle) or with many (Android pads a package name).
 */
import type {RawText} from '../model/text.js';

/** The arguments; none for a kernel thread or zombie. Takes any text. */
export function parseCmdline(text: RawText): RawText[] {
  if (text === '') return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
}

/** The first argument; on Android an app's package. Undefined if empty. */
export function cmdlineHead(text: RawText): RawText | undefined {
  const end = text.indexOf('\0');
  const head = end < 0 ? text : text.slice(0, end);
  return head === '' ? undefined : head;
}

export function renderCmdline(args: readonly RawText[]): RawText {
  return args.map((arg) => `${arg}\0`).join('');
}
