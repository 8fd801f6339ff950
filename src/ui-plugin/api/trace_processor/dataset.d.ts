// SPDX-License-Identifier: Apache-2.0
import type {SqlValue} from './query_result';

export type DatasetSchema = Readonly<Record<string, SqlValue>>;

type Filter =
  | {readonly col: string; readonly eq: SqlValue}
  | {readonly col: string; readonly in: ReadonlyArray<SqlValue>};

/** A table or SELECT, the columns wanted of it, and one filter. */
export class SourceDataset<T extends DatasetSchema = DatasetSchema> {
  readonly src: string;
  readonly schema: T;
  readonly filter?: Filter;

  constructor(config: {
    readonly src: string;
    readonly schema: T;
    readonly filter?: Filter;
    /** SQL expressions of the columns that are not just named. */
    readonly select?: Readonly<Record<keyof T, string>>;
  });

  query(): string;
}
