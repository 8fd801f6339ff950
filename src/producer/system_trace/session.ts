// SPDX-License-Identifier: Apache-2.0
import {randomBytes} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {DeviceError, type Device, type RawStream} from '../device/device.js';
import {withTimeLimit} from '../device/time_limit.js';
import type {TraceSink} from '../trace/sinks.js';
import {parseVersion, pollsDmabufRss, type PerfettoVersion} from './config.js';
import {OutputReader, type Answer} from './output_reader.js';
import {SYSTEM_TRACE_SCRIPT, SYSTEM_TRACE_VERSION} from './script.js';

/** The device has no `perfetto` that could record a system trace. */
export class NoPerfettoError extends DeviceError {
  constructor(device: string) {
    super(
      'refused',
      `${device} has no perfetto, so there is no system trace`,
      'Android has it since version 9; leave out --system-trace elsewhere',
    );
  }
}

export interface SystemTraceOptions {
  /** The configuration, in its text form, for the perfetto that is there. */
  readonly config: (version: PerfettoVersion) => string;
  /** Limit for each answer of the device, ms. */
  readonly timeoutMs: number;
  /** From one sign of life to the next, ms; the device waits for 15 s. */
  readonly beatMs?: number;
  /** Gives up starting; what was started is ended. */
  readonly signal?: AbortSignal;
}

/** What came of a system trace. */
export interface SystemTraceResult {
  readonly bytes: number;
  /** Something to know of it although it is there; one line. */
  readonly note: string | undefined;
}

const HELLO = /^perfetto-dmabuf system trace (\d+) \d+$/;
const BEAT_MS = 1000;
/** A perfetto that does not tell is taken to have started after this. */
const SETTLE_MS = 1000;
/** Data sources that take longer to start are not waited for. */
const SLOWEST_START_MS = 10_000;
/** The script gives perfetto 30 s to write out what it has. */
const STOP_LIMIT_MS = 45_000;
/** perfetto was killed, by SIGHUP, because it did not end. */
const KILLED = 129;

/**
 * Starts the device's own perfetto, and waits until it records.
 *
 * @throws NoPerfettoError
 * @throws DeviceError `refused` when perfetto does not take the configuration,
 *     `timeout`, `gone`
 */
