// SPDX-License-Identifier: Apache-2.0
import {unlink} from 'node:fs/promises';
import type {Command} from 'commander';
import {BugReportError} from '../../bugreport/index.js';
import {
  pullFile,
  requestBugReport,
  type BugReportProgress,
} from '../../bugreport/take.js';
import {DeviceError} from '../../device/index.js';
import {FINISHED, type RecordingResult} from '../../recording.js';
import type {ConnectedSource} from '../../source.js';
import {openFileSink, TraceWriteError} from '../../trace/index.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, Interrupted, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {intervalOption} from '../interval_option.js';
import {oneLine} from '../output/terminal.js';
import {formatBytes, plural} from '../output/units.js';
import {ProgressLine, progressText} from '../progress.js';
import {announce, describeSource} from '../source_notice.js';
import {
  addSourceOptions,
  connect,
  disconnect,
  type SourceFlags,
} from '../source_options.js';
import {writeAttached} from './bugreport_attach.js';

export interface BugReportTakeFlags extends SourceFlags {
  readonly output?: string;
  /** ms */
  readonly interval: number;
  readonly intoZip?: boolean;
}

export function bugReportTakeCommand(command: Command): Command {
  return addSourceOptions(
    command
      .description(
        'Have the device make a bug report, record while it does, and put ' +
          'both into one archive.',
      )
      .option(
        '-o, --output <file>',
        'the archive (default: bugreport.tar, or bugreport.zip)',
      )
      .option(
        '--into-zip',
        'add the recording to the zip instead, to pass it on',
      )
      .addOption(intervalOption()),
  );
}

/** @throws DeviceError, TraceWriteError, BugReportError, CliError */
export async function runBugReportTake(
  context: Context,
  flags: BugReportTakeFlags,
): Promise<ExitCode> {
  const {io, console} = context;
  const interrupts = new Interrupts(io);
  try {
    const source = await connect(context, flags, interrupts);
    try {
      if (source.provenance.simulated) {
        throw new CliError(
          'the simulator makes no bug reports: attach a device, or choose one ' +
            'with -s',
          exitCode.usage,
        );
      }
      await console.err.line(`Reading ${describeSource(source.provenance)}`);
      await announce(source, console);
      return await new Taking(context, source, flags, interrupts).run();
    } finally {
      await disconnect(source, interrupts);
    }
  } finally {
    interrupts.close();
  }
}

class Taking {
  private readonly output: string;
  private readonly intoZip: boolean;
  /** Beside the output until it is whole: usable, whatever happens. */
  private readonly parts;
  private readonly line: ProgressLine;
  private readonly isLive: boolean;
  private report: BugReportProgress | undefined;
  private recordingText = '';
  private traceBytes = 0;

  constructor(
    private readonly context: Context,
    private readonly source: ConnectedSource,
    private readonly flags: BugReportTakeFlags,
    private readonly interrupts: Interrupts,
  ) {
    const {io} = context;
    this.intoZip = flags.intoZip ?? false;
    this.output =
      flags.output ?? (this.intoZip ? 'bugreport.zip' : 'bugreport.tar');
    this.parts = {
      report: `${this.output}.bugreport.zip`,
      trace: `${this.output}.zz_dmabuf.pftrace`,
    };
    this.isLive = io.isTTY.stderr && io.env['TERM'] !== 'dumb';
    this.line = new ProgressLine({
      write: (text) => io.stderr.write(text),
      columns: () => io.columns,
      nowMs: () => performance.now(),
    });
  }

  async run(): Promise<ExitCode> {
    const {console} = this.context;
    await console.err.line(
      'Making a bug report, which takes minutes, and recording meanwhile',
    );
    const [recorded, requested] = await this.recordAndRequest();
    this.line.clear();
    if (requested.status === 'rejected') {
      throw this.withoutReport(requested.reason);
    }
    const devicePath = requested.value;
    await console.err.line(
      `Fetching ${oneLine(devicePath)}, which the device keeps as well`,
    );
    await this.fetch(devicePath);
    const problem = describeRecording(recorded);
    if (this.traceBytes === 0) {
      throw new CliError(
        `nothing was recorded (${problem ?? 'no sample'}): the report is in ` +
          oneLine(this.parts.report),
      );
    }
    await this.attach();
    const damaged =
      recorded.status === 'fulfilled' ? recorded.value.damagedSamples : 0;
    if (damaged > 0) {
      await console.warn(
        `${plural(damaged, 'sample')} could not be read in full; they are ` +
          'marked on the track Samples',
      );
    }
    if (problem === undefined) return exitCode.done;
    throw new CliError(`${problem} (what was recorded before is in it)`);
  }

