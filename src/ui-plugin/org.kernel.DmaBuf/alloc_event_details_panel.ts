// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import type {TrackEventDetailsPanel} from '../../public/details_panel';
import {
  LONG_NULL,
  NUM,
  NUM_NULL,
  STR,
  STR_NULL,
} from '../../trace_processor/query_result';
import {factTable} from './facts';
import {formatBytes, formatDuration, UNKNOWN_TEXT} from './format';
import {
  lifetimesUri,
  link,
  processTitle,
  showSlice,
  simulatedBadge,
  timeLink,
} from './navigation';
import {queryRows} from './rows';
import type {Session} from './session';

/** The event, by what its track knows of it. */
export interface AllocEvent {
  readonly ts: bigint;
  /** `alloc` or `free`. */
  readonly what: string;
  readonly inode: bigint;
}

const SPEC = {
  size: LONG_NULL,
  exporter: STR_NULL,
  pid: LONG_NULL,
  process_name: STR_NULL,
  source: STR,
  seen_after: LONG_NULL,
  slice_id: NUM_NULL,
  machine_id: NUM,
};

/** An allocation or a free, and the buffer of a recording that it is of. */
export class AllocEventDetailsPanel implements TrackEventDetailsPanel {
  private row: typeof SPEC | undefined;

  constructor(
    private readonly session: Session,
    private readonly event: AllocEvent,
  ) {}

  async load(): Promise<void> {
    const {trace, sqlPackage} = this.session;
    const {ts, what, inode} = this.event;
    await sqlPackage.include('alloc_events');
    const rows = await queryRows(
      trace.engine,
      `SELECT
         e.size, e.exporter, e.pid, e.process_name, e.source, e.seen_after,
         b.slice_id, ifnull(b.machine_id, 0) AS machine_id
       FROM dmabuf_alloc_event AS e
       LEFT JOIN dmabuf_buffer AS b ON b.id = e.buffer_id
       WHERE e.ts = ${ts} AND e.inode = ${inode} AND e.kind = '${what}'
       LIMIT 1`,
      SPEC,
    );
    this.row = rows[0];
  }

  render(): m.Children {
    const {session, event, row} = this;
    const {trace, contents} = session;
    const {ts, what, inode} = event;
    const title = `${what === 'alloc' ? 'Allocation' : 'Free'} of ${inode}`;
    if (row === undefined) return m('.pf-dmabuf-details', m('h1', title));
    const {pid, process_name: name, slice_id: sliceId} = row;
    return m('.pf-dmabuf-details', [
      simulatedBadge(contents.isSimulated),
      m('h1', title),
      factTable([
        ['True time', timeLink(trace, ts)],
        ['From the event', row.source],
        ['Size', formatBytes(row.size ?? undefined)],
        ['Exporter', row.exporter ?? UNKNOWN_TEXT],
        [
          'In process',
          pid === null
            ? UNKNOWN_TEXT
            : processTitle({name: name ?? undefined, pid}),
        ],
        ['Seen by samples', seenText(row.seen_after, contents.hasRecording)],
        [
          'Buffer',
          sliceId === null
            ? 'no sample saw it'
            : link('show its lifetime', () =>
                showSlice(trace, lifetimesUri(row.machine_id), sliceId),
              ),
        ],
      ]),
    ]);
  }
}

function seenText(after: bigint | null, hasRecording: boolean): string {
  if (!hasRecording) return 'no recording in this trace';
  return after === null ? UNKNOWN_TEXT : `${formatDuration(after)} later`;
}
