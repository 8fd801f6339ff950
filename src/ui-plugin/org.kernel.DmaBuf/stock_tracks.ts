// SPDX-License-Identifier: Apache-2.0
// What stock data sources tell of dma-bufs, with or without a recording.
import {CounterTrack} from '../../components/tracks/counter_track';
import {SliceTrack} from '../../components/tracks/slice_track';
import {COUNTER_TRACK_KIND, SLICE_TRACK_KIND} from '../../public/track_kinds';
import {TrackNode} from '../../public/workspace';
import {SourceDataset} from '../../trace_processor/dataset';
import {LONG, NUM, NUM_NULL, STR} from '../../trace_processor/query_result';
import {AllocEventDetailsPanel} from './alloc_event_details_panel';
import {bufferColor, DMABUF_TRACK_KIND} from './buffer_track';
import {ALLOC_EVENTS_URI, DMABUF_RSS_SUM_URI} from './navigation';
import type {Placement} from './placement';
import type {Session} from './session';

/** One row for each change of the sum over all processes. */
const RSS_SUM_TABLE = '_dmabuf_plugin_rss_sum';

/** Adds tracks to the DMA-BUF group, making the group where there is none. */
export async function addStockTracks(
  session: Session,
  placement: Placement,
): Promise<void> {
  const nodes = [await addAllocEvents(session), await addRssSum(session)];
  const group = await findOrMakeGroup(session, placement, nodes);
  for (const node of nodes) {
    if (node !== undefined) group?.addChildInOrder(node);
  }
}

async function findOrMakeGroup(
  {trace}: Session,
  placement: Placement,
  nodes: ReadonlyArray<TrackNode | undefined>,
): Promise<TrackNode | undefined> {
  if (nodes.every((node) => node === undefined)) return undefined;
  const {root} = (
    await trace.engine.query('SELECT min(id) AS root FROM dmabuf_root_track')
  ).firstRow({root: NUM_NULL});
  const found = placement.find(root ?? undefined);
  if (found !== undefined) return found;
  const group = new TrackNode({name: 'DMA-BUF', isSummary: true, sortOrder: 0});
  trace.defaultWorkspace.addChildInOrder(group);
  return group;
}

/** Behind everything that a recording has in the group. */
const LAST = 1_000_000;

// One row for each event: id, ts, what, inode. Tables that also know the
// recording's buffers are made when an event is selected. (The UI hands a row
// over as a selection, whose own `kind` would hide a column's.)
const ALLOC_EVENT_TABLE = '_dmabuf_plugin_alloc_event';

async function addAllocEvents(
  session: Session,
): Promise<TrackNode | undefined> {
  const {trace, contents} = session;
  if (!contents.hasDmaHeapStat && !contents.hasDmaBufExport) return undefined;
  await trace.engine.query(`
    CREATE PERFETTO TABLE ${ALLOC_EVENT_TABLE} AS
    WITH events AS (
      SELECT
        c.ts,
        iif(c.value > 0, 'alloc', 'free') AS what,
        extract_arg(c.arg_set_id, 'inode') AS inode
      FROM thread_counter_track AS t JOIN counter AS c ON c.track_id = t.id
      WHERE t.name = 'mem.dma_heap_change'
      UNION ALL
      SELECT ts, 'alloc' AS what, extract_arg(arg_set_id, 'ino') AS inode
      FROM ftrace_event WHERE name = 'dma_buf_export'
    )
    SELECT row_number() OVER (ORDER BY ts) AS id, ts, what, inode
    FROM events ORDER BY id`);
  const uri = ALLOC_EVENTS_URI;
  const dataset = new SourceDataset({
    src: ALLOC_EVENT_TABLE,
    schema: {id: NUM, ts: LONG, what: STR, inode: LONG},
  });
  trace.tracks.registerTrack({
    uri,
    renderer: SliceTrack.create({
      trace,
      uri,
      dataset,
      sliceName: ({what, inode}) => `${what} ${inode}`,
      // The colour of the first buffer with this inode number; kernels before
      // 5.18 may give the number again.
      colorizer: ({inode}) => bufferColor(`${inode}.0`),
      detailsPanel: (row) => new AllocEventDetailsPanel(session, row),
    }),
    description:
      'Allocations and frees at their true time, from the kernel’s own events ' +
      '(dma_heap_stat: heaps alone; dma_buf_export: all exporters, no frees). ' +
      'The samples of a recording see them only some time later.',
    tags: {kinds: [SLICE_TRACK_KIND, DMABUF_TRACK_KIND]},
  });
  return new TrackNode({
    uri,
    name: 'Allocations and frees (true time)',
    sortOrder: LAST,
  });
}

async function addRssSum({
  trace,
  contents,
}: Session): Promise<TrackNode | undefined> {
  if (!contents.hasStockDmabufRss) return undefined;
  await trace.engine.query(`
    CREATE PERFETTO TABLE ${RSS_SUM_TABLE} AS
    WITH changes AS (
      SELECT
        c.ts,
        c.value - lag(c.value, 1, 0) OVER (
          PARTITION BY c.track_id ORDER BY c.ts
        ) AS delta
      FROM dmabuf_process_counter AS t JOIN counter AS c USING (track_id)
      WHERE t.kind = 'dmabuf_rss'
    )
    SELECT ts, sum(sum(delta)) OVER (ORDER BY ts) AS value
    FROM changes GROUP BY ts ORDER BY ts`);
  const uri = DMABUF_RSS_SUM_URI;
  trace.tracks.registerTrack({
    uri,
    renderer: CounterTrack.create({
      trace,
      uri,
      sqlSource: `SELECT ts, value FROM ${RSS_SUM_TABLE}`,
      unit: 'B',
    }),
    description:
      'Sum of mem.dmabuf_rss of all processes. A buffer that several processes ' +
      'hold counts for each of them, so there is less memory than this.',
    tags: {kinds: [COUNTER_TRACK_KIND]},
  });
  return new TrackNode({
    uri,
    name: 'mem.dmabuf_rss of all processes (shared counts for each)',
    sortOrder: LAST,
  });
}
