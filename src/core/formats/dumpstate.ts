// SPDX-License-Identifier: Apache-2.0
/**
 * The lines by which a bug report's text (frameworks/native, cmds/dumpstate and
 * cmds/dumpsys, Android 10 to 16) is divided, and those that say when and of
 * what device it is:
 *
 *     ========================================================
 *     == dumpstate: 2023-04-27 23:50:35
 *     ========================================================
 *
 *     Build fingerprint: 'google/oriole/oriole:14/...'
 *     Kernel: Linux version 5.10.157-android13-4-00003-g... (build-user@...) ...
 *     Uptime: up 0 weeks, 0 days, 2 hours, 51 minutes,  load average: ...
 *
 *     ------ Dmabuf dump (dmabuf_dump) ------
 *     *** command 'dmabuf_dump' timed out after 10.012s (killing pid 1234)
 *     ------ 10.020s was the duration of 'Dmabuf dump' ------
 *
 *     -------------------------------------------------------------------------------
 *     DUMP OF SERVICE HIGH meminfo:
 *     *** SERVICE 'meminfo' DUMP TIMEOUT (60000ms) EXPIRED ***
 *     --------- 24.741s was the duration of dumpsys meminfo, ending at: 2023-04-27 23:51:38
 *
 * The vendor's part (dumpstate_board.txt) has `------ Section start: NAME
 * ------` besides. Nothing in the sections is escaped: whatever an app has
 * dumped can look like these lines.
 */
import type {RawText} from '../model/text.js';

export type DumpstateLine =
  /** `== dumpstate: TIME`; ms since 1970 as if the local time were UTC. */
  | {readonly kind: 'report'; readonly localMs: number}
  | {readonly kind: 'done'}
  | {
      readonly kind: 'section';
      readonly title: RawText;
      /** The command, or the file. */
      readonly source: RawText;
    }
  | {
      readonly kind: 'section-end';
      readonly title: RawText;
      readonly durationMs: number;
    }
  | {readonly kind: 'service'; readonly name: RawText}
  | {
      readonly kind: 'service-end';
      readonly name: RawText;
      readonly durationMs: number;
      /** As of `report`; Android 10 and older do not print it. */
      readonly localMs: number | undefined;
    }
  /** The command or file of the section came to nothing, or not to its end. */
  | {
      readonly kind: 'failure';
      readonly why: 'timed-out' | 'failed' | 'missing';
      readonly text: RawText;
    };

/** Longer lines are none of these. */
const LONGEST_LINE = 1000;

const REPORT = /^== dumpstate: (\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)$/;
const SECTION_END = /^-{4,10} (\d{1,6}\.\d{1,9})s was the duration of '(.*)'/;
const SERVICE_END =
  /^-{4,10} (\d{1,6}\.\d{1,9})s was the duration of dumpsys ([^,]*?)(?:, ending at: (\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d))?$/;
const SECTION = /^------ (.{1,200}?) \((.*)\) ------$/;
const SERVICE = /^DUMP OF SERVICE (?:[A-Z]+ )?([^ ]+):$/;

/** What a line divides; undefined for all others. */
export function readDumpstateLine(full: RawText): DumpstateLine | undefined {
  const first = full[0];
  if (first !== '-' && first !== '=' && first !== '*' && first !== 'D') {
    return undefined;
  }
  if (full.length > LONGEST_LINE) return undefined;
  const line = full.trimEnd();
  switch (first) {
    case '=':
      return reportLine(line);
    case '-':
      return ruleLine(line);
    case '*':
      return failureLine(line);
    case 'D': {
      const name = SERVICE.exec(line)?.[1];
      return name === undefined ? undefined : {kind: 'service', name};
    }
  }
}

function reportLine(line: RawText): DumpstateLine | undefined {
  if (line.startsWith('== dumpstate: done')) return {kind: 'done'};
  const localMs = timeIn(REPORT.exec(line)?.slice(1));
  return localMs === undefined ? undefined : {kind: 'report', localMs};
}

function ruleLine(line: RawText): DumpstateLine | undefined {
  if (line.includes('s was the duration of ')) {
    const section = SECTION_END.exec(line);
    if (section !== null) {
      const [, seconds, title = ''] = section;
      return {kind: 'section-end', title, durationMs: toMs(seconds)};
    }
    const service = SERVICE_END.exec(line);
    if (service === null) return undefined;
    const [, seconds, name = '', ...time] = service;
    return {
      kind: 'service-end',
      name,
      durationMs: toMs(seconds),
      localMs: timeIn(time),
    };
  }
  const section = SECTION.exec(line);
  if (section === null) return undefined;
  const [, title = '', source = ''] = section;
  return {kind: 'section', title, source};
}

function toMs(seconds: string | undefined): number {
  return Math.round(Number(seconds) * 1000);
}

function failureLine(line: RawText): DumpstateLine | undefined {
  const why = WHY.find(([pattern]) => pattern.test(line))?.[1];
  return why === undefined ? undefined : {kind: 'failure', why, text: line};
}

type Why = Extract<DumpstateLine, {kind: 'failure'}>['why'];

