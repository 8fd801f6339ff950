// SPDX-License-Identifier: Apache-2.0
// The lines of the tracks of buffers. The tables of buffers and holdings are
// large and made when somebody asks for what only they tell; to put tracks into
// the tree and to draw them takes no more than the slices themselves.
import type {Engine} from '../../trace_processor/engine';
import {NUM, NUM_NULL} from '../../trace_processor/query_result';
import {queryRows} from './rows';

/** One row for each line: track_id, upid, machine_id, depth. */
export const LINE_TABLE = '_dmabuf_plugin_line';

/**
 * The slices of buffers, with the line of the track that each lies on. The
 * slices are gone through once (CROSS JOIN keeps that order): the lines are
 * sorted by what they are looked up by.
 */
const BUFFER_SLICES = `
  SELECT
    s.id,
    s.ts,
    s.dur,
    s.track_id,
    l.depth,
    s.name,
    extract_arg(s.arg_set_id, 'correlation_id') AS key,
    extract_arg(s.arg_set_id, 'dma_buf.size') AS size
  FROM slice AS s
  CROSS JOIN ${LINE_TABLE} AS l ON l.track_id = s.track_id
  WHERE s.category = 'dma_buf'`;

/** One track of the UI: lifetimes, or what a process holds. */
export interface BufferLines {
  /** Undefined for lifetimes. */
  readonly upid: number | undefined;
  readonly machineId: number;
  /** Of the table `track`, the uppermost line first. */
  readonly trackIds: ReadonlyArray<number>;
}

/** Where the slices of a track come from. */
export function slicesOf({upid, machineId, trackIds}: BufferLines): {
  readonly src: string;
  readonly filter?: {readonly col: string; readonly in: ReadonlyArray<number>};
} {
  if (upid === undefined) {
    // There may be as many lines as buffers: too long a list to look things up
    // in again and again. The pluses keep SQLite from looking up the lines by
    // anything but the track.
    const isOfMachine = `+l.upid IS NULL AND +l.machine_id = ${machineId}`;
    return {src: `${BUFFER_SLICES} AND ${isOfMachine}`};
  }
  // By track and not by process: the UI finds the track of a slice by the column
  // that its track is filtered by, and the stock track has this one.
  return {src: BUFFER_SLICES, filter: {col: 'track_id', in: trackIds}};
}

/** Makes the table of lines; the package's `tracks` are to be there. */
export async function createLines(
  engine: Engine,
): Promise<ReadonlyArray<BufferLines>> {
  await engine.query(`
    CREATE PERFETTO TABLE ${LINE_TABLE} AS
    WITH lines AS (
      SELECT t.id, NULL AS upid, t.machine_id, r.id AS parent
      FROM track AS t JOIN dmabuf_root_track AS r ON t.parent_id = r.id
      WHERE t.name = 'Buffers' AND t.type = 'global_merged_track_event'
      UNION ALL
      SELECT id, upid, machine_id, upid AS parent
      FROM process_track
      WHERE name = 'dma-buf buffers' AND type = 'process_merged_track_event'
    )
    SELECT
      id AS track_id,
      upid,
      ifnull(machine_id, 0) AS machine_id,
      row_number() OVER (PARTITION BY upid IS NULL, parent ORDER BY id) - 1
        AS depth
    FROM lines
    ORDER BY id`);
  const rows = await queryRows(
    engine,
    `SELECT track_id, upid, machine_id, depth FROM ${LINE_TABLE}
     ORDER BY upid, machine_id, track_id`,
    {track_id: NUM, upid: NUM_NULL, machine_id: NUM, depth: NUM},
  );
  const tracks: Array<BufferLines & {readonly trackIds: number[]}> = [];
  for (const {track_id: id, upid, machine_id: machineId, depth} of rows) {
    const last = tracks.at(-1);
    if (depth > 0 && last !== undefined) last.trackIds.push(id);
    else tracks.push({upid: upid ?? undefined, machineId, trackIds: [id]});
  }
  return tracks;
}
