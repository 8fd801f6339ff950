-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.buffers;

-- How many processes hold a buffer, over time: one row for each interval of its
-- life in which it has the same holders.
CREATE PERFETTO TABLE dmabuf_holder_interval(
  -- When the holders became these.
  ts TIMESTAMP,
  -- How long it stayed so, at most until the end of the trace.
  dur DURATION,
  -- `ts + dur`.
  end_ts TIMESTAMP,
  -- True when it was still so when the recording ended.
  is_open BOOL,
  -- The buffer, see `dmabuf_buffer`.
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
  -- `ts + dur`.
  end_ts TIMESTAMP,
  -- True when it was still so when the recording ended.
  is_open BOOL,
  -- The holding, see `dmabuf_holding`.
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
