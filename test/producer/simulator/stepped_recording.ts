// SPDX-License-Identifier: Apache-2.0
import {join} from 'node:path';
import {account} from '../../../src/core/accounting/index.js';
import {compare} from '../../../src/core/changes/index.js';
import {
  startSimulation,
  type SimulationOptions,
  type ScenarioTruth,
} from '../../../src/core/kernel/index.js';
import type {Snapshot} from '../../../src/core/model/index.js';
import {connectCollector} from '../../../src/producer/collector/connect.js';
import {deviceOfKernel} from '../../../src/producer/device/simulated_device.js';
import {
  openFileSink,
  readRecording,
  TraceEncoder,
  type Recording,
} from '../../../src/producer/trace/index.js';

export interface SteppedOptions extends SimulationOptions {
  /** Sample to sample, ns; by default 250 ms. */
  readonly intervalNs?: bigint;
  /** By default as long as the scenario has something to show. */
  readonly durationNs?: bigint;
}

/**
 * Plays a scenario and records it at an even pace in virtual time, by way of
 * the collector's protocol and a trace file in `directory`.
 */
export async function recordStepped(
  directory: string,
  options: SteppedOptions,
): Promise<{recording: Recording; truth: ScenarioTruth}> {
  const {kernel, scenario, seed, scale, truth} = startSimulation(options);
  const {intervalNs = 250_000_000n, durationNs = scenario.durationNs} = options;
  const device = deviceOfKernel(kernel, {description: scenario.name});
  const collector = await connectCollector(device);
  const {sampler} = collector;
  const encoder = new TraceEncoder({
    provenance: {
      simulated: true,
      source: 'simulator',
      device: scenario.name,
      kernelRelease: collector.capabilities.kernelRelease,
      buildFingerprint: undefined,
      bootId: undefined,
      uid: 0,
      toolVersion: 'test',
    },
    dmabufRssInProcessStats: false,
  });
  const path = join(directory, `${scenario.name}-${seed}-${scale}.pftrace`);
  const sink = await openFileSink(path);
  await sink.write(encoder.header(await sampler.now()));
  let last: Snapshot | undefined;
  for (let at = 0n; at <= durationNs; at += intervalNs) {
    const snapshot = await sampler.sample();
    await sink.write(
      encoder.sample(snapshot, compare(last, snapshot), account(snapshot)),
    );
    last = snapshot;
    kernel.advance(intervalNs);
  }
  const told = truth();
  await sink.write(encoder.finish());
  await sink.close();
  await collector.close();
  await device.close();
  return {recording: await readRecording(path), truth: told};
}
