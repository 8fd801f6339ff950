// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {FormatError} from '../../../src/core/formats/index.js';
import {androidKernelProfile} from '../../../src/core/kernel/index.js';
import {
  BootClock,
  parseClock,
  parseSeconds,
} from '../../../src/producer/collector/clock.js';
import {MS, SECOND, World} from './kernel_world.js';
import {observe} from './observer.js';

const US = 1000n;
const STAT =
  '12 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 3 4 5 6 20 0 1 0 777 0 0' +
  ' 0'.repeat(30) +
  '\n';

/** A device whose clocks are known, and how long its shell takes. */
class Shell {
  constructor(
    public bootNs: bigint,
    public offsetNs: bigint,
    private readonly delaysNs: readonly bigint[],
    private readonly digits: 6 | 9 = 6,
  ) {}

  private turn = 0;

  /** The next command takes its time. */
  private pass(): void {
    this.bootNs += this.delaysNs[this.turn++ % this.delaysNs.length] ?? 0n;
  }

  private real(): string {
    this.pass();
    return seconds(this.bootNs + this.offsetNs, this.digits);
  }

  private uptime(): string {
    this.pass();
    return seconds(this.bootNs, 2);
  }

  clock(): string {
    return `${this.real()} ${this.uptime()} ${this.real()}\n`;
  }

  /** As the script's step does. */
  tick(): string {
    let text = '';
    let before = this.real();
    let uptime = this.uptime();
    let last = this.real();
    for (let found = 0, turns = 0; found < 3 && turns < 4000; turns++) {
      const now = this.uptime();
      const real = this.real();
      if (now === uptime) {
        before = last;
      } else {
        text += `${uptime} ${before} ${now} ${real}\n`;
        uptime = now;
        before = last;
        found++;
      }
      last = real;
    }
    return text;
  }
}

function seconds(ns: bigint, digits: number): string {
  const fraction = (ns % SECOND).toString().padStart(9, '0');
  return `${ns / SECOND}.${fraction.slice(0, digits)}`;
}

function errorOf(clock: BootClock, shell: Shell): bigint {
  const error = (clock.offsetNs ?? 0n) - shell.offsetNs;
  return error < 0n ? -error : error;
}

/** What a reading's boot time is off by; the shell passes time in it. */
function readingError(clock: BootClock, shell: Shell): bigint {
  const before = shell.bootNs;
  const reading = parseClock(shell.clock());
  const bootNs = clock.toBoot(reading);
  // Just before: at the first delay's end at most.
  const error = bootNs - before;
  return error < 0n ? -error : error;
}

const bootNs = fc.bigInt({min: SECOND, max: 10_000_000n * SECOND});
const offsetNs = fc.bigInt({min: 0n, max: 2_000_000_000n * SECOND});
// No quicker: a step gives up after 4000 turns, a tick is 10 ms.
const quick = fc.array(fc.bigInt({min: 3n * US, max: 60n * US}), {
  minLength: 3,
  maxLength: 40,
});

describe('parseClock', () => {
  it('reads the three times and the CPU time', () => {
    expect(
      parseClock(`1700000000.123456 42.17 1700000000.123500\n${STAT}`),
    ).toEqual({
      realBeforeNs: 1_700_000_000_123_456_000n,
      uptimeNs: 42_170_000_000n,
      realAfterNs: 1_700_000_000_123_500_000n,
      cpuNs: 180_000_000n,
    });
  });

  it('reads nanoseconds, of date +%s.%N', () => {
    expect(parseClock('5.000000001 1.00 5.999999999').realAfterNs).toBe(
      5_999_999_999n,
    );
  });

  it.each(['', '\n', 'not 1.00 known\n'])('does without %j', (stat) => {
    expect(parseClock(`1.5 1.00 1.6\n${stat}`).cpuNs).toBeUndefined();
  });

  it.each([
    '',
    '1.5 1.00',
    '1.5 1.00 1.6 1.7',
    '1.5  1.6',
    '1700000000.%N 1.00 1700000000.%N',
    '1.5 1 1.6',
    '1,5 1.00 1,6',
    '-1.5 1.00 1.6',
    '1.5 1.00 1.6\r',
    '9999999999999.5 1.00 1.6',
  ])('refuses %j', (text) => {
    expect(() => parseClock(text)).toThrow(FormatError);
  });

  it('takes no fraction for more than it is', () => {
    expect(parseSeconds('1.05')).toBe(1_050_000_000n);
    expect(parseSeconds('1.5')).toBe(1_500_000_000n);
  });
});

