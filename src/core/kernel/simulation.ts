// SPDX-License-Identifier: Apache-2.0
import {androidKernelProfile, type ProfileName} from './profile.js';
import {
  SCENARIOS,
  ScenarioError,
  checkOptions,
  scenarioNamed,
  type Scenario,
  type ScenarioTruth,
} from './scenarios/index.js';
import {SimulatedKernel} from './simulated_kernel.js';

/** The kernel that is simulated unless another is chosen. */
export const DEFAULT_PROFILE: ProfileName = '6.12';

/** The story begins on a phone that has been up for ten minutes. */
const BOOTED_FOR_NS = 600_000_000_000n;

export interface SimulationOptions {
  /** Name of one of SCENARIOS; by default the first of them. */
  readonly scenario?: string | undefined;
  /** Decides everything left to chance; by default the scenario's own. */
  readonly seed?: number | undefined;
  /** 1 is a phone; from MIN_SCALE to MAX_SCALE. */
  readonly scale?: number | undefined;
  /** Name of an Android kernel, one of PROFILE_NAMES; by default 6.12. */
  readonly profile?: string | undefined;
}

/** A scenario on a simulated kernel; `kernel.advance()` lets it play on. */
export interface Simulation {
  readonly kernel: SimulatedKernel;
  readonly scenario: Scenario;
  readonly seed: number;
  readonly scale: number;
  /** What really happened so far: what a report has to find. */
  truth(): ScenarioTruth;
}

/**
 * Sets a scenario up on a fresh simulated Android kernel. The same options give
 * the same simulation on every machine.
 *
 * @throws ScenarioError for an unknown scenario, an absurd seed or scale
 * @throws UnknownProfileError
 */
export function startSimulation(options: SimulationOptions = {}): Simulation {
  const scenario =
    options.scenario === undefined
      ? SCENARIOS[0]
      : scenarioNamed(options.scenario);
  if (scenario === undefined) throw new ScenarioError('there are no scenarios');
  const {seed = scenario.seed, scale = 1} = options;
  // Before the kernel refuses the seed in words of its own.
  checkOptions({seed, scale});
  const kernel = new SimulatedKernel({
    profile: androidKernelProfile(options.profile ?? DEFAULT_PROFILE),
    seed,
    bootedForNs: BOOTED_FOR_NS,
  });
  const run = scenario.run(kernel, {seed, scale});
  return {kernel, scenario, seed, scale, truth: () => run.truth()};
}