export async function startSystemTrace(
  device: Device,
  options: SystemTraceOptions,
): Promise<SystemTraceSession> {
  const {timeoutMs, signal} = options;
  signal?.throwIfAborted();
  const stream = await device.open(SYSTEM_TRACE_SCRIPT, {timeoutMs});
  const onAbort = (): void => void stream.close();
  signal?.addEventListener('abort', onAbort, {once: true});
  try {
    const starting = new Starting(device, stream, options);
    const session = await starting.run();
    signal?.throwIfAborted();
    return session;
  } catch (error) {
    await stream.close();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

class Starting {
  private readonly reader: OutputReader;

  constructor(
    private readonly device: Device,
    private readonly stream: RawStream,
    private readonly options: SystemTraceOptions,
  ) {
    this.reader = new OutputReader(stream.chunks);
  }

  async run(): Promise<SystemTraceSession> {
    const {reader, stream, device, options} = this;
    const hello = await this.limited(reader.line(), 'start a shell');
    if (HELLO.exec(hello ?? '')?.[1] !== String(SYSTEM_TRACE_VERSION)) {
      throw unexpected(device, hello);
    }
    const nonce = randomBytes(8).toString('hex');
    reader.nonce = nonce;
    // Another one: the file's name can be seen by all on the device.
    await stream.write(`${nonce} ${randomBytes(8).toString('hex')}\n`);
    const have = await this.answer('run perfetto --help');
    if (have.word === 'missing') throw new NoPerfettoError(device.description);
    const [notifies, hasRss, ...version] = have.args;
    if (have.word !== 'have') throw unexpected(device, have.word);
    const config = options.config(parseVersion(version.join(' ')));
    await sendConfig(stream, config, nonce);
    const begun = await this.answer('start perfetto', STOP_LIMIT_MS);
    if (begun.word === 'failed') throw this.refused();
    if (begun.word === 'unreadable') {
      throw new DeviceError(
        'refused',
        `the trace that ${device.description}'s perfetto writes cannot be read`,
        'record it with --root or --su',
      );
    }
    if (begun.word !== 'running') throw unexpected(device, begun.word);
    await this.dataSources(notifies === '1');
    return new SystemTraceSession(device, stream, reader, {
      ...options,
      recordsDmabufRss: hasRss === '1' && pollsDmabufRss(config),
      keptPath: begun.args[0],
    });
  }

  /** Waits until they run, or perfetto has given up. */
  private async dataSources(notifies: boolean): Promise<void> {
    const {reader} = this;
    const deadline =
      performance.now() + (notifies ? SLOWEST_START_MS : SETTLE_MS);
    while (!reader.notified && performance.now() < deadline) {
      await this.stream.write('beat\n');
      const {word, args} = await this.answer('say how perfetto does');
      if (word === 'ended') {
        // An error of the service ends it at once, with status 0 and no trace.
        if (Number(args[0]) === 0) throw this.refused();
        return;
      }
      if (!reader.notified) await delay(100);
    }
  }

  private refused(): DeviceError {
    const said = this.reader.lastWords();
    return new DeviceError(
      'refused',
      `perfetto on ${this.device.description} did not start` +
        (said === '' ? '' : ` (${said})`),
      'correct the configuration, or leave out --config for the built-in one',
    );
  }

  private async answer(
    what: string,
    limitMs = this.options.timeoutMs,
  ): Promise<Answer> {
    const answer = await this.limited(this.reader.answer(), what, limitMs);
    if (answer === undefined) throw ended(this.device);
    return answer;
  }

  private limited<T>(
    work: Promise<T>,
    what: string,
    limitMs = this.options.timeoutMs,
  ): Promise<T> {
    return limited(this.device, work, what, limitMs);
  }
}

interface SessionOptions extends SystemTraceOptions {
  readonly recordsDmabufRss: boolean;
  /** Of the device's file, where it may not be removed. */
  readonly keptPath: string | undefined;
}

/**
 * A running system trace. It ends, and its file is gone, with `stop()` or
 * `close()`, and on the device also when neither can be called any more.
 */
export class SystemTraceSession {
  /** Bytes in the device's file when it last told. */
  bytes = 0;
  /** It does not run any more, though nobody stopped it. */
  endedEarly = false;
  private readonly beats = new AbortController();
  private readonly beating: Promise<void>;
  private failure: DeviceError | undefined;

  constructor(
    private readonly device: Device,
    private readonly stream: RawStream,
    private readonly reader: OutputReader,
    private readonly options: SessionOptions,
  ) {
    this.beating = this.beat();
  }

  /** It fills the counters that our own ProcessStats would fill. */
  get recordsDmabufRss(): boolean {
    return this.options.recordsDmabufRss;
  }

  /**
   * Stops it and writes it to `sink`, as it comes.
   *
   * @param onBytes called with what has come, and how much there is.
   * @throws DeviceError; what has come by then is in the sink
   * @throws TraceWriteError
   */
  async stop(
    sink: TraceSink,
    onBytes: (done: number, all: number) => void = () => undefined,
  ): Promise<SystemTraceResult> {
    try {
      this.beats.abort();
      await this.beating;
      if (this.failure !== undefined) throw this.failure;
      await this.stream.write('stop\n');
      const {status, size} = await this.written();
      await this.receive(size, sink, onBytes);
      return {bytes: size, note: this.note(status)};
    } finally {
      await this.stream.close();
    }
  }

  /** Ends it without fetching it. */
  async close(): Promise<void> {
    this.beats.abort();
    await this.stream.close();
    await this.beating;
  }

  /** Without it the device would stop, for want of a host. */
  private async beat(): Promise<void> {
    const {signal} = this.beats;
    try {
      for (;;) {
        await delay(this.options.beatMs ?? BEAT_MS, undefined, {signal});
        await this.stream.write('beat\n');
        const answer = await limited(
          this.device,
          this.reader.answer(),
          'say how perfetto does',
          this.options.timeoutMs,
        );
        if (answer === undefined) throw ended(this.device);
        this.endedEarly = answer.word === 'ended';
        const bytes = Number(answer.args[0]);
        if (Number.isSafeInteger(bytes)) this.bytes = bytes;
      }
    } catch (error) {
      if (signal.aborted) return;
      this.failure =
        error instanceof DeviceError ? error : ended(this.device, error);
    }
  }

  private async written(): Promise<{status: number; size: number}> {
    const answer = await limited(
      this.device,
      this.reader.answer(),
      'stop perfetto',
      STOP_LIMIT_MS,
    );
    const [status, size] = (answer?.args ?? []).map(Number);
    if (answer?.word !== 'trace' || status === undefined) {
      throw ended(this.device);
    }
    if (size === undefined || !Number.isSafeInteger(size)) {
      throw unexpected(this.device, answer.args.join(' '));
    }
    if (size > 0) return {status, size};
    const said = this.reader.lastWords();
    throw new DeviceError(
      'refused',
      `perfetto on ${this.device.description} wrote nothing` +
        (said === '' ? '' : ` (${said})`),
      'see the log of traced on the device, then record again',
    );
  }

  private async receive(
    size: number,
    sink: TraceSink,
    onBytes: (done: number, all: number) => void,
  ): Promise<void> {
    let done = 0;
    while (done < size) {
      const piece = await limited(
        this.device,
        this.reader.bytes(size - done),
        'hand over the system trace',
        this.options.timeoutMs,
      );
      if (piece === undefined) {
        throw new DeviceError(
          'gone',
          `the system trace came only in part (${done} of ${size} bytes)`,
          'check the cable, then record again',
        );
      }
      await sink.write(piece);
      done += piece.length;
      onBytes(done, size);
    }
  }

  private note(status: number): string | undefined {
    const {keptPath} = this.options;
    const notes = [
      this.endNote(status),
      keptPath === undefined
        ? undefined
        : `the device did not let its file be removed: remove ${keptPath}`,
    ].filter((note) => note !== undefined);
    return notes.length === 0 ? undefined : notes.join('; ');
  }

  private endNote(status: number): string | undefined {
    if (status === KILLED && !this.endedEarly) {
      return (
        'perfetto did not end and was killed: the end of the system trace may ' +
        'be missing'
      );
    }
    if (status !== 0) {
      return (
        `perfetto ended with status ${status}: the system trace may be ` +
        'incomplete'
      );
    }
    return this.endedEarly
      ? 'the system trace ended before the recording, as its configuration says'
      : undefined;
  }
}

/** In pieces, each of which is accepted before the next. */
async function sendConfig(
  stream: RawStream,
  config: string,
  nonce: string,
): Promise<void> {
  const bytes = Buffer.from(`${config}\n${nonce}\n`);
  for (let at = 0; at < bytes.length; at += 4096) {
    await stream.write(bytes.subarray(at, at + 4096));
  }
}

function limited<T>(
  device: Device,
  work: Promise<T>,
  what: string,
  limitMs: number,
): Promise<T> {
  return withTimeLimit(
    work,
    limitMs,
    () =>
      new DeviceError(
        'timeout',
        `${device.description} did not ${what} within ${limitMs / 1000} s`,
        'check the cable and the load of the device, or raise --timeout',
      ),
  );
}

function ended(device: Device, cause?: unknown): DeviceError {
  return new DeviceError(
    'gone',
    `the system trace broke off on ${device.description}`,
    'the device may be going down; attach it and record again',
    {cause},
  );
}

function unexpected(device: Device, said: string | undefined): DeviceError {
  return new DeviceError(
    'refused',
    `the shell of ${device.description} did not start` +
      (said === undefined ? '' : `; it said ${JSON.stringify(said)}`),
    'check that `adb shell` works',
  );
}
