// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/status: proc_pid_status of fs/proc/array.c, as far as it is needed
 * here. `Key:\tvalue` lines; Name has newline and backslash escaped as \n and
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

/** The lines that ProcStatus holds, in the kernel's order. */
export function renderProcStatus(status: ProcStatus): RawText {
  const threads =
    status.threads === undefined ? '' : `Threads:\t${status.threads}\n`;
  return (
    `Name:\t${escapeName(status.name)}\nPPid:\t${status.ppid}\n` +
    `Uid:\t${status.uids.join('\t')}\n${threads}`
  );
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
