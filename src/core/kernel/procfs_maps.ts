// SPDX-License-Identifier: Apache-2.0
import type {MapsEntry} from '../formats/maps.js';
import {renderMapsLine, renderSmapsEntry} from '../formats/maps.js';
import type {RawText} from '../model/text.js';
import type {Vma} from './address_space.js';
import {DmaBuf} from './dma_buf.js';
import {KernelError} from './kernel_error.js';
import type {Process} from './process_table.js';
import type {KernelProfile} from './profile.js';
import type {DirectoryNode} from './vfs_node.js';
import {linkTo} from './vfs_node.js';

/** Lines of /proc/PID/maps; none for a task without memory. */
export function mapsLines({memory}: Process): RawText[] {
  const lines: RawText[] = [];
  for (const vma of memory?.areas ?? []) lines.push(lineOf(vma));
  return lines;
}

/** Most lines are as they were when they were read last. */
function lineOf(vma: Vma): RawText {
  const path = vma.file?.path;
  const known = vma.rendered;
  if (known !== undefined && known.path === path) return known.line;
  const line = renderMapsLine(mapsEntry(vma));
  vma.rendered = {path, line};
  return line;
}

/** /proc/PID/smaps. A dma-buf's pages are not counted: Rss and Pss are 0. */
export function renderSmaps(profile: KernelProfile, process: Process): RawText {
  let text = '';
  for (const vma of process.memory?.areas ?? []) {
    const sizeKb = BigInt(vma.end - vma.start) / 1024n;
    const residentKb = vma.file instanceof DmaBuf ? 0n : sizeKb;
    text += renderSmapsEntry({
      vma: mapsEntry(vma),
      kB: new Map([
        ['Size', sizeKb],
        ['KernelPageSize', 4n],
        ['MMUPageSize', 4n],
        ['Rss', residentKb],
        ['Pss', residentKb],
        ['Shared_Clean', 0n],
        ['Shared_Dirty', 0n],
        ['Private_Clean', vma.file === undefined ? 0n : residentKb],
        ['Private_Dirty', vma.file === undefined ? residentKb : 0n],
        ['Referenced', residentKb],
        ['Anonymous', vma.file === undefined ? residentKb : 0n],
        ['LazyFree', 0n],
        ['AnonHugePages', 0n],
        ['ShmemPmdMapped', 0n],
        ['FilePmdMapped', 0n],
        ['Shared_Hugetlb', 0n],
        ['Private_Hugetlb', 0n],
        ['Swap', 0n],
        ['SwapPss', 0n],
        ['Locked', 0n],
      ]),
      other: new Map([
        ['THPeligible', `    ${'0'.padStart(profile.thpEligibleColumns)}`],
        ['VmFlags', ` ${vmFlags(profile, vma)}`],
      ]),
    });
  }
  return text;
}

/** /proc/PID/map_files: only root may look. */
export function mapFilesDirectory(
  process: Process,
  uid: number,
): DirectoryNode {
  const name = (vma: Vma): string =>
    `${vma.start.toString(16)}-${vma.end.toString(16)}`;
  const ofFiles = (): Vma[] =>
    (process.memory?.areas ?? []).filter((vma) => vma.file !== undefined);
  return {
    kind: 'directory',
    mode: 0o500,
    check: () => {
      if (uid !== 0) throw new KernelError('EACCES', 'only root may look');
    },
    list: () => ofFiles().map(name),
    child: (wanted) => {
      const vma = ofFiles().find((each) => name(each) === wanted);
      return vma?.file === undefined ? undefined : linkTo(vma.file);
    },
  };
}

function mapsEntry(vma: Vma): MapsEntry {
  const {read, write, execute} = vma.protection;
  const device = vma.file?.kind.device;
  return {
    start: BigInt(vma.start),
    end: BigInt(vma.end),
    perms:
      (read ? 'r' : '-') +
      (write ? 'w' : '-') +
      (execute ? 'x' : '-') +
      (vma.shared ? 's' : 'p'),
    offset: BigInt(vma.offset),
    devMajor: device?.major ?? 0,
    devMinor: device?.minor ?? 0,
    inode: vma.file?.inode ?? 0n,
    // show_map_vma() of fs/proc/task_mmu.c escapes the newline alone.
    path: vma.file?.path.replaceAll('\n', '\\012') ?? vma.label,
  };
}

/** Exporters that give pages one by one; others map all by remap_pfn_range(). */
const FAULTED: ReadonlySet<RawText> = new Set(['udmabuf', 'drm']);

function vmFlags({noExec}: KernelProfile, vma: Vma): string {
  const {file} = vma;
  const {read, write, execute} = vma.protection;
  const flags: [boolean, string][] = [
    [read, 'rd '],
    [write, 'wr '],
    [execute, 'ex '],
    // do_mmap() takes both from a shared mapping of a file opened read-only.
    [vma.shared && vma.mayWrite, 'sh '],
    [true, 'mr '],
    [vma.mayWrite, 'mw '],
    [!(noExec && file instanceof DmaBuf), 'me '],
    [vma.shared, 'ms '],
    [file instanceof DmaBuf, 'pf '],
    [file instanceof DmaBuf && !FAULTED.has(file.exporter), 'io '],
    [file instanceof DmaBuf, 'de dd '],
  ];
  return flags.map(([set, flag]) => (set ? flag : '')).join('');
}
