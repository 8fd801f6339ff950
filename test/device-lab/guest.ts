// SPDX-License-Identifier: Apache-2.0
// What the tool does to the guest, and what is done to the guest.

import {readdirSync, readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import type {Lab} from './lab.js';

/** What runs and lies about in the guest. */
export interface Traces {
  /** Command lines, but for those of kernel threads. */
  readonly processes: readonly string[];
  readonly files: readonly string[];
}

const PROCESSES = 'ps -A -o ARGS=';
const FILES = `find / \\( -path /proc -o -path /sys -o -path /dev/pts \\) -prune \
  -o -print 2>/dev/null`;

/** Taken before and after, they are the same when nothing was left. */
export async function tracesIn(lab: Lab): Promise<Traces> {
  const processes = (await lab.shell(PROCESSES)).toString('latin1');
  const files = (await lab.shell(`${FILES}; true`)).toString('latin1');
  return {
    processes: processes
      .split('\n')
      // Not kernel threads, this very look, and the naps of init.
      .filter((line) => !/^\[|ps -A|busybox sleep|^$/.test(line))
      .sort(),
    files: files.split('\n').sort(),
  };
}

/** Looks until the guest is as it was, and gives how it is at the last. */
export async function settledTraces(lab: Lab, before: Traces): Promise<Traces> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const now = await tracesIn(lab);
    const same = JSON.stringify(now) === JSON.stringify(before);
    if (same || performance.now() > deadline) return now;
    await delay(300);
  }
}

/** The pid of the QEMU of a lab, which has the lab's port to itself. */
export function qemuPid(lab: Lab): number {
  const forward = `hostfwd=tcp:${lab.serial}-:5555`;
  return pidOf(
    `QEMU that serves ${lab.serial}`,
    (pid) =>
      wordsOf(pid, 'cmdline')[0]?.includes('qemu-system') === true &&
      wordsOf(pid, 'cmdline').some((word) => word.includes(forward)),
  );
}

/** The pid of the adb server that serves a lab alone. */
export function adbServerPid(lab: Lab): number {
  return pidOf(
    `adb server of ${lab.serial}`,
    (pid) =>
      wordsOf(pid, 'cmdline').slice(1, 3).join(' ') === 'nodaemon server' &&
      wordsOf(pid, 'environ').includes(
        `ANDROID_ADB_SERVER_PORT=${lab.adbPort}`,
      ),
  );
}

function pidOf(what: string, matches: (pid: string) => boolean): number {
  const found = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && matches(name),
  );
  if (found.length === 1) return Number(found[0]);
  throw new Error(`${found.length} processes are the ${what}`);
}

/** Empty for a process that ended while we looked. */
function wordsOf(pid: string, file: 'cmdline' | 'environ'): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').split('\0');
  } catch {
    return [];
  }
}
