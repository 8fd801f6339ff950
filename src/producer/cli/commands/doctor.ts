// SPDX-License-Identifier: Apache-2.0
import type {Command} from 'commander';
import {toDisplay} from '../../../core/model/index.js';
import type {ConnectedSource} from '../../source.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {renderTable} from '../output/table.js';
import {oneLine} from '../output/terminal.js';
import {formatDuration, UNKNOWN} from '../output/units.js';
import {
  limitsOf,
  showsOf,
  sourceStates,
  userOf,
  type Limit,
} from '../source_limits.js';
import {simulatedBanner} from '../source_notice.js';
import {
  addSourceOptions,
  connect,
  disconnect,
  type SourceFlags,
} from '../source_options.js';

export type DoctorFlags = SourceFlags;

export function doctorCommand(command: Command): Command {
  return addSourceOptions(
    command.description(
      'Say what the device offers, what a recording will show, what is ' +
        'missing and how to get it.',
    ),
  );
}

/**
 * Ends well when recording is possible at all, if only in part.
 *
 * @throws DeviceError, CliError
 */
export async function runDoctor(
  context: Context,
  flags: DoctorFlags,
): Promise<ExitCode> {
  const {io, console} = context;
  const interrupts = new Interrupts(io);
  try {
    const source = await connect(context, flags, interrupts);
    try {
      if (source.provenance.simulated) {
        await console.err.line(simulatedBanner(source.simulatedWhy));
      }
      const width = io.isTTY.stdout ? io.columns : undefined;
      await console.out.write(`${examine(source, width).join('\n')}\n`);
      return conclude(source);
    } finally {
      await disconnect(source, interrupts);
    }
  } finally {
    interrupts.close();
  }
}

function examine(source: ConnectedSource, width: number | undefined): string[] {
  const {capabilities} = source.collector;
  const limits = limitsOf(capabilities);
  const states = sourceStates(capabilities);
  return [
    ...facts(source),
    '',
    ...renderTable(
      [{title: 'SOURCE'}, {title: 'ANSWERS'}, {title: 'GIVES', shrinkTo: 12}],
      states.map(({source: name, answers, gives}) => [name, answers, gives]),
      {width},
    ),
    '',
    'record will show:',
    ...bulleted(showsOf(capabilities)),
    ...(limits.length === 0
      ? ['Nothing is missing.']
      : ['It cannot show:', ...limits.flatMap(limitLines)]),
    ...gettingMore(states),
  ];
}

function facts({provenance, collector}: ConnectedSource): string[] {
  const {capabilities, sampler} = collector;
  const {properties} = capabilities;
  const {uncertaintyNs} = sampler.clock;
  const build = properties.get('ro.build.type');
  const fingerprint = provenance.buildFingerprint;
  const rows: [string, string][] = [
    ['Device', provenance.device],
    ['Kernel', provenance.kernelRelease ?? UNKNOWN],
    [
      'Build',
      fingerprint === undefined
        ? UNKNOWN
        : toDisplay(fingerprint) + (build === undefined ? '' : ` (${build})`),
    ],
    ['Runs as', userOf(capabilities)],
    [
      'Clock',
      uncertaintyNs === undefined
        ? 'BOOTTIME cannot be told: /proc/uptime does not answer'
        : `BOOTTIME known to within ${formatDuration(uncertaintyNs)}`,
    ],
  ];
  return rows.map(([key, value]) => `${`${key}:`.padEnd(9)}${oneLine(value)}`);
}

function bulleted(lines: readonly string[]): string[] {
  return lines.map((line) => `  - ${line}`);
}

function limitLines({cannot, fix}: Limit): string[] {
  return [`  - ${cannot}`, `    to get it: ${fix}`];
}

function gettingMore(states: ReturnType<typeof sourceStates>): string[] {
  const lines = states.flatMap(({source, fix}) =>
    fix === undefined ? [] : [`  - ${source}: ${fix}`],
  );
  return lines.length === 0
    ? []
    : ['', 'Sources that do not answer:', ...lines];
}

function conclude({collector}: ConnectedSource): ExitCode {
  if (showsOf(collector.capabilities).length > 0) return exitCode.done;
  const [limit] = limitsOf(collector.capabilities);
  throw new CliError(
    `nothing about dma-bufs can be read on this device: ` +
      (limit?.fix ?? 'record on another one'),
  );
}
