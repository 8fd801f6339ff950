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

  /** Takes away one buffer that was added with the same numbers. */
  remove(sizeBytes: bigint, holders: number): void {
    const rest = (this.bytesByHolders.get(holders) ?? 0n) - sizeBytes;
    if (rest === 0n) this.bytesByHolders.delete(holders);
    else this.bytesByHolders.set(holders, rest);
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
    let whole = 0n;
    let rest = 0;
    // In one order, whatever they were added in: the sum is to be the same.
    const all = [...this.bytesByHolders].sort(([a], [b]) => a - b);
    for (const [holders, bytes] of all) {
      const n = BigInt(holders);
      whole += bytes / n;
      rest += Number(bytes % n) / holders;
    }
    return Number(whole) + rest;
  }
}

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a === 0n ? 1n : a;
}
