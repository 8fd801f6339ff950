// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/stat: do_task_stat of fs/proc/array.c, proc(5). One line of fields
 * split by blanks, but the second, `(comm)`, is printed raw (since 4.18): comm
 * may hold blanks, parentheses and newlines, e.g. `191 (lab inflight)) S 186`.
 * No later field holds a parenthesis, so comm ends at the last one.
 */
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';
import {asDecimal, asInteger} from './scan.js';

export interface ProcStat {
  readonly pid: number;
  readonly comm: RawText;
  /** One letter: R, S, D, Z ... */
  readonly state: string;
  readonly ppid: number;
  /** CPU times in ticks (USER_HZ, 100 a second). */
  readonly utimeTicks: number;
  readonly stimeTicks: number;
  /** Of the children that were waited for. */
  readonly cutimeTicks: number;
  readonly cstimeTicks: number;
  readonly numThreads: number;
  /** Start of the process, ticks since boot (BOOTTIME). */
  readonly startTicks: bigint;
}

const FILE = '/proc/PID/stat';
/** Fields that the kernel prints, 3 (state) to 52 (exit_code). */
const FIELDS_AFTER_COMM = 50;

/**
 * The text of one process, with or without the final newline.
 * @throws FormatError when it is cut before the start time or of another form.
 */
export function parseProcStat(text: RawText): ProcStat {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const pid = asInteger(text.slice(0, Math.max(open - 1, 0)));
  if (pid === undefined || text[open - 1] !== ' ' || close < open) {
    throw fail(`expected PID (comm), found ${quoteRaw(text)}`);
  }
  const fields = text.slice(close + 1).split(' ', FIELDS_AFTER_COMM + 1);
  // proc(5) counts from 1; fields[0] is the nothing before state, field 3.
  const field = (number: number): string => fields[number - 2] ?? '';
  const integer = (number: number): number => {
    const value = asInteger(field(number));
    if (value === undefined) {
      const found = quoteRaw(field(number));
      throw fail(`field ${number} should be a number, found ${found}`);
    }
    return value;
  };
  const state = field(3);
  if (fields[0] !== '' || !/^[A-Za-z]$/.test(state)) {
    throw fail(`field 3 should be a letter, found ${quoteRaw(state)}`);
  }
  const startTicks = asDecimal(field(22));
  // Field 22 is whole only if something follows it.
  if (startTicks === undefined || fields[21] === undefined) {
    throw fail('the text ends before field 22, the start time');
  }
  return {
    pid,
    comm: text.slice(open + 1, close),
    state,
    ppid: integer(4),
    utimeTicks: integer(14),
    stimeTicks: integer(15),
    cutimeTicks: integer(16),
    cstimeTicks: integer(17),
    numThreads: integer(20),
    startTicks,
  };
}

/** As the kernel prints it; fields that ProcStat does not hold are 0. */
export function renderProcStat(stat: ProcStat): RawText {
  const fields: (string | number | bigint)[] = Array.from(
    {length: FIELDS_AFTER_COMM},
    () => 0,
  );
  const put = (number: number, value: string | number | bigint): void => {
    fields[number - 3] = value;
  };
  put(3, stat.state);
  put(4, stat.ppid);
  put(14, stat.utimeTicks);
  put(15, stat.stimeTicks);
  put(16, stat.cutimeTicks);
  put(17, stat.cstimeTicks);
  put(20, stat.numThreads);
  put(22, stat.startTicks);
  return `${stat.pid} (${stat.comm}) ${fields.join(' ')}\n`;
}

function fail(problem: string): FormatError {
  return new FormatError(FILE, 1, problem);
}
