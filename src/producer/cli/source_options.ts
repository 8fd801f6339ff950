// SPDX-License-Identifier: Apache-2.0
import {Option, type Command} from 'commander';
import type {ConnectedSource, SourceOptions} from '../source.js';
import type {Context} from './effects.js';
import type {Interrupts} from './interrupt.js';
import {
  addSimulatorOptions,
  simulatorOptionsOf,
  type SimulatorFlags,
} from './simulator_options.js';
import {parseSeconds} from './values.js';

/** Options by which a command chooses what it reads from. */
export interface SourceFlags extends SimulatorFlags {
  readonly serial?: string;
  readonly source: SourceOptions['source'];
  readonly root?: boolean;
  readonly su?: boolean;
  readonly timeout: number;
}

/** Longest that one answer may be waited for, s. */
const LONGEST_TIMEOUT_S = 3600;

export function addSourceOptions(command: Command): Command {
  return addSimulatorOptions(command)
    .option(
      '-s, --serial <serial>',
      'the device, as adb lists it (or ANDROID_SERIAL)',
    )
    .addOption(
      new Option(
        '--source <source>',
        'what to read from: auto takes the simulator where there is no device ' +
          'or only Android emulators, device takes an emulator too',
      )
        .choices(['auto', 'device', 'simulator'])
        .default('auto'),
    )
    .option('--root', 'ask adbd to run as root first (userdebug, eng builds)')
    .option('--su', 'run the collector through su')
    .addOption(
      new Option('--timeout <seconds>', 'limit for each answer of the device')
        .argParser(parseSeconds({min: 0.1, max: LONGEST_TIMEOUT_S}))
        .default(30),
    );
}

/**
 * Connects as the options say.
 *
 * @throws DeviceError, or Interrupted when Ctrl-C comes first
 */
export function connect(
  {effects, io}: Context,
  flags: SourceFlags,
  interrupts: Interrupts,
): Promise<ConnectedSource> {
  return interrupts.unlessInterrupted(
    effects.connectSource({
      source: flags.source,
      serial: flags.serial,
      root: flags.root ?? false,
      su: flags.su ?? false,
      timeoutMs: flags.timeout * 1000,
      simulator: simulatorOptionsOf(flags),
      env: io.env,
    }),
  );
}

/** Hangs up; neither a device that is gone nor Ctrl-C is waited for. */
export async function disconnect(
  source: ConnectedSource,
  interrupts: Interrupts,
): Promise<void> {
  await interrupts.unlessInsisted(source.close()).catch(() => undefined);
}
