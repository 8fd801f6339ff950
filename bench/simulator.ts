// SPDX-License-Identifier: Apache-2.0
// The simulator against real time: a kernel under load, sampled through the
// collector's own protocol and parsed, in a process of its own whose memory is
// measured. It runs as it is shipped, as plain JavaScript: what tsx does to
// TypeScript so that functions keep their names would be measured, too.
import {execFile} from 'node:child_process';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {build} from 'esbuild';
import type {Ratio} from './ratio.js';
import type {Measured} from './simulator_run.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Under the root, so that packages are found. */
const TARGET = join(ROOT, '.cache', 'bench', 'simulator_run.mjs');

/** Long enough that what V8 does at first, and once, weighs little. */
const SIMULATED_S = 960;
const MEMORY_LIMIT_MB = 300;

/**
 * What V8 may keep, MB: less garbage than it would let pile up. The young
 * generation is large enough for what lives a second or two to die in it.
 */
const HEAP_MB = {old: 180, young: 32} as const;

/**
 * One core has to do all of it. Objects are made among the young ones: of what
 * lives long in the first sample, when all is new, V8 would from then on make
 * all among the old ones, where it dies unseen.
 */
const V8_FLAGS = [
  `--max-old-space-size=${HEAP_MB.old}`,
  `--max-semi-space-size=${HEAP_MB.young}`,
  '--single-threaded',
  '--no-allocation-site-pretenuring',
] as const;

/** How much faster than real time it is, and what memory it takes. */
export async function benchSimulator(): Promise<Ratio[]> {
  await build({
    entryPoints: [join(ROOT, 'bench', 'simulator_run.ts')],
    outfile: TARGET,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
  });
  const {stdout} = await promisify(execFile)(process.execPath, [
    ...V8_FLAGS,
    TARGET,
    `${SIMULATED_S}`,
  ]);
  const measured = JSON.parse(stdout) as Measured;
  const {seconds, kernelSeconds, samples, fullScans, bytes, peakMb} = measured;
  const {processes, buffers, churn} = measured.load;
  const load =
    `${processes} processes, ${buffers} buffers, ` +
    `${churn * 100} % churn a second`;
  return [
    {
      name: 'simulated time over real time, sampled and parsed at 4 Hz',
      ratio: SIMULATED_S / seconds,
      limit: '>= 50',
      detail:
        `${SIMULATED_S} s / ${seconds.toFixed(2)} s of CPU (${load}; ` +
        `${samples} samples, ${fullScans} full scans, ` +
        `${(bytes / samples / 1e6).toFixed(2)} MB a sample)`,
    },
    {
      name: 'simulated time over real time, the kernel alone',
      ratio: SIMULATED_S / kernelSeconds,
      limit: '>= 50',
      detail: `${SIMULATED_S} s / ${kernelSeconds.toFixed(2)} s of CPU`,
    },
    {
      name: 'memory of the simulator and what samples it',
      ratio: peakMb / MEMORY_LIMIT_MB,
      limit: '<= 1',
      detail:
        `${peakMb.toFixed(0)} MB resident / ${MEMORY_LIMIT_MB} MB (heap ` +
        `limited to ${HEAP_MB.old} MB)`,
    },
  ];
}
