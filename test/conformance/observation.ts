// SPDX-License-Identifier: Apache-2.0
// What a machine, real or simulated, shows once a script has run, as one text
// in which nothing is masked but what may differ between two machines.
import type {RawText} from '../../src/core/model/text.js';
import {renderOperation, type Operation} from './script.js';

/** How one operation went. */
export interface Outcome {
  /** undefined: well; `refused`: the puppet did not even ask the kernel. */
  readonly error: string | undefined;
  readonly fd?: number | undefined;
  readonly inode?: bigint | undefined;
  readonly sizeBytes?: bigint | undefined;
  /** What lseek returned. */
  readonly position?: bigint | undefined;
}

/** stat() of a descriptor of a dma-buf. */
export interface ObservedStat {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly blocks: bigint;
  readonly mode: number;
}

export interface ObservedFd {
  /** The thread in whose own table it is; undefined for the process's. */
  readonly tid: number | undefined;
  readonly fd: number;
  readonly link: RawText;
  readonly stat: ObservedStat;
  readonly fdinfo: RawText;
}

export interface ObservedProcess {
  readonly pid: number;
  /** Whole files of /proc/PID. */
  readonly comm: RawText;
  readonly status: RawText;
  readonly stat: RawText;
  readonly maps: RawText;
  /** Descriptors of dma-bufs alone, those of the process before threads'. */
  readonly fds: readonly ObservedFd[];
}

export interface Observation {
  readonly outcomes: readonly Outcome[];
  readonly bufinfo: RawText;
  readonly processes: readonly ObservedProcess[];
}

/** What the numbers of this machine stand for. */
export interface Names {
  readonly actorOf: ReadonlyMap<number, string>;
  /** Labels of the buffers that threads have to themselves, by tid. */
  readonly labelOfThread: ReadonlyMap<number, string>;
  /** The last inode a dma-buf had before the script. */
  readonly lastInode: bigint;
}

/** The whole observation, comparable byte for byte. */
export function renderObservation(
  script: readonly Operation[],
  {outcomes, bufinfo, processes}: Observation,
  names: Names,
): RawText {
  const {lastInode} = names;
  const steps = script.map((operation, i) => {
    const outcome = outcomes[i];
    const text = outcome ? renderOutcome(outcome, lastInode) : 'no answer';
    return `${renderOperation(operation)} -> ${text}\n`;
  });
  return (
    section('operations', steps.join('')) +
    section('bufinfo', maskBufinfo(bufinfo, lastInode)) +
    processes.map((process) => renderProcess(process, names)).join('')
  );
}

function section(title: string, text: RawText): RawText {
  return `=== ${title}\n${text}`;
}

function renderOutcome(outcome: Outcome, lastInode: bigint): string {
  const {error, fd, inode, sizeBytes, position} = outcome;
  if (error !== undefined) return error;
  const relative = inode === undefined ? undefined : inode - lastInode;
  return Object.entries({fd, inode: relative, size: sizeBytes, position})
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${String(value)}`)
    .reduce((text, field) => text + field, 'ok');
}

function renderProcess(process: ObservedProcess, names: Names): RawText {
  const {lastInode, actorOf, labelOfThread} = names;
  const actor = actorOf.get(process.pid) ?? '?';
  return (
    section(`${actor} comm`, process.comm) +
    section(`${actor} status`, linesOf(process.status, STATUS_FIELDS)) +
    section(`${actor} stat`, `${commOfStat(process.stat)}\n`) +
    section(`${actor} maps`, maskMaps(process.maps, lastInode)) +
    process.fds
      .map(({tid, fd, link, stat, fdinfo}) => {
        const thread =
          tid === undefined ? '' : ` thread ${labelOfThread.get(tid) ?? '?'}`;
        const who = `${actor}${thread} fd ${fd}`;
        return (
          section(`${who} link`, `${link}\n`) +
          section(`${who} stat`, renderStat(stat, lastInode)) +
          section(`${who} fdinfo`, maskFdinfo(fdinfo, lastInode))
        );
      })
      .join('')
  );
}

/** The rest of it the simulator does not claim to know, or holds pids. */
const STATUS_FIELDS = /^(?:Name|Uid|Threads):/;

function linesOf(text: RawText, wanted: RegExp): RawText {
  return text
    .split('\n')
    .filter((line) => wanted.test(line))
    .map((line) => `${line}\n`)
    .join('');
}

function commOfStat(stat: RawText): RawText {
  return stat.slice(stat.indexOf('('), stat.lastIndexOf(')') + 1);
}

function renderStat(stat: ObservedStat, lastInode: bigint): string {
  const {inode, sizeBytes, blocks, mode} = stat;
  return (
    `inode ${inode - lastInode} size ${sizeBytes} blocks ${blocks} ` +
    `mode ${mode.toString(8)}\n`
  );
}

/** Masks the mount id; counts inodes from the script's first. */
export function maskFdinfo(text: RawText, lastInode: bigint): RawText {
  return text.replace(
    /^(pos:\t-?\d+\nflags:\t0[0-7]*\nmnt_id:\t)\d+\nino:\t(\d+)\n/,
    (_, head: string, inode: string) =>
      `${head}*\nino:\t${BigInt(inode) - lastInode}\n`,
  );
}

export function maskBufinfo(text: RawText, lastInode: bigint): RawText {
  return text.replace(
    /^(\d{8,}\t[0-9a-f]{8}\t[0-9a-f]{8}\t-?\d{8,}\t[^\t\n]+\t)(\d{8,})\t/gm,
    (_, head: string, inode: string) =>
      `${head}${String(BigInt(inode) - lastInode).padStart(8, '0')}\t`,
  );
}

const MAPS_LINE =
  /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]{8,}) [0-9a-f]+:[0-9a-f]+ (\d+)( +)(\/dmabuf[^\n]*)$/;

/**
 * The lines of dma-bufs, addresses and device masked. Their order is the
 * addresses', so it goes too; the column at which the path begins is kept.
 */
export function maskMaps(text: RawText, lastInode: bigint): RawText {
  return text
    .split('\n')
    .flatMap((line) => {
      const match = MAPS_LINE.exec(line);
      if (match === null) {
        return line.includes('/dmabuf') ? [`unexpected: ${line}\n`] : [];
      }
      const [, start, end, perms, offset, inode, , path = ''] = match;
      const length = BigInt(`0x${end ?? ''}`) - BigInt(`0x${start ?? ''}`);
      const number = BigInt(inode ?? '') - lastInode;
      const column = line.length - path.length;
      return [
        `${length} bytes ${perms ?? ''} ${offset ?? ''} ${number} ` +
          `column ${column} ${path}\n`,
      ];
    })
    .sort()
    .join('');
}
