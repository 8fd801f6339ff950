// SPDX-License-Identifier: Apache-2.0
import {stat} from 'node:fs/promises';
import {basename} from 'node:path';
import type {Command} from 'commander';
import {addToZip} from '../../bugreport/add_to_zip.js';
import {attachToTar, checkIsReport} from '../../bugreport/attach.js';
import {entryOfRecording} from '../../bugreport/report_entries.js';
import {checkBelongs, traceKindOf} from '../../bugreport/trace_file.js';
import {PROGRAM} from '../console.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, Interrupted, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {oneLine} from '../output/terminal.js';
import {formatBytes} from '../output/units.js';

export interface BugReportAttachFlags {
  readonly output?: string;
  readonly intoZip?: boolean;
}

export function bugReportAttachCommand(command: Command): Command {
  return command
    .description(
      'Put a bug report, the system trace in it and a recording into one ' +
        'archive that the Perfetto UI opens as a whole.',
    )
    .argument('<report>', 'the zip as the device made it')
    .argument(
      '[trace]',
      "what 'record' wrote, its archive with a system trace too (default: " +
        'the recording that --into-zip put into the zip)',
    )
    .option(
      '-o, --output <file>',
      "the archive (default: the report's name with .tar, or -dmabuf.zip)",
    )
    .option(
      '--into-zip',
      'add the recording to a copy of the zip instead, to pass it on: the ' +
        'Perfetto UI does not look for it there',
    );
}

/** @throws BugReportError, TraceReadError, TraceWriteError */
export async function runBugReportAttach(
  context: Context,
  report: string,
  trace: string | undefined,
  flags: BugReportAttachFlags,
): Promise<ExitCode> {
  const interrupts = new Interrupts(context.io);
  try {
    const intoZip = flags.intoZip ?? false;
    const output = flags.output ?? defaultOutput(report, intoZip);
    if (trace !== undefined) await warnOfMisfits(context, report, trace);
    await writeAttached(context, {
      report,
      trace,
      output,
      intoZip,
      signal: interrupts.signal,
    });
    return exitCode.done;
  } catch (error) {
    if (interrupts.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    interrupts.close();
  }
}

function defaultOutput(report: string, intoZip: boolean): string {
  const base = basename(report).replace(/\.zip$/i, '');
  return intoZip ? `${base}-dmabuf.zip` : `${base}.tar`;
}

async function warnOfMisfits(
  {console}: Context,
  report: string,
  trace: string,
): Promise<void> {
  if ((await traceKindOf(trace)) !== 'trace') return;
  for (const misfit of await checkBelongs(report, trace)) {
    await console.warn(oneLine(misfit));
  }
}

export interface AttachedOutput {
  readonly report: string;
  /** Undefined: the one that the report carries. */
  readonly trace: string | undefined;
  readonly output: string;
  readonly intoZip: boolean;
  readonly signal: AbortSignal;
}

/** Attaches, and says what came of it. */
export async function writeAttached(
  {console}: Context,
  {report, trace, output, intoZip, signal}: AttachedOutput,
): Promise<void> {
  if (intoZip) {
    if (trace === undefined) {
      throw new CliError(
        'which recording? Name it behind the report',
        exitCode.usage,
      );
    }
    await checkIsReport(report);
    const entry = entryOfRecording(await traceKindOf(trace));
    await addToZip(report, trace, entry, output, {signal});
    await console.out.line(
      `Wrote ${oneLine(output)}: the report with ${entry} in it, ` +
        `${await sizeText(output)}. To look at it: ` +
        `'${PROGRAM} bugreport attach ${oneLine(output)}'`,
    );
    return;
  }
  const {systemTrace, notes} = await attachToTar(report, trace, output, {
    signal,
  });
  for (const note of notes) await console.warn(oneLine(note));
  await console.out.line(
    `Wrote ${oneLine(output)}: the report, ` +
      (systemTrace === undefined ? '' : 'its system trace, ') +
      `the recording, ${await sizeText(output)}`,
  );
  await console.out.line(
    `Open it: '${PROGRAM} open ${oneLine(output)}', or go to ` +
      "https://ui.perfetto.dev, choose 'Open trace file' and take it",
  );
}

async function sizeText(path: string): Promise<string> {
  const {size} = await stat(path);
  return formatBytes(size);
}
