// SPDX-License-Identifier: Apache-2.0
import {Option, type Command} from 'commander';
import type {Snapshot} from '../../../core/model/index.js';
import type {RecordingOptions, RecordingResult} from '../../recording.js';
import type {ConnectedSource} from '../../source.js';
import {readConfig} from '../../system_trace/index.js';
import {streamSink, type TraceSink} from '../../trace/index.js';
import {PROGRAM} from '../console.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, Interrupted, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {intervalOption} from '../interval_option.js';
import {oneLine} from '../output/terminal.js';
import {formatBytes, formatDuration, plural, UNKNOWN} from '../output/units.js';
import {reserveOutput, type OutputFile} from '../output_file.js';
import {ProgressLine} from '../progress.js';
import {limitsOf} from '../source_limits.js';
import {announce, describeSource, simulatedBanner} from '../source_notice.js';
import {
  addSourceOptions,
  connect,
  disconnect,
  type SourceFlags,
} from '../source_options.js';
import {recordBesideSystemTrace, type Beside} from '../system_trace.js';
import {parseSeconds} from '../values.js';

export interface RecordFlags extends SourceFlags {
  readonly output?: string;
  /** s */
  readonly duration?: number;
  /** ms */
  readonly interval: number;
  readonly systemTrace?: boolean;
  /** Of the system trace: a .pbtx file. */
  readonly config?: string;
}

const STDOUT = '-';
const DEFAULT_OUTPUT = 'trace.pftrace';
const DEFAULT_SIMULATED_OUTPUT = 'trace.simulated.pftrace';
const DEFAULT_ARCHIVE = 'trace.tar';
/** Timers of Node hold no more than 2^31 ms, which is a bit longer. */
const LONGEST_RECORDING_S = 2_000_000;

export function recordCommand(command: Command): Command {
  return addSourceOptions(
    command
      .description(
        'Record who holds which dma-buf into a Perfetto trace, until Ctrl-C or ' +
          'for a given time.',
      )
      .option(
        '-o, --output <file>',
        `the trace; - is standard output (default: ${DEFAULT_OUTPUT}, from ` +
          `the simulator ${DEFAULT_SIMULATED_OUTPUT}, with --system-trace ` +
          `${DEFAULT_ARCHIVE})`,
      )
      .option(
        '--system-trace',
        "have the device's perfetto record meanwhile (frames, GPU memory, " +
          'binder, scheduling, ...), and write both into one archive',
      )
      .option(
        '--config <file>',
        'what the system trace records, as a .pbtx file (default: what work ' +
          'on graphics memory needs)',
      )
      .addOption(
        new Option(
          '-d, --duration <seconds>',
          'how long to record (default: until Ctrl-C)',
        ).argParser(parseSeconds({min: 0.001, max: LONGEST_RECORDING_S})),
      )
      .addOption(intervalOption()),
  );
}

/**
 * Records into a file or standard output. What was sampled before anything went
 * wrong is in it.
 *
 * @throws DeviceError, TraceWriteError, CliError
 */
