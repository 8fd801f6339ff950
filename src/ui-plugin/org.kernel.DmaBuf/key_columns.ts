// SPDX-License-Identifier: Apache-2.0
import type {Key} from './held_in';
import type {TableColumn} from './table';

interface Keyed {
  readonly process: string | undefined;
  readonly buffer: string | undefined;
  readonly name: string | undefined;
  readonly exporter: string | undefined;
}

const COLUMNS = {
  process: {title: 'Process', value: (row: Keyed) => row.process ?? ''},
  buffer: {title: 'Buffer', value: (row: Keyed) => row.buffer ?? ''},
  name: {title: 'Name', value: (row: Keyed) => row.name ?? ''},
  exporter: {title: 'Exporter', value: (row: Keyed) => row.exporter ?? ''},
};

/** The columns that name what a row is of. */
export function keyColumns(key: Key): ReadonlyArray<TableColumn<Keyed>> {
  const {process, buffer, name, exporter} = COLUMNS;
  switch (key) {
    case 'process':
      return [process];
    case 'holding':
      return [process, buffer, exporter];
    case 'buffer':
      return [buffer, exporter];
    case 'name':
      return [name];
    case 'exporter':
      return [exporter];
    default:
      return unreachable(key);
  }
}

function unreachable(key: never): never {
  throw new Error(`no such key: ${String(key)}`);
}
