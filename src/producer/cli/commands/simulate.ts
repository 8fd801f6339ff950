// SPDX-License-Identifier: Apache-2.0
import {InvalidArgumentError, type Command} from 'commander';
import {startSimulation, type Simulation} from '../../../core/kernel/index.js';
import {
  TreeError,
  writeTree,
  type WrittenTree,
} from '../../simulator/proc_tree.js';
import {TOOL_VERSION} from '../../version.js';
import {PROGRAM} from '../console.js';
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
        nonEmptyPath,
      ),
  );
}

function nonEmptyPath(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('Give the path of a directory.');
}

/** @throws CliError */
export async function runSimulate(
  {io, console}: Context,
  flags: SimulateFlags,
): Promise<ExitCode> {
  const simulation = startSimulation(flags);
  const {kernel, scenario, seed} = simulation;
  const {at = 0} = flags;
  kernel.advance(BigInt(Math.round(at * 1e9)));
  await console.err.line(simulatedBanner(undefined));
  const interrupts = new Interrupts(io);
  try {
    const {files, links} = await write(
      flags.tree,
      kernel.vfs,
      aboutTree(simulation, at),
      interrupts,
    );
    await console.out.line(
      `Wrote ${oneLine(flags.tree)}: ${scenario.name}, seed ${seed}, at ` +
        `${at} s, kernel ${kernel.profile.release}: ` +
        `${plural(files, 'file')}, ${plural(links, 'link')}`,
    );
    if (!kernel.profile.fdinfoIno) await console.warn(NO_INODES);
    return exitCode.done;
  } finally {
    interrupts.close();
  }
}

/** What a reader of the tree cannot find out on kernels before 5.14. */
const NO_INODES =
  'fdinfo of this kernel has no inodes, and the links of fd/ lead nowhere: ' +
  'programs that stat them to tell buffers apart, as libdmabufinfo does ' +
  'then, miss them: take --profile 5.15 or newer for those';

/** Text of the tree's marker, the same for the same options. */
function aboutTree(
  {kernel, scenario, seed, scale}: Simulation,
  at: number,
): string {
  const {profile, now} = kernel;
  return [
    'SIMULATED DATA: what is in proc/ and sys/ is from no real device.',
    '',
    `Made by:  ${PROGRAM} ${TOOL_VERSION}, simulate --tree`,
    `Scenario: ${scenario.name} (${scenario.story})`,
    `Seed:     ${seed}`,
    `Scale:    ${scale}`,
    `Profile:  ${profile.name} (${profile.release})`,
    `Time:     ${at} s into the scenario, ${Number(now) / 1e9} s after boot`,
    ...(profile.fdinfoIno ? [] : ['', `Note: ${NO_INODES}.`]),
    '',
  ].join('\n');
}

async function write(
  directory: string,
  vfs: Parameters<typeof writeTree>[0],
  about: string,
  {signal}: Interrupts,
): Promise<WrittenTree> {
  try {
    return await writeTree(vfs, directory, {about, signal});
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
