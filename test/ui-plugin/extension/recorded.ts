// SPDX-License-Identifier: Apache-2.0
import {join} from 'node:path';
import {runCli} from '../../producer/cli/fake_io.js';

/** A scenario of the simulator, recorded by the command line as a user would. */
export interface RecordedScenario {
  readonly scenario: string;
  readonly seconds: number;
}

/**
 * Records into a folder, faster than real time.
 *
 * @returns The trace's path.
 * @throws Error with what the command said when it fails.
 */
export async function recordScenario(
  folder: string,
  {scenario, seconds}: RecordedScenario,
): Promise<string> {
  const file = join(folder, `${scenario}.pftrace`);
  const ran = await runCli([
    'record',
    ...['--source', 'simulator', '--scenario', scenario],
    ...['--duration', String(seconds), '--speed', '4', '--output', file],
  ]);
  if (ran.code !== 0) throw new Error(ran.stderr);
  return file;
}
