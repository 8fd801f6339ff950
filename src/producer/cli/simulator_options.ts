// SPDX-License-Identifier: Apache-2.0
import {Option, type Command} from 'commander';
import {
  DEFAULT_PROFILE,
  MAX_SCALE,
  MIN_SCALE,
  PROFILE_NAMES,
  SCENARIOS,
} from '../../core/kernel/index.js';
import {SPEED_RANGE} from '../device/simulated_device.js';
import type {SimulatorOptions} from '../source.js';
import {parseInteger, parseNumber, parseSeconds} from './values.js';

/** Options of the simulated kernel, named as the simulator names them. */
export interface SimulationFlags {
  readonly scenario?: string;
  readonly seed?: number;
  readonly scale?: number;
  readonly profile?: string;
  /** s */
  readonly at?: number;
}

export interface SimulatorFlags extends SimulationFlags {
  readonly speed?: number;
}

const GROUP = 'Simulator options:';
const LATEST_S = 3600;

/** What to simulate: of commands that always do. */
export function addSimulationOptions(command: Command): Command {
  const [first] = SCENARIOS;
  for (const option of [
    new Option(
      '--scenario <name>',
      `the story that plays (default: ${first?.name ?? ''}; see 'scenarios')`,
    ).choices(SCENARIOS.map(({name}) => name)),
    new Option(
      '--seed <n>',
      "decides what is left to chance (default: the scenario's)",
    ).argParser(parseInteger('a seed', {min: 0, max: Number.MAX_SAFE_INTEGER})),
    new Option(
      '--scale <k>',
      'how much goes on beside the story (default: 1, a phone)',
    ).argParser(parseNumber('a scale', {min: MIN_SCALE, max: MAX_SCALE})),
    new Option(
      '--profile <kernel>',
      `the kernel (default: ${DEFAULT_PROFILE})`,
    ).choices(PROFILE_NAMES),
    new Option(
      '--at <seconds>',
      'how far into the story to begin (default: 0)',
    ).argParser(parseSeconds({min: 0, max: LATEST_S})),
  ]) {
    command.addOption(option.helpGroup(GROUP));
  }
  return command;
}

/** What to simulate, and how fast: of commands that may read a device too. */
export function addSimulatorOptions(command: Command): Command {
  return addSimulationOptions(command).addOption(
    new Option(
      '--speed <x>',
      'times as fast as real time; durations and intervals are in its time',
    )
      .argParser(parseNumber('a speed', SPEED_RANGE))
      .helpGroup(GROUP),
  );
}

/** Only those that were given: any of them asks for the simulator. */
export function simulatorOptionsOf(flags: SimulatorFlags): SimulatorOptions {
  const {scenario, seed, scale, profile, at, speed} = flags;
  return {scenario, seed, scale, profile, at, speed};
}
