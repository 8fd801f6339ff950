// SPDX-License-Identifier: Apache-2.0
// All that is not compared between the simulator and a kernel, and why. The
// comparison leaves out what stands here and nothing else; where the simulator
// shows something wrong is another list, known_differences.ts.
import type {RawText} from '../../src/core/model/text.js';
import type {KernelName} from '../device-lab/lab.js';
import type {Surroundings, TextFilter} from './observation.js';

export interface Exemption {
  readonly id: string;
  /**
   * `mask`: there, but with other numbers; `omission`: not looked at;
   * `unread`: whole files that are not even read.
   */
  readonly kind: 'mask' | 'omission' | 'unread';
  /** What it is, and in which files. */
  readonly what: string;
  readonly reason: string;
}

/** One that makes a text comparable. */
export interface FilterExemption extends Exemption, TextFilter {
  readonly kind: 'mask' | 'omission';
  /** Kernels that differ in this; all if left out. */
  readonly kernels?: readonly KernelName[];
}

/** Files of the simulator's /proc and /sys. */
export interface UnreadExemption extends Exemption {
  readonly kind: 'unread';
  readonly paths: RegExp;
}

/** The head of a mapping in maps and smaps. */
const AREA = /^(\S+)(?: bytes)? (\S{4}) ([0-9a-f]{8,}) (\S+) (\d+)( +)/;
const OF_DMABUF = /^\S+ .* \/dmabuf/;

function eachLine(
  text: RawText,
  change: (line: RawText) => RawText | undefined,
): RawText {
  if (text === '') return text;
  const ended = text.endsWith('\n');
  const lines = (ended ? text.slice(0, -1) : text)
    .split('\n')
    .map(change)
    .filter((line) => line !== undefined);
  return lines.map((line) => `${line}\n`).join('');
}

/** Of maps and smaps; in the latter with all lines that belong to a mapping. */
function dmaBufAreas(text: RawText): RawText {
  let wanted = false;
  return eachLine(text, (line) => {
    if (AREA.test(line)) wanted = OF_DMABUF.test(line);
    return wanted ? line : undefined;
  });
}

/** The length stays. */
function maskAddresses(text: RawText): RawText {
  return text.replace(
    /^([0-9a-f]+)-([0-9a-f]+) (?=\S{4} )/gm,
    (_, start: string, end: string) =>
      `${BigInt(`0x${end}`) - BigInt(`0x${start}`)} bytes `,
  );
}

function maskMounts(text: RawText): RawText {
  return text.replace(
    /^(pos:\t-?\d+\nflags:\t0[0-7]*\nmnt_id:\t)\d+\n/,
    '$1*\n',
  );
}

const FDINFO_INODE = /^(pos:\t.*\nflags:\t.*\nmnt_id:\t.*\nino:\t)(\d+)\n/;
const STAT_INODE = /(^| )inode (\d+)(?= size \d+ blocks \d+ mode [0-7]+$)/gm;

function maskOtherInodes(text: RawText, {dmaBuf}: Surroundings): RawText {
  if (dmaBuf) return text;
  return text
    .replace(FDINFO_INODE, '$1*\n')
    .replace(STAT_INODE, '$1inode *')
    .replace(/^(socket|pipe):\[\d+\]$/gm, '$1:[*]');
}

function countInodes(
  text: RawText,
  {dmaBuf, lastInode}: Surroundings,
): RawText {
  const count = (inode: string): string => `${BigInt(inode) - lastInode}`;
  if (!dmaBuf) {
    // maps: the column at which the path begins stays.
    return eachLine(text, (line) => {
      const match = OF_DMABUF.test(line) ? AREA.exec(line) : undefined;
      const [head, , , , , inode, blanks] = match ?? [];
      if (head === undefined || inode === undefined) return line;
      const width = inode.length + (blanks ?? '').length;
      return (
        head.slice(0, head.length - width) +
        count(inode).padEnd(width) +
        line.slice(head.length)
      );
    });
  }
  return text
    .replace(
      FDINFO_INODE,
      (_, head: string, inode: string) => `${head}${count(inode)}\n`,
    )
    .replace(
      STAT_INODE,
      (_, head: string, inode: string) => `${head}inode ${count(inode)}`,
    )
    .replace(
      /^(.* -> ok(?: fd=\d+)?) inode=(\d+)/gm,
      (_, head: string, inode: string) => `${head} inode=${count(inode)}`,
    )
    .replace(
      /^(\d{8,}\t[0-9a-f]{8}\t[0-9a-f]{8}\t-?\d{8,}\t[^\t\n]+\t)(\d{8,})\t/gm,
      (_, head: string, inode: string) =>
        `${head}${count(inode).padStart(8, '0')}\t`,
    );
}

