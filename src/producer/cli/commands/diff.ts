// SPDX-License-Identifier: Apache-2.0
import {Option, type Command} from 'commander';
import {dumpedState, loadState} from '../diff/load_state.js';
import {
  COMPARED,
  diffOf,
  isSimulated,
  limitsOfState,
  type Diff,
  type DiffBy,
} from '../diff/diff.js';
import {renderDiffCsv} from '../diff/diff_csv.js';
import {renderDiffJson} from '../diff/diff_json.js';
import {renderDiffText} from '../diff/diff_text.js';
import {parseSize} from '../diff/size.js';
import type {LabelledState} from '../diff/state.js';
import {LIVE, parseStateSpec, type StateSpec} from '../diff/state_spec.js';
import {judge, type Verdict} from '../diff/verdict.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {oneLine} from '../output/terminal.js';
import {formatBytes, formatGrowth} from '../output/units.js';
import {announce, simulatedBanner} from '../source_notice.js';
import {
  addSourceOptions,
  connect,
  disconnect,
  type SourceFlags,
} from '../source_options.js';
import {parseInteger} from '../values.js';
import {concludeDump, takeDump} from './dump.js';

export interface DiffFlags extends SourceFlags {
  readonly by?: DiffBy;
  readonly format: 'text' | 'json' | 'csv';
  readonly top: number;
  /** bytes */
  readonly failIfGrown?: bigint;
}

const HELP = `
A state is one of
  ${LIVE}                  the device or simulator at this moment
  dump.json             what 'dump --format json' printed
  trace.pftrace         the end of a recording, also trace.pftrace@end
  trace.pftrace@12.5s   that long after its first sample; also @900ms, @start
  archive.tar@12.5s     the same of a recording with a system trace
  bugreport.zip         a bug report, or the text in it

Exit status
  0   compared; with --fail-if-grown: did not grow by more than that
  ${exitCode.notDone}   could not compare, or cannot tell whether it grew
  ${exitCode.usage}   the command line is wrong
  ${exitCode.grown}   with --fail-if-grown: dma-buf memory grew by more than that. All
      buffers count; where one of the states does not list all of them, those
      that processes hold, if all processes could be read`;

export function diffCommand(command: Command): Command {
  return addSourceOptions(
    command
      .description(
        'Compare two states: what was allocated, freed, grew or changed hands, ' +
          'by process, name and exporter.',
      )
      .argument('<before>', 'the earlier state, see below')
      .argument('<after>', 'the later state')
      .addOption(
        new Option(
          '--by <what>',
          'only the table of these (csv: default process; json has it all)',
        ).choices(['process', 'name', 'exporter', 'buffer']),
      )
      .addOption(
        new Option('--top <n>', 'rows of each table')
          .argParser(parseInteger('rows', {min: 1, max: 1_000_000}))
          .default(10),
      )
      .addOption(
        new Option('--format <format>', 'how to print it')
          .choices(['text', 'json', 'csv'])
          .default('text'),
      )
      .addOption(
        new Option(
          '--fail-if-grown <size>',
          `exit status ${exitCode.grown} when it grew by more than that, e.g. 10MiB`,
        ).argParser(parseSize),
      ),
  ).addHelpText('after', HELP);
}

/** @throws DeviceError, TraceReadError, CliError */
export async function runDiff(
  context: Context,
  texts: readonly [before: string, after: string],
  flags: DiffFlags,
): Promise<ExitCode> {
  const {io, console} = context;
  const specs = texts.map((text) => parseStateSpec(text));
  if (specs.every(({kind}) => kind === 'live')) {
    throw new CliError(
      `both states are ${LIVE}, which is one: save the first with 'perfetto-` +
        "dmabuf dump --format json'",
      exitCode.usage,
    );
  }
  const [before, after] = await loadStates(context, specs, flags);
  const diff = diffOf(before, after);
  await announceDiff(context, diff, flags);
  const verdict =
    flags.failIfGrown === undefined
      ? undefined
      : judge(diff.difference, flags.failIfGrown);
  await console.out.write(
    render(diff, verdict, flags, io.isTTY.stdout ? io.columns : undefined),
  );
  return conclude(verdict);
}

async function loadStates(
  context: Context,
  specs: readonly StateSpec[],
  flags: SourceFlags,
): Promise<[LabelledState, LabelledState]> {
  // Files first: their mistakes cost no device its time.
  const states = new Map<StateSpec, LabelledState>();
  for (const spec of specs) {
    if (spec.kind === 'file') states.set(spec, await loadState(spec));
  }
  for (const spec of specs) {
    if (spec.kind === 'live') states.set(spec, await liveState(context, flags));
  }
  return specs.flatMap((spec) => states.get(spec) ?? []) as [
    LabelledState,
    LabelledState,
  ];
}

async function liveState(
  context: Context,
  flags: SourceFlags,
): Promise<LabelledState> {
  const interrupts = new Interrupts(context.io);
  try {
    const source = await connect(context, flags, interrupts);
    try {
      await announce(source, context.console);
      const dump = await interrupts.unlessInterrupted(takeDump(source));
      concludeDump(source, dump);
      return dumpedState(LIVE, dump);
    } finally {
      await disconnect(source, interrupts);
    }
  } finally {
    interrupts.close();
  }
}

/** What has to be known of it, whatever the format. */
async function announceDiff(
  {console}: Context,
  diff: Diff,
  {format}: DiffFlags,
): Promise<void> {
  const states = [diff.before, diff.after];
  for (const warning of states.flatMap(({warnings}) => warnings)) {
    await console.warn(oneLine(warning));
  }
  if (format === 'text') return;
  const isLive = states.some(({label}) => label === LIVE);
  // A live source has said so already.
  if (isSimulated(diff) && !isLive)
    await console.err.line(simulatedBanner(undefined));
  const {reason, comparability} = diff.kinship;
  if (comparability.identity === 'sums') {
    await console.warn(
      `${COMPARED[reason]}: buffers cannot be followed, only sums are compared`,
    );
  }
  for (const state of states) {
    for (const limit of limitsOfState(state)) {
      await console.warn(`${oneLine(state.label)}: ${oneLine(limit)}`);
    }
  }
}

function render(
  diff: Diff,
  verdict: Verdict | undefined,
  {format, by, top}: DiffFlags,
  width: number | undefined,
): string {
  switch (format) {
    case 'text':
      return renderDiffText(diff, {by, top, width});
    case 'json':
      return renderDiffJson(diff, verdict);
    case 'csv':
      return renderDiffCsv(diff, by ?? 'process');
  }
}

const MEASURED = {
  total: 'dma-buf memory',
  held: 'dma-buf memory held by processes',
} as const;

/** @throws CliError when it grew too much, or that cannot be told */
function conclude(verdict: Verdict | undefined): ExitCode {
  if (verdict === undefined || verdict.result === 'not grown') {
    return exitCode.done;
  }
  const {measure, growth, limitBytes, result} = verdict;
  const limit = formatBytes(limitBytes);
  if (result === 'grown' && measure !== undefined) {
    throw new CliError(
      `${MEASURED[measure]} changed by ${formatGrowth(growth?.bytes ?? 0n)}, ` +
        `more than ${limit}`,
      exitCode.grown,
    );
  }
  throw new CliError(
    `cannot tell whether dma-buf memory grew by more than ${limit}: the states ` +
      "above say what they could not see; see 'perfetto-dmabuf doctor'",
  );
}
