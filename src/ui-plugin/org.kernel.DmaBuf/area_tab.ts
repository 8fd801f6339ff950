// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import type {
  AreaSelection,
  AreaSelectionTab,
  ContentWithLoadingFlag,
} from '../../public/selection';
import {DMABUF_TRACK_KIND} from './buffer_track';
import {choice} from './choice';
import {formatBytes, formatChange} from './format';
import {
  isOfProcesses,
  KEY_OPTIONS,
  queryHeldIn,
  type HeldIn,
  type HeldRow,
  type Key,
} from './held_in';
import {keyColumns} from './key_columns';
import {Loaded} from './loaded';
import {simulatedBadge, timeLink} from './navigation';
import type {Session} from './session';
import {Table, type TableAttrs, type TableColumn} from './table';

/** What is held in the selected span of time. */
export class HeldInAreaTab implements AreaSelectionTab {
  readonly id = 'org.kernel.DmaBuf#held';
  readonly name = 'DMA-BUF held';
  // Before what fits any tracks.
  readonly priority = 1;
  private readonly rows = new Loaded<HeldIn>();
  private key: Key = 'process';

  constructor(
    private readonly session: Session,
    // Of all tracks of dma-bufs, stock ones too.
    private readonly trackIds: ReadonlySet<number>,
  ) {}

  render(selection: AreaSelection): ContentWithLoadingFlag | undefined {
    const scope = selectedProcesses(selection, this.trackIds);
    if (scope === undefined) return undefined;
    const {key} = this;
    const {trace, sqlPackage, contents} = this.session;
    const {start, end} = selection;
    const table = this.rows.render(
      {start, end, key, scope: scope === 'all' ? scope : [...scope].join()},
      async () => {
        const span = {start, end};
        const held = await queryHeldIn(trace.engine, sqlPackage, span, key);
        const rows = held.rows.filter((row) => isInScope(row, scope));
        return {...held, rows};
      },
      (held) => this.renderHeld(held),
    );
    return {
      isLoading: this.rows.isPending,
      content: m('.pf-dmabuf-area', [
        simulatedBadge(contents.isSimulated),
        choice(KEY_OPTIONS, key, (chosen) => (this.key = chosen)),
        m('p.pf-dmabuf-note', explain(key, scope)),
        table,
      ]),
    };
  }

  private renderHeld({rows, firstSample}: HeldIn): m.Children {
    const {key} = this;
    const attrs: TableAttrs<HeldRow> = {
      columns: [...keyColumns(key), ...this.valueColumns()],
      rows,
      sortBy: keyColumns(key).length + 2,
      emptyText: 'Nothing that was sampled was held in this time.',
    };
    // A table of another key has other columns and is sorted anew.
    const table = m<TableAttrs<HeldRow>, Table<HeldRow>>(Table, {
      ...attrs,
      key,
    });
    return [
      firstSample !== undefined &&
        m('p.pf-dmabuf-note', [
          'Before the first sample nothing is known; start is taken to be it: ',
          timeLink(this.session.trace, firstSample),
        ]),
      [table],
    ];
  }

  private valueColumns(): ReadonlyArray<TableColumn<HeldRow>> {
    const {trace} = this.session;
    const bytes: ReadonlyArray<TableColumn<HeldRow>> = [
      {
        title: 'Buffers',
        isNumber: true,
        value: ({buffers}) => buffers,
        cell: ({buffers, unknownSizes}) =>
          unknownSizes === 0
            ? `${buffers}`
            : `${buffers} (${unknownSizes} of unknown size)`,
      },
      {
        title: 'At start',
        isNumber: true,
        value: ({startBytes}) => startBytes,
        cell: ({startBytes}) => formatBytes(startBytes),
        sum: formatBytes,
      },
      {
        title: 'At end',
        isNumber: true,
        value: ({endBytes}) => endBytes,
        cell: ({endBytes}) => formatBytes(endBytes),
        sum: formatBytes,
      },
      {
        title: 'Change',
        isNumber: true,
        value: ({changeBytes}) => changeBytes,
        cell: ({changeBytes}) => formatChange(changeBytes),
        sum: formatChange,
      },
      {
        title: 'Peak',
        isNumber: true,
        value: ({peakBytes}) => peakBytes,
        cell: ({peakBytes}) => formatBytes(peakBytes),
        tooltip:
          'The most at one time; peaks at different times add up to none',
      },
      {
        title: 'Peak at',
        isNumber: true,
        value: ({peakTs}) => peakTs,
        cell: ({peakTs}) => timeLink(trace, peakTs),
      },
    ];
    if (!isOfProcesses(this.key)) return bytes;
    return [
      ...bytes,
      {
        title: 'PSS at start',
        isNumber: true,
        value: ({startPss}) => startPss,
        cell: ({startPss}) => formatBytes(startPss),
        sum: formatBytes,
      },
      {
        title: 'PSS at end',
        isNumber: true,
        value: ({endPss}) => endPss,
        cell: ({endPss}) => formatBytes(endPss),
        sum: formatBytes,
      },
    ];
  }
}

/** Processes by upid. */
type Scope = ReadonlySet<number> | 'all';

function isInScope({upid}: HeldRow, scope: Scope): boolean {
  return scope === 'all' || upid === undefined || scope.has(upid);
}

/**
 * The processes whose tracks are selected; `all` when a track of the whole
 * machine is; undefined when no track of dma-bufs is selected.
 */
export function selectedProcesses(
  {tracks}: Pick<AreaSelection, 'tracks'>,
  trackIds: ReadonlySet<number>,
): Scope | undefined {
  const upids = new Set<number>();
  for (const {tags} of tracks) {
    const isOurs =
      tags?.kinds?.includes(DMABUF_TRACK_KIND) === true ||
      tags?.trackIds?.some((id) => trackIds.has(id)) === true;
    if (!isOurs) continue;
    if (tags.upid === undefined) return 'all';
    upids.add(tags.upid);
  }
  return upids.size === 0 ? undefined : upids;
}

function explain(key: Key, scope: Scope): string {
  if (!isOfProcesses(key)) {
    return 'All there is on the machine, each buffer once, kernel-only ones too.';
  }
  const whose =
    scope === 'all'
      ? 'All processes'
      : `The selected processes (${scope.size})`;
  return (
    `${whose}. Bytes are RSS: what several hold counts for each of them; ` +
    'only PSS adds up to what there is.'
  );
}
