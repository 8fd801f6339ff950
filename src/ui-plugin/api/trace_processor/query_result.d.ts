// SPDX-License-Identifier: Apache-2.0
export type SqlValue =
  string | number | bigint | null | Uint8Array<ArrayBuffer>;

export const NUM: number;
export const NUM_NULL: number | null;
export const STR: string;
export const STR_NULL: string | null;
export const LONG: bigint;
export const LONG_NULL: bigint | null;

export interface Row {
  [column: string]: SqlValue;
}

export interface RowIteratorBase {
  valid(): boolean;
  next(): void;
  get(column: string): SqlValue;
}

/** The row it stands on, and the way to the next. */
export type RowIterator<T extends Row> = RowIteratorBase & T;

export interface QueryResult {
  iter<T extends Row>(spec: T): RowIterator<T>;
  /** @throws when there is no row. */
  firstRow<T extends Row>(spec: T): T;
  maybeFirstRow<T extends Row>(spec: T): T | undefined;
  numRows(): number;
  columns(): string[];
}
