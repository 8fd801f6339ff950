// SPDX-License-Identifier: Apache-2.0
import {Accountant} from '../core/accounting/index.js';
import {compare} from '../core/changes/index.js';
import {FormatError} from '../core/formats/index.js';
import type {Snapshot} from '../core/model/index.js';
import {DeviceError, oneLine} from './device/index.js';
import {recordingClock, type RecordingClock} from './recording_clock.js';
import type {ConnectedSource} from './source.js';
import {TraceEncoder, type TraceSink} from './trace/index.js';

export interface RecordingOptions {
  /**
   * In the device's time, as the interval; undefined: until the signal aborts
   * or the device goes away.
   */
  readonly durationMs?: number | undefined;
  /** Aim from the start of one sample to the start of the next. */
  readonly intervalMs: number;
  /**
   * Ends the recording; the sample under way is dropped. With the reason
   * {@link FINISHED} it ended as it should, else it was interrupted.
   */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** A system trace beside records the kernel's own dmabuf_rss. */
  readonly dmabufRssElsewhere?: boolean;
}

/** The reason of a signal that ends a recording at its proper time. */
export const FINISHED = Symbol('finished');

/** How a recording stands after a sample. */
export interface Progress {
  /** In the device's time. */
  readonly elapsedMs: number;
  readonly samples: number;
  readonly buffers: number;
  /** All buffers of the kernel's list; undefined where there is none. */
  readonly totalBytes: bigint | undefined;
  readonly heldBytes: bigint;
  readonly bytesWritten: number;
  /** Mean from sample to sample; undefined before the second. */
  readonly reachedIntervalMs: number | undefined;
  /** Processes that could not be read in the last sample. */
  readonly unreadable: number;
}

export interface RecordingResult {
  readonly samples: number;
  /** Samples some part of which was cut, garbled or refused. */
  readonly damagedSamples: number;
  readonly endedBy: 'duration' | 'interrupt' | 'device-gone';
  /** Why the device is gone; undefined otherwise. */
  readonly error?: Error;
  readonly last?: Snapshot;
  readonly bytesWritten: number;
  readonly reachedIntervalMs: number | undefined;
  /**
   * How many times faster than real time a simulated device's went; undefined
   * for a real one, and before the second sample.
   */
  readonly reachedSpeed?: number | undefined;
}

/** How a recording ended, as its trace says it. */
const ENDINGS: Readonly<Record<RecordingResult['endedBy'], string>> = {
  duration: 'finished',
  interrupt: 'interrupted by the user',
  'device-gone': 'the device went away',
};

/** Garbled samples in a row after which the stream is given up. */
const GARBLED_LIMIT = 5;
/** The same for samples that the device did not answer in time. */
const TIMEOUT_LIMIT = 2;

/**
 * Records samples into a trace until the time is up, the signal aborts or the
 * device goes away; closes the sink in any case. All samples up to then are
 * in the sink, and what stays in memory does not grow with the recording.
 *
 * @throws TraceWriteError when the sink takes no more
 * @throws DeviceError, FormatError when the device does not even tell its time
 */
export async function record(
  source: ConnectedSource,
  sink: TraceSink,
  options: RecordingOptions,
): Promise<RecordingResult> {
  const recording = new Recording(source, sink, options);
  let result: RecordingResult;
  try {
    result = await recording.run();
  } catch (error) {
    // What went wrong first is what counts.
    await sink.close().catch(() => undefined);
    throw error;
  }
  await sink.close();
  return result;
}

/** How a recording ended. */
interface Ending {
  readonly endedBy: RecordingResult['endedBy'];
  /** Why the device is gone. */
  readonly error?: Error;
}

class Recording {
  private readonly encoder: TraceEncoder;
  private readonly accountant = new Accountant();
  private readonly clock: RecordingClock;
  private firstSampleNs: bigint | undefined;
  private last: Snapshot | undefined;
  private samples = 0;
  private damaged = 0;

  constructor(
    private readonly source: ConnectedSource,
    private readonly sink: TraceSink,
    private readonly options: RecordingOptions,
  ) {
    this.clock = recordingClock(source.device);
    this.encoder = new TraceEncoder({
      provenance: source.provenance,
      dmabufRssInProcessStats: options.dmabufRssElsewhere !== true,
    });
  }

  async run(): Promise<RecordingResult> {
    const ending = await this.record();
    return {
      samples: this.samples,
      damagedSamples: this.damaged,
      ...ending,
      ...(this.last === undefined ? {} : {last: this.last}),
      bytesWritten: this.sink.bytesWritten,
      reachedIntervalMs: this.reachedIntervalMs(),
      reachedSpeed: this.clock.reachedSpeed,
    };
  }

