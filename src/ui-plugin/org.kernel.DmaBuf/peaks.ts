// SPDX-License-Identifier: Apache-2.0
import type {Engine} from '../../trace_processor/engine';
import {LONG, NUM} from '../../trace_processor/query_result';

export interface Peak {
  readonly ts: bigint;
  /** Of the counter, in the table `track`. */
  readonly trackId: number;
}

/** When there was the most: of all buffers, else of what was held. */
export async function queryPeak(engine: Engine): Promise<Peak | undefined> {
  const result = await engine.query(`
    SELECT c.ts, c.track_id
    FROM counter AS c
    WHERE c.track_id = (
      SELECT track_id FROM dmabuf_global_counter
      WHERE kind IN ('total', 'held', 'dma_heap')
      ORDER BY source = 'recording' DESC, sort_order LIMIT 1
    )
    ORDER BY c.value DESC, c.ts LIMIT 1`);
  const row = result.maybeFirstRow({ts: LONG, track_id: NUM});
  return row && {ts: row.ts, trackId: row.track_id};
}

export interface LargestHolder extends Peak {
  readonly upid: number;
}

/** The process whose PSS (else RSS) was the largest of all, and when. */
export async function queryLargestHolder(
  engine: Engine,
): Promise<LargestHolder | undefined> {
  const result = await engine.query(`
    SELECT c.ts, c.track_id, t.upid
    FROM dmabuf_process_counter AS t JOIN counter AS c USING (track_id)
    ORDER BY
      CASE t.kind WHEN 'pss' THEN 0 WHEN 'rss' THEN 1 ELSE 2 END,
      c.value DESC,
      c.ts
    LIMIT 1`);
  const row = result.maybeFirstRow({ts: LONG, track_id: NUM, upid: NUM});
  return row && {ts: row.ts, trackId: row.track_id, upid: row.upid};
}
