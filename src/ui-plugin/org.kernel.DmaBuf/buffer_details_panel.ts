// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import type {TrackEventDetailsPanel} from '../../public/details_panel';
import {
  queryBufferDetails,
  type BufferDetails,
  type Holder,
  type Sharing,
} from './buffer_details';
import {bufferTitle} from './buffer_title';
import {factTable, type Fact} from './facts';
import {formatBytes, formatDuration, UNKNOWN_TEXT} from './format';
import {
  holdingLink,
  lifetimesUri,
  link,
  processTitle,
  showSlice,
  simulatedBadge,
  timeLink,
} from './navigation';
import type {Session} from './session';
import {Table, type TableAttrs, type TableColumn} from './table';

/** What is shown of a buffer when one of its slices is selected. */
export class BufferDetailsPanel implements TrackEventDetailsPanel {
  private details: BufferDetails | undefined;
  private isLoaded = false;

  constructor(
    private readonly session: Session,
    // Of its lifetime or of one of its holdings.
    private readonly sliceId: number,
  ) {}

  async load(): Promise<void> {
    const {trace, sqlPackage} = this.session;
    this.details = await queryBufferDetails(
      trace.engine,
      sqlPackage,
      this.sliceId,
    );
    this.isLoaded = true;
  }

  render(): m.Children {
    const {details, isLoaded} = this;
    if (details === undefined) {
      return m('.pf-dmabuf-details', isLoaded ? 'No buffer.' : 'Loading…');
    }
    return m('.pf-dmabuf-details', [
      simulatedBadge(this.session.contents.isSimulated),
      m('h1', bufferTitle(details)),
      m('.pf-dmabuf-details__columns', [
        this.renderFacts(details),
        m('section', [
          m('h2', 'Holders over time'),
          this.renderHolders(details),
          m('h2', 'Sharing over time'),
          this.renderSharing(details.sharing),
        ]),
      ]),
    ]);
  }

  private renderFacts(details: BufferDetails): m.Children {
    const {trace} = this.session;
    const {sliceId, machineId} = details;
    const facts: ReadonlyArray<Fact> = [
      ['Inode', `${details.inode}`],
      ['Name', nameFact(details)],
      ...details.renames.map(({ts, name}): Fact => [
        'Named',
        [`${name === '' ? '""' : name} at `, timeLink(trace, ts)],
      ]),
      ['Exporter', details.exporter ?? UNKNOWN_TEXT],
      ['Size', sizeFact(details.size)],
      ['Age', ageFact(details)],
      ['First seen', timeLink(trace, details.ts)],
      [
        'Gone',
        details.isOpen ? endFact(details) : timeLink(trace, details.endTs),
      ],
      ['Kernel references', details.kernelRefs?.toString() ?? UNKNOWN_TEXT],
      [
        'Lifetime',
        sliceId === undefined
          ? UNKNOWN_TEXT
          : link('show', () =>
              showSlice(trace, lifetimesUri(machineId), sliceId),
            ),
      ],
    ];
    return m('section.pf-dmabuf-details__facts', [
      m('h2', 'Buffer'),
      factTable(facts),
    ]);
  }

