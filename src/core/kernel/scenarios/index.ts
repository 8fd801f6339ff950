// SPDX-License-Identifier: Apache-2.0
import {appSwitching} from './app_switching.js';
import {cameraPreview} from './camera_preview.js';
import {fdLeak} from './fd_leak.js';
import {game} from './game.js';
import {kernelGrowth} from './kernel_growth.js';
import {mappedGrowth} from './mapped_growth.js';
import {processStorm} from './process_storm.js';
import type {Scenario} from './scenario.js';
import {ScenarioError} from './scenario.js';
import {surfaceFlingerLeak} from './surfaceflinger_leak.js';
import {videoPlayback} from './video_playback.js';

export * from './scenario.js';

/** All scenarios; the first is the one to run if none is chosen. */
export const SCENARIOS: readonly Scenario[] = [
  cameraPreview,
  videoPlayback,
  game,
  appSwitching,
  surfaceFlingerLeak,
  kernelGrowth,
  mappedGrowth,
  fdLeak,
  processStorm,
];

/** @throws ScenarioError when there is none of that name */
export function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((each) => each.name === name);
  if (scenario !== undefined) return scenario;
  const names = SCENARIOS.map((each) => each.name).join(', ');
  throw new ScenarioError(`unknown scenario '${name}': one of ${names}`);
}
