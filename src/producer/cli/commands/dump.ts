// SPDX-License-Identifier: Apache-2.0
import {InvalidArgumentError, Option, type Command} from 'commander';
import type {ConnectedSource} from '../../source.js';
import {renderDumpCsv} from '../dump/dump_csv.js';
import {renderDumpJson} from '../dump/dump_json.js';
import {renderDumpText, type GroupBy} from '../dump/dump_text.js';
import type {Dump} from '../dump/dump.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {limitsOf} from '../source_limits.js';
import {announce} from '../source_notice.js';
import {
  addSourceOptions,
  connect,
  disconnect,
  type SourceFlags,
} from '../source_options.js';
import {sawNothing} from './record.js';

/** What of a state is shown, and how. */
export interface ViewFlags {
  readonly by: GroupBy;
  readonly pid?: readonly number[];
  readonly format: 'text' | 'json' | 'csv';
}

export interface DumpFlags extends SourceFlags, ViewFlags {}

export function dumpCommand(command: Command): Command {
  return addSourceOptions(
    addViewOptions(
      command.description('Print who holds which dma-buf at this moment.'),
    ),
  );
}

export function addViewOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--by <what>', 'what a row is about (json has it all)')
        .choices(['process', 'buffer', 'exporter', 'name'])
        .default('process'),
    )
    .addOption(
      new Option(
        '--pid <pid>',
        'only this process and what it holds (repeatable)',
      ).argParser(collectPids),
    )
    .addOption(
      new Option('--format <format>', 'how to print it')
        .choices(['text', 'json', 'csv'])
        .default('text'),
    );
}

/** The kernel's PID_MAX_LIMIT. */
const HIGHEST_PID = 4_194_304;

function collectPids(text: string, before: number[] | undefined): number[] {
  const pid = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (pid < 1 || pid > HIGHEST_PID) {
    throw new InvalidArgumentError(`Give a pid from 1 to ${HIGHEST_PID}.`);
  }
  return [...new Set([...(before ?? []), pid])];
}

/** @throws DeviceError, CliError */
export async function runDump(
  context: Context,
  flags: DumpFlags,
): Promise<ExitCode> {
  const {io, console} = context;
  const interrupts = new Interrupts(io);
  try {
    const source = await connect(context, flags, interrupts);
    try {
      await announce(source, console);
      const dump = await interrupts.unlessInterrupted(takeDump(source, flags));
      await console.out.write(
        render(dump, flags, io.isTTY.stdout ? io.columns : undefined),
      );
      return concludeDump(source, dump);
    } finally {
      await disconnect(source, interrupts);
    }
  } finally {
    interrupts.close();
  }
}

/** What is there at this moment. @throws DeviceError, FormatError */
export async function takeDump(
  {collector, provenance}: ConnectedSource,
  {pid: pids}: Pick<DumpFlags, 'pid'> = {},
): Promise<Dump> {
  const {sampler} = collector;
  const snapshot = await sampler.sample({full: true, threads: true});
  return {
    provenance,
    snapshot,
    realOffsetNs: sampler.clock.offsetNs,
    pids,
  };
}

function render(
  dump: Dump,
  {format, by}: DumpFlags,
  width: number | undefined,
): string {
  switch (format) {
    case 'text':
      return renderDumpText(dump, {by, width});
    case 'json':
      return renderDumpJson(dump);
    case 'csv':
      return renderDumpCsv(dump, by);
  }
}

/** @throws CliError when it says nothing, or not of all that was asked for */
export function concludeDump(
  source: ConnectedSource,
  {snapshot, pids}: Dump,
): ExitCode {
  const missing = (pids ?? []).filter((pid) => !snapshot.processes.has(pid));
  if (missing.length > 0) {
    throw new CliError(
      `there is no process ${missing.join(', ')} on the device: leave --pid ` +
        'out to see those that hold dma-bufs',
    );
  }
  if (sawNothing(snapshot)) {
    const [limit] = limitsOf(source.collector.capabilities);
    throw new CliError(
      'no process could be read, so nothing is known: ' +
        (limit?.fix ?? "see 'perfetto-dmabuf doctor'"),
    );
  }
  return exitCode.done;
}
