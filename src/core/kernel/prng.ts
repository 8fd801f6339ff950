// SPDX-License-Identifier: Apache-2.0

const UINT32 = 0x1_0000_0000;

/**
 * A seeded pseudo-random generator (sfc32): same seed, same numbers, on every
 * machine and in every browser.
 */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** @param seed a safe integer */
  constructor(seed: number) {
    this.a = 0x9e3779b9;
    this.b = seed >>> 0;
    this.c = Math.floor(seed / UINT32) >>> 0;
    // The first outputs still show the seed.
    for (let i = 0; i < 15; i++) this.uint32();
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (this.a + this.b + this.counter) >>> 0;
    this.counter = (this.counter + 1) >>> 0;
    this.a = (this.b ^ (this.b >>> 9)) >>> 0;
    this.b = (this.c + (this.c << 3)) >>> 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) >>> 0;
    this.c = (this.c + sum) >>> 0;
    return sum;
  }

  /** 0 inclusive to 1 exclusive. */
  next(): number {
    return this.uint32() / UINT32;
  }

  /** An integer from `low` to `high`, both inclusive. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** One of `choices`, which must not be empty. */
  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.between(0, choices.length - 1)];
    if (choice === undefined) throw new RangeError('nothing to pick from');
    return choice;
  }

  /** A random UUID (version 4), as /proc/sys/kernel/random/boot_id is one. */
  uuid(): string {
    const hex = [0, 0, 0, 0]
      .map(() => this.uint32().toString(16).padStart(8, '0'))
      .join('');
    const variant = '89ab'[this.between(0, 3)] ?? '8';
    return [
      hex.slice(0, 8),
      hex.slice(8, 12),
      `4${hex.slice(13, 16)}`,
      `${variant}${hex.slice(17, 20)}`,
      hex.slice(20, 32),
    ].join('-');
  }
}
