// SPDX-License-Identifier: Apache-2.0
// Bytes by name of buffer, as counters that a group of their own holds.
import {CounterTrack} from '../../components/tracks/counter_track';
import type {Trace} from '../../public/trace';
import {COUNTER_TRACK_KIND} from '../../public/track_kinds';
import {TrackNode} from '../../public/workspace';
import {NUM, NUM_NULL, STR} from '../../trace_processor/query_result';
import {DMABUF_TRACK_KIND} from './buffer_track';
import {LINE_TABLE} from './lines';
import {nameCounterUri} from './navigation';
import type {Placement} from './placement';
import {queryRows} from './rows';

// One row for each change of the bytes of a name. Names beyond the largest are
// one name: a trace may have as many names as buffers.
const NAME_COUNTER_TABLE = '_dmabuf_plugin_name_counter';
const LARGEST_NAMES = 30;

const CREATE_TABLE = `
  CREATE PERFETTO TABLE ${NAME_COUNTER_TABLE} AS
  WITH
    lifetimes AS MATERIALIZED (
      SELECT
        s.ts,
        s.dur,
        ifnull(extract_arg(s.arg_set_id, 'dma_buf.name'), '') AS name,
        extract_arg(s.arg_set_id, 'dma_buf.size') AS size
      FROM slice AS s CROSS JOIN ${LINE_TABLE} AS l ON l.track_id = s.track_id
      WHERE l.upid IS NULL AND s.category = 'dma_buf'
    ),
    changes AS (
      SELECT name, ts, size AS delta FROM lifetimes WHERE size IS NOT NULL
      UNION ALL
      SELECT name, ts + dur AS ts, -size AS delta FROM lifetimes
      WHERE size IS NOT NULL AND dur >= 0
    ),
    -- There are far fewer times than buffers: samples.
    name_steps AS MATERIALIZED (
      SELECT name, ts, sum(delta) AS delta FROM changes GROUP BY name, ts
    ),
    levels AS (
      SELECT name, sum(delta) OVER (PARTITION BY name ORDER BY ts) AS value
      FROM name_steps
    ),
    names AS MATERIALIZED (
      SELECT
        name,
        row_number() OVER (ORDER BY max(value) DESC, name) AS position
      FROM levels GROUP BY name
    ),
    steps AS (
      SELECT
        min(n.position, ${LARGEST_NAMES + 1}) AS position,
        s.ts,
        sum(s.delta) AS delta
      FROM name_steps AS s JOIN names AS n USING (name)
      GROUP BY 1, 2
    )
  SELECT
    s.position,
    iif(
      s.position > ${LARGEST_NAMES},
      (SELECT count() - ${LARGEST_NAMES} FROM names) || ' other names',
      iif(n.name = '', 'no name', n.name)
    ) AS name,
    s.ts,
    sum(s.delta) OVER (PARTITION BY s.position ORDER BY s.ts) AS value
  FROM steps AS s JOIN names AS n USING (position)
  ORDER BY s.position, s.ts`;

/** Puts the group in front of the buffers' lifetimes. */
export async function addNameCounters(
  trace: Trace,
  placement: Placement,
): Promise<void> {
  const {total} = (
    await trace.engine.query(`
      SELECT min(track_id) AS total FROM dmabuf_global_counter
      WHERE source = 'recording'`)
  ).firstRow({total: NUM_NULL});
  const parent = placement.find(total ?? undefined)?.parent;
  if (parent === undefined) return;
  await trace.engine.query(CREATE_TABLE);
  const names = await queryRows(
    trace.engine,
    `SELECT DISTINCT position, name FROM ${NAME_COUNTER_TABLE}
     ORDER BY position`,
    {position: NUM, name: STR},
  );
  if (names.length === 0) return;

  const group = new TrackNode({
    name: 'By name',
    isSummary: true,
    sortOrder: GROUP_SORT_ORDER,
  });
  for (const {position, name} of names) {
    const uri = nameCounterUri(position);
    trace.tracks.registerTrack({
      uri,
      renderer: CounterTrack.create({
        trace,
        uri,
        sqlSource: `
          SELECT ts, value FROM ${NAME_COUNTER_TABLE}
          WHERE position = ${position}`,
        unit: 'B',
      }),
      description:
        'Bytes of all buffers of this name, each once. A buffer counts under ' +
        'the last name that it had.',
      tags: {kinds: [COUNTER_TRACK_KIND, DMABUF_TRACK_KIND]},
    });
    group.addChildInOrder(new TrackNode({uri, name, sortOrder: position}));
  }
  const lifetimes = parent.children.find((node) => isSliceNode(trace, node));
  if (lifetimes === undefined) parent.addChildInOrder(group);
  else parent.addChildBefore(group, lifetimes);
}

/** Among the counters, if there is nothing to be put in front of. */
const GROUP_SORT_ORDER = 0;

function isSliceNode(trace: Trace, {uri}: TrackNode): boolean {
  if (uri === undefined) return false;
  return trace.tracks.getTrack(uri)?.renderer.rootTableName === 'slice';
}
