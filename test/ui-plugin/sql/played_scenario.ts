// SPDX-License-Identifier: Apache-2.0
// Scenarios recorded into memory, with what the simulated kernel really had at
// each sample.
import {account, type Accounting} from '../../../src/core/accounting/index.js';
import {compare} from '../../../src/core/changes/index.js';
import {
  startSimulation,
  type ScenarioTruth,
  type SimulatedKernel,
  type SimulationOptions,
} from '../../../src/core/kernel/index.js';
import type {Snapshot} from '../../../src/core/model/index.js';
import {connectCollector} from '../../../src/producer/collector/connect.js';
import {deviceOfKernel} from '../../../src/producer/device/simulated_device.js';
import {TraceEncoder} from '../../../src/producer/trace/index.js';

export interface TrueHolding {
  readonly pid: number;
  readonly inode: bigint;
}

export interface TrueBuffer {
  readonly inode: bigint;
  readonly size: bigint;
  readonly name: string | undefined;
  readonly exporter: string;
  /** Processes that hold it. */
  readonly holders: number;
}

/** The simulated kernel at the time of a sample. */
export interface Moment {
  /** As the sample is stamped. */
  readonly ts: bigint;
  readonly isFullScan: boolean;
  readonly buffers: readonly TrueBuffer[];
  readonly holdings: readonly TrueHolding[];
  readonly accounting: Accounting;
}

export interface PlayedScenario {
  readonly trace: Uint8Array;
  readonly moments: readonly Moment[];
  readonly truth: ScenarioTruth;
  readonly endNs: bigint;
}

const INTERVAL_NS = 250_000_000n;

/** Plays a scenario to its end and records it at an even pace. */
export async function playScenario(
  options: SimulationOptions,
): Promise<PlayedScenario> {
  const {kernel, scenario, truth} = startSimulation(options);
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
  const pieces = [encoder.header(await sampler.now())];
  const moments: Moment[] = [];
  let last: Snapshot | undefined;
  for (let at = 0n; at <= scenario.durationNs; at += INTERVAL_NS) {
    const snapshot = await sampler.sample();
    const accounting = account(snapshot);
    pieces.push(encoder.sample(snapshot, compare(last, snapshot), accounting));
    moments.push({
      ts: snapshot.endNs,
      isFullScan: snapshot.cost.fullScan,
      ...lookInto(kernel),
      accounting,
    });
    last = snapshot;
    kernel.advance(INTERVAL_NS);
  }
  pieces.push(encoder.finish());
  await collector.close();
  await device.close();
  return {
    trace: Buffer.concat(pieces),
    moments,
    truth: truth(),
    endNs: moments.at(-1)?.ts ?? 0n,
  };
}

function lookInto(
  kernel: SimulatedKernel,
): Pick<Moment, 'buffers' | 'holdings'> {
  const buffers = [...kernel.dmaBufs.oldestFirst()].map(
    ({inode, sizeBytes, name, exporter, holders}) => ({
      inode,
      size: BigInt(sizeBytes),
      name,
      exporter,
      holders,
    }),
  );
  const holdings = kernel.processes
    .list()
    .flatMap(({pid, holdings: held}) =>
      [...held.entries()].map(([{inode}]) => ({pid, inode})),
    );
  return {buffers, holdings};
}