describe('BootClock', () => {
  it('knows nothing at first', () => {
    const clock = new BootClock();
    expect(clock.isSynchronised).toBe(false);
    expect(clock.offsetNs).toBeUndefined();
    expect(clock.uncertaintyNs).toBeUndefined();
  });

  it('knows the offset to within its uncertainty', () => {
    fc.assert(
      fc.property(bootNs, offsetNs, quick, (boot, offset, delays) => {
        const shell = new Shell(boot, offset, delays);
        const clock = new BootClock();
        clock.addTicks(shell.tick());
        // A microsecond is what the readings on both sides are cut to.
        const limit = (clock.uncertaintyNs ?? 0n) / 2n + 2n * US;
        expect(clock.isSynchronised).toBe(true);
        expect(errorOf(clock, shell)).toBeLessThanOrEqual(limit);
        expect(errorOf(clock, shell)).toBeLessThan(MS / 2n);
        expect(readingError(clock, shell)).toBeLessThan(MS);
      }),
      {numRuns: 50},
    );
  });

  it('learns from each reading', () => {
    const shell = new Shell(SECOND, 1000n * SECOND, [900n * US, 1777n * US]);
    const clock = new BootClock();
    let before = 100n * MS;
    for (let i = 0; i < 200; i++) {
      expect(clock.add(parseClock(shell.clock()))).toBe(true);
      expect(clock.uncertaintyNs).toBeLessThanOrEqual(before);
      before = clock.uncertaintyNs ?? 0n;
    }
    expect(errorOf(clock, shell)).toBeLessThanOrEqual(before / 2n + US);
    expect(before).toBeLessThan(10n * MS);
  });

  it('comes to a millisecond with a shell that forks for each reading', () => {
    // As dash does, which asks `date` and reads /proc/uptime itself in turn.
    const shell = new Shell(
      SECOND,
      1000n * SECOND,
      [1_900_000n, 30_000n, 2_300_000n, 41_000n, 1_700_000n, 33_000n],
      9,
    );
    const clock = new BootClock();
    for (let i = 0; i < 10 && !clock.isSynchronised; i++) {
      clock.addTicks(shell.tick());
    }
    expect(clock.isSynchronised).toBe(true);
    expect(errorOf(clock, shell)).toBeLessThan(MS);
  });

  it('passes over a tick that the shell slept through', () => {
    const clock = new BootClock();
    clock.addTicks('1.00 1001.000000 1.03 1001.030010\n');
    expect(clock.offsetNs).toBeUndefined();
  });

  it.each([
    '',
    'garbage\n',
    '1.00 1001.0 1.01\n',
    '1.00 1001.000000 1.01 1000.000000\n',
  ])('passes over %j', (text) => {
    const clock = new BootClock();
    clock.addTicks(text);
    expect(clock.isSynchronised).toBe(false);
  });

  it('goes on through a suspend, which both clocks count', () => {
    const shell = new Shell(SECOND, 1000n * SECOND, [20n * US]);
    const clock = new BootClock();
    clock.addTicks(shell.tick());
    shell.bootNs += 3600n * SECOND;
    expect(clock.add(parseClock(shell.clock()))).toBe(true);
    expect(clock.isSynchronised).toBe(true);
    expect(readingError(clock, shell)).toBeLessThan(MS);
  });

  it('notices that REALTIME was set, by much at once', () => {
    fc.assert(
      fc.property(
        bootNs,
        quick,
        // A reading leaves 10 ms and the shell's delays open, the ticks 1 ms.
        fc.bigInt({min: 12n * MS, max: 1_000_000n * SECOND}),
        fc.boolean(),
        (boot, delays, step, forth) => {
          const shell = new Shell(boot, 2_000_000n * SECOND, delays);
          const clock = new BootClock();
          clock.addTicks(shell.tick());
          shell.offsetNs += forth ? step : -step;
          const reading = parseClock(shell.clock());
          expect(clock.add(reading)).toBe(false);
          expect(clock.isSynchronised).toBe(false);
          clock.addTicks(shell.tick());
          expect(clock.isSynchronised).toBe(true);
          expect(readingError(clock, shell)).toBeLessThan(MS);
        },
      ),
      {numRuns: 50},
    );
  });

  it('notices that it was set by little after some readings', () => {
    const shell = new Shell(SECOND, 1000n * SECOND, [370n * US, 41n * US]);
    const clock = new BootClock();
    clock.addTicks(shell.tick());
    shell.offsetNs += 3n * MS;
    let noticed = false;
    for (let i = 0; i < 50 && !noticed; i++) {
      shell.bootNs += 250n * MS + 137n * US;
      // Until then no time is wrong by more than the step.
      expect(readingError(clock, shell)).toBeLessThan(4n * MS);
      noticed = !clock.add(parseClock(shell.clock()));
    }
    expect(noticed).toBe(true);
  });

  it('is never off by more than its uptime allows', () => {
    fc.assert(
      fc.property(
        offsetNs,
        fc.bigInt({min: -1000n * SECOND, max: 1000n * SECOND}),
        (offset, step) => {
          const shell = new Shell(2000n * SECOND, offset + 3000n * SECOND, [
            30n * US,
          ]);
          const clock = new BootClock();
          clock.addTicks(shell.tick());
          shell.offsetNs += step;
          expect(readingError(clock, shell)).toBeLessThan(11n * MS);
        },
      ),
    );
  });

  it('is not fooled by a step between the two readings of one answer', () => {
    const shell = new Shell(SECOND, 1000n * SECOND, [20n * US]);
    const clock = new BootClock();
    clock.addTicks(shell.tick());
    const offset = clock.offsetNs;
    const {realBeforeNs, uptimeNs} = parseClock(shell.clock());
    const realAfterNs = realBeforeNs - 5n * SECOND;
    clock.add({realBeforeNs, realAfterNs, uptimeNs, cpuNs: undefined});
    expect(clock.offsetNs).toBe(offset);
    expect(clock.uncertaintyNs).toBeGreaterThan(0n);
  });
});

