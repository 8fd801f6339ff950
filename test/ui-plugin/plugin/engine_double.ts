// SPDX-License-Identifier: Apache-2.0
import type {Engine} from '../../../src/ui-plugin/api/trace_processor/engine';
import type {
  QueryResult,
  Row,
  RowIterator,
  SqlValue,
} from '../../../src/ui-plugin/api/trace_processor/query_result';
import type {Cell, TraceDb} from '../../trace_processor/index.js';

/** The UI's engine over the real trace processor; notes what it was asked. */
export class EngineDouble implements Engine {
  readonly queries: string[] = [];

  constructor(private readonly db: TraceDb) {}

  async query(sql: string): Promise<QueryResult> {
    this.queries.push(sql);
    return new ResultDouble(await this.db.query(sql));
  }
}

type Cells = Readonly<Record<string, Cell>>;

/** Rows that are already there. */
export class ResultDouble implements QueryResult {
  constructor(private readonly rows: ReadonlyArray<Cells>) {}

  iter<T extends Row>(spec: T): RowIterator<T> {
    const {rows} = this;
    let index = 0;
    const row: T = {...spec};
    const load = (): void => {
      const cells = rows[index];
      if (cells !== undefined) Object.assign(row, toRow(spec, cells));
    };
    load();
    return Object.assign(row, {
      valid: () => index < rows.length,
      next: () => {
        index++;
        load();
      },
      get: (column: string) => row[column] ?? null,
    });
  }

  firstRow<T extends Row>(spec: T): T {
    const row = this.maybeFirstRow(spec);
    if (row === undefined) throw new Error('no rows');
    return row;
  }

  maybeFirstRow<T extends Row>(spec: T): T | undefined {
    const cells = this.rows[0];
    return cells === undefined ? undefined : {...spec, ...toRow(spec, cells)};
  }

  numRows(): number {
    return this.rows.length;
  }

  columns(): string[] {
    return Object.keys(this.rows[0] ?? {});
  }
}

/** @throws where a column is not of the type that was asked for, as the UI. */
function toRow(spec: Row, cells: Cells): Row {
  const row: Row = {};
  for (const [column, type] of Object.entries(spec)) {
    if (!(column in cells)) throw new Error(`no column ${column}`);
    row[column] = toValue(column, type, cells[column]);
  }
  return row;
}

const NUM_NULL = 1;
const STR_NULL = 'str_null';
const LONG_NULL = 1n;

function toValue(column: string, type: SqlValue, cell: Cell): SqlValue {
  const isNullable = [NUM_NULL, STR_NULL, LONG_NULL].some((t) => t === type);
  if (cell === undefined && isNullable) return null;
  const isNumber = typeof cell === 'number' || typeof cell === 'bigint';
  if (typeof type === 'bigint' && isNumber) return BigInt(cell);
  if (typeof type === 'number' && isNumber) return Number(cell);
  if (typeof type === 'string' && typeof cell === 'string') return cell;
  throw new Error(`column ${column} is ${String(cell)}, not ${typeof type}`);
}
