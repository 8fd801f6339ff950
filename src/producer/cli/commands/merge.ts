// SPDX-License-Identifier: Apache-2.0
import type {Command} from 'commander';
import {mergeTraces} from '../../archive/merge.js';
import {PROGRAM} from '../console.js';
import type {Context} from '../effects.js';
import {exitCode, type ExitCode} from '../errors.js';
import {oneLine} from '../output/terminal.js';
import {formatDuration} from '../output/units.js';

export interface MergeFlags {
  readonly output: string;
}

export function mergeCommand(command: Command): Command {
  return command
    .description(
      'Put a system trace and a recording of ours, taken apart but in one ' +
        'boot of the device, into one archive that opens on one time line.',
    )
    .argument('<system>', "a trace that the device's perfetto recorded")
    .argument('<ours>', 'a recording of perfetto-dmabuf')
    .requiredOption('-o, --output <file>', 'the archive, e.g. trace.tar');
}

/** @throws TraceReadError, TraceWriteError */
export async function runMerge(
  {console}: Context,
  system: string,
  ours: string,
  {output}: MergeFlags,
): Promise<ExitCode> {
  const merged = await mergeTraces(system, ours, output);
  for (const path of merged.damaged) {
    await console.warn(
      `${oneLine(path)} is cut or garbled: what is readable of it is shown`,
    );
  }
  if (merged.apartNs !== undefined) {
    await console.warn(
      `the two do not overlap: ${formatDuration(merged.apartNs)} lie between ` +
        'them',
    );
  }
  if (merged.rssLeftOut) {
    await console.err.line(
      "Left out our dmabuf_rss counters: the kernel's own are in " +
        oneLine(system),
    );
  }
  await console.out.line(
    `Wrote ${oneLine(output)}: one boot` +
      (merged.sameBootId ? ' (by its boot id)' : '') +
      `, wall clocks ${formatDuration(merged.clocksDifferNs)} apart`,
  );
  await console.out.line(
    `Open it: '${PROGRAM} open ${oneLine(output)}', or go to ` +
      "https://ui.perfetto.dev, choose 'Open trace file' and take it",
  );
  return exitCode.done;
}