  private async record(): Promise<Ending> {
    const {sampler} = this.source.collector;
    const clock = await this.unlessAborted(() => sampler.now());
    if (clock === undefined) return {endedBy: this.endOfSignal()};
    await this.sink.write(this.encoder.header(clock));
    const ending = await this.loop();
    await this.sink.write(this.encoder.finish(describeEnding(ending)));
    return ending;
  }

  private async loop(): Promise<Ending> {
    const {sampler} = this.source.collector;
    let failures = 0;
    for (;;) {
      const dueMs = this.clock.elapsedMs + this.options.intervalMs;
      this.clock.beginSample(dueMs);
      const sample = await this.unlessAborted(() =>
        sampler.sample().catch((error: unknown) => lostSample(error)),
      );
      if (sample === undefined) return {endedBy: this.endOfSignal()};
      if (sample instanceof LostSample) {
        this.damaged++;
        if (++failures >= sample.limit) {
          return {endedBy: 'device-gone', error: sample.error};
        }
      } else {
        failures = 0;
        await this.write(sample);
      }
      const ended = await this.pause(dueMs);
      if (ended !== undefined) return {endedBy: ended};
    }
  }

  /** Undefined when the signal aborts first; what runs is left alone then. */
  private async unlessAborted<T>(
    start: () => Promise<T>,
  ): Promise<T | undefined> {
    const {signal} = this.options;
    if (signal.aborted) return undefined;
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<undefined>((resolve) => {
      onAbort = () => {
        resolve(undefined);
      };
      signal.addEventListener('abort', onAbort, {once: true});
    });
    const running = start();
    // Should the signal win, closing the collector fails what runs.
    running.catch(() => undefined);
    try {
      return await Promise.race([running, aborted]);
    } finally {
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
    }
  }

  private async write(snapshot: Snapshot): Promise<void> {
    const changes = compare(this.last, snapshot);
    const accounting = this.accountant.account(snapshot);
    await this.sink.write(this.encoder.sample(snapshot, changes, accounting));
    this.last = snapshot;
    this.firstSampleNs ??= snapshot.startNs;
    this.samples++;
    if (snapshot.coverage.problems.length > 0) this.damaged++;
    this.options.onProgress?.({
      elapsedMs: this.clock.elapsedMs,
      samples: this.samples,
      buffers: snapshot.buffers.size,
      totalBytes: accounting.total?.bytes,
      heldBytes: accounting.held.bytes,
      bytesWritten: this.sink.bytesWritten,
      reachedIntervalMs: this.reachedIntervalMs(),
      unreadable: snapshot.coverage.processesUnreadable,
    });
  }

  /** Waits for the next sample's time; what ended the recording meanwhile. */
  private async pause(
    dueMs: number,
  ): Promise<'duration' | 'interrupt' | undefined> {
    const {durationMs = Infinity, signal} = this.options;
    await this.clock.wait(Math.min(dueMs, durationMs), signal);
    if (signal.aborted) return this.endOfSignal();
    return this.clock.elapsedMs >= durationMs ? 'duration' : undefined;
  }

  private endOfSignal(): 'duration' | 'interrupt' {
    const {signal} = this.options;
    return signal.reason === FINISHED ? 'duration' : 'interrupt';
  }

  private reachedIntervalMs(): number | undefined {
    if (this.last === undefined || this.firstSampleNs === undefined) {
      return undefined;
    }
    if (this.samples < 2) return undefined;
    const spanNs = Number(this.last.startNs - this.firstSampleNs);
    return spanNs / 1e6 / (this.samples - 1);
  }
}

/** A sample that came to nothing. */
class LostSample {
  constructor(
    readonly error: Error,
    /** So many of them in a row end the recording. */
    readonly limit: number,
  ) {}
}

/** @throws what is no fault of the device */
function lostSample(error: unknown): LostSample {
  if (error instanceof FormatError) {
    return new LostSample(error, GARBLED_LIMIT);
  }
  if (!(error instanceof DeviceError)) throw error;
  return new LostSample(error, error.code === 'timeout' ? TIMEOUT_LIMIT : 1);
}

/** For people, who find it in the trace. */
function describeEnding({endedBy, error}: Ending): string {
  const ended = ENDINGS[endedBy];
  return error === undefined ? ended : `${ended} (${oneLine(error.message)})`;
}
