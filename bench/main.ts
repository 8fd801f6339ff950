// SPDX-License-Identifier: Apache-2.0
// npm run bench [-- encoding|device|simulator|ui-plugin]: ratios, each against a
// reference that is measured in the same run. Exits with 1 when one misses its
// limit.
import {labAvailability, prepareLab} from '../test/device-lab/lab.js';
import {benchDevice} from './device.js';
import {benchEncoding} from './encoding.js';
import {keeps, toTable, type Ratio} from './ratio.js';
import {benchSimulator} from './simulator.js';
import {benchUiPlugin} from './ui_plugin.js';

const KERNEL = '6.12';

async function main(wanted: readonly string[]): Promise<number> {
  const runs = (name: string): boolean =>
    wanted.length === 0 || wanted.includes(name);
  const ratios: Ratio[] = [];
  // First, while nothing else keeps this process and the machine busy.
  if (runs('device')) {
    prepareLab(KERNEL);
    const lab = labAvailability([KERNEL]);
    if (!lab.ok) {
      process.stdout.write(
        `SKIPPED device benches; missing: ${lab.missing.join(', ')}\n`,
      );
    } else {
      ratios.push(...(await benchDevice({kernel: KERNEL})));
    }
  }
  if (runs('encoding')) ratios.push(...(await benchEncoding()));
  if (runs('simulator')) ratios.push(...(await benchSimulator()));
  if (runs('ui-plugin')) ratios.push(...(await benchUiPlugin()));
  process.stdout.write(`${toTable(ratios)}\n`);
  return ratios.every(keeps) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
