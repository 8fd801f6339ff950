// SPDX-License-Identifier: Apache-2.0
import type {Device, SteppedTime} from './device/index.js';

/** What a recording goes by: the time of the device that it is of. */
export interface RecordingClock {
  /** ms since the clock was made. */
  readonly elapsedMs: number;
  /** A sample begins; the next one is due then. */
  beginSample(nextMs: number): void;
  /** Resolves when so much has elapsed, or at once when the signal aborts. */
  wait(untilMs: number, signal: AbortSignal): Promise<void>;
  /**
   * How many times faster than real time it went up to the last sample's
   * begin; undefined where it is real time, and before the second sample.
   */
  readonly reachedSpeed: number | undefined;
}

export function recordingClock({time}: Device): RecordingClock {
  return time === undefined ? new RealClock() : new SteppedClock(time);
}

class RealClock implements RecordingClock {
  readonly reachedSpeed = undefined;
  private readonly startMs = performance.now();

  get elapsedMs(): number {
    return performance.now() - this.startMs;
  }

  beginSample(): void {
    // Time does not wait.
  }

  wait(untilMs: number, signal: AbortSignal): Promise<void> {
    return wait(untilMs - this.elapsedMs, signal);
  }
}

/**
 * Goes on between samples, to the very time at which the next one is due, and
 * during a sample no further than that. A host that is too slow for the speed
 * asked for makes the recording longer, and changes nothing in it.
 */
class SteppedClock implements RecordingClock {
  private readonly startNs: bigint;
  private readonly realStartMs = performance.now();
  private samples = 0;
  private reached: number | undefined;

  constructor(private readonly time: SteppedTime) {
    this.startNs = time.nowNs;
  }

  get elapsedMs(): number {
    return Number(this.time.nowNs - this.startNs) / 1e6;
  }

  get reachedSpeed(): number | undefined {
    return this.reached;
  }

  beginSample(nextMs: number): void {
    this.time.limitTo(this.toNs(nextMs));
    if (this.samples++ === 0) return;
    this.reached = this.elapsedMs / (performance.now() - this.realStartMs);
  }

  async wait(untilMs: number, signal: AbortSignal): Promise<void> {
    const realMs = performance.now() - this.realStartMs;
    await wait(untilMs / this.time.speed - realMs, signal);
    if (!signal.aborted) this.time.advanceTo(this.toNs(untilMs));
  }

  private toNs(ms: number): bigint {
    return this.startNs + BigInt(Math.round(ms * 1e6));
  }
}

/** Resolves after `ms`, or at once when the signal aborts. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(0, ms));
    signal.addEventListener('abort', done, {once: true});
    if (signal.aborted) done();
  });
}
