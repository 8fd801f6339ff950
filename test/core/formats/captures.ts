// SPDX-License-Identifier: Apache-2.0
/** Reads test/fixtures, and the truth that its manifests tell. */
import {readFileSync} from 'node:fs';
import {rawFromBytes, type RawText} from '../../../src/core/model/text.js';

/** Folders of test/fixtures, oldest kernel first. */
export const KERNELS = ['5.10', '6.1', '6.1lab', '6.12', '7.3'] as const;
export type Kernel = (typeof KERNELS)[number];

/** Processes of which all files were kept. */
export const ROLES = [
  'producer',
  'consumer',
  'mapper',
  'importer',
  'uid2000',
  'forker',
  'forkchild',
  'threads',
] as const;

export function capture(kernel: Kernel, file: string): RawText {
  const url = new URL(`../../fixtures/${kernel}/${file}`, import.meta.url);
  return rawFromBytes(readFileSync(url));
}

/** `uname -r`. */
export function kernelRelease(kernel: Kernel): string {
  return capture(kernel, 'uname.txt').split(' ')[2] ?? '';
}

export interface MadeHolding {
  readonly pid: number;
  readonly comm: RawText;
  /** -1: held by something else than an fd. */
  readonly fd: number;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly held: string;
  readonly name: RawText | undefined;
}

/** The names that the program gave to the buffers it held in each way. */
const NAMES: Record<string, RawText | undefined> = {
  dup: 'dup3',
  'map-partial-x2': 'map-twice-partial',
  'map-unnamed': undefined,
  'map-oddname': 'map nl\nmap sp',
  'map-renamed': 'renamed-new',
  'unix-socket-queue-only': 'in-flight-scm',
  'drm-gem-handle-only': 'renamed-attached',
  'fd+gem-owner': 'fenced',
  'thread-private-fdtable': 'thread-private-fd',
  'fd+map-inherited': 'fork-inherited',
  'map-split-into-3-vmas': 'vma-split',
  'fd-unnamed': undefined,
};

/** The buffers' sizes tell which of several names of one way it is. */
const NAMES_BY_SIZE: Record<string, RawText> = {
  'fd 65536': 'plain-system',
  'fd 131072': 'plain-udmabuf',
  'fd 262144': 'plain-vgem',
  'fd 1048576': 'shared-a',
  'fd 12288': 'dup3',
  'fd 36864': 'held-by-uid-2000',
  'fd-shared-from-producer 1048576': 'shared-a',
  'fd-shared-from-producer 2097152': 'shared-b-sender-closed',
  'map 16384': 'maponly-system',
  'map 32768': 'maponly-udmabuf',
  'map 65536': 'maponly-vgem',
  'fd+map 8192': 'map+fd',
  'fd+map 40960': 'fork-inherited',
};

/** manifest.txt: every holding that the program made. */
export function madeHoldings(kernel: Kernel): MadeHolding[] {
  const holdings: MadeHolding[] = [];
  const line =
    /^MANIFEST pid=(\d+) (?:comm=(.*)|tid=\d+) fd=(-?\d+) ino=(\d+) size=(\d+) held=(\S+)$/gm;
  for (const match of capture(kernel, 'manifest.txt').matchAll(line)) {
    const [, pid, comm, fd, inode, size, held] = match;
    if (held === undefined || size === undefined) throw new Error('manifest');
    const key = `${held} ${size}`;
    if (!(held in NAMES) && !(key in NAMES_BY_SIZE)) throw new Error(key);
    holdings.push({
      pid: Number(pid),
      comm: comm ?? 'lab-threads',
      fd: Number(fd),
      inode: BigInt(inode ?? ''),
      sizeBytes: BigInt(size),
      held,
      name: held in NAMES ? NAMES[held] : NAMES_BY_SIZE[key],
    });
  }
  if (holdings.length < 15) throw new Error(`${kernel}: no manifest`);
  return holdings;
}

export interface MadeName {
  readonly fd: number;
  /** Undefined for the last two: 5.10's manifest tells fds only. */
  readonly inode: bigint | undefined;
  /** What SET_NAME was called with last and took; undefined: never. */
  readonly name: RawText | undefined;
}

/** names.manifest.txt: every name that the program tried to set. */
export function madeNames(kernel: Kernel): MadeName[] {
  const text = capture(kernel, 'names.manifest.txt');
  const names: MadeName[] = [];
  const line = /^fd=(\d+) ino=(\d+) len=\d+ name="(.*)" A:rc=(0|-1) /gm;
  for (const [, fd, inode, name, rc] of text.matchAll(line)) {
    names.push({
      fd: Number(fd),
      inode: BigInt(inode ?? ''),
      name: rc === '0' ? unescape(name ?? '') : undefined,
    });
  }
  // fd 27 was named, renamed and then set to "".
  const overwritten = /^overwrite: rc=0 fd=(\d+)$/m.exec(text)?.[1];
  names.push({fd: Number(overwritten), inode: undefined, name: ''});
  if (names.length !== 24) throw new Error(`${kernel}: no names`);
  return names;
}

function unescape(text: string): RawText {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** fd to text of a `*.fdinfo-all.txt`. */
export function fdinfos(kernel: Kernel, who: string): Map<number, RawText> {
  const text = capture(kernel, `${who}.fdinfo-all.txt`);
  const parts = text.split(/^== \/proc\/\d+\/fdinfo\/(\d+)\n/m);
  const files = new Map<number, RawText>();
  for (let i = 1; i + 1 < parts.length; i += 2) {
    files.set(Number(parts[i]), parts[i + 1] ?? '');
  }
  return files;
}