describe('the times of samples', () => {
  /** Adds to each REALTIME in an answer; their lengths stay. */
  function shifted(chunk: Uint8Array, byNs: bigint): Uint8Array {
    const text = Buffer.from(chunk).toString('latin1');
    const moved = text.replace(/\b\d{9}\.\d{6}\b/g, (real) =>
      seconds((parseSeconds(real) ?? 0n) + byNs, 6),
    );
    return Buffer.from(moved, 'latin1');
  }

  it.each([3600n * SECOND, -3600n * SECOND, 40n * MS, -40n * MS])(
    'go on when REALTIME is set by %d ns',
    async (stepNs) => {
      const world = new World(androidKernelProfile('6.12'));
      await observe(world, async (observer) => {
        const {sampler} = observer;
        let lastNs = 0n;
        const problems: string[] = [];
        for (let i = 0; i < 12; i++) {
          if (i === 5) observer.tamper = (chunk) => shifted(chunk, stepNs);
          world.kernel.advance(250n * MS);
          const {startNs, endNs, coverage} = await sampler.sample();
          const off = startNs - world.kernel.now;
          expect(off < 0n ? -off : off).toBeLessThan(MS);
          expect(startNs).toBeGreaterThanOrEqual(lastNs);
          expect(endNs).toBeGreaterThanOrEqual(startNs);
          lastNs = endNs;
          problems.push(...coverage.problems);
        }
        expect(problems).toEqual([expect.stringContaining('REALTIME')]);
        expect(sampler.clock.isSynchronised).toBe(true);
      });
    },
  );

  it('do not go back when REALTIME is set back by little', async () => {
    const world = new World(androidKernelProfile('6.12'));
    await observe(world, async (observer) => {
      world.kernel.advance(9n * MS);
      const before = await observer.sampler.sample();
      observer.tamper = (chunk) => shifted(chunk, -5n * MS);
      const after = await observer.sampler.sample();
      expect(after.startNs).toBeGreaterThanOrEqual(before.endNs);
      expect(after.endNs).toBeGreaterThanOrEqual(after.startNs);
    });
  });

  it('are good from the first one', async () => {
    const world = new World(androidKernelProfile('6.12'));
    await observe(world, async ({sampler}) => {
      const {bootNs, realNs} = await sampler.now();
      const off = bootNs - world.kernel.now;
      expect(off < 0n ? -off : off).toBeLessThan(MS);
      expect(realNs - bootNs).toBe(sampler.clock.offsetNs);
    });
  });
});
