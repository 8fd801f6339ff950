// SPDX-License-Identifier: Apache-2.0
// The DMA-BUF group: what there is on the whole machine.
import {getColorForSlice} from '../../components/colorizer';
import {SliceTrack} from '../../components/tracks/slice_track';
import type {Trace} from '../../public/trace';
import {SLICE_TRACK_KIND} from '../../public/track_kinds';
import {TrackNode} from '../../public/workspace';
import {SourceDataset} from '../../trace_processor/dataset';
import {
  LONG,
  NUM,
  NUM_NULL,
  STR,
  STR_NULL,
} from '../../trace_processor/query_result';
import {DMABUF_TRACK_KIND, registerBufferTrack} from './buffer_track';
import {addNameCounters} from './name_counters';
import {COVERAGE_GAPS_URI, lifetimesUri} from './navigation';
import {groupNodes, replaceNode, type Placement} from './placement';
import {queryRows} from './rows';
import type {Session} from './session';

/** Puts exporters into a group and our tracks in place of the stock ones. */
export async function addGlobalTracks(
  session: Session,
  placement: Placement,
): Promise<void> {
  const {trace} = session;
  await groupExporters(trace, placement);
  await addLifetimes(session, placement);
  await addNameCounters(trace, placement);
  await addCoverageGaps(trace, placement);
}

async function groupExporters(
  trace: Trace,
  placement: Placement,
): Promise<void> {
  const counters = await queryRows(
    trace.engine,
    `SELECT track_id, ifnull(machine_id, 0) AS machine_id
     FROM dmabuf_global_counter
     WHERE kind = 'exporter'
     ORDER BY machine_id, sort_order`,
    {track_id: NUM, machine_id: NUM},
  );
  for (const group of groupBy(counters, (row) => row.machine_id)) {
    const nodes = group
      .map((row) => placement.find(row.track_id))
      .filter((node) => node !== undefined);
    groupNodes('By exporter', nodes);
  }
}

async function addLifetimes(
  session: Session,
  placement: Placement,
): Promise<void> {
  const {trace} = session;
  const lines = await queryRows(
    trace.engine,
    `SELECT DISTINCT track_id, ifnull(machine_id, 0) AS machine_id
     FROM dmabuf_buffer
     WHERE track_id IS NOT NULL
     ORDER BY machine_id, track_id`,
    {track_id: NUM, machine_id: NUM},
  );
  for (const group of groupBy(lines, (row) => row.machine_id)) {
    const uri = lifetimesUri(group[0].machine_id);
    const stock = placement.find(group[0].track_id);
    if (stock === undefined) continue;
    registerBufferTrack(session, {
      uri,
      table: 'dmabuf_buffer',
      trackIds: group.map((row) => row.track_id),
      description:
        'Each buffer from the first sample that saw it to the first that did ' +
        'not. One buffer has one colour here and in all processes.',
    });
    replaceNode(
      stock,
      new TrackNode({
        uri,
        name: 'Buffers (lifetimes)',
        sortOrder: stock.sortOrder,
      }),
    );
  }
}

async function addCoverageGaps(
  trace: Trace,
  placement: Placement,
): Promise<void> {
  const {samples, gaps} = (
    await trace.engine.query(`
      SELECT
        (SELECT min(track_id) FROM dmabuf_sample) AS samples,
        (SELECT count() FROM dmabuf_coverage_gap) AS gaps`)
  ).firstRow({samples: NUM_NULL, gaps: NUM});
  const node = placement.find(samples ?? undefined);
  if (node?.parent === undefined || gaps === 0) return;

  const uri = COVERAGE_GAPS_URI;
  const dataset = new SourceDataset({
    src: 'dmabuf_coverage_gap',
    schema: {id: NUM, ts: LONG, dur: LONG, kind: STR, detail: STR_NULL},
  });
  trace.tracks.registerTrack({
    uri,
    renderer: SliceTrack.create({
      trace,
      uri,
      dataset,
      sliceName: ({kind, detail}) =>
        `${kind.replaceAll('_', ' ')}: ${detail ?? ''}`,
      colorizer: ({kind}) => getColorForSlice(kind),
    }),
    description:
      'When the recording did not see everything: samples that are missing or ' +
      'late, processes that could not be read, no list of all buffers. What ' +
      'other tracks show for such a time is the last that was known.',
    tags: {kinds: [SLICE_TRACK_KIND, DMABUF_TRACK_KIND]},
  });
  node.parent.addChildBefore(
    new TrackNode({uri, name: 'Coverage gaps', sortOrder: node.sortOrder}),
    node,
  );
}

/** Runs of rows with one key; the rows are ordered by it. */
function groupBy<T>(
  rows: ReadonlyArray<T>,
  key: (row: T) => number,
): ReadonlyArray<readonly [T, ...T[]]> {
  const groups: [T, ...T[]][] = [];
  for (const row of rows) {
    const last = groups.at(-1);
    if (last !== undefined && key(last[0]) === key(row)) last.push(row);
    else groups.push([row]);
  }
  return groups;
}
