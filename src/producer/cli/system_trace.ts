// SPDX-License-Identifier: Apache-2.0
import {stat, unlink} from 'node:fs/promises';
import {memberName, writeCombined} from '../archive/combined.js';
import {DeviceError} from '../device/index.js';
import type {RecordingResult} from '../recording.js';
import type {ConnectedSource} from '../source.js';
import {
  builtInConfig,
  startSystemTrace,
  type SystemTraceSession,
} from '../system_trace/index.js';
import {openFileSink, TraceWriteError, type TraceSink} from '../trace/index.js';
import type {Context} from './effects.js';
import {CliError, exitCode, Interrupted, type ExitCode} from './errors.js';
import type {Interrupts} from './interrupt.js';
import {oneLine} from './output/terminal.js';
import {formatBytes} from './output/units.js';
import {ProgressLine} from './progress.js';

/** A system trace, as the recording beside it sees it. */
export type Beside = Pick<SystemTraceSession, 'bytes' | 'recordsDmabufRss'>;

export interface BesideOptions {
  readonly context: Context;
  readonly source: ConnectedSource;
  readonly interrupts: Interrupts;
  /** Path of the archive. */
  readonly archive: string;
  /** Of the system trace; undefined: the built-in one. */
  readonly config: string | undefined;
  readonly timeoutMs: number;
  /** Undefined: until Ctrl-C. */
  readonly durationMs: number | undefined;
  /** Gives up the place that was kept for the archive. */
  readonly release: () => Promise<void>;
  /** Our recording, while the system trace runs. */
  readonly record: (
    sink: TraceSink,
    beside: Beside | undefined,
  ) => Promise<RecordingResult>;
  /** Says what came of our recording. @throws CliError, DeviceError */
  readonly conclude: (
    result: RecordingResult,
    systemBytes: number | undefined,
  ) => Promise<ExitCode>;
}

/**
 * Records with a system trace beside it, and writes both into one archive. If
 * one of the two fails, the archive has the other, and the failure is said.
 *
 * @throws DeviceError, TraceWriteError, CliError
 */
export async function recordBesideSystemTrace(
  options: BesideOptions,
): Promise<ExitCode> {
  const recording = new RecordingBeside(options);
  try {
    return await recording.run();
  } finally {
    await recording.end();
  }
}

class RecordingBeside {
  /** Beside the archive until it is whole: readable, whatever happens. */
  private readonly parts;
  private session: SystemTraceSession | undefined;
  private systemBytes: number | undefined;
  private result: RecordingResult | undefined;
  private ourError: unknown;
  private ourBytes = 0;
  private isReleased = false;

  constructor(private readonly options: BesideOptions) {
    const {archive} = options;
    this.parts = {
      system: `${archive}.${memberName.system}`,
      ours: `${archive}.${memberName.ours}`,
    };
  }

  async run(): Promise<ExitCode> {
    await refuseDevice(this.options.archive);
    const sink = await openFileSink(this.parts.ours);
    try {
      await this.start();
      await this.recordOurs(sink);
    } finally {
      this.ourBytes = sink.bytesWritten;
      await sink.close().catch(() => undefined);
      if (this.ourBytes === 0) await remove(this.parts.ours);
    }
    await this.fetch();
    await this.pack();
    return await this.conclude();
  }

  /** However it went: no session and no place is kept. */
  async end(): Promise<void> {
    // Its connection may be a device's that is gone: not waited for.
    void this.session?.close().catch(() => undefined);
    await this.release();
  }

  private async start(): Promise<void> {
    const {context, source, interrupts, config, durationMs} = this.options;
    await context.console.err.line("Starting the device's perfetto");
    try {
      this.session = await startSystemTrace(source.device, {
        config: (version) => config ?? builtInConfig({version, durationMs}),
        timeoutMs: this.options.timeoutMs,
        signal: interrupts.signal,
      });
    } catch (error) {
      if (interrupts.signal.aborted) throw new Interrupted();
      if (!(error instanceof DeviceError)) throw error;
      await this.warn(error);
    }
  }