const WHY: readonly (readonly [RegExp, Why])[] = [
  [/^\*\*\* command '.*' timed out after /, 'timed-out'],
  [/^\*\*\* .*: Timed out after /, 'timed-out'],
  [/^\*\*\* SERVICE '.*' DUMP TIMEOUT \(\d+ms\) EXPIRED \*\*\*$/, 'timed-out'],
  [/^\*\*\* command '.*' failed: /, 'failed'],
  [/^\*\*\* command '.*': Error after /, 'failed'],
  [/^\*\*\* .*: (?:Killed by signal|Exit code|Error after) /, 'failed'],
  [/^\*\*\* (?:exec\(|Error )/, 'failed'],
  [/^\*\*\* .*: (?:No such file|Permission denied|Not a directory)/, 'missing'],
];

/** ms since 1970 as if it were UTC; undefined when it is no time. */
function timeIn(
  parts: readonly (string | undefined)[] = [],
): number | undefined {
  if (parts.length < 6 || parts.includes(undefined)) return undefined;
  const [
    year = NaN,
    month = NaN,
    day = NaN,
    hour = NaN,
    minute = NaN,
    second = NaN,
  ] = parts.map(Number);
  // In ns, all of these fit into 63 bits.
  const isTime =
    isWithin(year, 1970, 2199) &&
    isWithin(month, 1, 12) &&
    isWithin(day, 1, 31) &&
    isWithin(hour, 0, 23) &&
    isWithin(minute, 0, 59) &&
    isWithin(second, 0, 60);
  if (!isTime) return undefined;
  return (
    daysSince1970(year, month, day) * 86_400_000 +
    (hour * 3600 + minute * 60 + second) * 1000
  );
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}

/** Gregorian; counted from March on, so that leap days come last. */
function daysSince1970(year: number, month: number, day: number): number {
  const years = month > 2 ? year : year - 1;
  const monthsFromMarch = (month + 9) % 12;
  return (
    years * 365 +
    Math.floor(years / 4) -
    Math.floor(years / 100) +
    Math.floor(years / 400) +
    Math.floor((monthsFromMarch * 153 + 2) / 5) +
    (day - 1) -
    719_468
  );
}

/** A line of the header, `Build fingerprint: '...'`. */
const FIELD =
  /^(Build|Build fingerprint|Android SDK version|Kernel|Uptime|Bugreport format version): (.*)$/;

export type HeaderField =
  | 'Build'
  | 'Build fingerprint'
  | 'Android SDK version'
  | 'Kernel'
  | 'Uptime'
  | 'Bugreport format version';

/** A field of the header; they come before the first section. */
export function readHeaderField(
  line: RawText,
): {readonly name: HeaderField; readonly value: RawText} | undefined {
  if (line.length > 10 * LONGEST_LINE) return undefined;
  const match = FIELD.exec(line.trimEnd());
  if (match === null) return undefined;
  const [, name = '', value = ''] = match;
  return {
    name: name as HeaderField,
    value: value.replace(/^'(.*)'$/, '$1'),
  };
}

/** `uname -r` out of the field Kernel. */
export function kernelReleaseOf(kernel: RawText): RawText | undefined {
  return /^Linux version (\S{1,100})/.exec(kernel)?.[1];
}

const UNITS: Readonly<Record<string, number>> = {
  week: 604_800_000,
  day: 86_400_000,
  hour: 3_600_000,
  minute: 60_000,
};

/** ms out of the field Uptime, whole minutes; undefined when it has none. */
export function uptimeOf(uptime: RawText): number | undefined {
  let ms: number | undefined;
  for (const [, count, unit = ''] of uptime
    .slice(0, 200)
    .matchAll(/(\d{1,5}) (week|day|hour|minute)s?\b/g)) {
    ms = (ms ?? 0) + Number(count) * (UNITS[unit] ?? 0);
  }
  return ms;
}

/** A property as getprop prints it: `[ro.product.model]: [Pixel 6]`. */
export function readProperty(
  line: RawText,
): {readonly name: RawText; readonly value: RawText} | undefined {
  if (line.length > LONGEST_LINE) return undefined;
  const match = /^\[([\w.-]{1,100})\]: \[(.*)\]$/.exec(line.trimEnd());
  if (match === null) return undefined;
  const [, name = '', value = ''] = match;
  return {name, value};
}

export interface AlarmClock {
  /** CLOCK_REALTIME, ms since 1970. */
  readonly realMs: number;
  /** CLOCK_BOOTTIME, ms. */
  readonly bootMs: number;
  /** The device's local time, to the second, as of `report` above. */
  readonly localMs: number;
}

const ALARM =
  /^ *nowRTC=(\d{10,15})=(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.\d{1,3})? nowELAPSED=(\S{1,40})$/;

/**
 * The line of `dumpsys alarm` that has both clocks and the local time:
 *
 *     nowRTC=1682632235123=2023-04-27 23:50:35.123 nowELAPSED=+2h51m7s456ms
 */
export function readAlarmClock(full: RawText): AlarmClock | undefined {
  if (full.length > LONGEST_LINE || !full.includes('nowRTC=')) return undefined;
  const match = ALARM.exec(full.trimEnd());
  if (match === null) return undefined;
  const localMs = timeIn(match.slice(2, 8));
  const bootMs = durationOf(match[8] ?? '');
  if (localMs === undefined || bootMs === undefined) return undefined;
  return {realMs: Number(match[1]), bootMs, localMs};
}

const DURATION =
  /^\+?(?:(\d{1,6})d)?(?:(\d{1,3})h)?(?:(\d{1,3})m(?!s))?(?:(\d{1,3})s)?(?:(\d{1,4})ms)?$/;

/** `9211334`, or `+2h51m7s456ms` as Android prints durations; in ms. */
function durationOf(text: string): number | undefined {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const match = DURATION.exec(text);
  if (match === null || !/\d/.test(text)) return undefined;
  const [days, hours, minutes, seconds, ms] = match
    .slice(1)
    .map((part: string | undefined) => Number(part ?? 0));
  return (
    (days ?? 0) * 86_400_000 +
    (hours ?? 0) * 3_600_000 +
    (minutes ?? 0) * 60_000 +
    (seconds ?? 0) * 1000 +
    (ms ?? 0)
  );
}
