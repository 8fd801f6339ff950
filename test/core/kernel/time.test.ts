// SPDX-License-Identifier: Apache-2.0
// Virtual time, and the seed that decides what is left to chance.
import {beforeEach, describe, expect, it} from 'vitest';
import {kernelProfile} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';

const profile = kernelProfile('6.12');

describe('time', () => {
  let kernel: SimulatedKernel;
  /** What happened, and when. */
  let happened: [string, bigint][];
  const note = (what: string): void => {
    happened.push([what, kernel.now]);
  };

  beforeEach(() => {
    kernel = new SimulatedKernel({profile, seed: 1, bootedForNs: 0n});
    happened = [];
  });

  it('brings each event at its own time, whoever scheduled it', () => {
    kernel.after(50n, () => {
      note('late');
    });
    kernel.after(20n, () => {
      note('early');
      kernel.after(20n, () => {
        note('made by early');
      });
    });
    kernel.advance(100n);
    expect(happened).toEqual([
      ['early', 20n],
      ['made by early', 40n],
      ['late', 50n],
    ]);
    expect(kernel.now).toBe(100n);
  });

  it('does not pass within an event, nor go backwards', () => {
    kernel.after(20n, () => {
      expect(() => {
        kernel.advance(1000n);
      }).toThrow(/^an event can not let time pass: .* with after\(\)$/);
      note('refused');
    });
    kernel.after(30n, () => {
      note('next');
    });
    kernel.advance(100n);
    expect(happened).toEqual([
      ['refused', 20n],
      ['next', 30n],
    ]);
    expect(kernel.now).toBe(100n);
    expect(() => {
      kernel.advance(-1n);
    }).toThrow('time does not go backwards');
    expect(kernel.now).toBe(100n);
  });

  it('goes on after an event that threw', () => {
    kernel.after(20n, () => {
      throw new Error('a bug in the story');
    });
    kernel.after(30n, () => {
      note('next');
    });
    expect(() => {
      kernel.advance(100n);
    }).toThrow('a bug in the story');
    expect(kernel.now).toBe(20n);
    kernel.advance(100n);
    expect(happened).toEqual([['next', 30n]]);
    expect(kernel.now).toBe(120n);
  });
});

describe('a seed', () => {
  it.each([NaN, Infinity, 0.5, 2 ** 53])('can not be %d', (seed) => {
    expect(() => new SimulatedKernel({profile, seed})).toThrow(
      `seed ${seed}: give an integer`,
    );
  });

  it.each([0, -1, Number.MAX_SAFE_INTEGER])('can be %d', (seed) => {
    const bootId = (): string => new SimulatedKernel({profile, seed}).bootId;
    expect(bootId()).toBe(bootId());
  });
});
