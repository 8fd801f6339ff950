// SPDX-License-Identifier: Apache-2.0
import {Option, type Command} from 'commander';
import {readRecording, report} from '../../trace/index.js';
import type {Context} from '../effects.js';
import {exitCode, type ExitCode} from '../errors.js';
import {oneLine} from '../output/terminal.js';
import {renderReportJson} from '../report/report_json.js';
import {renderReportText} from '../report/report_text.js';
import {simulatedBanner} from '../source_notice.js';
import {parseInteger} from '../values.js';

export interface ReportFlags {
  readonly format: 'text' | 'json';
  readonly top: number;
}

export function reportCommand(command: Command): Command {
  return command
    .description(
      'Read a recording back: top holders, biggest buffers, growth, and what ' +
        'was still held at the end.',
    )
    .argument('<trace>', 'a trace that record wrote')
    .addOption(
      new Option('--top <n>', 'rows of each table')
        .argParser(parseInteger('rows', {min: 1, max: 1_000_000}))
        .default(10),
    )
    .addOption(
      new Option('--format <format>', 'how to print it')
        .choices(['text', 'json'])
        .default('text'),
    );
}

/** @throws TraceReadError */
export async function runReport(
  {io, console}: Context,
  path: string,
  {format, top}: ReportFlags,
): Promise<ExitCode> {
  const recording = await readRecording(path);
  if (recording.provenance.simulated) {
    await console.err.line(simulatedBanner(undefined));
  }
  for (const warning of recording.warnings) {
    await console.warn(`${oneLine(path)}: ${oneLine(warning)}`);
  }
  const result = report(recording);
  await console.out.write(
    format === 'json'
      ? renderReportJson(recording, result, {top})
      : renderReportText(recording, result, {
          top,
          width: io.isTTY.stdout ? io.columns : undefined,
        }),
  );
  return exitCode.done;
}
