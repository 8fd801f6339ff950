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
import type {BufferLines} from './lines';
import {addNameCounters} from './name_counters';
import {COVERAGE_GAPS_URI, lifetimesUri} from './navigation';
import {groupNodes, replaceNode, type Placement} from './placement';
import {queryRows} from './rows';
import type {Session} from './session';

/** Puts exporters and names into groups, and adds what was not seen. */
export async function addGlobalTracks(
  session: Session,
  placement: Placement,
): Promise<void> {
  const {trace} = session;
  await groupExporters(trace, placement);
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

/** Puts our track of lifetimes in place of the stock one of a machine. */
export function addLifetimes(
  session: Session,
  placement: Placement,
  lines: BufferLines,
): void {
  const uri = lifetimesUri(lines.machineId);
  const stock = placement.find(lines.trackIds[0]);
  // Of a second recording of one machine the stock track stays.
  if (stock === undefined || session.trace.tracks.getTrack(uri)) return;
  registerBufferTrack(session, {
    uri,
    lines,
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
    // The UI hands a row over as a selection, whose own `kind` would hide it.
    src: 'SELECT id, ts, dur, kind AS gap, detail FROM dmabuf_coverage_gap',
    schema: {id: NUM, ts: LONG, dur: LONG, gap: STR, detail: STR_NULL},
  });
  trace.tracks.registerTrack({
    uri,
    renderer: SliceTrack.create({
      trace,
      uri,
      dataset,
      sliceName: ({gap, detail}) =>
        `${gap.replaceAll('_', ' ')}: ${detail ?? ''}`,
      colorizer: ({gap}) => getColorForSlice(gap),
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
