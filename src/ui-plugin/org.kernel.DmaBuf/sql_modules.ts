// SPDX-License-Identifier: Apache-2.0
// The text of the PerfettoSQL package org.kernel.dmabuf. Generated from its
// .sql files: change it there.

export interface SqlModule {
  // As in INCLUDE PERFETTO MODULE.
  readonly name: string;
  // Names of the modules of this package that it includes itself.
  readonly includes: ReadonlyArray<string>;
  // All of the text, its INCLUDE statements too.
  readonly sql: string;
}

export const SQL_PACKAGE = 'org.kernel.dmabuf';

// Each module after those it includes.
export const SQL_MODULES: ReadonlyArray<SqlModule> = [
  {
    name: 'org.kernel.dmabuf.tracks',
    includes: [],
    sql: `-- SPDX-License-Identifier: Apache-2.0

-- The root tracks of recordings of dma-bufs, one for each recording.
CREATE PERFETTO TABLE dmabuf_root_track(
  -- Alias for \`track.id\`.
  id ID(track.id),
  -- \`DMA-BUF\`, or \`DMA-BUF (simulated)\`.
  name STRING,
  -- True for data that no real kernel gave.
  is_simulated BOOL,
  -- Alias for \`track.machine_id\`.
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
  -- Alias for \`track.id\`.
  track_id ID(track.id),
  -- Alias for \`track.name\`.
  name STRING,
  -- What is counted, in bytes unless said otherwise:
  -- \`total\`: all buffers, each once;
  -- \`held\`: those that processes hold;
  -- \`kernel_only\`: those that no process that could be read holds;
  -- \`mapped_only\`: those whose every descriptor is closed;
  -- \`buffer_count\`: number of buffers;
  -- \`exporter\`: those of one exporter;
  -- \`dma_heap\`: the kernel's own sum over all heaps (\`dma_heap_stat\`).
  kind STRING,
  -- The heap or driver, of kind \`exporter\` alone.
  exporter STRING,
  -- True where some processes could not be read, so that a part of what is
  -- called kernel-only may be theirs.
  is_upper_bound BOOL,
  -- \`recording\` (a recording of dma-bufs) or \`ftrace\` (\`dma_heap_stat\`).
  source STRING,
  -- Position among the counters, as they are to be shown.
  sort_order LONG,
  -- Alias for \`track.machine_id\`.
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
  -- Alias for \`track.id\`.
  track_id ID(track.id),
  -- The process.
  upid JOINID(process.id),
  -- What is counted, in bytes:
  -- \`pss\`: sizes of the buffers it holds, each divided by the number of its
  -- holders, so that the sum over processes is the unique total;
  -- \`rss\`: sizes of the buffers it holds, each once;
  -- \`dmabuf_rss\`: the same as read from \`/proc/PID/dmabuf_rss\` by Perfetto's
  -- own data source (or, from a recording, the copy of \`rss\` that feeds
  -- Perfetto's memory views).
  kind STRING,
  -- \`recording\` for \`pss\` and \`rss\`, else \`process_stats\`.
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
`,
  },
  {
    name: 'org.kernel.dmabuf.buffers',
    includes: ['org.kernel.dmabuf.tracks'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.tracks;

-- The tracks that slices of buffers lie on. upid is NULL for lifetimes. A track
-- of the UI is made of several of these, each a line of it.
CREATE PERFETTO TABLE _dmabuf_slice_track
AS
WITH
  _track AS (
    SELECT id, NULL AS upid, root_id AS group_id, machine_id
    FROM _dmabuf_child_track
    WHERE
      name = 'Buffers'
    UNION ALL
    SELECT p.id, p.upid, p.upid AS group_id, t.machine_id
    FROM process_track AS p
    JOIN track AS t USING (id)
    WHERE
      p.name = 'dma-buf buffers'
      AND p.type = 'process_merged_track_event'
  )
SELECT
  id,
  upid,
  machine_id,
  row_number() OVER (PARTITION BY upid IS NULL, group_id ORDER BY id) - 1
    AS depth
FROM _track
ORDER BY
  id;

-- Slices of lifetimes.
CREATE PERFETTO TABLE _dmabuf_lifetime_slice
AS
WITH
  -- Materialized, here and below, so that SQLite makes an index of its own: a
  -- look-up in that is many times as fast as one in a Perfetto table.
  _track AS MATERIALIZED (
    SELECT *
    FROM _dmabuf_slice_track
    WHERE
      upid IS NULL
  )
SELECT
  s.id,
  s.ts,
  s.dur,
  s.track_id,
  s.arg_set_id,
  t.depth,
  t.machine_id,
  extract_arg(s.arg_set_id, 'dma_buf.inode') AS inode,
  ifnull(extract_arg(s.arg_set_id, 'dma_buf.generation'), 0) AS generation
FROM slice AS s
JOIN _track AS t
  ON t.id = s.track_id
WHERE
  s.category = 'dma_buf'
ORDER BY
  s.id;

-- Lifetimes. Of two with the same inode and generation (in two recordings of
-- one boot) next_ts tells which one a holding belongs to.
CREATE PERFETTO TABLE _dmabuf_lifetime
AS
WITH
  _again AS MATERIALIZED (
    SELECT inode, generation, machine_id
    FROM _dmabuf_lifetime_slice
    GROUP BY
      inode,
      generation,
      machine_id
    HAVING
      count() > 1
  ),
  _next AS MATERIALIZED (
    SELECT
      s.id,
      lead(s.ts) OVER (
        PARTITION BY s.inode, s.generation, s.machine_id
        ORDER BY s.ts
      ) AS next_ts
    FROM _again AS a
    JOIN _dmabuf_lifetime_slice AS s
      ON s.inode = a.inode
      AND s.generation = a.generation
      AND s.machine_id IS a.machine_id
  )
SELECT s.*, n.next_ts
FROM _dmabuf_lifetime_slice AS s
LEFT JOIN _next AS n
  ON n.id = s.id
WHERE
  s.inode IS NOT NULL
ORDER BY
  s.id;

-- New names that buffers got while they were there.
CREATE PERFETTO TABLE dmabuf_rename(
  -- Alias for \`slice.id\` of the instant.
  id ID(slice.id),
  -- When the sample that saw it first was taken.
  ts TIMESTAMP,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- The name it got.
  name STRING
)
AS
WITH
  _instant AS (
    SELECT
      s.id,
      s.ts,
      t.machine_id,
      extract_arg(s.arg_set_id, 'dma_buf.inode') AS inode,
      ifnull(extract_arg(s.arg_set_id, 'dma_buf.generation'), 0) AS generation,
      extract_arg(s.arg_set_id, 'dma_buf.name') AS name
    FROM slice AS s
    JOIN _dmabuf_slice_track AS t
      ON t.id = s.track_id
    WHERE
      s.category = 'dma_buf.rename'
      AND t.upid IS NULL
  ),
  _lifetime AS MATERIALIZED (
    SELECT id, ts, next_ts, inode, generation, machine_id
    FROM _dmabuf_lifetime
  )
SELECT i.id, i.ts, l.id AS buffer_id, i.name
FROM _instant AS i
JOIN _lifetime AS l
  ON l.inode = i.inode
  AND l.generation = i.generation
  AND l.machine_id IS i.machine_id
  AND l.ts <= i.ts
  AND (l.next_ts IS NULL OR i.ts < l.next_ts)
ORDER BY
  i.id;

-- Buffers that the trace holds the lifetime of.
CREATE PERFETTO TABLE _dmabuf_lived_buffer
AS
WITH
  _last_name AS MATERIALIZED (
    -- SQLite takes name from the row that holds the max().
    SELECT buffer_id, name, max(id) AS id
    FROM dmabuf_rename
    GROUP BY
      buffer_id
  )
SELECT
  l.id,
  l.ts,
  l.dur,
  iif(l.dur = -1, (SELECT end_ts FROM trace_bounds), l.ts + l.dur) AS end_ts,
  l.dur = -1 AS is_open,
  l.inode,
  l.generation,
  l.inode || '.' || l.generation AS key,
  ifnull(n.name, extract_arg(l.arg_set_id, 'dma_buf.name')) AS name,
  extract_arg(l.arg_set_id, 'dma_buf.exporter') AS exporter,
  extract_arg(l.arg_set_id, 'dma_buf.size') AS size,
  l.track_id,
  l.depth,
  l.arg_set_id,
  l.machine_id,
  l.next_ts
FROM _dmabuf_lifetime AS l
LEFT JOIN _last_name AS n
  ON n.buffer_id = l.id
ORDER BY
  l.id;

-- What \`dmabuf_holding\` shows, but for what is read from the arguments as
-- needed. In one pass: this is by far the longest table. Where the trace does
-- not hold the lifetime of a buffer (it begins in the middle of a recording) a
-- number below 0 stands for that.
CREATE PERFETTO TABLE _dmabuf_holding
AS
WITH
  _track AS MATERIALIZED (
    SELECT t.id, t.upid, t.machine_id, t.depth, p.pid, p.name AS process_name
    FROM _dmabuf_slice_track AS t
    JOIN process AS p
      ON p.upid = t.upid
  ),
  _buffer AS MATERIALIZED (
    SELECT
      id,
      ts,
      next_ts,
      inode,
      generation,
      machine_id,
      key,
      name,
      exporter,
      size
    FROM _dmabuf_lived_buffer
  ),
  _slice AS (
    SELECT
      s.id,
      s.ts,
      s.dur,
      s.track_id,
      s.arg_set_id,
      t.depth,
      t.machine_id,
      t.upid,
      t.pid,
      t.process_name,
      extract_arg(s.arg_set_id, 'dma_buf.inode') AS inode,
      ifnull(extract_arg(s.arg_set_id, 'dma_buf.generation'), 0) AS generation
    FROM slice AS s
    JOIN _track AS t
      ON t.id = s.track_id
    WHERE
      s.category = 'dma_buf'
  )
SELECT
  s.id,
  s.ts,
  s.dur,
  iif(s.dur = -1, (SELECT end_ts FROM trace_bounds), s.ts + s.dur) AS end_ts,
  s.dur = -1 AS is_open,
  s.upid,
  s.pid,
  s.process_name,
  ifnull(
    b.id,
    ~(s.inode + (s.generation << 48) + (ifnull(s.machine_id, 0) << 56))
  ) AS buffer_id,
  s.inode,
  ifnull(b.key, s.inode || '.' || s.generation) AS key,
  iif(b.id IS NULL, extract_arg(s.arg_set_id, 'dma_buf.name'), b.name) AS name,
  ifnull(b.exporter, extract_arg(s.arg_set_id, 'dma_buf.exporter'))
    AS exporter,
  ifnull(b.size, extract_arg(s.arg_set_id, 'dma_buf.size')) AS size,
  s.track_id,
  s.depth,
  s.arg_set_id
FROM _slice AS s
LEFT JOIN _buffer AS b
  ON b.inode = s.inode
  AND b.generation = s.generation
  AND b.machine_id IS s.machine_id
  AND b.ts <= s.ts
  AND (b.next_ts IS NULL OR s.ts < b.next_ts)
WHERE
  s.inode IS NOT NULL
ORDER BY
  s.id;

CREATE PERFETTO INDEX _dmabuf_holding_by_upid ON _dmabuf_holding(upid);

CREATE PERFETTO INDEX _dmabuf_holding_by_buffer ON _dmabuf_holding(buffer_id);

-- What \`dmabuf_buffer\` shows, but for what is read from the arguments, or
-- counted, as needed.
CREATE PERFETTO TABLE _dmabuf_buffer
AS
WITH
  _orphan AS (
    SELECT
      h.buffer_id,
      min(h.ts) AS ts,
      max(h.is_open) AS is_open,
      max(h.end_ts) AS end_ts,
      -- SQLite takes the other columns from the row that holds the min().
      min(h.id) AS id,
      h.inode,
      h.key,
      h.name,
      h.exporter,
      h.size,
      h.arg_set_id,
      t.machine_id
    FROM _dmabuf_holding AS h
    JOIN _dmabuf_slice_track AS t
      ON t.id = h.track_id
    WHERE
      h.buffer_id < 0
    GROUP BY
      h.buffer_id
  ),
  _buffer AS (
    SELECT
      id,
      ts,
      dur,
      end_ts,
      is_open,
      inode,
      generation,
      key,
      name,
      exporter,
      size,
      track_id,
      depth,
      id AS slice_id,
      arg_set_id,
      arg_set_id AS any_arg_set_id,
      machine_id
    FROM _dmabuf_lived_buffer
    UNION ALL
    SELECT
      buffer_id AS id,
      ts,
      iif(is_open, -1, end_ts - ts) AS dur,
      end_ts,
      is_open,
      inode,
      ifnull(extract_arg(arg_set_id, 'dma_buf.generation'), 0) AS generation,
      key,
      name,
      exporter,
      size,
      NULL AS track_id,
      NULL AS depth,
      NULL AS slice_id,
      NULL AS arg_set_id,
      arg_set_id AS any_arg_set_id,
      machine_id
    FROM _orphan
  )
SELECT
  id,
  ts,
  dur,
  end_ts,
  is_open,
  inode,
  generation,
  key,
  name,
  exporter,
  -- It may have become known to a holding that began later.
  iif(
    size IS NULL,
    (
      SELECT max(h.size)
      FROM _dmabuf_holding AS h
      WHERE
        h.buffer_id = _buffer.id
    ),
    size
  ) AS size,
  track_id,
  depth,
  slice_id,
  arg_set_id,
  any_arg_set_id,
  machine_id
FROM _buffer
ORDER BY
  id;

-- Buffers: one row for each life of one, from the first sample that saw it to
-- the first that did not.
CREATE PERFETTO VIEW dmabuf_buffer(
  -- Unique id: that of the slice of its lifetime; a number below 0 where the
  -- trace holds no such slice.
  id LONG,
  -- The first sample that saw it.
  ts TIMESTAMP,
  -- Until the first sample that did not see it; -1 while it is there at the
  -- end.
  dur DURATION,
  -- \`ts + dur\`, or the end of the trace where it is still there.
  end_ts TIMESTAMP,
  -- True when it was still there when the recording ended.
  is_open BOOL,
  -- Inode number of the dma-buf.
  inode LONG,
  -- 0 for the first buffer with this inode number, then 1, 2, ...
  generation LONG,
  -- Inode and generation, as in \`1234.0\`: the same text, and so the same
  -- colour, on each slice of the buffer (\`correlation_id\`).
  key STRING,
  -- The last name that it had (DMA_BUF_SET_NAME); NULL when it had none.
  name STRING,
  -- True where the name comes from a text in which it is ambiguous.
  name_is_doubtful BOOL,
  -- The heap or driver; NULL when not known.
  exporter STRING,
  -- Size in bytes; NULL when not known.
  size LONG,
  -- The most processes that held it at one time. Looked up for each row: leave
  -- it and the next one out of queries of many buffers.
  max_holders LONG,
  -- How many holdings there were of it, see \`dmabuf_holding\`.
  holdings LONG,
  -- Descriptors in all processes as it was first seen.
  fd_refs LONG,
  -- Mappings in all processes as it was first seen.
  map_refs LONG,
  -- References that no process explains, as it was first seen; NULL when not
  -- known.
  kernel_refs LONG,
  -- True when it began because it could not be seen before (the first sample,
  -- say): when it was really made is not known.
  began_unseen BOOL,
  -- True when it ended because it could not be seen any more: it may still be
  -- there.
  ended_unseen BOOL,
  -- Alias for \`slice.track_id\` of the lifetime; NULL where there is none.
  track_id JOINID(track.id),
  -- Line of the \`Buffers\` track, 0 is the uppermost.
  depth LONG,
  -- Alias for \`slice.id\` of the lifetime; NULL where there is none.
  slice_id JOINID(slice.id),
  -- Alias for \`slice.arg_set_id\` of the lifetime.
  arg_set_id ARGSETID,
  -- Alias for \`track.machine_id\`.
  machine_id LONG
)
AS
SELECT
  id,
  ts,
  dur,
  end_ts,
  is_open,
  inode,
  generation,
  key,
  name,
  ifnull(extract_arg(any_arg_set_id, 'dma_buf.name_doubtful'), 0)
    AS name_is_doubtful,
  exporter,
  size,
  (
    SELECT ifnull(max(extract_arg(h.arg_set_id, 'dma_buf.holders')), 0)
    FROM _dmabuf_holding AS h
    WHERE
      h.buffer_id = b.id
  ) AS max_holders,
  (
    SELECT count()
    FROM _dmabuf_holding AS h
    WHERE
      h.buffer_id = b.id
  ) AS holdings,
  extract_arg(arg_set_id, 'dma_buf.fd_refs') AS fd_refs,
  extract_arg(arg_set_id, 'dma_buf.map_refs') AS map_refs,
  extract_arg(any_arg_set_id, 'dma_buf.kernel_refs') AS kernel_refs,
  ifnull(extract_arg(any_arg_set_id, 'dma_buf.began_unseen'), 0)
    AS began_unseen,
  ifnull(extract_arg(any_arg_set_id, 'dma_buf.ended_unseen'), 0)
    AS ended_unseen,
  track_id,
  depth,
  slice_id,
  arg_set_id,
  machine_id
FROM _dmabuf_buffer AS b;

-- Holdings: one row for each time that a process holds a buffer, by descriptors
-- or only by mappings.
CREATE PERFETTO VIEW dmabuf_holding(
  -- Alias for \`slice.id\`.
  id ID(slice.id),
  -- The first sample that saw the process hold the buffer.
  ts TIMESTAMP,
  -- Until the first sample that did not; -1 while it is held at the end.
  dur DURATION,
  -- \`ts + dur\`, or the end of the trace where it is still held.
  end_ts TIMESTAMP,
  -- True when it was still held when the recording ended.
  is_open BOOL,
  -- The process.
  upid JOINID(process.id),
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- Inode and generation, see \`dmabuf_buffer.key\`.
  key STRING,
  -- The last name that the buffer had; NULL when it had none.
  name STRING,
  -- The heap or driver; NULL when not known.
  exporter STRING,
  -- Size of the whole buffer in bytes; NULL when not known.
  size LONG,
  -- Descriptors of the process as it was last told: as the holding ended, or as
  -- it began where it is open.
  fd_refs LONG,
  -- Mappings of the process, told as fd_refs is.
  map_refs LONG,
  -- Lengths of the mappings of the process in bytes, told as fd_refs is.
  mapped_bytes LONG,
  -- References to the buffer that no process explains, as the holding began;
  -- NULL when not known.
  kernel_refs LONG,
  -- Processes that held the buffer as the holding began, this one included. See
  -- \`dmabuf_holder_interval\` for how many there were later.
  holders LONG,
  -- True when it began because it could not be seen before: the process may
  -- have held the buffer for longer.
  began_unseen BOOL,
  -- True when it ended because the process could not be read any more: it may
  -- still hold the buffer.
  ended_unseen BOOL,
  -- Alias for \`slice.track_id\`.
  track_id JOINID(track.id),
  -- Line of the process's track, 0 is the uppermost. No two holdings of a
  -- process overlap on a line.
  depth LONG,
  -- Alias for \`slice.arg_set_id\`.
  arg_set_id ARGSETID
)
AS
SELECT
  id,
  ts,
  dur,
  end_ts,
  is_open,
  upid,
  pid,
  process_name,
  buffer_id,
  inode,
  key,
  name,
  exporter,
  size,
  extract_arg(arg_set_id, 'dma_buf.fd_refs') AS fd_refs,
  extract_arg(arg_set_id, 'dma_buf.map_refs') AS map_refs,
  extract_arg(arg_set_id, 'dma_buf.mapped_bytes') AS mapped_bytes,
  extract_arg(arg_set_id, 'dma_buf.kernel_refs') AS kernel_refs,
  extract_arg(arg_set_id, 'dma_buf.holders') AS holders,
  ifnull(extract_arg(arg_set_id, 'dma_buf.began_unseen'), 0) AS began_unseen,
  ifnull(extract_arg(arg_set_id, 'dma_buf.ended_unseen'), 0) AS ended_unseen,
  track_id,
  depth,
  arg_set_id
FROM _dmabuf_holding;

-- Processes that hold or held dma-bufs, or of which a counter is there.
CREATE PERFETTO TABLE dmabuf_process(
  -- Alias for \`process.upid\`.
  upid ID(process.id),
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- Number of its holdings, see \`dmabuf_holding\`.
  holdings LONG,
  -- Lines of its track of buffers.
  depths LONG,
  -- Counter of its PSS, see \`dmabuf_process_counter\`; NULL where there is none.
  pss_track_id JOINID(track.id),
  -- Counter of its RSS; NULL where there is none.
  rss_track_id JOINID(track.id),
  -- Counter \`mem.dmabuf_rss\`; NULL where there is none.
  dmabuf_rss_track_id JOINID(track.id)
)
AS
WITH
  _part AS (
    SELECT
      upid,
      count() AS holdings,
      max(depth) + 1 AS depths,
      NULL AS pss,
      NULL AS rss,
      NULL AS dmabuf_rss
    FROM _dmabuf_holding
    GROUP BY
      upid
    UNION ALL
    SELECT
      upid,
      0 AS holdings,
      0 AS depths,
      iif(kind = 'pss', track_id, NULL) AS pss,
      iif(kind = 'rss', track_id, NULL) AS rss,
      iif(kind = 'dmabuf_rss', track_id, NULL) AS dmabuf_rss
    FROM dmabuf_process_counter
  )
SELECT
  upid,
  p.pid,
  p.name AS process_name,
  sum(part.holdings) AS holdings,
  sum(part.depths) AS depths,
  max(part.pss) AS pss_track_id,
  max(part.rss) AS rss_track_id,
  max(part.dmabuf_rss) AS dmabuf_rss_track_id
FROM _part AS part
JOIN process AS p USING (upid)
GROUP BY
  upid
ORDER BY
  upid;

-- The flows that tie the holders of a buffer, in the order they took it.
CREATE PERFETTO TABLE dmabuf_holder_flow(
  -- Alias for \`flow.id\`.
  id LONG,
  -- The buffer.
  buffer_id LONG,
  -- The holding that the flow comes from, see \`dmabuf_holding\`.
  from_holding_id JOINID(slice.id),
  -- The process that it comes from.
  from_upid JOINID(process.id),
  -- The holding that the flow goes to.
  to_holding_id JOINID(slice.id),
  -- The process that it goes to.
  to_upid JOINID(process.id),
  -- When the process that it goes to took the buffer.
  ts TIMESTAMP,
  -- How long the process that it comes from had held it by then.
  after DURATION
)
AS
SELECT
  f.id,
  b.buffer_id,
  a.id AS from_holding_id,
  a.upid AS from_upid,
  b.id AS to_holding_id,
  b.upid AS to_upid,
  b.ts,
  b.ts - a.ts AS after
FROM flow AS f
JOIN _dmabuf_holding AS a
  ON a.id = f.slice_out
JOIN _dmabuf_holding AS b
  ON b.id = f.slice_in
ORDER BY
  f.id;
`,
  },
  {
    name: 'org.kernel.dmabuf.alloc_events',
    includes: ['org.kernel.dmabuf.buffers'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

-- \`dma_heap_stat\` events: memory of a heap was allocated (size > 0) or freed.
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
-- from \`dma_heap_stat\` events. Buffers of other exporters are not here.
CREATE PERFETTO TABLE dmabuf_heap_allocation(
  -- Alias for \`counter.id\` of the allocation.
  id LONG,
  -- When it was allocated.
  ts TIMESTAMP,
  -- Until it was freed; -1 where the trace does not tell of a free.
  dur DURATION,
  -- \`ts + dur\`, or the end of the trace.
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
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- The same buffer in a recording, see \`dmabuf_buffer\`; NULL where no sample
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
-- from \`dma_heap_stat\` (Android kernels; heaps alone) and from the tracepoint
-- \`dma_buf_export\` (kernel 7.0 and newer; all exporters, no frees).
CREATE PERFETTO TABLE dmabuf_alloc_event(
  -- Unique number of the event, in the order of time.
  id LONG,
  -- When it happened.
  ts TIMESTAMP,
  -- \`alloc\` or \`free\`.
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
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- \`dma_heap_stat\` or \`dma_buf_export\`.
  source STRING,
  -- The same buffer in a recording, see \`dmabuf_buffer\`; NULL where no sample
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
`,
  },
  {
    name: 'org.kernel.dmabuf.samples',
    includes: ['org.kernel.dmabuf.tracks'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.tracks;

-- The samples of a recording: when the device was looked at, what that cost,
-- and what was not seen. What a sample saw is stamped with its end.
CREATE PERFETTO TABLE dmabuf_sample(
  -- Alias for \`slice.id\`.
  id ID(slice.id),
  -- When the sample began.
  ts TIMESTAMP,
  -- How long it took; -1 where the trace was cut in the middle of it.
  dur DURATION,
  -- Alias for \`slice.track_id\`.
  track_id JOINID(track.id),
  -- 0, 1, 2, ... of the recording.
  sequence LONG,
  -- From the end of the sample before to the end of this one; NULL for the
  -- first one.
  since_previous DURATION,
  -- True when every process was read, not only those that had changed.
  is_full_scan BOOL,
  -- CPU time on the device, ns; NULL where it is not known.
  device_cpu_ns LONG,
  -- Bytes sent by the device.
  bytes LONG,
  -- Processes there were.
  processes_seen LONG,
  -- Processes that were read.
  processes_scanned LONG,
  -- Processes whose descriptors or mappings were refused.
  processes_unreadable LONG,
  -- Processes that ended between listing and reading.
  processes_vanished LONG,
  -- Where the list of all buffers came from: \`bufinfo\`, \`bpf\` or \`sysfs\`. NULL
  -- where there was none, so that the total is not known.
  kernel_list STRING,
  -- True where the references of the kernel are known.
  has_file_counts BOOL,
  -- Number of inode numbers that stood for two buffers.
  inode_collisions LONG,
  -- True where some processes could not be read, so that kernel-only memory may
  -- be theirs.
  kernel_only_is_upper_bound BOOL,
  -- Known buffers whose size no source told. They are in no sum.
  unknown_sizes LONG,
  -- Counters whose value was known before and is not from this sample on.
  counters_lost LONG,
  -- Number of problems, see \`dmabuf_sample_problem\`.
  problems LONG,
  -- Alias for \`slice.arg_set_id\`.
  arg_set_id ARGSETID
)
AS
WITH
  _sample AS (
    SELECT
      s.id,
      s.ts,
      s.dur,
      s.track_id,
      s.arg_set_id,
      extract_arg(s.arg_set_id, 'dma_buf_sample.sequence') AS sequence
    FROM slice AS s
    WHERE
      s.track_id IN (
        SELECT id
        FROM _dmabuf_child_track
        WHERE
          name = 'Samples'
      )
      AND s.category = 'dma_buf.sample'
  ),
  _problem AS (
    SELECT arg_set_id, count() AS problems
    FROM args
    WHERE
      flat_key = 'dma_buf_sample.problem'
    GROUP BY
      arg_set_id
  )
SELECT
  s.id,
  s.ts,
  s.dur,
  s.track_id,
  s.sequence,
  (s.ts + s.dur)
    - lag(s.ts + s.dur) OVER (PARTITION BY s.track_id ORDER BY s.ts)
    AS since_previous,
  extract_arg(s.arg_set_id, 'dma_buf_sample.full_scan') AS is_full_scan,
  extract_arg(s.arg_set_id, 'dma_buf_sample.device_cpu_ns') AS device_cpu_ns,
  extract_arg(s.arg_set_id, 'dma_buf_sample.bytes') AS bytes,
  extract_arg(s.arg_set_id, 'dma_buf_sample.processes_seen') AS processes_seen,
  extract_arg(s.arg_set_id, 'dma_buf_sample.processes_scanned')
    AS processes_scanned,
  extract_arg(s.arg_set_id, 'dma_buf_sample.processes_unreadable')
    AS processes_unreadable,
  extract_arg(s.arg_set_id, 'dma_buf_sample.processes_vanished')
    AS processes_vanished,
  extract_arg(s.arg_set_id, 'dma_buf_sample.kernel_list') AS kernel_list,
  extract_arg(s.arg_set_id, 'dma_buf_sample.file_counts') AS has_file_counts,
  extract_arg(s.arg_set_id, 'dma_buf_sample.inode_collisions')
    AS inode_collisions,
  extract_arg(s.arg_set_id, 'dma_buf_sample.kernel_only_is_upper_bound')
    AS kernel_only_is_upper_bound,
  extract_arg(s.arg_set_id, 'dma_buf_sample.unknown_sizes') AS unknown_sizes,
  extract_arg(s.arg_set_id, 'dma_buf_sample.counters_lost') AS counters_lost,
  ifnull(p.problems, 0) AS problems,
  s.arg_set_id
FROM _sample AS s
LEFT JOIN _problem AS p USING (arg_set_id)
ORDER BY
  s.id;

-- What was cut, garbled, timed out or refused in a sample.
CREATE PERFETTO TABLE dmabuf_sample_problem(
  -- The sample.
  sample_id JOINID(slice.id),
  -- When the sample began.
  ts TIMESTAMP,
  -- What happened, in a line.
  problem STRING
)
AS
SELECT s.id AS sample_id, s.ts, a.string_value AS problem
FROM dmabuf_sample AS s
JOIN args AS a USING (arg_set_id)
WHERE
  s.problems > 0
  AND a.flat_key = 'dma_buf_sample.problem'
ORDER BY
  s.id,
  a.key;

-- Counters that the samples say went out of sight, with the interval: from the
-- sample that no longer knew the value to the next value of the counter.
CREATE PERFETTO TABLE _dmabuf_lost_counter
AS
WITH
  _named AS (
    SELECT track_id, name, machine_id, NULL AS upid
    FROM dmabuf_global_counter
    WHERE
      source = 'recording'
    UNION ALL
    SELECT
      c.track_id,
      iif(c.kind = 'pss', 'dma-buf PSS', 'dma-buf RSS')
        || ' of pid '
        || p.pid AS name,
      p.machine_id,
      c.upid
    FROM dmabuf_process_counter AS c
    JOIN process AS p USING (upid)
    WHERE
      c.source = 'recording'
  ),
  _lost AS (
    SELECT s.ts + s.dur AS ts, a.string_value AS name
    FROM dmabuf_sample AS s
    JOIN args AS a USING (arg_set_id)
    WHERE
      s.counters_lost > 0
      AND a.flat_key = 'dma_buf_sample.lost_counter'
  )
SELECT
  l.ts,
  l.name,
  n.track_id,
  n.upid,
  (
    SELECT min(c.ts)
    FROM counter AS c
    WHERE
      c.track_id = n.track_id
      AND c.ts > l.ts
  ) AS end_ts
FROM _lost AS l
LEFT JOIN _named AS n
  ON n.name = l.name
  -- Of two processes with one pid it is the one that was counted before.
  AND EXISTS(
    SELECT 1
    FROM counter AS c
    WHERE
      c.track_id = n.track_id
      AND c.ts < l.ts
  );

-- When a recording did not see all there was. What is shown for such a time is
-- the last that was known.
CREATE PERFETTO TABLE dmabuf_coverage_gap(
  -- Unique number of the gap.
  id LONG,
  -- When it began.
  ts TIMESTAMP,
  -- How long it lasted; a gap that did not end lasts to the end of the trace.
  dur DURATION,
  -- Why:
  -- \`missing_samples\`: samples are missing in the recording;
  -- \`late_sample\`: a sample came more than four times as late as is usual in
  -- this recording, and at least a second late;
  -- \`no_kernel_list\`: nothing listed all buffers, so that what no process holds
  -- was not seen;
  -- \`unreadable_processes\`: some processes could not be read;
  -- \`counter_lost\`: the value of a counter could not be known.
  kind STRING,
  -- More about it, in a few words.
  detail STRING,
  -- The counter, of kind \`counter_lost\` alone.
  track_id JOINID(track.id),
  -- The process of the counter, where it is one of a process.
  upid JOINID(process.id)
)
AS
WITH
  _usual AS (
    -- The median.
    SELECT track_id, avg(since_previous) AS since_previous
    FROM (
      SELECT
        track_id,
        since_previous,
        row_number() OVER (PARTITION BY track_id ORDER BY since_previous)
          AS position,
        count() OVER (PARTITION BY track_id) AS length
      FROM dmabuf_sample
      WHERE
        since_previous IS NOT NULL
    )
    WHERE
      position IN ((length + 1) / 2, (length + 2) / 2)
    GROUP BY
      track_id
  ),
  _ordered AS (
    SELECT
      s.*,
      lag(s.ts + s.dur) OVER w AS previous_end,
      lag(s.sequence) OVER w AS previous_sequence,
      lead(s.ts + s.dur) OVER w AS next_end
    FROM dmabuf_sample AS s
    WHERE
      s.dur >= 0
    WINDOW
      w AS (PARTITION BY s.track_id ORDER BY s.ts)
  ),
  _partial AS (
    SELECT *, 'no_kernel_list' AS kind, NULL AS value
    FROM _ordered
    WHERE
      kernel_list IS NULL
    UNION ALL
    SELECT *, 'unreadable_processes' AS kind, processes_unreadable AS value
    FROM _ordered
    WHERE
      processes_unreadable > 0
  ),
  -- Samples that follow each other and have the same gap are one.
  _run AS (
    SELECT
      *,
      sequence
        - row_number() OVER (PARTITION BY track_id, kind ORDER BY ts) AS run
    FROM _partial
  ),
  _gap AS (
    SELECT
      o.previous_end AS ts,
      o.ts + o.dur AS end_ts,
      'missing_samples' AS kind,
      (o.sequence - o.previous_sequence - 1) || ' missing' AS detail,
      NULL AS track_id,
      NULL AS upid
    FROM _ordered AS o
    WHERE
      o.sequence > o.previous_sequence + 1
    UNION ALL
    SELECT
      o.previous_end AS ts,
      o.ts + o.dur AS end_ts,
      'late_sample' AS kind,
      printf('%.1f s after the one before', o.since_previous / 1e9) AS detail,
      NULL AS track_id,
      NULL AS upid
    FROM _ordered AS o
    JOIN _usual AS u USING (track_id)
    WHERE
      o.sequence = o.previous_sequence + 1
      AND o.since_previous > 4 * u.since_previous
      AND o.since_previous > u.since_previous + 1e9
    UNION ALL
    SELECT
      min(ts + dur) AS ts,
      max(ifnull(next_end, (SELECT end_ts FROM trace_bounds))) AS end_ts,
      kind,
      iif(
        kind = 'no_kernel_list',
        'no list of all buffers',
        'up to ' || max(value) || ' processes'
      ) AS detail,
      NULL AS track_id,
      NULL AS upid
    FROM _run
    GROUP BY
      track_id,
      kind,
      run
    UNION ALL
    SELECT
      ts,
      ifnull(end_ts, (SELECT end_ts FROM trace_bounds)) AS end_ts,
      'counter_lost' AS kind,
      name AS detail,
      track_id,
      upid
    FROM _dmabuf_lost_counter
  )
SELECT
  row_number() OVER (ORDER BY ts, kind, detail) AS id,
  ts,
  end_ts - ts AS dur,
  kind,
  detail,
  track_id,
  upid
FROM _gap
ORDER BY
  ts;
`,
  },
  {
    name: 'org.kernel.dmabuf.leaks',
    includes: ['org.kernel.dmabuf.buffers', 'org.kernel.dmabuf.samples'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

INCLUDE PERFETTO MODULE org.kernel.dmabuf.samples;

-- When the recording ended: its last sample. One row, NULL without samples.
CREATE PERFETTO TABLE _dmabuf_recording_end
AS
SELECT max(ts + dur) AS ts, min(ts) AS first_ts
FROM dmabuf_sample
WHERE
  dur >= 0;

-- When each buffer was let go by all but the last of its holders.
CREATE PERFETTO TABLE _dmabuf_let_go
AS
WITH
  _shared AS MATERIALIZED (
    SELECT buffer_id AS id
    FROM dmabuf_holding
    GROUP BY
      buffer_id
    HAVING
      count() > 1
  ),
  _holder AS (
    -- A process may let go of a buffer and take it again.
    SELECT
      h.buffer_id,
      h.upid,
      max(h.is_open) AS is_open,
      max(iif(h.is_open, e.ts, h.end_ts)) AS end_ts
    FROM _shared AS s
    JOIN dmabuf_holding AS h
      ON h.buffer_id = s.id
    CROSS JOIN _dmabuf_recording_end AS e
    GROUP BY
      h.buffer_id,
      h.upid
  ),
  _ordered AS (
    SELECT
      *,
      row_number() OVER (
        PARTITION BY buffer_id
        ORDER BY is_open DESC, end_ts DESC, upid
      ) AS place
    FROM _holder
  )
SELECT
  l.buffer_id,
  p.end_ts AS ts,
  p.upid,
  l.upid AS last_upid,
  l.is_open,
  l.end_ts - p.end_ts AS alone
FROM _ordered AS l
JOIN _ordered AS p
  ON p.buffer_id = l.buffer_id
  AND p.place = 2
WHERE
  l.place = 1
  AND NOT p.is_open
ORDER BY
  l.buffer_id;

-- When a buffer was held last, by any process.
CREATE PERFETTO TABLE _dmabuf_held
AS
SELECT buffer_id, max(end_ts) AS ts, max(is_open) AS is_open
FROM dmabuf_holding
GROUP BY
  buffer_id
ORDER BY
  buffer_id;

-- Buffers that were made during the recording, with what is to be compared.
-- What was there before has a history that nobody saw.
CREATE PERFETTO TABLE _dmabuf_life
AS
WITH
  _let_go AS MATERIALIZED (
    SELECT *
    FROM _dmabuf_let_go
  ),
  _held AS MATERIALIZED (
    SELECT *
    FROM _dmabuf_held
  )
SELECT
  b.id,
  b.ts,
  b.name,
  b.exporter,
  b.size,
  b.is_open,
  iif(b.is_open, e.ts, b.end_ts) - b.ts AS age,
  -- Only one process had it, or has it.
  l.ts AS let_go_ts,
  l.upid AS let_go_upid,
  iif(l.is_open = b.is_open, l.alone, NULL) AS alone,
  ifnull(h.is_open, 0) AS is_held,
  h.buffer_id IS NULL AS was_never_held,
  -- None has it any more.
  iif(h.is_open, NULL, h.ts) AS unheld_ts,
  iif(h.is_open, NULL, iif(b.is_open, e.ts, b.end_ts) - h.ts) AS unheld
FROM dmabuf_buffer AS b
CROSS JOIN _dmabuf_recording_end AS e
LEFT JOIN _let_go AS l
  ON l.buffer_id = b.id
LEFT JOIN _held AS h
  ON h.buffer_id = b.id
WHERE
  NOT b.began_unseen
  AND NOT b.ended_unseen
  AND e.ts IS NOT NULL
ORDER BY
  b.id;

-- What is usual for the buffers of one name and exporter.
CREATE PERFETTO TABLE _dmabuf_family
AS
SELECT
  l.name,
  l.exporter,
  sum(NOT l.is_open) AS freed,
  max(iif(l.is_open, NULL, l.age)) AS freed_after,
  max(iif(l.is_open, NULL, l.alone)) AS usual_alone,
  max(iif(l.is_open, NULL, l.unheld)) AS usual_unheld,
  -- More and more of them, to the end, and none was ever freed.
  sum(NOT l.is_open) = 0
    AND count(DISTINCT l.ts) >= 3
    AND max(l.ts) > (e.first_ts + e.ts) / 2
    AS is_growing
FROM _dmabuf_life AS l
CROSS JOIN _dmabuf_recording_end AS e
GROUP BY
  l.name,
  l.exporter
HAVING
  max(l.is_open)
ORDER BY
  l.name,
  l.exporter;

-- What is still there, and looks as if it had been forgotten. "Long" is three
-- times as long as is usual for its kind, and a second at least.
CREATE PERFETTO TABLE _dmabuf_suspect
AS
WITH
  _family AS MATERIALIZED (
    SELECT *
    FROM _dmabuf_family
  ),
  _judged AS (
    SELECT
      l.*,
      f.is_growing,
      ifnull(l.age > 3 * f.freed_after, 0) AS has_outlived,
      ifnull(
        l.alone > 1e9
          AND l.alone > 3 * ifnull(f.usual_alone, l.let_go_ts - l.ts),
        0
      ) AS is_last_holder,
      NOT l.is_held AS is_unheld,
      ifnull(l.unheld > 1e9 AND l.unheld > 3 * ifnull(f.usual_unheld, 0), 0)
        AS is_long_unheld
    FROM _dmabuf_life AS l
    JOIN _family AS f
      ON f.name IS l.name
      AND f.exporter IS l.exporter
    WHERE
      l.is_open
  )
SELECT
  id AS buffer_id,
  ts,
  name,
  exporter,
  size,
  age,
  is_unheld,
  is_growing,
  has_outlived,
  is_last_holder,
  iif(is_unheld, unheld, alone) AS alone,
  iif(is_unheld, unheld_ts, let_go_ts) AS let_go_ts,
  iif(is_unheld, NULL, let_go_upid) AS let_go_upid
FROM _judged
WHERE
  iif(
    is_unheld,
    is_long_unheld OR (was_never_held AND has_outlived),
    is_last_holder OR is_growing OR has_outlived
  )
ORDER BY
  id;

-- Who holds the suspects at the end.
CREATE PERFETTO TABLE _dmabuf_suspect_holder
AS
SELECT
  s.buffer_id,
  s.name,
  s.exporter,
  h.upid,
  max(h.id) AS holding_id
FROM _dmabuf_suspect AS s
JOIN dmabuf_holding AS h
  ON h.buffer_id = s.buffer_id
WHERE
  h.is_open
GROUP BY
  s.buffer_id,
  h.upid
ORDER BY
  s.buffer_id,
  h.upid;

-- Memory that looks as if it had been forgotten: buffers of one name and
-- exporter, made during the recording, that one process (or only the kernel)
-- still has at its end, with the evidence. The strongest candidate first.
CREATE PERFETTO TABLE dmabuf_leak_candidate(
  -- Unique number, 1 is the strongest candidate.
  id LONG,
  -- What speaks for it most:
  -- \`kernel_only\`: no process holds them any more, and still they are there;
  -- \`last_holder\`: one process holds them long after all others let go;
  -- \`outlived\`: others of their kind were freed long before they were as old;
  -- \`growth\`: more and more of them, none of which was ever freed.
  kind STRING,
  -- The process that holds them; NULL for kind \`kernel_only\`.
  upid JOINID(process.id),
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- Name of the buffers; NULL when they have none.
  name STRING,
  -- The heap or driver; NULL when not known.
  exporter STRING,
  -- Number of buffers, see \`dmabuf_leak_buffer\`.
  buffers LONG,
  -- Sum of their sizes.
  bytes LONG,
  -- When the first of them was made.
  first_ts TIMESTAMP,
  -- When the last of them was made.
  last_ts TIMESTAMP,
  -- Age of the oldest at the end of the recording.
  oldest DURATION,
  -- How many of the same name and exporter were freed.
  freed LONG,
  -- The longest that one of these lived; NULL when none was freed.
  freed_after DURATION,
  -- Since when at least one of them is held by nobody else (or by nobody),
  -- though it had been; NULL where that never changed.
  let_go_ts TIMESTAMP,
  -- The process that let go of most of them last; NULL as let_go_ts.
  let_go_upid JOINID(process.id),
  -- All the evidence, in words.
  evidence STRING
)
AS
WITH
  -- The process that holds most of them.
  _holder AS (
    SELECT
      name,
      exporter,
      upid,
      row_number() OVER (
        PARTITION BY name, exporter
        ORDER BY count() DESC, upid
      ) AS place
    FROM _dmabuf_suspect_holder
    GROUP BY
      name,
      exporter,
      upid
  ),
  _let_go AS (
    SELECT
      name,
      exporter,
      is_unheld,
      let_go_upid,
      row_number() OVER (
        PARTITION BY name, exporter, is_unheld
        ORDER BY count() DESC, let_go_upid
      ) AS place
    FROM _dmabuf_suspect
    WHERE
      let_go_upid IS NOT NULL
    GROUP BY
      name,
      exporter,
      is_unheld,
      let_go_upid
  ),
  _sum AS (
    SELECT
      name,
      exporter,
      is_unheld,
      count() AS buffers,
      ifnull(sum(size), 0) AS bytes,
      min(ts) AS first_ts,
      max(ts) AS last_ts,
      max(age) AS oldest,
      min(let_go_ts) AS let_go_ts,
      max(is_growing) AS is_growing,
      sum(has_outlived) AS outlived,
      sum(is_last_holder) AS last_held,
      min(iif(is_unheld OR is_last_holder, alone, NULL)) AS alone_from,
      max(iif(is_unheld OR is_last_holder, alone, NULL)) AS alone_to
    FROM _dmabuf_suspect
    GROUP BY
      name,
      exporter,
      is_unheld
  ),
  _candidate AS (
    SELECT
      s.*,
      CASE
        WHEN s.is_unheld THEN 'kernel_only'
        WHEN 2 * s.last_held >= s.buffers THEN 'last_holder'
        WHEN s.is_growing THEN 'growth'
        ELSE 'outlived'
      END AS kind,
      iif(s.is_unheld, NULL, h.upid) AS upid,
      f.freed,
      f.freed_after,
      g.let_go_upid
    FROM _sum AS s
    JOIN _dmabuf_family AS f
      ON f.name IS s.name
      AND f.exporter IS s.exporter
    LEFT JOIN _holder AS h
      ON h.name IS s.name
      AND h.exporter IS s.exporter
      AND h.place = 1
    LEFT JOIN _let_go AS g
      ON g.name IS s.name
      AND g.exporter IS s.exporter
      AND g.is_unheld = s.is_unheld
      AND g.place = 1
  )
SELECT
  row_number() OVER (ORDER BY c.bytes DESC, c.first_ts, c.name) AS id,
  c.kind,
  c.upid,
  p.pid,
  p.name AS process_name,
  c.name,
  c.exporter,
  c.buffers,
  c.bytes,
  c.first_ts,
  c.last_ts,
  c.oldest,
  c.freed,
  c.freed_after,
  c.let_go_ts,
  c.let_go_upid,
  -- The parts that do not apply are NULL, and so empty.
  rtrim(
    ifnull(
      iif(
        c.is_unheld AND c.alone_to IS NOT NULL,
        printf(
          'no process holds them, for %.1f to %.1f s; ',
          c.alone_from / 1e9,
          c.alone_to / 1e9
        ),
        iif(c.is_unheld, 'no process was ever seen to hold them; ', NULL)
      ),
      ''
    )
      || ifnull(
        iif(
          c.last_held > 0,
          printf(
            '%d of %d held by one process alone, for %.1f to %.1f s since all '
              || 'others let go; ',
            c.last_held,
            c.buffers,
            c.alone_from / 1e9,
            c.alone_to / 1e9
          ),
          NULL
        ),
        ''
      )
      || ifnull(
        iif(
          c.outlived > 0,
          printf(
            '%d of %d older than three times the longest life of the %d that '
              || 'were freed (%.1f s); ',
            c.outlived,
            c.buffers,
            c.freed,
            c.freed_after / 1e9
          ),
          NULL
        ),
        ''
      )
      || iif(
        c.freed = 0,
        printf(
          'made over %.1f s, and none was ever freed; ',
          (c.last_ts - c.first_ts) / 1e9
        ),
        ''
      ),
    '; '
  ) AS evidence
FROM _candidate AS c
LEFT JOIN process AS p
  ON p.upid = c.upid
ORDER BY
  id;

-- The buffers of each candidate.
CREATE PERFETTO TABLE dmabuf_leak_buffer(
  -- The candidate, see \`dmabuf_leak_candidate\`.
  candidate_id LONG,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- The holding of the process, see \`dmabuf_holding\`; NULL where only the
  -- kernel has it.
  holding_id LONG,
  -- Since when nobody else holds it; NULL where nobody else did.
  let_go_ts TIMESTAMP
)
AS
SELECT
  c.id AS candidate_id,
  s.buffer_id,
  h.holding_id,
  s.let_go_ts
FROM dmabuf_leak_candidate AS c
JOIN _dmabuf_suspect AS s
  ON s.name IS c.name
  AND s.exporter IS c.exporter
  AND s.is_unheld = (c.kind = 'kernel_only')
LEFT JOIN _dmabuf_suspect_holder AS h
  ON h.buffer_id = s.buffer_id
  AND h.upid = c.upid
ORDER BY
  c.id,
  s.buffer_id;
`,
  },
  {
    name: 'org.kernel.dmabuf.pss',
    includes: ['org.kernel.dmabuf.buffers'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

-- How many processes hold a buffer, over time: one row for each interval of its
-- life in which it has the same holders.
CREATE PERFETTO TABLE dmabuf_holder_interval(
  -- When the holders became these.
  ts TIMESTAMP,
  -- How long it stayed so, at most until the end of the trace.
  dur DURATION,
  -- \`ts + dur\`.
  end_ts TIMESTAMP,
  -- True when it was still so when the recording ended.
  is_open BOOL,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- Number of processes that held it; 0: no process that could be read did.
  holders LONG,
  -- Bytes of each holder's share: size divided by holders. NULL when nobody
  -- holds it or its size is not known.
  pss DOUBLE
)
AS
WITH
  _change AS (
    SELECT buffer_id, ts, 1 AS delta
    FROM dmabuf_holding
    UNION ALL
    SELECT buffer_id, end_ts AS ts, -1 AS delta
    FROM dmabuf_holding
    WHERE
      NOT is_open
    UNION ALL
    SELECT id AS buffer_id, ts, 0 AS delta
    FROM dmabuf_buffer
  ),
  _step AS (
    SELECT buffer_id, ts, sum(delta) AS delta
    FROM _change
    GROUP BY
      buffer_id,
      ts
  ),
  _buffer AS MATERIALIZED (
    SELECT id, end_ts, is_open, size
    FROM dmabuf_buffer
  ),
  _count AS (
    SELECT
      buffer_id,
      ts,
      sum(delta) OVER w AS holders,
      lead(ts) OVER w AS next_ts
    FROM _step
    WINDOW
      w AS (PARTITION BY buffer_id ORDER BY ts)
  )
SELECT
  c.ts,
  ifnull(c.next_ts, b.end_ts) - c.ts AS dur,
  ifnull(c.next_ts, b.end_ts) AS end_ts,
  c.next_ts IS NULL AND b.is_open AS is_open,
  c.buffer_id,
  c.holders,
  iif(c.holders > 0, b.size * 1.0 / c.holders, NULL) AS pss
FROM _count AS c
JOIN _buffer AS b
  ON b.id = c.buffer_id
WHERE
  c.ts < b.end_ts
  OR b.is_open
ORDER BY
  c.buffer_id,
  c.ts;

-- The share of each holder in each buffer, over time: exact PSS. Over all rows
-- that hold at a time, the sum of pss is the unique total of what processes
-- hold. Meant to be filtered by buffer_id, upid or holding_id: there are as
-- many rows as holders and changes of their number.
CREATE PERFETTO VIEW dmabuf_holding_share(
  -- When the share became this.
  ts TIMESTAMP,
  -- How long it stayed so.
  dur DURATION,
  -- \`ts + dur\`.
  end_ts TIMESTAMP,
  -- True when it was still so when the recording ended.
  is_open BOOL,
  -- The holding, see \`dmabuf_holding\`.
  holding_id LONG,
  -- The holder.
  upid LONG,
  -- The buffer.
  buffer_id LONG,
  -- Number of holders at that time.
  holders LONG,
  -- Bytes: size divided by holders.
  pss DOUBLE
)
AS
SELECT
  i.ts,
  i.dur,
  i.end_ts,
  i.is_open,
  h.id AS holding_id,
  h.upid,
  h.buffer_id,
  i.holders,
  i.pss
FROM dmabuf_holding AS h
JOIN dmabuf_holder_interval AS i USING (buffer_id)
WHERE
  i.ts >= h.ts
  AND i.holders > 0
  AND (h.is_open OR i.ts < h.end_ts);
`,
  },
  {
    name: 'org.kernel.dmabuf.state',
    includes: ['org.kernel.dmabuf.buffers'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

-- Who holds what at a time. After the last sample: what was known last.
CREATE PERFETTO FUNCTION dmabuf_holdings_at(
  -- The time.
  ts TIMESTAMP
)
RETURNS TABLE(
  -- The holding, see \`dmabuf_holding\`.
  holding_id LONG,
  -- The holder.
  upid LONG,
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- The last name that the buffer had.
  name STRING,
  -- The heap or driver.
  exporter STRING,
  -- Size in bytes; NULL when not known.
  size LONG,
  -- Descriptors, as \`dmabuf_holding\` tells them.
  fd_refs LONG,
  -- Mappings, as \`dmabuf_holding\` tells them.
  map_refs LONG,
  -- Bytes mapped, as \`dmabuf_holding\` tells them.
  mapped_bytes LONG,
  -- Since when it is held.
  since TIMESTAMP,
  -- Number of processes that hold the buffer at that time.
  holders LONG,
  -- Bytes: size divided by holders.
  pss DOUBLE
)
AS
SELECT
  id AS holding_id,
  upid,
  pid,
  process_name,
  buffer_id,
  inode,
  name,
  exporter,
  size,
  fd_refs,
  map_refs,
  mapped_bytes,
  ts AS since,
  count() OVER (PARTITION BY buffer_id) AS holders,
  size * 1.0 / (count() OVER (PARTITION BY buffer_id)) AS pss
FROM dmabuf_holding
WHERE
  ts <= $ts
  AND (is_open OR end_ts > $ts);

-- The buffers that there are at a time. After the last sample: what was known
-- last.
CREATE PERFETTO FUNCTION dmabuf_buffers_at(
  -- The time.
  ts TIMESTAMP
)
RETURNS TABLE(
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- The last name that it had.
  name STRING,
  -- The heap or driver.
  exporter STRING,
  -- Size in bytes; NULL when not known.
  size LONG,
  -- Since when it is there.
  since TIMESTAMP,
  -- Number of processes that hold it at that time.
  holders LONG,
  -- True when no process that could be read holds it.
  is_kernel_only BOOL,
  -- True when it is held, and only by mappings (as \`dmabuf_holding\` tells
  -- them).
  is_mapped_only BOOL
)
AS
WITH
  _held AS (
    SELECT buffer_id, count() AS holders, sum(fd_refs) AS fd_refs
    FROM dmabuf_holding
    WHERE
      ts <= $ts
      AND (is_open OR end_ts > $ts)
    GROUP BY
      buffer_id
  )
SELECT
  b.id AS buffer_id,
  b.inode,
  b.name,
  b.exporter,
  b.size,
  b.ts AS since,
  ifnull(h.holders, 0) AS holders,
  h.holders IS NULL AS is_kernel_only,
  h.holders IS NOT NULL AND ifnull(h.fd_refs, 1) = 0 AS is_mapped_only
FROM dmabuf_buffer AS b
LEFT JOIN _held AS h
  ON h.buffer_id = b.id
WHERE
  b.ts <= $ts
  AND (b.is_open OR b.end_ts > $ts);

-- What each process holds at a time. After the last sample: what was known
-- last.
CREATE PERFETTO FUNCTION dmabuf_processes_at(
  -- The time.
  ts TIMESTAMP
)
RETURNS TABLE(
  -- The process.
  upid LONG,
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- Number of buffers that it holds.
  buffers LONG,
  -- Bytes: the sizes of these, each once.
  rss LONG,
  -- Bytes: each size divided by the number of holders.
  pss DOUBLE,
  -- How many of these have no known size: they are in no sum.
  unknown_sizes LONG
)
AS
SELECT
  upid,
  pid,
  process_name,
  count() AS buffers,
  ifnull(sum(size), 0) AS rss,
  total(pss) AS pss,
  sum(size IS NULL) AS unknown_sizes
FROM dmabuf_holdings_at($ts)
GROUP BY
  upid;

-- Intervals that memory is held in, keyed by what \`by\` names. A buffer without
-- a known size counts, and is in no sum.
CREATE PERFETTO FUNCTION _dmabuf_interval(by STRING)
RETURNS TABLE(
  ts TIMESTAMP,
  end_ts TIMESTAMP,
  is_open BOOL,
  upid LONG,
  pid LONG,
  process_name STRING,
  key_buffer_id LONG,
  inode LONG,
  name STRING,
  exporter STRING,
  buffer_id LONG,
  size LONG
)
AS
SELECT
  ts,
  end_ts,
  is_open,
  upid,
  pid,
  process_name,
  iif($by = 'holding', buffer_id, NULL) AS key_buffer_id,
  iif($by = 'holding', inode, NULL) AS inode,
  iif($by = 'holding', name, NULL) AS name,
  iif($by = 'holding', exporter, NULL) AS exporter,
  buffer_id,
  size
FROM dmabuf_holding
WHERE
  $by IN ('process', 'holding')
UNION ALL
SELECT
  ts,
  end_ts,
  is_open,
  NULL AS upid,
  NULL AS pid,
  NULL AS process_name,
  iif($by = 'buffer', id, NULL) AS key_buffer_id,
  iif($by = 'buffer', inode, NULL) AS inode,
  iif($by IN ('buffer', 'name'), name, NULL) AS name,
  iif($by IN ('buffer', 'exporter'), exporter, NULL) AS exporter,
  id AS buffer_id,
  size
FROM dmabuf_buffer
WHERE
  $by IN ('buffer', 'name', 'exporter', 'total');

-- What is held in a span of time, by one of several keys. Of the columns upid
-- to exporter those are set that belong to the key.
CREATE PERFETTO FUNCTION dmabuf_held_in(
  -- When the span begins.
  ts TIMESTAMP,
  -- How long it is.
  dur DURATION,
  -- The key. \`process\` and \`holding\` (process and buffer) tell what processes
  -- hold: bytes are their RSS. \`buffer\`, \`name\`, \`exporter\` and \`total\` tell
  -- what there is, each buffer once, with what only the kernel holds.
  by STRING
)
RETURNS TABLE(
  -- The process.
  upid LONG,
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- Name of the buffers; NULL when they have none.
  name STRING,
  -- The heap or driver; NULL when not known.
  exporter STRING,
  -- Number of different buffers in the span.
  buffers LONG,
  -- How many of these have no known size: they are in no sum.
  unknown_sizes LONG,
  -- Bytes at the begin of the span.
  start_bytes LONG,
  -- Bytes at its end.
  end_bytes LONG,
  -- The most bytes at one time in it.
  peak_bytes LONG,
  -- When that was first so.
  peak_ts TIMESTAMP,
  -- \`end_bytes - start_bytes\`.
  change_bytes LONG,
  -- PSS in bytes at the begin, with the keys \`process\` and \`holding\`.
  start_pss DOUBLE,
  -- PSS in bytes at the end, with the keys \`process\` and \`holding\`.
  end_pss DOUBLE
)
AS
WITH
  _held AS (
    SELECT *, max(ts, $ts) AS from_ts
    FROM _dmabuf_interval($by)
    WHERE
      ts <= $ts + $dur
      AND (is_open OR end_ts > $ts)
  ),
  _key AS (
    SELECT
      upid,
      pid,
      process_name,
      key_buffer_id,
      inode,
      name,
      exporter,
      count(DISTINCT buffer_id) AS buffers,
      count(DISTINCT iif(size IS NULL, buffer_id, NULL)) AS unknown_sizes,
      ifnull(sum(iif(ts <= $ts, size, 0)), 0) AS start_bytes,
      ifnull(sum(iif(is_open OR end_ts > $ts + $dur, size, 0)), 0) AS end_bytes
    FROM _held
    GROUP BY
      upid,
      key_buffer_id,
      name,
      exporter
  ),
  _change AS (
    SELECT upid, key_buffer_id, name, exporter, from_ts AS at_ts, size AS delta
    FROM _held
    UNION ALL
    SELECT upid, key_buffer_id, name, exporter, end_ts AS at_ts, -size AS delta
    FROM _held
    WHERE
      NOT is_open
      AND end_ts <= $ts + $dur
  ),
  _step AS (
    SELECT
      upid,
      key_buffer_id,
      name,
      exporter,
      at_ts,
      ifnull(sum(delta), 0) AS delta
    FROM _change
    GROUP BY
      upid,
      key_buffer_id,
      name,
      exporter,
      at_ts
  ),
  _level AS (
    SELECT
      *,
      sum(delta) OVER (
        PARTITION BY upid, key_buffer_id, name, exporter
        ORDER BY at_ts
      ) AS bytes
    FROM _step
  ),
  -- The first of the highest. SQLite takes at_ts from the row with the max().
  _peak AS (
    SELECT upid, key_buffer_id, name, exporter, at_ts, max(bytes) AS bytes
    FROM _level
    GROUP BY
      upid,
      key_buffer_id,
      name,
      exporter
  ),
  _pss AS (
    SELECT
      upid,
      iif($by = 'holding', buffer_id, NULL) AS key_buffer_id,
      total(start_pss) AS start_pss,
      total(end_pss) AS end_pss
    FROM (
      SELECT upid, buffer_id, pss AS start_pss, NULL AS end_pss
      FROM dmabuf_holdings_at($ts)
      WHERE
        $by IN ('process', 'holding')
      UNION ALL
      SELECT upid, buffer_id, NULL AS start_pss, pss AS end_pss
      FROM dmabuf_holdings_at($ts + $dur)
      WHERE
        $by IN ('process', 'holding')
    )
    GROUP BY
      1,
      2
  )
SELECT
  k.upid,
  k.pid,
  k.process_name,
  k.key_buffer_id AS buffer_id,
  k.inode,
  k.name,
  k.exporter,
  k.buffers,
  k.unknown_sizes,
  k.start_bytes,
  k.end_bytes,
  p.bytes AS peak_bytes,
  p.at_ts AS peak_ts,
  k.end_bytes - k.start_bytes AS change_bytes,
  iif($by IN ('process', 'holding'), ifnull(s.start_pss, 0.0), NULL)
    AS start_pss,
  iif($by IN ('process', 'holding'), ifnull(s.end_pss, 0.0), NULL) AS end_pss
FROM _key AS k
JOIN _peak AS p
  ON p.upid IS k.upid
  AND p.key_buffer_id IS k.key_buffer_id
  AND p.name IS k.name
  AND p.exporter IS k.exporter
LEFT JOIN _pss AS s
  ON s.upid = k.upid
  AND s.key_buffer_id IS k.key_buffer_id;

-- Two times compared, by one of several keys. Of the columns upid to exporter
-- those are set that belong to the key.
CREATE PERFETTO FUNCTION dmabuf_difference(
  -- The one time.
  ts1 TIMESTAMP,
  -- The other time.
  ts2 TIMESTAMP,
  -- The key, as of \`dmabuf_held_in\`.
  by STRING
)
RETURNS TABLE(
  -- The process.
  upid LONG,
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- Name of the buffers; NULL when they have none.
  name STRING,
  -- The heap or driver; NULL when not known.
  exporter STRING,
  -- Number of buffers at ts1.
  buffers1 LONG,
  -- Number of buffers at ts2.
  buffers2 LONG,
  -- Buffers that are there at ts2 and not at ts1.
  gained LONG,
  -- Buffers that are there at ts1 and not at ts2.
  lost LONG,
  -- Bytes at ts1.
  bytes1 LONG,
  -- Bytes at ts2.
  bytes2 LONG,
  -- \`bytes2 - bytes1\`.
  change_bytes LONG,
  -- PSS in bytes at ts1, with the keys \`process\` and \`holding\`.
  pss1 DOUBLE,
  -- PSS in bytes at ts2, with the keys \`process\` and \`holding\`.
  pss2 DOUBLE,
  -- \`pss2 - pss1\`.
  change_pss DOUBLE
)
AS
WITH
  _state AS (
    SELECT
      *,
      ts <= $ts1 AND (is_open OR end_ts > $ts1) AS at1,
      ts <= $ts2 AND (is_open OR end_ts > $ts2) AS at2
    FROM _dmabuf_interval($by)
    WHERE
      (ts <= $ts1 AND (is_open OR end_ts > $ts1))
      OR (ts <= $ts2 AND (is_open OR end_ts > $ts2))
  ),
  -- One that was let go and taken again in between is neither gained nor lost.
  _one AS (
    SELECT
      upid,
      pid,
      process_name,
      key_buffer_id,
      inode,
      name,
      exporter,
      buffer_id,
      size,
      max(at1) AS at1,
      max(at2) AS at2
    FROM _state
    GROUP BY
      upid,
      buffer_id
  ),
  _holders AS (
    SELECT
      buffer_id,
      sum(at1) AS holders1,
      sum(at2) AS holders2
    FROM _one
    GROUP BY
      buffer_id
  ),
  _sum AS (
    SELECT
      o.upid,
      o.pid,
      o.process_name,
      o.key_buffer_id AS buffer_id,
      o.inode,
      o.name,
      o.exporter,
      sum(o.at1) AS buffers1,
      sum(o.at2) AS buffers2,
      sum(o.at2 AND NOT o.at1) AS gained,
      sum(o.at1 AND NOT o.at2) AS lost,
      ifnull(sum(o.size * o.at1), 0) AS bytes1,
      ifnull(sum(o.size * o.at2), 0) AS bytes2,
      total(iif(o.at1, o.size * 1.0 / h.holders1, 0.0)) AS pss1,
      total(iif(o.at2, o.size * 1.0 / h.holders2, 0.0)) AS pss2
    FROM _one AS o
    JOIN _holders AS h
      ON h.buffer_id = o.buffer_id
    GROUP BY
      o.upid,
      o.key_buffer_id,
      o.name,
      o.exporter
  )
SELECT
  upid,
  pid,
  process_name,
  buffer_id,
  inode,
  name,
  exporter,
  buffers1,
  buffers2,
  gained,
  lost,
  bytes1,
  bytes2,
  bytes2 - bytes1 AS change_bytes,
  iif($by IN ('process', 'holding'), pss1, NULL) AS pss1,
  iif($by IN ('process', 'holding'), pss2, NULL) AS pss2,
  iif($by IN ('process', 'holding'), pss2 - pss1, NULL) AS change_pss
FROM _sum;

-- Who held a buffer, in the order they took it.
CREATE PERFETTO FUNCTION dmabuf_holders_of(
  -- The buffer, see \`dmabuf_buffer\`.
  buffer_id LONG
)
RETURNS TABLE(
  -- The holding, see \`dmabuf_holding\`.
  holding_id LONG,
  -- When it began.
  ts TIMESTAMP,
  -- How long it lasted; -1 while it is held at the end.
  dur DURATION,
  -- The holder.
  upid LONG,
  -- Alias for \`process.pid\`.
  pid LONG,
  -- Alias for \`process.name\`.
  process_name STRING,
  -- Descriptors, as \`dmabuf_holding\` tells them.
  fd_refs LONG,
  -- Mappings, as \`dmabuf_holding\` tells them.
  map_refs LONG,
  -- Bytes mapped, as \`dmabuf_holding\` tells them.
  mapped_bytes LONG
)
AS
SELECT
  id AS holding_id,
  ts,
  dur,
  upid,
  pid,
  process_name,
  fd_refs,
  map_refs,
  mapped_bytes
FROM dmabuf_holding
WHERE
  buffer_id = $buffer_id
ORDER BY
  ts,
  id;
`,
  },
  {
    name: 'org.kernel.dmabuf.trace_info',
    includes: ['org.kernel.dmabuf.tracks'],
    sql: `-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.tracks;

-- What a trace tells about dma-bufs, and where that comes from. Always one row.
CREATE PERFETTO TABLE dmabuf_trace_info(
  -- True when the trace holds a recording of dma-bufs and their holders.
  has_recording BOOL,
  -- True when no real kernel gave the recording.
  is_simulated BOOL,
  -- Version of the schema of the recording.
  schema_version LONG,
  -- Version of the tool that recorded it.
  tool_version STRING,
  -- What it was taken from, as in \`adb\`.
  source STRING,
  -- The device.
  device STRING,
  -- Release of its kernel.
  kernel_release STRING,
  -- Fingerprint of its Android build.
  build_fingerprint STRING,
  -- Id of its boot.
  boot_id STRING,
  -- User id that looked; 0 sees everything.
  uid LONG,
  -- How the recording ended; NULL when it was cut short.
  ended STRING,
  -- Number of samples, as the recording says at its end.
  samples LONG,
  -- True when the trace holds \`dma_heap_stat\` events: allocations and frees of
  -- heap memory at their true time.
  has_dma_heap_stat BOOL,
  -- True when the trace holds counters \`mem.dmabuf_rss\` of processes.
  has_dmabuf_rss BOOL,
  -- True when it holds those counters of processes that no recording counts:
  -- Perfetto's own, and not the copies that a recording makes for Perfetto's
  -- memory views.
  has_stock_dmabuf_rss BOOL,
  -- True when the trace holds \`dma_buf_export\` ftrace events (kernel 7.0 and
  -- newer): allocations of all exporters at their true time.
  has_dma_buf_events BOOL,
  -- True when there is any of these.
  has_any BOOL
)
AS
WITH
  _attribute AS (
    SELECT
      substr(name, 25) AS key,
      int_value,
      str_value
    FROM metadata
    WHERE
      name GLOB 'trace_attribute.dma_buf.*'
  ),
  _exists AS (
    SELECT
      EXISTS(SELECT 1 FROM dmabuf_root_track) AS has_recording,
      EXISTS(SELECT 1 FROM track WHERE type = 'android_dma_heap')
        AS has_dma_heap_stat,
      EXISTS(SELECT 1 FROM dmabuf_process_counter WHERE kind = 'dmabuf_rss')
        AS has_dmabuf_rss,
      EXISTS(
        SELECT 1
        FROM dmabuf_process_counter
        WHERE
          kind = 'dmabuf_rss'
          AND upid NOT IN (
            SELECT upid
            FROM dmabuf_process_counter
            WHERE
              kind = 'rss'
          )
      ) AS has_stock_dmabuf_rss,
      EXISTS(SELECT 1 FROM ftrace_event WHERE name = 'dma_buf_export')
        AS has_dma_buf_events
  )
SELECT
  e.has_recording,
  ifnull((SELECT max(is_simulated) FROM dmabuf_root_track), 0) AS is_simulated,
  (SELECT int_value FROM _attribute WHERE key = 'schema_version')
    AS schema_version,
  (SELECT str_value FROM _attribute WHERE key = 'tool_version') AS tool_version,
  (SELECT str_value FROM _attribute WHERE key = 'source') AS source,
  (SELECT str_value FROM _attribute WHERE key = 'device') AS device,
  (SELECT str_value FROM _attribute WHERE key = 'kernel_release')
    AS kernel_release,
  (SELECT str_value FROM _attribute WHERE key = 'build_fingerprint')
    AS build_fingerprint,
  (SELECT str_value FROM _attribute WHERE key = 'boot_id') AS boot_id,
  (SELECT int_value FROM _attribute WHERE key = 'uid') AS uid,
  (SELECT str_value FROM _attribute WHERE key = 'ended') AS ended,
  (SELECT int_value FROM _attribute WHERE key = 'samples') AS samples,
  e.has_dma_heap_stat,
  e.has_dmabuf_rss,
  e.has_stock_dmabuf_rss,
  e.has_dma_buf_events,
  e.has_recording
    OR e.has_dma_heap_stat
    OR e.has_dmabuf_rss
    OR e.has_dma_buf_events AS has_any
FROM _exists AS e;
`,
  },
];
