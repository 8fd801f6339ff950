-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

-- Who holds what at a time. After the last sample: what was known last.
CREATE PERFETTO FUNCTION dmabuf_holdings_at(
  -- The time.
  ts TIMESTAMP
)
RETURNS TABLE(
  -- The holding, see `dmabuf_holding`.
  holding_id LONG,
  -- The holder.
  upid LONG,
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- The buffer, see `dmabuf_buffer`.
  buffer_id LONG,
  -- Inode number of the dma-buf.
  inode LONG,
  -- The last name that the buffer had.
  name STRING,
  -- The heap or driver.
  exporter STRING,
  -- Size in bytes; NULL when not known.
  size LONG,
  -- Descriptors, as `dmabuf_holding` tells them.
  fd_refs LONG,
  -- Mappings, as `dmabuf_holding` tells them.
  map_refs LONG,
  -- Bytes mapped, as `dmabuf_holding` tells them.
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
  -- The buffer, see `dmabuf_buffer`.
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
  -- True when it is held, and only by mappings (as `dmabuf_holding` tells
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
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
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

-- Intervals that memory is held in, keyed by what `by` names. A buffer without
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
  -- The key. `process` and `holding` (process and buffer) tell what processes
  -- hold: bytes are their RSS. `buffer`, `name`, `exporter` and `total` tell
  -- what there is, each buffer once, with what only the kernel holds.
  by STRING
)
RETURNS TABLE(
  -- The process.
  upid LONG,
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- The buffer, see `dmabuf_buffer`.
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
  -- `end_bytes - start_bytes`.
  change_bytes LONG,
  -- PSS in bytes at the begin, with the keys `process` and `holding`.
  start_pss DOUBLE,
  -- PSS in bytes at the end, with the keys `process` and `holding`.
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
  -- The key, as of `dmabuf_held_in`.
  by STRING
)
RETURNS TABLE(
  -- The process.
  upid LONG,
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- The buffer, see `dmabuf_buffer`.
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
  -- `bytes2 - bytes1`.
  change_bytes LONG,
  -- PSS in bytes at ts1, with the keys `process` and `holding`.
  pss1 DOUBLE,
  -- PSS in bytes at ts2, with the keys `process` and `holding`.
  pss2 DOUBLE,
  -- `pss2 - pss1`.
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
  -- The buffer, see `dmabuf_buffer`.
  buffer_id LONG
)
RETURNS TABLE(
  -- The holding, see `dmabuf_holding`.
  holding_id LONG,
  -- When it began.
  ts TIMESTAMP,
  -- How long it lasted; -1 while it is held at the end.
  dur DURATION,
  -- The holder.
  upid LONG,
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- Descriptors, as `dmabuf_holding` tells them.
  fd_refs LONG,
  -- Mappings, as `dmabuf_holding` tells them.
  map_refs LONG,
  -- Bytes mapped, as `dmabuf_holding` tells them.
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