  private async recordOurs(sink: TraceSink): Promise<void> {
    try {
      this.result = await this.options.record(sink, this.session);
    } catch (error) {
      if (this.options.interrupts.insisted) {
        throw sink.bytesWritten === 0 ? error : this.brokenOff(error);
      }
      this.ourError = error;
    }
  }

  /** Stops the system trace and brings it here. */
  private async fetch(): Promise<void> {
    const {session} = this;
    if (session === undefined) return;
    const {context, interrupts} = this.options;
    const {io, console} = context;
    await console.err.line('Fetching the system trace');
    const line = new ProgressLine({
      write: (text) => io.stderr.write(text),
      columns: () => io.columns,
      nowMs: () => performance.now(),
    });
    const isLive = io.isTTY.stderr && io.env['TERM'] !== 'dumb';
    let sink: TraceSink | undefined;
    try {
      sink = await openFileSink(this.parts.system);
      const {bytes, note} = await interrupts.unlessInsisted(
        session.stop(sink, (done, all) => {
          if (!isLive) return;
          line.show(() => `${formatBytes(done)} of ${formatBytes(all)}`);
        }),
      );
      await sink.close();
      line.clear();
      this.systemBytes = bytes;
      if (note !== undefined) await console.warn(note);
    } catch (error) {
      line.clear();
      await sink?.close().catch(() => undefined);
      await remove(this.parts.system);
      if (error instanceof Interrupted) throw this.brokenOff(error);
      if (!isExpected(error)) throw error;
      await this.warn(error);
    }
  }

  private async pack(): Promise<void> {
    const {archive} = this.options;
    const {system, ours} = {
      system: this.systemBytes === undefined ? undefined : this.parts.system,
      ours: this.ourBytes === 0 ? undefined : this.parts.ours,
    };
    if (system === undefined && ours === undefined) return;
    await this.release();
    try {
      await writeCombined(archive, {system, ours});
    } catch (error) {
      if (!isExpected(error)) throw error;
      const kept = [system, ours].filter((path) => path !== undefined);
      throw new CliError(
        `${error.message} (what was recorded is in ` +
          `${kept.map(oneLine).join(' and ')})`,
        exitCode.notDone,
        {cause: error},
      );
    }
    await remove(this.parts.system);
    await remove(this.parts.ours);
  }

  private async conclude(): Promise<ExitCode> {
    const {context, archive, conclude} = this.options;
    const {result, systemBytes} = this;
    const hasSamples = (result?.samples ?? 0) > 0;
    if (systemBytes !== undefined && !hasSamples) {
      await context.console.out.line(
        `Wrote ${oneLine(archive)}: the system trace alone, ` +
          formatBytes(systemBytes),
      );
    }
    if (result === undefined) throw this.ourError;
    const code = await conclude(result, systemBytes);
    return systemBytes === undefined ? exitCode.notDone : code;
  }

  private async warn(error: Error): Promise<void> {
    await this.options.context.console.warn(
      `the system trace is missing: ${error.message}`,
    );
  }

  private brokenOff(cause: unknown): CliError {
    return new CliError(
      `broken off before the archive was written: the dma-buf trace is in ` +
        oneLine(this.parts.ours),
      exitCode.notDone,
      {cause},
    );
  }

  private async release(): Promise<void> {
    if (this.isReleased) return;
    this.isReleased = true;
    await this.options.release();
  }
}

/** Beside a device or a pipe there is no place for the parts. */
async function refuseDevice(archive: string): Promise<void> {
  const place = await stat(archive).catch(() => undefined);
  if (place === undefined || place.isFile()) return;
  throw new CliError(
    `${oneLine(archive)} is no plain file: with --system-trace name one with -o`,
    exitCode.usage,
  );
}

function isExpected(error: unknown): error is Error {
  return error instanceof DeviceError || error instanceof TraceWriteError;
}

async function remove(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}
