// SPDX-License-Identifier: Apache-2.0
// When a report is from, by the device's clocks. The report's own times are
// local; what ties them to UTC and to the time since boot are a line of
// `dumpsys alarm`, which has all three clocks, and less exact ones beside it.
import {parseDumpsysMeminfo} from '../../core/formats/index.js';
import type {ReportText} from './sections.js';

export interface ReportClock {
  /** Local time minus UTC, ms; undefined: the time zone is not known. */
  readonly zoneMs: number | undefined;
  /** REALTIME minus BOOTTIME, ms; undefined: nothing tells it. */
  readonly realOffsetMs: number | undefined;
  /** How far off realOffsetMs may be, ms. */
  readonly accuracyMs: number | undefined;
}

/** dumpstate's header has whole minutes. */
const UPTIME_ACCURACY_MS = 60_000;
/** Times in text have whole seconds, and both ends count. */
const TEXT_ACCURACY_MS = 2_000;
const QUARTER_MS = 900_000;
/** Zones are at most 14 h from UTC; and a day for what is odd. */
const MOST_ZONE_MS = 38 * 3_600_000;
/** No device is up for longer. */
const MOST_UPTIME_MS = 50 * 365 * 86_400_000;

/** Works out how the report's clocks stand to each other. */
export function clockOf(texts: readonly ReportText[]): ReportClock {
  const alarm = texts.find(({alarmClock}) => alarmClock)?.alarmClock;
  // Zones differ by quarters of an hour; the text's seconds are cut.
  const apartMs = (alarm?.localMs ?? 0) - (alarm?.realMs ?? 0);
  if (
    alarm !== undefined &&
    Math.abs(apartMs) <= MOST_ZONE_MS &&
    isUptime(alarm.bootMs)
  ) {
    const zoneMs = Math.round(apartMs / QUARTER_MS) * QUARTER_MS;
    return {
      zoneMs,
      realOffsetMs: alarm.realMs - alarm.bootMs,
      accuracyMs: 1,
    };
  }
  const zoneMs = zoneOf(texts);
  const byMeminfo = meminfoOffset(texts, zoneMs);
  if (byMeminfo !== undefined) {
    return {zoneMs, realOffsetMs: byMeminfo, accuracyMs: TEXT_ACCURACY_MS};
  }
  for (const {header} of texts) {
    const {localMs, uptimeMs} = header;
    if (localMs === undefined || !isUptime(uptimeMs)) continue;
    return {
      zoneMs,
      realOffsetMs: localMs - (zoneMs ?? 0) - uptimeMs,
      accuracyMs: UPTIME_ACCURACY_MS,
    };
  }
  return {zoneMs, realOffsetMs: undefined, accuracyMs: undefined};
}

export function isUptime(ms: number | undefined): ms is number {
  return ms !== undefined && ms >= 0 && ms <= MOST_UPTIME_MS;
}

/** `dumpsys meminfo` begins with the time since boot and ends with the date. */
function meminfoOffset(
  texts: readonly ReportText[],
  zoneMs = 0,
): number | undefined {
  for (const {sections} of texts) {
    for (const {kind, text, endLocalMs, durationMs} of sections) {
      if (kind !== 'meminfo' || endLocalMs === undefined) continue;
      const {elapsedRealtimeMs} = parseDumpsysMeminfo(text);
      if (!isUptime(elapsedRealtimeMs)) continue;
      return endLocalMs - zoneMs - (durationMs ?? 0) - elapsedRealtimeMs;
    }
  }
  return undefined;
}

/** By the property persist.sys.timezone, as of the report's day. */
function zoneOf(texts: readonly ReportText[]): number | undefined {
  for (const {header} of texts) {
    const {timezone, localMs} = header;
    if (timezone === undefined || localMs === undefined) continue;
    try {
      // Right but for the hours around a change of summer time.
      return localTime(timezone, localMs) - localMs;
    } catch {
      // A zone that this machine does not know.
    }
  }
  return undefined;
}

/** A time in a zone, ms since 1970 as if it were UTC. @throws RangeError */
function localTime(timeZone: string, ms: number): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  }).formatToParts(new Date(ms));
  const get = (wanted: Intl.DateTimeFormatPartTypes): number =>
    Number(parts.find(({type}) => type === wanted)?.value);
  return Date.UTC(
    get('year'),
    get('month') - 1,
    get('day'),
    get('hour'),
    get('minute'),
    get('second'),
  );
}
