// SPDX-License-Identifier: Apache-2.0
// Puts into the tree what the UI's own plugins would have put there before ours
// is loaded. The trace processor's standard library says what that is, as it
// says it to the UI.
import {queryRows} from '../../../src/ui-plugin/org.kernel.DmaBuf/rows.js';
import type {TraceDouble} from './trace_double.js';
import {
  LONG,
  NUM,
  NUM_NULL,
  STR,
  STR_NULL,
} from './ui_double/trace_processor/query_result.js';
import {TrackNode} from './ui_double/public/workspace.js';

/** As the plugins TrackEvent and TraceProcessorTrack do. */
export async function addStockTracks(trace: TraceDouble): Promise<void> {
  await addTrackEvents(trace);
  await addMemoryCounters(trace);
}

async function addTrackEvents(trace: TraceDouble): Promise<void> {
  const rows = await queryRows(
    trace.engine,
    `INCLUDE PERFETTO MODULE viz.summary.track_event;
     SELECT
       g.upid, g.parent_id, g.name, g.is_counter, g.has_data, g.has_children,
       g.track_ids, g.order_id
     FROM _track_event_tracks_ordered_groups AS g`,
    {
      upid: NUM_NULL,
      parent_id: NUM_NULL,
      name: STR_NULL,
      is_counter: NUM,
      has_data: NUM,
      has_children: NUM,
      track_ids: STR,
      order_id: NUM,
    },
  );
  const nodes = new Map<number, TrackNode>();
  for (const row of rows) {
    if (row.has_data === 0 && row.has_children === 0) continue;
    const trackIds = row.track_ids.split(',').map(Number);
    const first = trackIds[0] ?? -1;
    const uri = `/track_event_${first}`;
    trace.tracks.registerTrack({
      uri,
      renderer: {
        rootTableName: row.is_counter === 0 ? 'slice' : undefined,
        render: () => {},
      },
      tags: {trackIds, upid: row.upid ?? undefined, trackEvent: true},
    });
    const node = new TrackNode({
      uri,
      name: row.name ?? '',
      sortOrder: row.order_id,
      isSummary: row.has_data === 0,
    });
    nodes.set(first, node);
    const parent =
      row.parent_id !== null
        ? nodes.get(row.parent_id)
        : row.upid !== null
          ? trace.processGroups.addGroup(row.upid)
          : trace.defaultWorkspace.tracks;
    parent?.addChildInOrder(node);
  }
}

async function addMemoryCounters(trace: TraceDouble): Promise<void> {
  const rows = await queryRows(
    trace.engine,
    `SELECT id, upid FROM process_counter_track WHERE name = 'mem.dmabuf_rss'`,
    {id: LONG, upid: NUM},
  );
  for (const {id, upid} of rows) {
    const uri = `/counter_${id}`;
    trace.tracks.registerTrack({
      uri,
      renderer: {render: () => {}},
      tags: {trackIds: [Number(id)], upid},
    });
    const node = new TrackNode({uri, name: 'mem.dmabuf_rss'});
    trace.processGroups.addGroup(upid).addChildInOrder(node);
  }
}
