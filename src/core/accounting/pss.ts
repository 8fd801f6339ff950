// SPDX-License-Identifier: Apache-2.0

/**
 * A proportional set size with its fractions kept: bytes grouped by the number
 * of processes that share them. The sum over all processes therefore equals
 * the unique total exactly, which truncating each share would not.
 */
export class Pss {
  private readonly bytesByHolders = new Map<number, bigint>();

  /** Adds one buffer of `sizeBytes` that `holders` processes hold. */
  add(sizeBytes: bigint, holders: number): void {
    const sum = this.bytesByHolders.get(holders) ?? 0n;
    this.bytesByHolders.set(holders, sum + sizeBytes);
  }

  addAll(other: Pss): void {
    for (const [holders, bytes] of other.bytesByHolders) {
      this.add(bytes, holders);
    }
  }

  /** Exact value as an irreducible fraction of bytes. */
  fraction(): {readonly numerator: bigint; readonly denominator: bigint} {
    let numerator = 0n;
    let denominator = 1n;
    for (const [holders, bytes] of this.bytesByHolders) {
      const n = BigInt(holders);
      numerator = numerator * n + bytes * denominator;
      denominator *= n;
      const divisor = gcd(numerator, denominator);
      numerator /= divisor;
      denominator /= divisor;
    }
    return {numerator, denominator};
  }

  /** Bytes, with the fraction as far as a double carries it. */
  bytes(): number {
    let sum = 0;
    for (const [holders, bytes] of this.bytesByHolders) {
      const n = BigInt(holders);
      sum += Number(bytes / n) + Number(bytes % n) / holders;
    }
    return sum;
  }
}

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a === 0n ? 1n : a;
}
