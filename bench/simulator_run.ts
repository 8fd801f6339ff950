// SPDX-License-Identifier: Apache-2.0
// Samples a simulated kernel under load for as many simulated seconds as the
// argument says, and prints what that took as JSON.
import {connectCollector} from '../src/producer/collector/connect.js';
import {deviceOfKernel} from '../src/producer/device/simulated_device.js';
import {loadedKernel, type Load} from './simulated_load.js';

const LOAD: Load = {processes: 500, buffers: 20_000, churn: 0.05, busy: 25};
const SAMPLE_NS = 250_000_000n;
const SAMPLES_A_SECOND = 4;

export interface Measured {
  /** As it is at the end. */
  readonly load: Load;
  /** CPU time, user and system: how long one core had to do with it. */
  readonly seconds: number;
  /** Of which the kernel without anybody who reads it. */
  readonly kernelSeconds: number;
  readonly samples: number;
  readonly fullScans: number;
  readonly bytes: number;
  /** Largest resident set, MB. */
  readonly peakMb: number;
}

async function measure(simulatedSeconds: number): Promise<Measured> {
  const kernel = loadedKernel(LOAD);
  const device = deviceOfKernel(kernel, {description: 'load'});
  const collector = await connectCollector(device);
  const {sampler} = collector;
  // The first sample has to look at everything, whoever reads.
  await sampler.sample();
  let kernelSeconds = 0;
  let fullScans = 0;
  let bytes = 0;
  let {buffers} = LOAD;
  const begin = cpuSeconds();
  const samples = simulatedSeconds * SAMPLES_A_SECOND;
  for (let i = 0; i < samples; i++) {
    const advanced = cpuSeconds();
    kernel.advance(SAMPLE_NS);
    kernelSeconds += cpuSeconds() - advanced;
    const {cost, buffers: seen, coverage} = await sampler.sample();
    const [problem] = coverage.problems;
    if (problem !== undefined) throw new Error(`a sample failed: ${problem}`);
    fullScans += Number(cost.fullScan);
    bytes += cost.bytes;
    buffers = seen.size;
  }
  const seconds = cpuSeconds() - begin;
  await collector.close();
  await device.close();
  return {
    load: {...LOAD, buffers},
    seconds,
    kernelSeconds,
    samples,
    fullScans,
    bytes,
    // KiB, says getrusage(2) of Linux.
    peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  };
}

function cpuSeconds(): number {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1e6;
}

process.stdout.write(JSON.stringify(await measure(Number(process.argv[2]))));
