// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import {choice} from './choice';
import type {ExplorerTimes} from './explorer_page';
import {formatBytes, formatChange} from './format';
import {
  isOfProcesses,
  KEY_OPTIONS,
  queryDifference,
  type DifferenceRow,
  type Key,
} from './held_in';
import {keyColumns} from './key_columns';
import {Loaded} from './loaded';
import type {Session} from './session';
import {Table, type TableAttrs, type TableColumn} from './table';
import {TimePicker} from './time_picker';

export interface CompareViewAttrs {
  readonly session: Session;
  readonly times: ExplorerTimes;
}

/** What differs between two times. */
export class CompareView implements m.ClassComponent<CompareViewAttrs> {
  private readonly rows = new Loaded<ReadonlyArray<DifferenceRow>>();
  /** Undefined until they are chosen: the first and the last there are. */
  private ts1: bigint | undefined;
  private ts2: bigint | undefined;
  private key: Key = 'process';

  view({attrs}: m.Vnode<CompareViewAttrs>): m.Children {
    const {session, times} = attrs;
    const {trace, sqlPackage} = session;
    const {start, end} = trace.traceInfo;
    const ts1 = this.ts1 ?? times.stamps.at(0) ?? start;
    const ts2 = this.ts2 ?? times.stamps.at(-1) ?? end;
    const {key} = this;
    const common = {trace, stamps: times.stamps, peak: times.peak};
    return m('.pf-dmabuf-view', [
      m(TimePicker, {
        ...common,
        label: 'From',
        value: ts1,
        onchange: (chosen) => (this.ts1 = chosen),
      }),
      m(TimePicker, {
        ...common,
        label: 'To',
        value: ts2,
        onchange: (chosen) => (this.ts2 = chosen),
      }),
      choice(KEY_OPTIONS, key, (chosen) => (this.key = chosen)),
      this.rows.render(
        {ts1, ts2, key},
        () => queryDifference(trace.engine, sqlPackage, {ts1, ts2}, key),
        (rows) => renderTable(rows, key),
      ),
    ]);
  }
}

function renderTable(rows: ReadonlyArray<DifferenceRow>, key: Key): m.Children {
  const attrs: TableAttrs<DifferenceRow> = {
    columns: [...keyColumns(key), ...valueColumns(key)],
    rows,
    sortBy: keyColumns(key).length,
    emptyText: 'There was nothing at either time.',
  };
  // A table of another key has other columns and is sorted anew.
  return [
    m<TableAttrs<DifferenceRow>, Table<DifferenceRow>>(Table, {...attrs, key}),
  ];
}

function valueColumns(key: Key): ReadonlyArray<TableColumn<DifferenceRow>> {
  const columns: ReadonlyArray<TableColumn<DifferenceRow>> = [
    {
      title: 'Change',
      isNumber: true,
      value: ({changeBytes}) => changeBytes,
      cell: ({changeBytes}) => formatChange(changeBytes),
      sum: formatChange,
    },
    {
      title: 'From',
      isNumber: true,
      value: ({bytes1}) => bytes1,
      cell: ({bytes1}) => formatBytes(bytes1),
      sum: formatBytes,
    },
    {
      title: 'To',
      isNumber: true,
      value: ({bytes2}) => bytes2,
      cell: ({bytes2}) => formatBytes(bytes2),
      sum: formatBytes,
    },
    {
      title: 'Buffers gained',
      isNumber: true,
      value: ({gained}) => gained,
      tooltip: 'There at the second time and not at the first',
    },
    {
      title: 'Buffers lost',
      isNumber: true,
      value: ({lost}) => lost,
      tooltip: 'There at the first time and not at the second',
    },
    {
      title: 'Buffers',
      isNumber: true,
      value: ({buffers2}) => buffers2,
      cell: ({buffers1, buffers2}) => `${buffers1} → ${buffers2}`,
    },
  ];
  if (!isOfProcesses(key)) return columns;
  return [
    ...columns,
    {
      title: 'Change of PSS',
      isNumber: true,
      value: ({changePss}) => changePss,
      cell: ({changePss}) => formatChange(changePss),
      sum: formatChange,
    },
  ];
}