export async function runRecord(
  context: Context,
  flags: RecordFlags,
): Promise<ExitCode> {
  const {io, console} = context;
  if (flags.output === STDOUT && io.isTTY.stdout) {
    throw new CliError(
      'standard output is a terminal, which a trace would garble: write it ' +
        'to a file with -o FILE, or pipe it somewhere',
      exitCode.usage,
    );
  }
  const systemTrace = await systemTraceOf(flags);
  const interrupts = new Interrupts(io);
  let reserved: OutputFile | undefined;
  try {
    if (flags.output !== undefined && flags.output !== STDOUT) {
      reserved = await reserveOutput(flags.output);
    }
    const source = await connect(context, flags, interrupts);
    try {
      await console.err.line(`Reading ${describeSource(source.provenance)}`);
      await announce(source, console);
      if (systemTrace !== undefined) {
        if (source.provenance.simulated) throw simulatedHasNone();
        reserved ??= await reserveOutput(DEFAULT_ARCHIVE);
        const {path: archive, abandon} = reserved;
        reserved = undefined;
        return await recordBesideSystemTrace({
          ...{context, source, interrupts, archive},
          ...{config: systemTrace.config, timeoutMs: flags.timeout * 1000},
          durationMs:
            flags.duration === undefined ? undefined : flags.duration * 1000,
          release: abandon,
          record: (sink, beside) =>
            recordInto(context, source, sink, flags, interrupts, beside),
          conclude: (result, systemBytes) =>
            conclude(context, source, result, archive, systemBytes),
        });
      }
      if (flags.output !== STDOUT) {
        reserved ??= await reserveOutput(defaultOutput(source));
      }
      const sink = (await reserved?.open()) ?? streamSink(io.stdout);
      const path = reserved?.path;
      const result = await recordInto(
        context,
        source,
        sink,
        flags,
        interrupts,
      ).catch(async (error: unknown) => {
        // Where record was left behind, it did not get to that.
        await sink.close().catch(() => undefined);
        // Anything but Ctrl-C before the first sample leaves the file there.
        if (!(error instanceof Interrupted)) reserved = undefined;
        throw error;
      });
      if (result.samples > 0) reserved = undefined;
      return await conclude(context, source, result, path);
    } finally {
      await disconnect(source, interrupts);
    }
  } finally {
    interrupts.close();
    await reserved?.abandon();
  }
}

/**
 * What the options say of a system trace; undefined where none is asked for.
 *
 * @throws CliError, TraceReadError
 */
async function systemTraceOf(
  flags: RecordFlags,
): Promise<{readonly config: string | undefined} | undefined> {
  const {systemTrace = false, config, output} = flags;
  if (!systemTrace) {
    if (config === undefined) return undefined;
    throw new CliError(
      '--config is for the system trace: give --system-trace too',
      exitCode.usage,
    );
  }
  if (output === STDOUT) {
    throw new CliError(
      'with --system-trace the output is an archive, which is put together ' +
        'in files: name one with -o FILE',
      exitCode.usage,
    );
  }
  return {config: config === undefined ? undefined : await readConfig(config)};
}

function simulatedHasNone(): CliError {
  return new CliError(
    'the simulator has no perfetto: leave out --system-trace, or attach a ' +
      'device',
    exitCode.usage,
  );
}

function defaultOutput({provenance}: ConnectedSource): string {
  return provenance.simulated ? DEFAULT_SIMULATED_OUTPUT : DEFAULT_OUTPUT;
}

async function recordInto(
  context: Context,
  source: ConnectedSource,
  sink: TraceSink,
  flags: RecordFlags,
  interrupts: Interrupts,
  beside?: Beside,
): Promise<RecordingResult> {
  const {io, console, effects} = context;
  const isLive = io.isTTY.stderr && io.env['TERM'] !== 'dumb';
  const line = new ProgressLine({
    write: (text) => io.stderr.write(text),
    columns: () => io.columns,
    nowMs: () => performance.now(),
  });
  await console.err.line(
    flags.duration === undefined
      ? 'Recording until Ctrl-C'
      : `Recording for ${flags.duration} s; Ctrl-C ends it earlier`,
  );
  let samples = 0;
  const options: RecordingOptions = {
    durationMs:
      flags.duration === undefined ? undefined : flags.duration * 1000,
    intervalMs: flags.interval,
    signal: interrupts.signal,
    dmabufRssElsewhere: beside?.recordsDmabufRss ?? false,
    onProgress: (progress) => {
      ({samples} = progress);
      const systemTraceBytes = beside?.bytes;
      if (isLive) line.update({...progress, systemTraceBytes});
    },
  };
  try {
    return await interrupts.unlessInsisted(
      effects.record(source, sink, options),
    );
  } catch (error) {
    if (!(error instanceof Interrupted) || samples === 0) throw error;
    throw new CliError(
      `broken off: the trace has ${plural(samples, 'sample')}, but no end mark`,
    );
  } finally {
    line.clear();
  }
}

