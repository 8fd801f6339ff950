-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

-- `dma_heap_stat` events: memory of a heap was allocated (size > 0) or freed.
CREATE PERFETTO TABLE _dmabuf_heap_event
AS
SELECT
  c.id,
  c.ts,
  extract_arg(c.arg_set_id, 'inode') AS inode,
  CAST(c.value AS INT) AS size,
  t.utid
FROM thread_counter_track AS t
JOIN counter AS c
  ON c.track_id = t.id
WHERE
  t.name = 'mem.dma_heap_change'
ORDER BY
  c.id;

-- Memory of dma-buf heaps from its allocation to its free at their true times,
-- from `dma_heap_stat` events. Buffers of other exporters are not here.
CREATE PERFETTO TABLE dmabuf_heap_allocation(
  -- Alias for `counter.id` of the allocation.
  id LONG,
  -- When it was allocated.
  ts TIMESTAMP,
  -- Until it was freed; -1 where the trace does not tell of a free.
  dur DURATION,
  -- `ts + dur`, or the end of the trace.
  end_ts TIMESTAMP,
  -- True when it was not freed in the trace.
  is_open BOOL,
  -- Inode number of the dma-buf.
  inode LONG,
  -- Size in bytes.
  size LONG,
  -- The thread that allocated it (often one of the allocator service).
  utid JOINID(thread.id),
  -- Its process.
  upid JOINID(process.id),
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- The same buffer in a recording, see `dmabuf_buffer`; NULL where no sample
  -- saw it.
  buffer_id LONG
)
AS
WITH
  _event AS (
    SELECT
      e.*,
      t.upid,
      t.machine_id,
      lead(e.ts) OVER (PARTITION BY t.machine_id, e.inode ORDER BY e.ts, e.id)
        AS next_ts
    FROM _dmabuf_heap_event AS e
    JOIN thread AS t USING (utid)
  ),
  _allocation AS (
    SELECT *
    FROM _event
    WHERE
      size > 0
  ),
  -- Materialized, so that SQLite makes an index of its own: a look-up in that
  -- is many times as fast as one in a Perfetto table.
  _buffer AS MATERIALIZED (
    SELECT id, ts, inode, machine_id
    FROM dmabuf_buffer
  ),
  _seen AS MATERIALIZED (
    SELECT a.id, min(b.id) AS buffer_id
    FROM _allocation AS a
    JOIN _buffer AS b
      ON b.inode = a.inode
      AND b.machine_id IS a.machine_id
    WHERE
      b.ts >= a.ts
      AND (a.next_ts IS NULL OR b.ts < a.next_ts)
    GROUP BY
      a.id
  )
SELECT
  a.id,
  a.ts,
  ifnull(a.next_ts - a.ts, -1) AS dur,
  ifnull(a.next_ts, (SELECT end_ts FROM trace_bounds)) AS end_ts,
  a.next_ts IS NULL AS is_open,
  a.inode,
  a.size,
  a.utid,
  a.upid,
  p.pid,
  p.name AS process_name,
  s.buffer_id
FROM _allocation AS a
LEFT JOIN process AS p
  ON p.upid = a.upid
LEFT JOIN _seen AS s
  ON s.id = a.id
ORDER BY
  a.id;

-- Allocations and frees at their true time, which samples can only bracket:
-- from `dma_heap_stat` (Android kernels; heaps alone) and from the tracepoint
-- `dma_buf_export` (kernel 7.0 and newer; all exporters, no frees).
CREATE PERFETTO TABLE dmabuf_alloc_event(
  -- Unique number of the event, in the order of time.
  id LONG,
  -- When it happened.
  ts TIMESTAMP,
  -- `alloc` or `free`.
  kind STRING,
  -- Inode number of the dma-buf.
  inode LONG,
  -- Size in bytes.
  size LONG,
  -- The heap or driver; NULL when the event does not tell and no sample saw the
  -- buffer.
  exporter STRING,
  -- The thread in which it happened.
  utid JOINID(thread.id),
  -- Its process.
  upid JOINID(process.id),
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- `dma_heap_stat` or `dma_buf_export`.
  source STRING,
  -- The same buffer in a recording, see `dmabuf_buffer`; NULL where no sample
  -- saw it.
  buffer_id LONG,
  -- How much later the recording's samples saw it; NULL without a buffer_id,
  -- and where the buffer was there before it could be seen.
  seen_after DURATION
)
AS
WITH
  _buffer AS MATERIALIZED (
    SELECT
      id,
      ts,
      end_ts,
      is_open,
      inode,
      exporter,
      began_unseen,
      ended_unseen,
      machine_id
    FROM dmabuf_buffer
  ),
  _freed AS MATERIALIZED (
    SELECT inode, end_ts, buffer_id
    FROM dmabuf_heap_allocation
    WHERE
      NOT is_open
  ),
  _export AS (
    SELECT
      f.id,
      f.ts,
      f.utid,
      t.machine_id,
      extract_arg(f.arg_set_id, 'ino') AS inode,
      extract_arg(f.arg_set_id, 'size') AS size,
      extract_arg(f.arg_set_id, 'exp_name') AS exporter
    FROM ftrace_event AS f
    JOIN thread AS t USING (utid)
    WHERE
      f.name = 'dma_buf_export'
  ),
  _seen AS MATERIALIZED (
    SELECT e.id, min(b.id) AS buffer_id
    FROM _export AS e
    JOIN _buffer AS b
      ON b.inode = e.inode
      AND b.machine_id IS e.machine_id
      AND b.ts >= e.ts
    GROUP BY
      e.id
  ),
  _event AS (
    SELECT
      ts,
      'alloc' AS kind,
      inode,
      size,
      NULL AS exporter,
      utid,
      'dma_heap_stat' AS source,
      buffer_id
    FROM dmabuf_heap_allocation
    UNION ALL
    SELECT
      e.ts,
      'free' AS kind,
      e.inode,
      -e.size AS size,
      NULL AS exporter,
      e.utid,
      'dma_heap_stat' AS source,
      f.buffer_id
    FROM _dmabuf_heap_event AS e
    LEFT JOIN _freed AS f
      ON f.inode = e.inode
      AND f.end_ts = e.ts
    WHERE
      e.size < 0
    UNION ALL
    SELECT
      e.ts,
      'alloc' AS kind,
      e.inode,
      e.size,
      e.exporter,
      e.utid,
      'dma_buf_export' AS source,
      s.buffer_id
    FROM _export AS e
    LEFT JOIN _seen AS s
      ON s.id = e.id
  )
SELECT
  row_number() OVER (ORDER BY e.ts, e.inode) AS id,
  e.ts,
  e.kind,
  e.inode,
  e.size,
  ifnull(e.exporter, b.exporter) AS exporter,
  e.utid,
  t.upid,
  p.pid,
  p.name AS process_name,
  e.source,
  e.buffer_id,
  CASE
    WHEN e.kind = 'alloc' AND NOT b.began_unseen THEN b.ts - e.ts
    WHEN e.kind = 'free' AND NOT b.ended_unseen AND NOT b.is_open
      THEN b.end_ts - e.ts
  END AS seen_after
FROM _event AS e
LEFT JOIN _buffer AS b
  ON b.id = e.buffer_id
LEFT JOIN thread AS t
  ON t.utid = e.utid
LEFT JOIN process AS p
  ON p.upid = t.upid
ORDER BY
  e.ts;
