// SPDX-License-Identifier: Apache-2.0
import {displayWidth, padEnd, padStart, truncate} from './terminal.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut to this many terminal columns where the line is too long. */
  readonly shrinkTo?: number;
}

export interface TableOptions {
  /** Width of the terminal; undefined: lines may be as long as they get. */
  readonly width?: number | undefined;
  /** Blanks before each line. */
  readonly indent?: number;
}

const GAP = '  ';

/**
 * Lines of a table with its titles first. Cells are printed as they are: they
 * have to be escaped already.
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string[] {
  const {indent = 0} = options;
  const widths = fit(
    columns,
    columns.map(({title}, i) =>
      rows.reduce(
        (width, row) => Math.max(width, displayWidth(row[i] ?? '')),
        title.length,
      ),
    ),
    options.width === undefined ? Infinity : options.width - indent,
  );
  const line = (cells: readonly string[]): string =>
    ' '.repeat(indent) +
    columns
      .map(({align}, i) => {
        const width = widths[i] ?? 0;
        const cell = truncate(cells[i] ?? '', width);
        return align === 'right' ? padStart(cell, width) : padEnd(cell, width);
      })
      .join(GAP)
      .trimEnd();
  return [columns.map(({title}) => title), ...rows].map(line);
}

/** Takes what is too much off the columns that may shrink, widest first. */
function fit(
  columns: readonly Column[],
  natural: readonly number[],
  available: number,
): number[] {
  const widths = [...natural];
  const total = (): number =>
    widths.reduce(
      (sum, width) => sum + width,
      GAP.length * (widths.length - 1),
    );
  while (total() > available) {
    const widest = columns.reduce<number | undefined>(
      (best, {shrinkTo}, i) =>
        shrinkTo !== undefined &&
        (widths[i] ?? 0) > shrinkTo &&
        (best === undefined || (widths[i] ?? 0) > (widths[best] ?? 0))
          ? i
          : best,
      undefined,
    );
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
