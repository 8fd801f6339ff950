// SPDX-License-Identifier: Apache-2.0
import type {Command} from 'commander';
import {readBugReport, type BugReport} from '../../bugreport/index.js';
import {reportTrace} from '../../bugreport/report_trace.js';
import {openFileSink} from '../../trace/index.js';
import {
  hasAnything,
  renderBugReportJson,
  renderBugReportText,
  toDump,
} from '../bugreport/report_view.js';
import {renderDumpCsv} from '../dump/dump_csv.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {oneLine} from '../output/terminal.js';
import {formatBytes} from '../output/units.js';
import {addViewOptions, type ViewFlags} from './dump.js';

export interface BugReportReadFlags extends ViewFlags {
  readonly output?: string;
}

export function bugReportReadCommand(command: Command): Command {
  return addViewOptions(
    command
      .description(
        'Print what a bug report tells of dma-bufs: who holds what, as dump ' +
          'does, and what the report does not contain.',
      )
      .argument(
        '<report>',
        'the zip as the device made it, the text in it, or a saved dmabuf_dump',
      )
      .option(
        '-o, --output <file>',
        "write it as a trace, at the report's own time, and print nothing",
      ),
  );
}

/**
 * Reads a bug report, and prints it or writes it as a trace.
 *
 * @throws BugReportError, TraceWriteError, CliError
 */
export async function runBugReportRead(
  context: Context,
  path: string,
  flags: BugReportReadFlags,
): Promise<ExitCode> {
  const interrupts = new Interrupts(context.io);
  try {
    const report = await interrupts.unlessInterrupted(readBugReport(path));
    if (!hasAnything(report)) {
      throw new CliError(
        `${path} tells nothing of dma-bufs (${report.absent[0] ?? 'no section'}` +
          '): take a report of a userdebug build, or record the device',
      );
    }
    checkPids(report, flags);
    if (flags.output !== undefined) {
      return await writeTrace(context, report, flags.output);
    }
    await context.console.out.write(render(context, report, flags));
    return exitCode.done;
  } finally {
    interrupts.close();
  }
}

function render(
  {io}: Context,
  report: BugReport,
  {format, by, pid: pids}: BugReportReadFlags,
): string {
  switch (format) {
    case 'text': {
      const width = io.isTTY.stdout ? io.columns : undefined;
      return renderBugReportText(report, {by, width, pids});
    }
    case 'json':
      return renderBugReportJson(report, pids);
    case 'csv':
      return renderDumpCsv(toDump(report, pids), by);
  }
}

function checkPids(
  {path, snapshot}: BugReport,
  {pid: pids = []}: BugReportReadFlags,
): void {
  const missing = pids.filter((pid) => snapshot?.processes.has(pid) !== true);
  if (missing.length === 0) return;
  throw new CliError(
    `${path} names no holder with pid ${missing.join(', ')}: leave --pid out ` +
      'to see those it names',
  );
}

async function writeTrace(
  {console}: Context,
  report: BugReport,
  output: string,
): Promise<ExitCode> {
  const trace = reportTrace(report);
  const sink = await openFileSink(output);
  try {
    await sink.write(trace);
  } finally {
    await sink.close();
  }
  for (const problem of report.problems) await console.warn(oneLine(problem));
  await console.out.line(
    `Wrote ${oneLine(output)}: the report's state, ` +
      formatBytes(trace.length),
  );
  return exitCode.done;
}
