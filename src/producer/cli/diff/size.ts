// SPDX-License-Identifier: Apache-2.0
import {InvalidArgumentError} from 'commander';

const UNITS: Readonly<Record<string, bigint>> = {
  b: 1n,
  kib: 1n << 10n,
  mib: 1n << 20n,
  gib: 1n << 30n,
  tib: 1n << 40n,
};

/** Digits after the point that are told apart. */
const FRACTION = 1_000_000n;

/**
 * Reads a size for an option, as the other outputs print them: `4096`, `64KiB`,
 * `10MiB`, `1.5 GiB`. Bytes without a unit.
 *
 * @throws InvalidArgumentError
 */
export function parseSize(text: string): bigint {
  const match = /^(\d{1,15})(?:\.(\d{1,6}))? ?(b|[kmgt]ib)?$/i.exec(text);
  const unit = UNITS[(match?.[3] ?? 'B').toLowerCase()];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError(
      'Give a size such as 4096, 64KiB, 10MiB or 1.5GiB.',
    );
  }
  const [, whole = '0', fraction = ''] = match;
  const millionths = BigInt(fraction.padEnd(6, '0'));
  return BigInt(whole) * unit + (millionths * unit) / FRACTION;
}
