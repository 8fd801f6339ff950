// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import {formatBytes, formatDuration} from './format';
import {
  queryLeakCandidates,
  queryLeakedBuffers,
  type LeakCandidate,
  type LeakedBuffer,
} from './leaks';
import {Loaded} from './loaded';
import {
  holdingLink,
  lifetimesUri,
  link,
  showSlice,
  timeLink,
} from './navigation';
import type {Session} from './session';
import {Table, type TableAttrs} from './table';

export interface LeakViewAttrs {
  readonly session: Session;
}

/** What speaks for each kind of candidate, in a few words. */
const KIND_TEXT: Readonly<Record<string, string>> = {
  kernel_only: 'kernel-only: no process holds them any more',
  last_holder: 'held by one process long after all others let go',
  outlived: 'outlived the others of their kind',
  growth: 'more and more of them, none ever freed',
};

/** Leak candidates with their evidence, and the buffers of one of them. */
export class LeakView implements m.ClassComponent<LeakViewAttrs> {
  private readonly candidates = new Loaded<ReadonlyArray<LeakCandidate>>();
  private readonly buffers = new Loaded<ReadonlyArray<LeakedBuffer>>();
  private chosen: LeakCandidate | undefined;

  view({attrs}: m.Vnode<LeakViewAttrs>): m.Children {
    const {session} = attrs;
    const {trace, sqlPackage} = session;
    const {chosen} = this;
    return m('.pf-dmabuf-view', [
      m(
        'p.pf-dmabuf-note',
        'Candidates, not verdicts: what was made during the recording and is ' +
          'still there at its end, with what speaks for it.',
      ),
      this.candidates.render(
        {},
        () => queryLeakCandidates(trace.engine, sqlPackage),
        (candidates) => this.renderCandidates(session, candidates),
      ),
      chosen !== undefined && [
        m('h2', `Buffers of candidate ${chosen.id}`),
        this.buffers.render(
          {id: chosen.id},
          () => queryLeakedBuffers(trace.engine, chosen.id),
          (buffers) => renderBuffers(session, buffers),
        ),
      ],
    ]);
  }

  private renderCandidates(
    {trace}: Session,
    candidates: ReadonlyArray<LeakCandidate>,
  ): m.Children {
    const attrs: TableAttrs<LeakCandidate> = {
      columns: [
        {
          title: 'Candidate',
          isNumber: true,
          value: ({id}) => id,
          cell: (candidate) =>
            link(`${candidate.id}`, () => (this.chosen = candidate)),
          tooltip: '1 is the strongest; choose one to see its buffers',
        },
        {title: 'Held by', value: ({process}) => process ?? 'kernel only'},
        {title: 'Name', value: ({name}) => name ?? 'no name'},
        {title: 'Exporter', value: ({exporter}) => exporter},
        {
          title: 'Buffers',
          isNumber: true,
          value: ({buffers}) => buffers,
        },
        {
          title: 'Bytes',
          isNumber: true,
          value: ({bytes}) => bytes,
          cell: ({bytes}) => formatBytes(bytes),
          sum: formatBytes,
        },
        {
          title: 'First made',
          isNumber: true,
          value: ({firstTs}) => firstTs,
          cell: ({firstTs}) => timeLink(trace, firstTs),
        },
        {
          title: 'Oldest',
          isNumber: true,
          value: ({oldest}) => oldest,
          cell: ({oldest}) => formatDuration(oldest),
        },
        {
          title: 'What speaks for it',
          value: ({kind, evidence}) =>
            `${KIND_TEXT[kind] ?? kind}. ${evidence}`,
        },
      ],
      rows: candidates,
      sortBy: 0,
      isAscending: true,
      emptyText: 'Nothing in this recording looks like a leak.',
    };
    return m<TableAttrs<LeakCandidate>, Table<LeakCandidate>>(Table, attrs);
  }
}

function renderBuffers(
  {trace}: Session,
  buffers: ReadonlyArray<LeakedBuffer>,
): m.Children {
  const attrs: TableAttrs<LeakedBuffer> = {
    columns: [
      {
        title: 'Buffer',
        value: ({title}) => title,
        cell: ({title, sliceId, upid, machineId}) => {
          if (sliceId === undefined) return title;
          if (upid !== undefined) {
            return holdingLink(trace, {id: sliceId, upid}, title);
          }
          const uri = lifetimesUri(machineId);
          return link(title, () => showSlice(trace, uri, sliceId));
        },
      },
      {
        title: 'Size',
        isNumber: true,
        value: ({size}) => size,
        cell: ({size}) => formatBytes(size),
        sum: formatBytes,
      },
      {
        title: 'Made',
        isNumber: true,
        value: ({ts}) => ts,
        cell: ({ts}) => timeLink(trace, ts),
      },
      {
        title: 'All others let go',
        isNumber: true,
        value: ({letGoTs}) => letGoTs,
        cell: ({letGoTs}) =>
          letGoTs === undefined ? 'no other held it' : timeLink(trace, letGoTs),
      },
    ],
    rows: buffers,
    sortBy: 2,
    isAscending: true,
    emptyText: 'None.',
  };
  return m<TableAttrs<LeakedBuffer>, Table<LeakedBuffer>>(Table, attrs);
}