  private renderHolders({holders}: BufferDetails): m.Children {
    const {trace} = this.session;
    const byId = new Map(holders.map((holder) => [holder.id, holder]));
    const columns: ReadonlyArray<TableColumn<Holder>> = [
      {
        title: 'Process',
        value: (holder) => title(holder),
        cell: (holder) => [
          holdingLink(trace, holder, title(holder)),
          holder.id === this.sliceId && ' (selected)',
        ],
      },
      {
        title: 'From',
        isNumber: true,
        value: ({ts}) => ts,
        cell: (holder) => [
          holder.beganUnseen && 'before ',
          timeLink(trace, holder.ts),
        ],
        tooltip: 'The first sample that saw it hold the buffer',
      },
      {
        title: 'For',
        isNumber: true,
        value: ({ts, endTs}) => endTs - ts,
        cell: holdingLength,
      },
      {
        title: 'Fds',
        isNumber: true,
        value: ({fdRefs}) => fdRefs,
        tooltip: 'Descriptors, as they were last told',
      },
      {
        title: 'Maps',
        isNumber: true,
        value: ({mapRefs}) => mapRefs,
        tooltip: 'Mappings, as they were last told',
      },
      {
        title: 'Mapped',
        isNumber: true,
        value: ({mappedBytes}) => mappedBytes,
        cell: ({mappedBytes}) => formatBytes(mappedBytes),
      },
      {
        title: 'PSS share',
        isNumber: true,
        value: ({lastShare}) => lastShare,
        cell: ({firstShare, lastShare}) =>
          firstShare === lastShare
            ? formatBytes(lastShare)
            : `${formatBytes(firstShare)} → ${formatBytes(lastShare)}`,
        tooltip: 'Size by number of holders: as it took it → as it was last',
      },
      {
        title: 'After',
        value: ({from}) => fromTitle(byId.get(from?.holdingId ?? -1)),
        cell: ({from}) => {
          const before = byId.get(from?.holdingId ?? -1);
          if (from === undefined || before === undefined) return '';
          return holdingLink(trace, before, fromTitle(before));
        },
        tooltip: 'Who took it before: the flow that is drawn',
      },
    ];
    const attrs: TableAttrs<Holder> = {
      columns,
      rows: holders,
      sortBy: 1,
      isAscending: true,
      emptyText: 'No process that could be read ever held it: kernel-only.',
    };
    return m<TableAttrs<Holder>, Table<Holder>>(Table, attrs);
  }

  private renderSharing(sharing: ReadonlyArray<Sharing>): m.Children {
    const {trace} = this.session;
    const attrs: TableAttrs<Sharing> = {
      columns: [
        {
          title: 'From',
          isNumber: true,
          value: ({ts}) => ts,
          cell: ({ts}) => timeLink(trace, ts),
        },
        {
          title: 'For',
          isNumber: true,
          value: ({dur}) => dur,
          cell: ({dur}) => formatDuration(dur),
        },
        {
          title: 'Holders',
          isNumber: true,
          value: ({holders}) => holders,
          cell: ({holders}) =>
            holders === 0 ? '0, kernel-only' : `${holders}`,
        },
        {
          title: 'Share of each',
          isNumber: true,
          value: ({share}) => share,
          cell: ({share, holders}) => (holders === 0 ? '' : formatBytes(share)),
        },
      ],
      rows: sharing,
      sortBy: 0,
      isAscending: true,
      emptyText: 'Not known.',
    };
    return m<TableAttrs<Sharing>, Table<Sharing>>(Table, attrs);
  }
}

function title({processName, pid}: Holder): string {
  return processTitle({name: processName, pid});
}

function fromTitle(holder: Holder | undefined): string {
  return holder === undefined ? '' : title(holder);
}

function holdingLength({ts, endTs, isOpen, endedUnseen}: Holder): string {
  const length = formatDuration(endTs - ts);
  if (isOpen) return `${length}, still held`;
  return endedUnseen ? `${length}, then unreadable` : length;
}

function nameFact({name, isNameDoubtful}: BufferDetails): string {
  if (name === undefined) return 'none';
  const text = name === '' ? '"" (set to be empty)' : name;
  return isNameDoubtful ? `${text} (doubtful: ambiguous where read)` : text;
}

function sizeFact(size: bigint | undefined): string {
  if (size === undefined) return UNKNOWN_TEXT;
  return `${formatBytes(size)} (${size.toLocaleString('en')} bytes)`;
}

function ageFact({ts, endTs, beganUnseen}: BufferDetails): string {
  const age = formatDuration(endTs - ts);
  return beganUnseen ? `at least ${age}: it was there before` : age;
}

function endFact({endedUnseen}: BufferDetails): string {
  return endedUnseen ? UNKNOWN_TEXT : 'still there at the end of the trace';
}