/** Says what came of it. */
async function conclude(
  {console}: Context,
  source: ConnectedSource,
  result: RecordingResult,
  path: string | undefined,
  systemBytes?: number,
): Promise<ExitCode> {
  const {samples, endedBy, error} = result;
  if (samples === 0) {
    if (error !== undefined) throw error;
    if (endedBy === 'interrupt') throw new Interrupted();
    throw new CliError(
      'not a single sample was taken: record for longer with -d',
    );
  }
  const say = (text: string): Promise<void> =>
    (path === undefined ? console.err : console.out).line(text);
  await say(summary(result, path, systemBytes));
  if (source.provenance.simulated) {
    await console.err.line(simulatedBanner(source.simulatedWhy));
  }
  const slow = slowness(source, result);
  if (slow !== undefined) await console.warn(slow);
  if (result.damagedSamples > 0) {
    await console.warn(
      `${plural(result.damagedSamples, 'sample')} could not be read in full; ` +
        'they are marked on the track Samples',
    );
  }
  if (path !== undefined) {
    await say(
      `Open it: '${PROGRAM} open ${oneLine(path)}', or go to ` +
        "https://ui.perfetto.dev, choose 'Open trace file' and take it",
    );
  }
  if (endedBy === 'device-gone') {
    throw new CliError(
      `${error?.message ?? 'the device went away'} (what was recorded before ` +
        'that is safe)',
      exitCode.notDone,
      {cause: error},
    );
  }
  if (sawNothing(result.last)) {
    const [limit] = limitsOf(source.collector.capabilities);
    throw new CliError(
      'no process could be read, so the trace shows nothing: ' +
        (limit?.fix ?? "see 'perfetto-dmabuf doctor'"),
    );
  }
  return exitCode.done;
}

/** `Wrote trace.pftrace: 40 samples in 10 s, one every 250 ms, 41.3 KiB`. */
function summary(
  result: RecordingResult,
  path: string | undefined,
  systemBytes: number | undefined,
): string {
  const {samples, reachedIntervalMs, bytesWritten} = result;
  const every =
    reachedIntervalMs === undefined
      ? UNKNOWN
      : formatDuration(reachedIntervalMs * 1e6);
  return (
    `Wrote ${oneLine(path ?? 'standard output')}: ` +
    `${plural(samples, 'sample')}, one every ${every}, ` +
    formatBytes(bytesWritten) +
    (systemBytes === undefined
      ? ''
      : `; beside it a system trace, ${formatBytes(systemBytes)}`)
  );
}

/** Share of the speed asked for below which it is worth a word. */
const FAST_ENOUGH = 0.8;

/** That the host could not simulate as fast as it was to; undefined if it did. */
function slowness(
  {device}: ConnectedSource,
  {reachedSpeed}: RecordingResult,
): string | undefined {
  if (device.time === undefined || reachedSpeed === undefined) return undefined;
  const {speed} = device.time;
  if (reachedSpeed >= speed * FAST_ENOUGH) return undefined;
  return (
    `the simulation reached speed ${formatSpeed(reachedSpeed)} in place of ` +
    `${speed}: it took longer, and what was recorded is the same`
  );
}

function formatSpeed(speed: number): string {
  return speed < 10 ? String(Number(speed.toPrecision(2))) : speed.toFixed(0);
}

/** Nothing was seen, and something was refused. */
export function sawNothing(snapshot: Snapshot | undefined): boolean {
  if (snapshot === undefined) return false;
  const {coverage, buffers, processes} = snapshot;
  return (
    coverage.kernelList === undefined &&
    coverage.processesUnreadable > 0 &&
    buffers.size === 0 &&
    ![...processes.values()].some(
      ({kernelRssBytes}) => kernelRssBytes !== undefined,
    )
  );
}
