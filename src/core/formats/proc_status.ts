// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/status: proc_pid_status of fs/proc/array.c, as far as it is needed
 * here: what is parsed is less than what can be rendered. `Key:\tvalue` lines;
 * Name has newline and backslash escaped as \n and
 * \\ (seq_escape_str), so that no name forges a line.
 */
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';
import {asInteger} from './scan.js';

export interface ProcStatus {
  /** comm, unescaped. */
  readonly name: RawText;
  readonly ppid: number;
  /** Real, effective, saved and file system user ids. */
  readonly uids: readonly [number, number, number, number];
  /** Undefined where the line is missing: the task was going away. */
  readonly threads?: number;
}

const FILE = '/proc/PID/status';
const UIDS = /^(\d{1,10})\t(\d{1,10})\t(\d{1,10})\t(\d{1,10})$/;

/** @throws FormatError when Name, PPid or Uid is missing, or a line is cut. */
export function parseProcStatus(text: RawText): ProcStatus {
  const lines = text.split('\n');
  if (lines.pop() !== '') {
    throw new FormatError(
      FILE,
      lines.length + 1,
      'the text ends in the middle of it',
    );
  }
  const name = value(lines, 'Name');
  const ppid = value(lines, 'PPid');
  const uid = value(lines, 'Uid');
  const threads = value(lines, 'Threads');
  for (const [key, line] of [
    ['Name', name],
    ['PPid', ppid],
    ['Uid', uid],
  ] as const) {
    if (line === undefined) {
      throw new FormatError(FILE, lines.length + 1, `there is no ${key}:`);
    }
  }
  const uids = UIDS.exec(uid?.text ?? '') ?? undefined;
  if (uids === undefined) throw notANumber('Uid', uid);
  return {
    name: unescapeName(name?.text ?? ''),
    ppid: number('PPid', ppid),
    uids: [Number(uids[1]), Number(uids[2]), Number(uids[3]), Number(uids[4])],
    ...(threads === undefined ? {} : {threads: number('Threads', threads)}),
  };
}

/** What the kernel tells besides, of a task in no pid namespace of its own. */
export interface ProcStatusDetails {
  /** Undefined where the line is missing: a task that has exited. */
  readonly umask: number | undefined;
  /** Of task_state_array, such as `S (sleeping)`. */
  readonly state: RawText;
  readonly tgid: number;
  readonly pid: number;
  /** Real, effective, saved and file system group ids. */
  readonly gids: readonly [number, number, number, number];
  /** Places in the descriptor table; 0 once it is gone. */
  readonly fdSize: number;
  /** Undefined for a kernel without the line: 6.1 has none, 6.12 does. */
  readonly kthread: boolean | undefined;
}

/**
 * The lines that are known, in the kernel's order; with details those that
 * every task has alike, too: no NUMA group, no tracer, no further groups. Not
 * among them are sessions, memory, signals, capabilities, CPUs and switches.
 */
export function renderProcStatus(
  status: ProcStatus,
  details?: ProcStatusDetails,
): RawText {
  const {name, ppid, uids, threads} = status;
  const lines: (RawText | undefined)[] = [
    `Name:\t${escapeName(name)}`,
    ...(details === undefined ? [] : linesAbovePpid(details)),
    `PPid:\t${ppid}`,
    ...(details === undefined ? [] : ['TracerPid:\t0']),
    `Uid:\t${uids.join('\t')}`,
    ...(details === undefined ? [] : linesBelowUid(details)),
    threads === undefined ? undefined : `Threads:\t${threads}`,
  ];
  return lines.map((line) => (line === undefined ? '' : `${line}\n`)).join('');
}

function linesAbovePpid(details: ProcStatusDetails): (RawText | undefined)[] {
  const {umask, state, tgid, pid} = details;
  return [
    umask === undefined
      ? undefined
      : `Umask:\t${umask.toString(8).padStart(4, '0')}`,
    `State:\t${state}`,
    `Tgid:\t${tgid}`,
    'Ngid:\t0',
    `Pid:\t${pid}`,
  ];
}

function linesBelowUid(details: ProcStatusDetails): (RawText | undefined)[] {
  const {gids, fdSize, tgid, pid, kthread} = details;
  return [
    `Gid:\t${gids.join('\t')}`,
    `FDSize:\t${fdSize}`,
    // Each group is followed by a blank, and so is none.
    'Groups:\t ',
    `NStgid:\t${tgid}`,
    `NSpid:\t${pid}`,
    kthread === undefined ? undefined : `Kthread:\t${Number(kthread)}`,
  ];
}

interface Line {
  readonly text: RawText;
  readonly number: number;
}

function value(lines: readonly RawText[], key: string): Line | undefined {
  const index = lines.findIndex((line) => line.startsWith(`${key}:\t`));
  const line = lines[index];
  return line === undefined
    ? undefined
    : {text: line.slice(key.length + 2), number: index + 1};
}

function number(key: string, line: Line | undefined): number {
  const parsed = asInteger(line?.text ?? '');
  if (parsed === undefined) throw notANumber(key, line);
  return parsed;
}

function notANumber(key: string, line: Line | undefined): FormatError {
  const found = quoteRaw(line?.text ?? '');
  return new FormatError(
    FILE,
    line?.number ?? 1,
    `${key}: should hold numbers, found ${found}`,
  );
}

function escapeName(name: RawText): RawText {
  return name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function unescapeName(text: RawText): RawText {
  return text.replace(/\\([\\n])/g, (_, c) => (c === 'n' ? '\n' : '\\'));
}
