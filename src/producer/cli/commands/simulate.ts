// SPDX-License-Identifier: Apache-2.0
import type {Command} from 'commander';
import {startSimulation} from '../../../core/kernel/index.js';
import {
  TreeError,
  writeTree,
  type WrittenTree,
} from '../../simulator/proc_tree.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {oneLine} from '../output/terminal.js';
import {plural} from '../output/units.js';
import {
  addSimulationOptions,
  type SimulationFlags,
} from '../simulator_options.js';
import {simulatedBanner} from '../source_notice.js';

export interface SimulateFlags extends SimulationFlags {
  readonly tree: string;
}

export function simulateCommand(command: Command): Command {
  return addSimulationOptions(
    command
      .description(
        'Write a simulated /proc and /sys as real files, for other programs ' +
          'that can be pointed at them.',
      )
      .requiredOption(
        '--tree <dir>',
        'where to put proc/ and sys/: a directory that is new or empty',
      ),
  );
}

/** @throws CliError */
export async function runSimulate(
  {io, console}: Context,
  flags: SimulateFlags,
): Promise<ExitCode> {
  const {kernel, scenario, seed} = startSimulation(flags);
  kernel.advance(BigInt(Math.round((flags.at ?? 0) * 1e9)));
  await console.err.line(simulatedBanner(undefined));
  const interrupts = new Interrupts(io);
  try {
    const {files, links} = await write(flags.tree, kernel.vfs, interrupts);
    await console.out.line(
      `Wrote ${oneLine(flags.tree)}: ${scenario.name}, seed ${seed}, at ` +
        `${flags.at ?? 0} s, kernel ${kernel.profile.release}: ` +
        `${plural(files, 'file')}, ${plural(links, 'link')}`,
    );
    return exitCode.done;
  } finally {
    interrupts.close();
  }
}

async function write(
  directory: string,
  vfs: Parameters<typeof writeTree>[0],
  {signal}: Interrupts,
): Promise<WrittenTree> {
  try {
    return await writeTree(vfs, directory, signal);
  } catch (error) {
    if (signal.aborted) {
      throw new CliError(
        `interrupted: what is in ${directory} is not all of it; remove it`,
        exitCode.interrupted,
      );
    }
    if (!(error instanceof TreeError)) throw error;
    throw new CliError(error.message, exitCode.notDone, {cause: error});
  }
}
