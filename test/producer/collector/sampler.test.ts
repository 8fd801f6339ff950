// SPDX-License-Identifier: Apache-2.0
// The sampler on simulated kernels: whatever their processes do, it has to
// find what the kernel knows.
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {compare} from '../../../src/core/changes/index.js';
import type {Snapshot} from '../../../src/core/model/index.js';
import {expectPossible, expectTruth} from './expect_truth.js';
import {
  OPERATION_NAMES,
  SECOND,
  SETTINGS,
  World,
  done,
  step,
} from './kernel_world.js';
import {observe} from './observer.js';
import {replay} from './replay.js';

const steps = fc.array(step, {maxLength: 40});
const rounds = fc.array(fc.array(step, {maxLength: 10}), {
  minLength: 1,
  maxLength: 8,
});

describe.each(SETTINGS)('$title', (setting) => {
  it('finds the truth in a full sample', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        const world = new World(setting.profile);
        world.play(played);
        await observe(world, async (observer) => {
          const {sampler} = observer;
          const first = await sampler.sample({full: true, threads: true});
          expectTruth(observer, first, setting);
        });
      }),
      {numRuns: 60},
    );
  });

  it('finds it again after whatever happened since', async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (played) => {
        const world = new World(setting.profile);
        await observe(world, async (observer) => {
          for (const round of played) {
            world.play(round);
            const sample = await observer.sampler.sample({
              full: true,
              threads: true,
            });
            expectTruth(observer, sample, setting);
          }
        });
      }),
      {numRuns: 30},
    );
  });

  it('comes to it by itself, and shows nothing that never was', async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (played) => {
        const world = new World(setting.profile);
        await observe(world, async (observer) => {
          const {sampler} = observer;
          let before: Snapshot | undefined;
          const check = (snapshot: Snapshot): void => {
            expectPossible(observer, snapshot);
            expect(snapshot.startNs).toBeGreaterThanOrEqual(
              before?.endNs ?? 0n,
            );
            expect(snapshot.endNs).toBeGreaterThanOrEqual(snapshot.startNs);
            expect(replay(before, compare(before, snapshot))).toEqual(
              replay(undefined, compare(undefined, snapshot)),
            );
            before = snapshot;
          };
          for (const round of played) {
            world.play(round);
            world.kernel.advance(SECOND / 8n);
            check(await sampler.sample());
          }
          // Threads' own tables are looked for every 20 s.
          for (let i = 0; i < 12; i++) {
            world.kernel.advance(2n * SECOND + 1n);
            check(await sampler.sample());
          }
          if (before !== undefined) expectTruth(observer, before, setting);
        });
      }),
      {numRuns: 30},
    );
  });
});

it('got every operation done', () => {
  for (const name of OPERATION_NAMES) {
    expect(done.get(name) ?? 0, name).toBeGreaterThan(5);
  }
});
