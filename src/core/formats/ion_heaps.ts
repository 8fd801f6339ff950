// SPDX-License-Identifier: Apache-2.0
/**
 * /sys/kernel/debug/ion/heaps/HEAP of kernels that have ION (3.4 to 4.9, and
 * vendors' later ones; drivers/staging/android/ion/ion.c,
 * ion_debug_heap_show), several of them one after the other as dumpstate's
 * vendor part prints them, each below a line with its path:
 *
 *     --- /d/ion/heaps/system
 *               client              pid             size
 *     ----------------------------------------------------
 *       surfaceflinger              403         16588800
 *     ----------------------------------------------------
 *     orphaned allocations (info is from last known client):
 *       composer@2.1-se              258          7372800 0 1
 *     ----------------------------------------------------
 *       total orphaned          7372800
 *               total          23961600
 *        deferred free                0
 *     ----------------------------------------------------
 *
 * Sizes are bytes. A client is a user of ION, not a holder of dma-bufs, and a
 * buffer is "orphaned" when no client has a handle although dma-buf references
 * keep it; there are no inodes. Rockchip's kernels print `user` and `user_pid`
 * between pid and size of the orphaned ones, and MediaTek's a debug name in
 * parentheses behind the client's.
 */
import type {RawText} from '../model/text.js';
import {quoteRaw} from './format_error.js';
import {detachedSlice} from './scan.js';

export interface IonHeap {
  /** The last part of the path; undefined where no path was printed. */
  readonly name: RawText | undefined;
  readonly clients: readonly IonClient[];
  /** Each a buffer without a client. */
  readonly orphaned: readonly IonClient[];
  readonly totalOrphanedBytes: bigint | undefined;
  readonly totalBytes: bigint | undefined;
}

export interface IonClient {
  readonly name: RawText;
  readonly pid: number;
  readonly bytes: bigint;
}

export interface IonHeaps {
  readonly heaps: readonly IonHeap[];
  /** What was cut or garbled; no raw text in it. */
  readonly problems: readonly string[];
}

