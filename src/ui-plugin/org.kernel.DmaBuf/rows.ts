// SPDX-License-Identifier: Apache-2.0
import type {Engine} from '../../trace_processor/engine';
import type {Row} from '../../trace_processor/query_result';

/** The rows of a query, with the columns and types of `spec`. */
export async function queryRows<T extends Row>(
  engine: Engine,
  sql: string,
  spec: T,
): Promise<ReadonlyArray<T>> {
  const result = await engine.query(sql);
  const columns: ReadonlyArray<keyof T> = Object.keys(spec);
  const rows: T[] = [];
  for (const it = result.iter(spec); it.valid(); it.next()) {
    const row: T = {...spec};
    for (const column of columns) row[column] = it[column];
    rows.push(row);
  }
  return rows;
}