/** Of the fields of /proc/PID/stat: `pid (comm) state ppid` and num_threads. */
const STAT = /^(\S+) (\([^]*\)) (\S) (\S+) (?:\S+ ){15}(\S+) [^)]*$/;

/** Who it is by the names of the script; everybody else is one. */
function maskPids(text: RawText, {nameOf}: Surroundings): RawText {
  const name = (id: string): string => nameOf(Number(id)) ?? '*';
  return text
    .replace(
      /^(\d+) (\([^]*\)) (\S) (\d+) (?=[^)]*$)/,
      (_, pid: string, comm: string, state: string, parent: string) =>
        `${name(pid)} ${comm} ${state} ${name(parent)} `,
    )
    .replace(
      /^(Tgid|Pid|PPid|NStgid|NSpid):\t(\d+)$/gm,
      (_, key: string, pid: string) => `${key}:\t${name(pid)}`,
    );
}

const STATUS_LINE =
  /^(?:Name|Umask|State|Tgid|Ngid|Pid|PPid|TracerPid|Uid|Gid|FDSize|Groups|NStgid|NSpid|Kthread|Threads):/;

/** In the order in which they are applied. */
export const FILTERS: readonly FilterExemption[] = [
  {
    id: 'other-mappings',
    kind: 'omission',
    files: ['maps', 'smaps'],
    what: 'mappings of anything but dma-bufs',
    reason:
      'the simulated program has other libraries, and no allocator that maps',
    apply: dmaBufAreas,
  },
  {
    id: 'status-lines',
    kind: 'omission',
    files: ['status'],
    what:
      'lines of status but Name, Umask, State, Tgid, Ngid, Pid, PPid, ' +
      'TracerPid, Uid, Gid, FDSize, Groups, NStgid, NSpid, Kthread and Threads',
    reason: 'the simulator has no sessions, memory, signals or capabilities',
    apply: (text) =>
      eachLine(text, (line) => (STATUS_LINE.test(line) ? line : undefined)),
  },
  {
    id: 'stat-fields',
    kind: 'omission',
    files: ['stat'],
    what: 'fields of stat but pid, comm, state, ppid and num_threads',
    reason:
      'times depend on how fast the machine is; the rest the simulator, ' +
      'which has no sessions, terminals or signals, prints as 0',
    apply: (text) =>
      text.replace(
        STAT,
        (_, pid: string, comm: string, state: string, ...rest: string[]) =>
          `${pid} ${comm} ${state} ${rest[0] ?? ''} ... ${rest[1] ?? ''} ...\n`,
      ),
  },
  {
    id: 'smaps-lines',
    kind: 'omission',
    files: ['smaps'],
    what: 'lines Pss_Dirty, KSM and ProtectionKey of smaps',
    reason:
      'they depend on the version, the configuration and the processor; the ' +
      'simulator does not print them',
    apply: (text) =>
      eachLine(text, (line) =>
        /^(?:Pss_Dirty|KSM|ProtectionKey):/.test(line) ? undefined : line,
      ),
  },
  {
    id: 'soft-dirty',
    kind: 'omission',
    files: ['smaps'],
    what: 'the flag sd in VmFlags of smaps',
    reason: 'an option of the configuration that phones do not have',
    apply: (text) => text.replace(/^(VmFlags:.*) sd $/gm, '$1 '),
  },
  {
    id: 'pat',
    kind: 'omission',
    kernels: ['6.12'],
    files: ['smaps'],
    what: 'the flag ar in VmFlags of smaps',
    reason:
      'x86 sets it (VM_PAT) where the memory of a whole mapping happened to ' +
      'lie in one piece',
    apply: (text) => text.replace(/^(VmFlags:.*) ar /gm, '$1 '),
  },
  {
    id: 'addresses',
    kind: 'mask',
    files: ['maps', 'smaps'],
    what: 'addresses; the length and the order of the lines stay',
    reason: 'chosen at random',
    apply: maskAddresses,
  },
  {
    id: 'mounts',
    kind: 'mask',
    files: ['fdinfo'],
    what: 'mount ids',
    reason: 'given in the order in which file systems are mounted',
    apply: maskMounts,
  },
  {
    id: 'other-inodes',
    kind: 'mask',
    files: ['fd', 'fd link', 'fd stat', 'fdinfo'],
    what: "inodes of anything but dma-bufs, /proc's own too",
    reason: 'from counters that the rest of the system uses as well',
    apply: maskOtherInodes,
  },
  {
    id: 'first-inode',
    kind: 'mask',
    files: [
      'outcomes',
      'bufinfo',
      'maps',
      'smaps',
      'map_files',
      'fd stat',
      'fdinfo',
    ],
    what: 'inodes of dma-bufs count from the first of the script',
    reason: 'a machine counts on from script to script',
    apply: countInodes,
  },
  {
    id: 'pids',
    kind: 'mask',
    files: ['status', 'stat'],
    what:
      'process and thread ids: an actor goes by its name; all else, such as ' +
      'the reaper of orphans, by *',
    reason: 'given in turn to all that runs on the machine',
    apply: maskPids,
  },
];

