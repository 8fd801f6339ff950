-- SPDX-License-Identifier: Apache-2.0

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
  -- Alias for `slice.id` of the instant.
  id ID(slice.id),
  -- When the sample that saw it first was taken.
  ts TIMESTAMP,
  -- The buffer, see `dmabuf_buffer`.
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

-- What `dmabuf_holding` shows, but for what is read from the arguments as
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

-- What `dmabuf_buffer` shows, but for what is read from the arguments, or
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
  -- `ts + dur`, or the end of the trace where it is still there.
  end_ts TIMESTAMP,
  -- True when it was still there when the recording ended.
  is_open BOOL,
  -- Inode number of the dma-buf.
  inode LONG,
  -- 0 for the first buffer with this inode number, then 1, 2, ...
  generation LONG,
  -- Inode and generation, as in `1234.0`: the same text, and so the same
  -- colour, on each slice of the buffer (`correlation_id`).
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
  -- How many holdings there were of it, see `dmabuf_holding`.
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
  -- Alias for `slice.track_id` of the lifetime; NULL where there is none.
  track_id JOINID(track.id),
  -- Line of the `Buffers` track, 0 is the uppermost.
  depth LONG,
  -- Alias for `slice.id` of the lifetime; NULL where there is none.
  slice_id JOINID(slice.id),
  -- Alias for `slice.arg_set_id` of the lifetime.
  arg_set_id ARGSETID,
  -- Alias for `track.machine_id`.
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
  -- Alias for `slice.id`.
  id ID(slice.id),
  -- The first sample that saw the process hold the buffer.
  ts TIMESTAMP,
  -- Until the first sample that did not; -1 while it is held at the end.
  dur DURATION,
  -- `ts + dur`, or the end of the trace where it is still held.
  end_ts TIMESTAMP,
  -- True when it was still held when the recording ended.
  is_open BOOL,
  -- The process.
  upid JOINID(process.id),
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- The buffer, see `dmabuf_buffer`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- Inode and generation, see `dmabuf_buffer.key`.
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
  -- `dmabuf_holder_interval` for how many there were later.
  holders LONG,
  -- True when it began because it could not be seen before: the process may
  -- have held the buffer for longer.
  began_unseen BOOL,
  -- True when it ended because the process could not be read any more: it may
  -- still hold the buffer.
  ended_unseen BOOL,
  -- Alias for `slice.track_id`.
  track_id JOINID(track.id),
  -- Line of the process's track, 0 is the uppermost. No two holdings of a
  -- process overlap on a line.
  depth LONG,
  -- Alias for `slice.arg_set_id`.
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
  -- Alias for `process.upid`.
  upid ID(process.id),
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- Number of its holdings, see `dmabuf_holding`.
  holdings LONG,
  -- Lines of its track of buffers.
  depths LONG,
  -- Counter of its PSS, see `dmabuf_process_counter`; NULL where there is none.
  pss_track_id JOINID(track.id),
  -- Counter of its RSS; NULL where there is none.
  rss_track_id JOINID(track.id),
  -- Counter `mem.dmabuf_rss`; NULL where there is none.
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
  -- Alias for `flow.id`.
  id LONG,
  -- The buffer.
  buffer_id LONG,
  -- The holding that the flow comes from, see `dmabuf_holding`.
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
