// SPDX-License-Identifier: Apache-2.0
// A table that can be sorted, summed and copied. The UI's own grid reads from
// SQL and brings half the UI along; this one shows rows that are at hand.
import m from 'mithril';

export type CellValue = string | number | bigint | undefined;

export interface TableColumn<R> {
  readonly title: string;
  /** What is sorted by, summed and copied. */
  readonly value: (row: R) => CellValue;
  /** How it is shown, if not as text. */
  readonly cell?: (row: R) => m.Children;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
  /** How the sum is shown; without it there is none. */
  readonly sum?: (sum: number | bigint) => string;
  readonly tooltip?: string;
}

export interface TableAttrs<R> {
  readonly columns: ReadonlyArray<TableColumn<R>>;
  readonly rows: ReadonlyArray<R>;
  /** Index of the column that is sorted by at first. */
  readonly sortBy: number;
  /** Whether the smallest comes first at first. */
  readonly isAscending?: boolean;
  /** Said in place of an empty table. */
  readonly emptyText: string;
}

/** How many rows are shown before asking for more. */
const ROWS_PER_PAGE = 200;

/** Rows in an order, and what that order came from. */
interface Sorted<R> {
  readonly of: ReadonlyArray<R>;
  readonly sortBy: number;
  readonly isDescending: boolean;
  readonly rows: ReadonlyArray<R>;
}

type CopyState = 'idle' | 'copied' | 'failed';

export class Table<R> implements m.ClassComponent<TableAttrs<R>> {
  private sortBy: number | undefined;
  private isDescending: boolean | undefined;
  private shownRows = ROWS_PER_PAGE;
  private copyState: CopyState = 'idle';
  private sorted: Sorted<R> | undefined;

  view({attrs}: m.Vnode<TableAttrs<R>>): m.Children {
    const {columns, rows, emptyText} = attrs;
    if (rows.length === 0) return m('.pf-dmabuf-empty', emptyText);
    const sorted = this.sort(attrs);
    return m('.pf-dmabuf-table', [
      m('table', [
        m(
          'thead',
          m(
            'tr',
            columns.map((_column, index) => this.renderHead(attrs, index)),
          ),
        ),
        m(
          'tbody',
          sorted.slice(0, this.shownRows).map((row) =>
            m(
              'tr',
              columns.map((column) => renderCell(column, row)),
            ),
          ),
        ),
        columns.some(({sum}) => sum !== undefined) &&
          m(
            'tfoot',
            m(
              'tr',
              columns.map((column) => renderSum(column, rows)),
            ),
          ),
      ]),
      m('.pf-dmabuf-table__actions', [
        rows.length > this.shownRows &&
          m(
            'button.pf-dmabuf-button',
            {onclick: () => (this.shownRows += ROWS_PER_PAGE)},
            `Show more (${this.shownRows} of ${rows.length} shown)`,
          ),
        m(
          'button.pf-dmabuf-button',
          {
            title: 'All rows, tab-separated, bytes and times as plain numbers',
            onclick: () => this.copy(columns, sorted),
          },
          COPY_LABEL[this.copyState],
        ),
      ]),
    ]);
  }

  private renderHead(attrs: TableAttrs<R>, index: number): m.Children {
    const column = attrs.columns[index];
    if (column === undefined) return undefined;
    const isSorted = index === (this.sortBy ?? attrs.sortBy);
    const isDescending = this.descends(attrs);
    const direction = isDescending ? 'descending' : 'ascending';
    return m(
      `th[aria-sort=${isSorted ? direction : 'none'}]`,
      {
        class: column.isNumber === true ? 'pf-dmabuf-number' : '',
        title: column.tooltip,
      },
      m(
        'button.pf-dmabuf-table__sort',
        {
          onclick: () => {
            this.isDescending = isSorted ? !isDescending : true;
            this.sortBy = index;
          },
        },
        column.title,
        isSorted && (isDescending ? ' \u25be' : ' \u25b4'),
      ),
    );
  }

  private descends({isAscending}: TableAttrs<R>): boolean {
    return this.isDescending ?? isAscending !== true;
  }

  /** Sorts when there is something new to sort: the UI draws very often. */
  private sort(attrs: TableAttrs<R>): ReadonlyArray<R> {
    const {columns, rows} = attrs;
    const sortBy = this.sortBy ?? attrs.sortBy;
    const isDescending = this.descends(attrs);
    const {sorted} = this;
    if (
      sorted?.of === rows &&
      sorted.sortBy === sortBy &&
      sorted.isDescending === isDescending
    ) {
      return sorted.rows;
    }
    const column = columns[sortBy];
    if (column === undefined) return rows;
    const sign = isDescending ? -1 : 1;
    const compare = (a: R, b: R): number =>
      sign * compareCells(column.value(a), column.value(b));
    const result = [...rows].sort(compare);
    this.sorted = {of: rows, sortBy, isDescending, rows: result};
    return result;
  }

  private async copy(
    columns: ReadonlyArray<TableColumn<R>>,
    rows: ReadonlyArray<R>,
  ): Promise<void> {
    try {
      await navigator.clipboard.writeText(tabSeparated(columns, rows));
      this.copyState = 'copied';
    } catch {
      // The browser refuses it to pages that are not in front.
      this.copyState = 'failed';
    }
    // Nothing else draws after the clipboard has answered.
    m.redraw();
  }
}

const COPY_LABEL: Readonly<Record<CopyState, string>> = {
  idle: 'Copy',
  copied: 'Copied',
  failed: 'The browser did not allow copying',
};

function renderCell<R>(column: TableColumn<R>, row: R): m.Children {
  const value = column.value(row);
  return m(
    'td',
    {class: column.isNumber === true ? 'pf-dmabuf-number' : ''},
    column.cell !== undefined
      ? column.cell(row)
      : (value?.toString() ?? 'unknown'),
  );
}

function renderSum<R>(
  column: TableColumn<R>,
  rows: ReadonlyArray<R>,
): m.Children {
  const {sum} = column;
  return m(
    'td',
    {class: column.isNumber === true ? 'pf-dmabuf-number' : ''},
    sum !== undefined && sum(sumOf(rows.map((row) => column.value(row)))),
  );
}

/** The sum of all numbers among the values; the unknown adds nothing. */
export function sumOf(values: ReadonlyArray<CellValue>): number | bigint {
  let integers = 0n;
  let fractions = 0;
  let isWhole = true;
  for (const value of values) {
    if (typeof value === 'bigint') integers += value;
    if (typeof value === 'number') {
      fractions += value;
      isWhole = false;
    }
  }
  return isWhole ? integers : Number(integers) + fractions;
}

/** Numbers by size, texts by their letters, the unknown before all. */
export function compareCells(a: CellValue, b: CellValue): number {
  if (a === undefined || b === undefined) {
    return Number(a !== undefined) - Number(b !== undefined);
  }
  if (typeof a === 'string' || typeof b === 'string') {
    return String(a).localeCompare(String(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Rows as text for a spreadsheet, with a head line. */
export function tabSeparated<R>(
  columns: ReadonlyArray<TableColumn<R>>,
  rows: ReadonlyArray<R>,
): string {
  const lines = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map((column) => toField(column.value(row)))),
  ];
  return lines.map((fields) => fields.join('\t')).join('\n') + '\n';
}

/** Names are untrusted: none may end a field or begin a formula. */
function toField(value: CellValue): string {
  if (typeof value !== 'string') return value?.toString() ?? '';
  const text = value.replace(/[\t\r\n]/g, ' ');
  return /^[=+\-@]/.test(text) ? `'${text}` : text;
}
