// SPDX-License-Identifier: Apache-2.0

/** One line of the benches' table: a ratio against a named reference. */
export interface Ratio {
  readonly name: string;
  /** Measured over reference, both in this run. */
  readonly ratio: number;
  /** What the ratio has to be, e.g. `<= 2.5`. */
  readonly limit: string;
  /** The two figures behind it, for people. */
  readonly detail: string;
}

/** True when `ratio` keeps a limit written as `<= N` or `>= N`. */
export function keeps({ratio, limit}: Ratio): boolean {
  const match = /^(<=|>=) ([\d.]+)$/.exec(limit);
  if (match === null) throw new Error(`not a limit: ${limit}`);
  const bound = Number(match[2]);
  return match[1] === '<=' ? ratio <= bound : ratio >= bound;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1
    ? upper
    : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

/** The table, aligned, one ratio a line. */
export function toTable(ratios: readonly Ratio[]): string {
  const rows = ratios.map((ratio) => [
    keeps(ratio) ? 'ok' : 'MISSED',
    ratio.name,
    ratio.ratio.toFixed(3),
    ratio.limit,
    ratio.detail,
  ]);
  const all = [['', 'what', 'ratio', 'limit', 'measured / reference'], ...rows];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...all.map((row) => row[column]?.length ?? 0)),
  );
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