export const UNREAD: readonly UnreadExemption[] = [
  {
    id: 'other-processes',
    kind: 'unread',
    what: 'processes that are no actors of the script',
    reason: "init and the puppet's server: the machine's own",
    paths: /^\/proc\/OTHER(?:\/|$)/,
  },
  {
    id: 'main-thread',
    kind: 'unread',
    what: '/proc/PID/task/PID',
    reason: 'shows the same as /proc/PID',
    paths: /^\/proc\/ACTOR\/task\/MAIN(?:\/|$)/,
  },
  {
    id: 'thread-mappings',
    kind: 'unread',
    what: 'maps and smaps of threads',
    reason: "the same as the process's",
    paths: /^\/proc\/ACTOR\/task\/THREAD\/s?maps$/,
  },
  {
    id: 'machine',
    kind: 'unread',
    what: '/proc/uptime, stat, version and sys/kernel',
    reason: "the machine's own: time, build, name of the release, boot id",
    paths: /^\/proc\/(?:uptime|stat|version|sys\/kernel\/.*)$/,
  },
  {
    id: 'sysfs',
    kind: 'unread',
    what: '/sys/kernel/dmabuf/buffers',
    reason: 'no kernel of Debian is built with it: the lab has none to read',
    paths: /^\/sys\/kernel\/dmabuf\/buffers\//,
  },
  {
    id: 'bpf',
    kind: 'unread',
    what: '/sys/fs/bpf',
    reason: 'what is pinned there belongs to Android, which the lab has not',
    paths: /^\/sys\/fs\/bpf\//,
  },
  {
    id: 'accounting',
    kind: 'unread',
    what: '/proc/PID/dmabuf_rss, dmabuf_rss_hwm and dmabuf_pss',
    reason: "kernels of Android alone have them, and they can't be booted here",
    paths: /^\/proc\/ACTOR\/dmabuf_(?:rss|rss_hwm|pss)$/,
  },
];

export const EXEMPTIONS: readonly Exemption[] = [...FILTERS, ...UNREAD];

/** As the table of the README shows it. */
export function exemptionRow({id, kind, what, reason}: Exemption): string[] {
  return [`\`${id}\``, kind, what, reason];
}
