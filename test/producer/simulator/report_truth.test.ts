// SPDX-License-Identifier: Apache-2.0
import {beforeAll, describe, expect, it} from 'vitest';
import {
  SCENARIOS,
  type Leak,
  type ScenarioTruth,
} from '../../../src/core/kernel/index.js';
import {
  report,
  UNNAMED,
  type Recording,
  type Report,
} from '../../../src/producer/trace/index.js';
import {temporaryFolder} from '../trace/temporary.js';
import {recordStepped} from './stepped_recording.js';

const HEALTHY = ['game-120hz', 'process-storm'];
/** So late in a recording a leak has not had the time to show. */
const SETTLING_NS = 6_000_000_000n;

const folder = temporaryFolder();

const CASES = SCENARIOS.flatMap((scenario) => [
  {name: scenario.name, seed: scenario.seed, scale: 1},
  {name: scenario.name, seed: 31_337, scale: 2},
]);

describe.each(CASES)(
  '$name, seed $seed, scale $scale',
  ({name, ...options}) => {
    let recording: Recording;
    let truth: ScenarioTruth;
    let found: Report;
    beforeAll(async () => {
      const played = {scenario: name, ...options};
      ({recording, truth} = await recordStepped(folder, played));
      found = report(recording);
    });

    it('is recorded without a fault', () => {
      expect(recording.warnings).toEqual([]);
      expect(recording.samples.problems).toEqual(new Map());
      expect(recording.samples.missing).toBe(0);
    });

    it('is blamed for what it leaks, and for nothing else', () => {
      expect(
        found.leakCandidates.map((candidate) => candidate.name).sort(),
      ).toEqual(truth.leaks.map(nameOf).sort());
      expect(truth.leaks.length === 0).toBe(HEALTHY.includes(name));
    });

    it('has each leak with its holder, its cause and its size', () => {
      for (const leak of truth.leaks) {
        const candidate = found.leakCandidates.find(
          (each) =>
            each.name === nameOf(leak) && each.exporter === leak.exporter,
        );
        expect(candidate?.reason === 'kernel-only').toBe(
          leak.cause === 'kernel',
        );
        expect(candidate?.holders[0]?.pid).toBe(leak.holders[0]?.pid);
        expect(candidate?.holders[0]?.process).toBe(leak.holders[0]?.name);
        const settled = leak.buffers.filter(
          ({leakedAtNs}) => leakedAtNs < recording.endNs - SETTLING_NS,
        );
        expect(candidate?.buffers).toBeGreaterThanOrEqual(settled.length);
        expect(settled.length).toBeGreaterThan(0);
        // The buffers in use at the end look the same, and are few.
        expect(candidate?.buffers).toBeLessThanOrEqual(leak.buffers.length + 5);
      }
    });

    it('still holds at the end what it leaked', () => {
      for (const leak of truth.leaks) {
        for (const {inode, leakedAtNs, sizeBytes} of leak.buffers) {
          if (leakedAtNs >= recording.endNs - 500_000_000n) continue;
          const row = found.heldAtEnd.find((each) => each.inode === inode);
          expect(row?.sizeBytes).toBe(sizeBytes);
          expect(row?.holders.map(({pid}) => pid)).toEqual(
            leak.holders.map(({pid}) => pid),
          );
        }
      }
    });

    it('grows by what it leaks', () => {
      for (const leak of truth.leaks) {
        const leakedBytes = leak.buffers
          .filter(({leakedAtNs}) => leakedAtNs < recording.endNs - SETTLING_NS)
          .reduce((sum, {sizeBytes}) => sum + sizeBytes, 0n);
        const byName = found.growthByName.find(({key}) => key === nameOf(leak));
        expect(byName?.lastBytes).toBeGreaterThanOrEqual(leakedBytes);
        expect(grownFor(leak, found, recording)).toBeGreaterThanOrEqual(
          leakedBytes,
        );
      }
    });
  },
);

function nameOf({bufferName}: Leak): string {
  return bufferName ?? UNNAMED;
}

/** What the holder, or the kernel, has at the end. */
function grownFor(leak: Leak, found: Report, recording: Recording): bigint {
  const [holder] = leak.holders;
  if (holder === undefined) {
    return BigInt(Math.round(found.kernelOnly?.last ?? 0));
  }
  const process = recording.processes.find(({pid}) => pid === holder.pid);
  const row = found.growthByProcess.find(
    ({key}) => key === `${process?.name ?? ''} (${holder.pid})`,
  );
  return row?.lastBytes ?? 0n;
}
