// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import {choice} from './choice';
import type {ExplorerTimes} from './explorer_page';
import {Loaded} from './loaded';
import type {Session} from './session';
import {
  matches,
  queryState,
  treeByBuffer,
  treeByProcess,
  type StateRow,
  type TreeNode,
} from './state';
import {TimePicker} from './time_picker';
import {TreeTable} from './tree_table';

export interface StateViewAttrs {
  readonly session: Session;
  readonly times: ExplorerTimes;
}

/** A tree, and what it was made from. */
interface Found {
  readonly of: ReadonlyArray<StateRow>;
  readonly grouping: Grouping;
  readonly search: string;
  readonly nodes: ReadonlyArray<TreeNode>;
}

type Grouping = 'process' | 'buffer';

/** The state at a time, as a tree. */
export class StateView implements m.ClassComponent<StateViewAttrs> {
  private readonly rows = new Loaded<ReadonlyArray<StateRow>>();
  /** Undefined until it is chosen: the last time there is. */
  private ts: bigint | undefined;
  private grouping: Grouping = 'process';
  private search = '';
  private found: Found | undefined;

  view({attrs}: m.Vnode<StateViewAttrs>): m.Children {
    const {session, times} = attrs;
    const ts = this.ts ?? times.stamps.at(-1) ?? session.trace.traceInfo.end;
    return m('.pf-dmabuf-view', [
      m(TimePicker, {
        trace: session.trace,
        label: 'At',
        stamps: times.stamps,
        peak: times.peak,
        value: ts,
        onchange: (chosen) => (this.ts = chosen),
      }),
      m('.pf-dmabuf-bar', [
        choice<Grouping>(
          [
            {value: 'process', label: 'Process, name, buffer'},
            {value: 'buffer', label: 'Buffer, holders'},
          ],
          this.grouping,
          (chosen) => (this.grouping = chosen),
        ),
        m('input.pf-dmabuf-search[type=search]', {
          placeholder: 'Inode, name, exporter, process or pid',
          value: this.search,
          oninput: ({target}: InputEvent) => {
            if (target instanceof HTMLInputElement) this.search = target.value;
          },
        }),
      ]),
      this.rows.render(
        {ts},
        () => queryState(session, ts),
        (rows) => this.renderTree(session, rows),
      ),
    ]);
  }

  private renderTree(
    session: Session,
    rows: ReadonlyArray<StateRow>,
  ): m.Children {
    const {grouping, search} = this;
    const found = this.find(rows);
    const emptyText =
      rows.length === 0
        ? 'There was nothing at this time.'
        : `Nothing at this time matches ${search}.`;
    // Another tree opens anew.
    return [
      m(TreeTable, {key: grouping, session, nodes: found.nodes, emptyText}),
    ];
  }

  /** Searches when there is something new to find: the UI draws very often. */
  private find(rows: ReadonlyArray<StateRow>): Found {
    const {found, grouping, search} = this;
    if (
      found?.of === rows &&
      found.grouping === grouping &&
      found.search === search
    ) {
      return found;
    }
    const matching = rows.filter((row) => matches(row, search));
    const nodes =
      grouping === 'process' ? treeByProcess(matching) : treeByBuffer(matching);
    this.found = {of: rows, grouping, search, nodes};
    return this.found;
  }
}
