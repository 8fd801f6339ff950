// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import {
  compareCells,
  sumOf,
  Table,
  tabSeparated,
  type TableAttrs,
  type TableColumn,
} from './table';

interface Fruit {
  readonly name: string;
  readonly bytes: bigint | undefined;
}

const COLUMNS: ReadonlyArray<TableColumn<Fruit>> = [
  {title: 'Name', value: ({name}) => name},
  {
    title: 'Bytes',
    isNumber: true,
    value: ({bytes}) => bytes,
    cell: ({bytes}) => (bytes === undefined ? 'unknown' : `${bytes} B`),
    sum: (sum) => `${sum} B`,
  },
];

const FRUITS: ReadonlyArray<Fruit> = [
  {name: 'pear', bytes: 9n},
  {name: 'fig', bytes: undefined},
  {name: 'apple', bytes: 30n},
];

function draw(rows: ReadonlyArray<Fruit>): HTMLElement {
  const root = document.createElement('div');
  const attrs: TableAttrs<Fruit> = {
    columns: COLUMNS,
    rows,
    sortBy: 1,
    emptyText: 'No fruit.',
  };
  const view = () => m<TableAttrs<Fruit>, Table<Fruit>>(Table, attrs);
  m.mount(root, {view});
  return root;
}

function names(root: HTMLElement): ReadonlyArray<string | null> {
  return [...root.querySelectorAll('tbody td:first-child')].map(
    (cell) => cell.textContent,
  );
}

function click(root: HTMLElement, index: number): void {
  const heads = root.querySelectorAll<HTMLElement>('th button');
  heads[index]?.click();
  m.redraw.sync();
}

test('the largest is first, the unknown last', () => {
  expect(names(draw(FRUITS))).toEqual(['apple', 'pear', 'fig']);
});

test('a click sorts by a column, another one the other way round', () => {
  const root = draw(FRUITS);
  click(root, 1);
  expect(names(root)).toEqual(['fig', 'pear', 'apple']);
  click(root, 0);
  expect(names(root)).toEqual(['pear', 'fig', 'apple']);
  click(root, 0);
  expect(names(root)).toEqual(['apple', 'fig', 'pear']);
});

test('what is known is summed', () => {
  expect(draw(FRUITS).querySelector('tfoot')?.textContent).toBe('39 B');
});

test('an empty table says so', () => {
  expect(draw([]).textContent).toBe('No fruit.');
});

test('many rows are shown in pieces', () => {
  const many = Array.from({length: 450}, (_, index) => ({
    name: `fruit ${index}`,
    bytes: BigInt(index),
  }));
  const root = draw(many);
  expect(names(root)).toHaveLength(200);
  const more = root.querySelector<HTMLElement>('.pf-dmabuf-button');
  expect(more?.textContent).toBe('Show more (200 of 450 shown)');
  more?.click();
  m.redraw.sync();
  expect(names(root)).toHaveLength(400);
});

test('integers stay exact in sums, fractions are kept', () => {
  expect(sumOf([1n << 60n, 1n, undefined, 'x'])).toBe((1n << 60n) + 1n);
  expect(sumOf([1n, 0.5])).toBe(1.5);
});

test('cells are compared by size, the unknown before all', () => {
  expect(compareCells(2n, 10)).toBe(-1);
  expect(compareCells(undefined, -5)).toBe(-1);
  expect(compareCells(undefined, undefined)).toBe(0);
  expect(compareCells('b', 'a')).toBe(1);
});

test('a copy has plain numbers, and no name breaks out of its field', () => {
  const rows = [
    {name: 'a\tb\nc', bytes: 1n},
    {name: '=HYPERLINK("x")', bytes: undefined},
  ];
  expect(tabSeparated(COLUMNS, rows)).toBe(
    'Name\tBytes\na b c\t1\n\'=HYPERLINK("x")\t\n',
  );
});