  private async recordAndRequest(): Promise<
    [PromiseSettledResult<RecordingResult>, PromiseSettledResult<string>]
  > {
    const {context, source, flags, interrupts} = this;
    const sink = await openFileSink(this.parts.trace);
    const ending = new AbortController();
    const onInterrupt = (): void => {
      ending.abort();
    };
    interrupts.signal.addEventListener('abort', onInterrupt, {once: true});
    const recording = context.effects.record(source, sink, {
      intervalMs: flags.interval,
      signal: ending.signal,
      onProgress: (progress) => {
        this.recordingText = progressText(progress);
        this.show();
      },
    });
    const request = requestBugReport(source.device, {
      signal: interrupts.signal,
      onProgress: (progress) => {
        this.report = progress;
        this.show();
      },
    }).finally(() => {
      ending.abort(FINISHED);
    });
    try {
      return await interrupts.unlessInsisted(
        Promise.allSettled([recording, request]),
      );
    } finally {
      interrupts.signal.removeEventListener('abort', onInterrupt);
      this.traceBytes = sink.bytesWritten;
      await sink.close().catch(() => undefined);
      if (this.traceBytes === 0) await remove(this.parts.trace);
    }
  }

  private show(): void {
    if (!this.isLive) return;
    this.line.show(() => {
      const {done = 0, total = 0} = this.report ?? {};
      const percent =
        total > 0
          ? `${Math.min(100, Math.round((done / total) * 100))} %`
          : '?';
      return `bug report ${percent}  ${this.recordingText}`;
    });
  }

  private async fetch(devicePath: string): Promise<void> {
    const {source, interrupts} = this;
    const sink = await openFileSink(this.parts.report);
    try {
      await pullFile(source.device, devicePath, sink, {
        signal: interrupts.signal,
        onProgress: (done, total) => {
          if (!this.isLive) return;
          this.line.show(() => `${formatBytes(done)} of ${formatBytes(total)}`);
        },
      });
      await sink.close();
    } catch (error) {
      await sink.close().catch(() => undefined);
      await remove(this.parts.report);
      throw this.keepingRecording(
        interrupts.signal.aborted ? new Interrupted() : error,
        `the report is on the device as ${devicePath}`,
      );
    } finally {
      this.line.clear();
    }
  }

  private async attach(): Promise<void> {
    const {report, trace} = this.parts;
    const {signal} = this.interrupts;
    const {output, intoZip} = this;
    try {
      await writeAttached(this.context, {
        report,
        trace,
        output,
        intoZip,
        signal,
      });
    } catch (error) {
      throw this.keepingRecording(
        signal.aborted ? new Interrupted() : error,
        `the report is in ${report}`,
      );
    }
    await remove(report);
    await remove(trace);
  }

  private withoutReport(reason: unknown): unknown {
    return this.interrupts.signal.aborted
      ? this.keepingRecording(
          new Interrupted(),
          'the device may go on with its report by itself',
        )
      : this.keepingRecording(reason, 'there is no report');
  }

  /** The same failure, with what is there all the same. */
  private keepingRecording(error: unknown, rest: string): unknown {
    const isExpected =
      error instanceof BugReportError ||
      error instanceof DeviceError ||
      error instanceof TraceWriteError ||
      error instanceof CliError;
    if (!isExpected) return error;
    const kept =
      this.traceBytes > 0 ? `, the recording in ${this.parts.trace}` : '';
    return new CliError(
      `${error.message} (${rest}${kept})`,
      error instanceof CliError ? error.code : exitCode.notDone,
      {cause: error},
    );
  }
}

/** What is wrong with a recording; undefined when nothing is. */
function describeRecording(
  recorded: PromiseSettledResult<RecordingResult>,
): string | undefined {
  if (recorded.status === 'rejected') {
    const reason: unknown = recorded.reason;
    return reason instanceof Error ? reason.message : String(reason);
  }
  const {error, samples} = recorded.value;
  if (error !== undefined) return error.message;
  return samples === 0 ? 'no sample was taken' : undefined;
}

async function remove(path: string): Promise<void> {
  await unlink(path).catch(() => undefined);
}
