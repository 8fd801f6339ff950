// SPDX-License-Identifier: Apache-2.0
// A tree whose nodes have values in columns.
import m from 'mithril';
import {formatBytes} from './format';
import {
  holdingLink,
  lifetimesUri,
  link,
  showSlice,
  timeLink,
} from './navigation';
import type {Session} from './session';
import type {StateRow, TreeNode} from './state';

export interface TreeTableAttrs {
  readonly session: Session;
  readonly nodes: ReadonlyArray<TreeNode>;
  readonly emptyText: string;
}

/** How many children are shown before asking for more. */
const CHILDREN_PER_PAGE = 100;

export class TreeTable implements m.ClassComponent<TreeTableAttrs> {
  /** Paths of keys. */
  private readonly open = new Set<string>();
  /** Where more than one page of children is shown. */
  private readonly shown = new Map<string, number>();

  view({attrs}: m.Vnode<TreeTableAttrs>): m.Children {
    const {nodes, emptyText} = attrs;
    if (nodes.length === 0) return m('.pf-dmabuf-empty', emptyText);
    return m('.pf-dmabuf-table.pf-dmabuf-tree', [
      m('table', [
        m(
          'thead',
          m('tr', [
            m('th', 'Name'),
            NUMBER_COLUMNS.map((title) => m('th.pf-dmabuf-number', title)),
            m('th', 'Since'),
          ]),
        ),
        m('tbody', this.renderNodes(attrs, nodes, '', 0)),
      ]),
    ]);
  }

  private renderNodes(
    attrs: TreeTableAttrs,
    nodes: ReadonlyArray<TreeNode>,
    path: string,
    depth: number,
  ): m.Children {
    const shown = this.shown.get(path) ?? CHILDREN_PER_PAGE;
    return [
      nodes
        .slice(0, shown)
        .map((node) =>
          this.renderNode(attrs, node, `${path}/${node.key}`, depth),
        ),
      nodes.length > shown &&
        m(
          'tr',
          m(`td.pf-dmabuf-tree__name--depth${depth}`, [
            link(`Show more (${shown} of ${nodes.length} shown)`, () =>
              this.shown.set(path, shown + CHILDREN_PER_PAGE),
            ),
          ]),
        ),
    ];
  }

  private renderNode(
    attrs: TreeTableAttrs,
    node: TreeNode,
    path: string,
    depth: number,
  ): m.Children {
    const {session} = attrs;
    const {row, children} = node;
    const isOpen = this.open.has(path);
    const isLeaf = children.length === 0;
    return [
      m('tr', [
        m(`td.pf-dmabuf-tree__name--depth${depth}`, [
          isLeaf
            ? m('span.pf-dmabuf-tree__toggle')
            : m(
                `button.pf-dmabuf-tree__toggle[aria-expanded=${isOpen}]`,
                {
                  title: isOpen ? 'Collapse' : 'Expand',
                  onclick: () => this.toggle(path),
                },
                isOpen ? '\u25be' : '\u25b8',
              ),
          row === undefined || !isLeaf
            ? node.label
            : sliceLink(session, row, node.label),
        ]),
        m('td.pf-dmabuf-number', bytesText(node)),
        m(
          'td.pf-dmabuf-number',
          node.pss === undefined ? '' : formatBytes(node.pss),
        ),
        m('td.pf-dmabuf-number', node.buffers),
        m('td.pf-dmabuf-number', isLeaf ? row?.fdRefs : ''),
        m('td.pf-dmabuf-number', isLeaf ? row?.mapRefs : ''),
        m(
          'td',
          isLeaf && row !== undefined && timeLink(session.trace, row.since),
        ),
      ]),
      isOpen && this.renderNodes(attrs, children, path, depth + 1),
    ];
  }

  private toggle(path: string): void {
    if (!this.open.delete(path)) this.open.add(path);
  }
}

const NUMBER_COLUMNS = ['Bytes', 'PSS', 'Buffers', 'Fds', 'Maps'];

function bytesText({bytes, unknownSizes, buffers}: TreeNode): string {
  if (unknownSizes === 0) return formatBytes(bytes);
  if (unknownSizes === buffers) return formatBytes(undefined);
  return `${formatBytes(bytes)} and ${unknownSizes} of unknown size`;
}

function sliceLink(
  {trace}: Session,
  {sliceId, upid, machineId}: StateRow,
  label: string,
): m.Children {
  if (sliceId === undefined) return label;
  if (upid !== undefined) return holdingLink(trace, {id: sliceId, upid}, label);
  return link(label, () => showSlice(trace, lifetimesUri(machineId), sliceId));
}
