// SPDX-License-Identifier: Apache-2.0
import {
  FormatError,
  parseProcStat,
  quoteRaw,
} from '../../core/formats/index.js';
import type {RawText} from '../../core/model/index.js';

/** /proc/uptime prints BOOTTIME cut to this. */
const UPTIME_STEP_NS = 10_000_000n;
/** EPOCHREALTIME is cut to microseconds: it was up to this much later. */
const CUT_NS = 999n;
/** USER_HZ, the unit of /proc/PID/stat, is 100 on every Linux device. */
export const TICK_NS = 10_000_000n;

/** One `clock` answer. */
export interface ClockReading {
  /** CLOCK_REALTIME just before and just after /proc/uptime was read, ns. */
  readonly realBeforeNs: bigint;
  readonly realAfterNs: bigint;
  /** /proc/uptime: BOOTTIME cut to 10 ms, ns. */
  readonly uptimeNs: bigint;
  /** CPU time of the collector's shell and its ended children so far, ns. */
  readonly cpuNs: bigint | undefined;
}

/** @throws FormatError when the text is not a `clock` answer */
export function parseClock(body: RawText): ClockReading {
  const lineEnd = body.indexOf('\n');
  const line = lineEnd === -1 ? body : body.slice(0, lineEnd);
  const [before, uptime, after] = splitClock(line, 'clock');
  return {
    realBeforeNs: before,
    uptimeNs: uptime,
    realAfterNs: after,
    cpuNs: lineEnd === -1 ? undefined : parseCpu(body.slice(lineEnd + 1)),
  };
}

function splitClock(line: RawText, where: string): [bigint, bigint, bigint] {
  const fields = line.split(' ');
  const [before, uptime, after] = fields.map(parseSeconds);
  if (
    fields.length !== 3 ||
    before === undefined ||
    uptime === undefined ||
    after === undefined
  ) {
    throw new FormatError(
      `collector's ${where}`,
      1,
      `${quoteRaw(line)} is not REALTIME UPTIME REALTIME in seconds`,
    );
  }
  return [before, uptime, after];
}

function parseCpu(stat: RawText): bigint | undefined {
  if (stat === '') return undefined;
  try {
    const {utimeTicks, stimeTicks, cutimeTicks, cstimeTicks} =
      parseProcStat(stat);
    const ticks = utimeTicks + stimeTicks + cutimeTicks + cstimeTicks;
    return BigInt(ticks) * TICK_NS;
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** `SECONDS.FRACTION` to ns; undefined when it is not such a number. */
export function parseSeconds(text: string): bigint | undefined {
  const match = /^(\d{1,12})\.(\d{1,9})$/.exec(text);
  if (match === null) return undefined;
  const fraction = (match[2] ?? '').padEnd(9, '0');
  return BigInt(match[1] ?? '') * 1_000_000_000n + BigInt(fraction);
}

/**
 * Where REALTIME − BOOTTIME can lie, as far as readings tell. Each reading
 * narrows it: when /proc/uptime went from one value to the next between two
 * readings of REALTIME, BOOTTIME was exactly that next value in between.
 */
export class BootClock {
  private low: bigint | undefined;
  private high: bigint | undefined;

  /** True once the offset is known to within 1 ms. */
  get isSynchronised(): boolean {
    const width = this.uncertaintyNs;
    return width !== undefined && width <= 1_000_000n;
  }

  /** Width of the interval in which the offset lies, ns. */
  get uncertaintyNs(): bigint | undefined {
    if (this.low === undefined || this.high === undefined) return undefined;
    return this.high - this.low;
  }

  /** REALTIME − BOOTTIME, ns: the middle of the interval. */
  get offsetNs(): bigint | undefined {
    if (this.low === undefined || this.high === undefined) return undefined;
    return (this.low + this.high) / 2n;
  }

  /** Takes a `tick` answer in: lines `UPTIME REALTIME UPTIME REALTIME`. */
  addTicks(body: RawText): void {
    for (const line of body.split('\n')) {
      const [from, before, to, after] = line.split(' ').map(parseSeconds);
      if (
        from === undefined ||
        before === undefined ||
        to === undefined ||
        after === undefined ||
        // A jump of several steps: the shell was not running, the reading
        // brackets a later tick than it names.
        to - from !== UPTIME_STEP_NS
      ) {
        continue;
      }
      this.narrow(before - to, after + CUT_NS - to);
    }
  }

  /**
   * Takes a clock reading in. False when it contradicts earlier ones: somebody
   * set REALTIME; the clock then starts anew from this reading.
   */
  add(reading: ClockReading): boolean {
    return this.narrow(
      reading.realBeforeNs - reading.uptimeNs - UPTIME_STEP_NS,
      reading.realAfterNs + CUT_NS - reading.uptimeNs,
    );
  }

  /**
   * BOOTTIME just before a reading, as well as the readings so far tell, ns.
   * Never beyond what its own uptime allows, should REALTIME have been set.
   */
  toBoot({realBeforeNs, realAfterNs, uptimeNs}: ClockReading): bigint {
    const latest = uptimeNs + UPTIME_STEP_NS;
    const offset = this.offsetNs;
    if (offset === undefined) return uptimeNs + UPTIME_STEP_NS / 2n;
    const bootNs = realBeforeNs - offset;
    const took = realAfterNs - realBeforeNs;
    const earliest = uptimeNs - (took > 0n ? took : 0n);
    if (bootNs < earliest) return earliest;
    return bootNs > latest ? latest : bootNs;
  }

  private narrow(low: bigint, high: bigint): boolean {
    // REALTIME went back between the two readings: they tell nothing.
    if (low > high) return true;
    if (this.low === undefined || this.high === undefined) {
      this.low = low;
      this.high = high;
      return true;
    }
    if (low > this.high || high < this.low) {
      this.low = low;
      this.high = high;
      return false;
    }
    if (low > this.low) this.low = low;
    if (high < this.high) this.high = high;
    return true;
  }
}
