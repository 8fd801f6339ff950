// SPDX-License-Identifier: Apache-2.0
import {Option, type Command} from 'commander';
import {SCENARIOS} from '../../../core/kernel/index.js';
import type {Context} from '../effects.js';
import {exitCode, type ExitCode} from '../errors.js';
import {renderJson} from '../output/json.js';
import {renderTable} from '../output/table.js';

export interface ScenariosFlags {
  readonly format: 'text' | 'json';
}

const NS_A_SECOND = 1e9;

export function scenariosCommand(command: Command): Command {
  return command
    .description('List the scenarios that the simulator can play.')
    .addOption(
      new Option('--format <format>', 'how to print it')
        .choices(['text', 'json'])
        .default('text'),
    );
}

export async function runScenarios(
  {console, io}: Context,
  {format}: ScenariosFlags,
): Promise<ExitCode> {
  await console.out.write(
    format === 'json'
      ? renderScenariosJson()
      : renderScenariosText(io.isTTY.stdout ? io.columns : undefined),
  );
  return exitCode.done;
}

function renderScenariosText(width: number | undefined): string {
  const lines = renderTable(
    [
      {title: 'SCENARIO'},
      {title: 'SECONDS', align: 'right'},
      {title: 'SEED', align: 'right'},
      {title: 'STORY', shrinkTo: 20},
    ],
    SCENARIOS.map(({name, durationNs, seed, story}) => [
      name,
      `${Number(durationNs) / NS_A_SECOND}`,
      `${seed}`,
      story,
    ]),
    {width},
  );
  return `${lines.join('\n')}\n`;
}

/** `durationSeconds` is how long there is something to show. */
function renderScenariosJson(): string {
  return renderJson({
    scenarios: SCENARIOS.map(({name, story, seed, durationNs}) => ({
      name,
      story,
      seed,
      durationSeconds: Number(durationNs) / NS_A_SECOND,
    })),
  });
}