const HEADER = /^ *client(?: *\([^)]*\))? +pid +(user +user_pid +)?size\b/;
const PATH = /^(?:--- *)?\/(?:d|sys\/kernel\/debug)\/ion\/(?:heaps\/)?(\S+)$/;
const ORPHANED = /^orphaned allocations \(/;
const TOTAL = /^ *total +(\d{1,20})\s*$/;
const TOTAL_ORPHANED = /^ *total orphaned +(\d{1,20})\s*$/;
const LONGEST_LINE = 200;

interface Growing {
  readonly name: RawText | undefined;
  readonly clients: IonClient[];
  readonly orphaned: IonClient[];
  totalOrphanedBytes: bigint | undefined;
  totalBytes: bigint | undefined;
}

/** True when a line can only be the head of a heap's table. */
export function beginsIonHeap(line: RawText): boolean {
  return line.length <= LONGEST_LINE && HEADER.test(line);
}

/** Takes any text; lines of other things are passed over. */
export function parseIonHeaps(text: RawText): IonHeaps {
  const heaps: Growing[] = [];
  const problems = new Set<string>();
  let path: RawText | undefined;
  let heap: Growing | undefined;
  let part: 'clients' | 'orphaned' | 'after' = 'after';
  let hasUser = false;
  for (const line of text.split('\n')) {
    if (line.length > LONGEST_LINE) continue;
    const [, name] = PATH.exec(line.trimEnd()) ?? [];
    if (name !== undefined) {
      path = detachedSlice(name, name.lastIndexOf('/') + 1, name.length);
      heap = undefined;
      part = 'after';
    } else if (HEADER.test(line) && part !== 'orphaned') {
      heap = {
        name: path,
        clients: [],
        orphaned: [],
        totalOrphanedBytes: undefined,
        totalBytes: undefined,
      };
      heaps.push(heap);
      part = 'clients';
      hasUser = false;
    } else if (heap === undefined || HEADER.test(line)) {
      hasUser = HEADER.exec(line)?.[1] !== undefined;
    } else if (ORPHANED.test(line)) {
      part = 'orphaned';
    } else if (TOTAL_ORPHANED.test(line)) {
      heap.totalOrphanedBytes = BigInt(TOTAL_ORPHANED.exec(line)?.[1] ?? 0);
      part = 'after';
    } else if (TOTAL.test(line)) {
      heap.totalBytes = BigInt(TOTAL.exec(line)?.[1] ?? 0);
      part = 'after';
    } else if (part !== 'after' && !/^[\s-]*$/.test(line)) {
      const client =
        part === 'clients' ? clientIn(line) : orphanIn(line, hasUser);
      if (client === undefined) {
        problems.add(
          `a line of an ION heap is not of its format: ${quoteRaw(line)}`,
        );
      } else {
        heap[part].push(client);
      }
    }
  }
  for (const {name, totalBytes} of heaps) {
    if (totalBytes !== undefined) continue;
    problems.add(
      `the table of ION heap ${name === undefined ? '?' : quoteRaw(name)} is ` +
        'cut: its total is missing',
    );
  }
  return {heaps, problems: [...problems].slice(0, 20)};
}

/** `NAME PID SIZE`, with an address behind it on MediaTek's. */
function clientIn(line: RawText): IonClient | undefined {
  const words = wordsFromRight(line.replace(/ +0x[0-9a-f]+ *$/, ''), 2);
  return words && client(words[0], words[1], words[2]);
}

/** `NAME PID SIZE KMAPS REFS`, or `NAME PID USER USER_PID SIZE KMAPS REFS`. */
function orphanIn(line: RawText, hasUser: boolean): IonClient | undefined {
  const words = wordsFromRight(line, 4);
  if (words === undefined) return undefined;
  if (!hasUser) return client(words[0], words[1], words[2]);
  // The user's name may hold blanks, as the client's may.
  const head = /^(\S[^]*?) +(\d{1,10}) +\S/.exec(words[0] ?? '');
  return head === null ? undefined : client(head[1], head[2], words[2]);
}

/** What is left of the last `count` words, and those words. */
function wordsFromRight(line: RawText, count: number): string[] | undefined {
  const words: string[] = [];
  let rest = line.trim();
  for (let i = 0; i < count; i++) {
    const blank = rest.lastIndexOf(' ');
    if (blank < 0) return undefined;
    words.unshift(rest.slice(blank + 1));
    rest = rest.slice(0, blank).trimEnd();
  }
  return [rest, ...words];
}

function client(name = '', pid = '', bytes = ''): IonClient | undefined {
  if (!/^\d{1,10}$/.test(pid) || !/^\d{1,20}$/.test(bytes)) return undefined;
  return {
    name: detachedSlice(name, 0, name.length),
    pid: Number(pid),
    bytes: BigInt(bytes),
  };
}

/** As a kernel 4.9 prints them. */
export function renderIonHeaps(heaps: readonly IonHeap[]): RawText {
  const rule = '----------------------------------------------------\n';
  const row = ({name, pid, bytes}: IonClient): string =>
    `${name.padStart(16)} ${String(pid).padStart(16)} ` +
    String(bytes).padStart(16);
  return heaps
    .map(({name, clients, orphaned, totalOrphanedBytes, totalBytes}) =>
      [
        name === undefined ? '' : `--- /d/ion/heaps/${name}\n`,
        '          client              pid             size\n',
        rule,
        ...clients.map((client) => `${row(client)}\n`),
        rule,
        'orphaned allocations (info is from last known client):\n',
        ...orphaned.map((orphan) => `${row(orphan)} 0 1\n`),
        rule,
        `  total orphaned ${String(totalOrphanedBytes ?? 0n).padStart(16)}\n`,
        `          total  ${String(totalBytes ?? 0n).padStart(16)}\n`,
        rule,
      ].join(''),
    )
    .join('');
}
