// SPDX-License-Identifier: Apache-2.0
// What a trace tells about dma-bufs. The tables are those of the PerfettoSQL
// package org.kernel.dmabuf, which documents them.
import type {Engine} from '../../trace_processor/engine';
import {NUM, STR_NULL} from '../../trace_processor/query_result';
import type {SqlPackage} from './sql_package';

export interface TraceContents {
  /** A recording of buffers and their holders. */
  readonly hasRecording: boolean;
  /** No real kernel gave it. */
  readonly isSimulated: boolean;
  readonly hasDmaHeapStat: boolean;
  /** `mem.dmabuf_rss` that is not a recording's copy of its own RSS. */
  readonly hasStockDmabufRss: boolean;
  /** Tracepoint of kernel 7.0 and newer. */
  readonly hasDmaBufExport: boolean;
  readonly device: string | undefined;
  /** How the recording ended; undefined when it was cut short. */
  readonly ended: string | undefined;
}

// So that a trace without any of it costs next to nothing.
const ANYTHING = `
  SELECT count() AS found FROM (
    SELECT 1 FROM track
    WHERE
      name IN ('DMA-BUF', 'DMA-BUF (simulated)', 'mem.dmabuf_rss')
      OR type = 'android_dma_heap'
    UNION ALL
    SELECT 1 FROM ftrace_event WHERE name = 'dma_buf_export'
    LIMIT 1
  )`;

/** Whether the trace tells anything of dma-bufs: one cheap query. */
export async function tellsOfDmaBufs(engine: Engine): Promise<boolean> {
  const {found} = (await engine.query(ANYTHING)).firstRow({found: NUM});
  return found !== 0;
}

/** Undefined when the trace tells nothing; then no table is made either. */
export async function readTraceContents(
  engine: Engine,
  sqlPackage: SqlPackage,
): Promise<TraceContents | undefined> {
  if (!(await tellsOfDmaBufs(engine))) return undefined;
  await sqlPackage.include('trace_info');
  const result = await engine.query(`
    SELECT
      has_recording,
      is_simulated,
      has_dma_heap_stat,
      has_stock_dmabuf_rss,
      EXISTS(SELECT 1 FROM ftrace_event WHERE name = 'dma_buf_export')
        AS has_dma_buf_export,
      device,
      ended
    FROM dmabuf_trace_info`);
  const row = result.firstRow({
    has_recording: NUM,
    is_simulated: NUM,
    has_dma_heap_stat: NUM,
    has_stock_dmabuf_rss: NUM,
    has_dma_buf_export: NUM,
    device: STR_NULL,
    ended: STR_NULL,
  });
  return {
    hasRecording: row.has_recording !== 0,
    isSimulated: row.is_simulated !== 0,
    hasDmaHeapStat: row.has_dma_heap_stat !== 0,
    hasStockDmabufRss: row.has_stock_dmabuf_rss !== 0,
    hasDmaBufExport: row.has_dma_buf_export !== 0,
    device: row.device ?? undefined,
    ended: row.ended ?? undefined,
  };
}
