-- SPDX-License-Identifier: Apache-2.0

-- The root tracks of recordings of dma-bufs, one for each recording.
CREATE PERFETTO TABLE dmabuf_root_track(
  -- Alias for `track.id`.
  id ID(track.id),
  -- `DMA-BUF`, or `DMA-BUF (simulated)`.
  name STRING,
  -- True for data that no real kernel gave.
  is_simulated BOOL,
  -- Alias for `track.machine_id`.
  machine_id LONG
)
AS
SELECT id, name, name = 'DMA-BUF (simulated)' AS is_simulated, machine_id
FROM track
WHERE
  name IN ('DMA-BUF', 'DMA-BUF (simulated)')
  AND type = 'global_track_event'
  AND parent_id IS NULL
ORDER BY
  id;

-- Children of the root tracks that are no counters.
CREATE PERFETTO TABLE _dmabuf_child_track
AS
SELECT t.id, t.name, t.type, t.machine_id, r.id AS root_id
FROM track AS t
JOIN dmabuf_root_track AS r
  ON t.parent_id = r.id
WHERE
  t.type IN ('global_track_event', 'global_merged_track_event')
ORDER BY
  t.id;

-- Counters of dma-buf memory of the whole machine. One row for each track.
CREATE PERFETTO TABLE dmabuf_global_counter(
  -- Alias for `track.id`.
  track_id ID(track.id),
  -- Alias for `track.name`.
  name STRING,
  -- What is counted, in bytes unless said otherwise:
  -- `total`: all buffers, each once;
  -- `held`: those that processes hold;
  -- `kernel_only`: those that no process that could be read holds;
  -- `mapped_only`: those whose every descriptor is closed;
  -- `buffer_count`: number of buffers;
  -- `exporter`: those of one exporter;
  -- `dma_heap`: the kernel's own sum over all heaps (`dma_heap_stat`).
  kind STRING,
  -- The heap or driver, of kind `exporter` alone.
  exporter STRING,
  -- True where some processes could not be read, so that a part of what is
  -- called kernel-only may be theirs.
  is_upper_bound BOOL,
  -- `recording` (a recording of dma-bufs) or `ftrace` (`dma_heap_stat`).
  source STRING,
  -- Position among the counters, as they are to be shown.
  sort_order LONG,
  -- Alias for `track.machine_id`.
  machine_id LONG
)
AS
WITH
  _counter AS (
    SELECT
      t.id,
      t.name,
      t.machine_id,
      CASE
        WHEN t.name = 'Total' THEN 'total'
        WHEN t.name = 'Held by processes' THEN 'held'
        WHEN t.name IN ('Kernel-only', 'Kernel-only (upper bound)')
          THEN 'kernel_only'
        WHEN t.name = 'Mapped-only' THEN 'mapped_only'
        WHEN t.name = 'Buffer count' THEN 'buffer_count'
        WHEN t.name GLOB 'Exporter: *' THEN 'exporter'
      END AS kind,
      'recording' AS source
    FROM track AS t
    JOIN dmabuf_root_track AS r
      ON t.parent_id = r.id
    WHERE
      t.type = 'global_counter_track_event'
    UNION ALL
    SELECT id, name, machine_id, 'dma_heap' AS kind, 'ftrace' AS source
    FROM track
    WHERE
      type = 'android_dma_heap'
  )
SELECT
  id AS track_id,
  name,
  kind,
  iif(kind = 'exporter', substr(name, 11), NULL) AS exporter,
  name = 'Kernel-only (upper bound)' AS is_upper_bound,
  source,
  row_number() OVER (
    ORDER BY
      CASE kind
        WHEN 'total' THEN 0
        WHEN 'held' THEN 1
        WHEN 'kernel_only' THEN 2
        WHEN 'mapped_only' THEN 3
        WHEN 'buffer_count' THEN 4
        WHEN 'exporter' THEN 5
        ELSE 6
      END,
      id
  ) AS sort_order,
  machine_id
FROM _counter
WHERE
  kind IS NOT NULL
ORDER BY
  track_id;

-- Counters of the dma-buf memory of a process. One row for each track.
CREATE PERFETTO TABLE dmabuf_process_counter(
  -- Alias for `track.id`.
  track_id ID(track.id),
  -- The process.
  upid JOINID(process.id),
  -- What is counted, in bytes:
  -- `pss`: sizes of the buffers it holds, each divided by the number of its
  -- holders, so that the sum over processes is the unique total;
  -- `rss`: sizes of the buffers it holds, each once;
  -- `dmabuf_rss`: the same as read from `/proc/PID/dmabuf_rss` by Perfetto's
  -- own data source (or, from a recording, the copy of `rss` that feeds
  -- Perfetto's memory views).
  kind STRING,
  -- `recording` for `pss` and `rss`, else `process_stats`.
  source STRING
)
AS
SELECT
  id AS track_id,
  upid,
  CASE name
    WHEN 'dma-buf PSS' THEN 'pss'
    WHEN 'dma-buf RSS' THEN 'rss'
    ELSE 'dmabuf_rss'
  END AS kind,
  iif(name = 'mem.dmabuf_rss', 'process_stats', 'recording') AS source
FROM process_counter_track
WHERE
  name IN ('dma-buf PSS', 'dma-buf RSS', 'mem.dmabuf_rss')
ORDER BY
  track_id;
