-- SPDX-License-Identifier: Apache-2.0

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
  -- `kernel_only`: no process holds them any more, and still they are there;
  -- `last_holder`: one process holds them long after all others let go;
  -- `outlived`: others of their kind were freed long before they were as old;
  -- `growth`: more and more of them, none of which was ever freed.
  kind STRING,
  -- The process that holds them; NULL for kind `kernel_only`.
  upid JOINID(process.id),
  -- Alias for `process.pid`.
  pid LONG,
  -- Alias for `process.name`.
  process_name STRING,
  -- Name of the buffers; NULL when they have none.
  name STRING,
  -- The heap or driver; NULL when not known.
  exporter STRING,
  -- Number of buffers, see `dmabuf_leak_buffer`.
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
  -- The candidate, see `dmabuf_leak_candidate`.
  candidate_id LONG,
  -- The buffer, see `dmabuf_buffer`.
  buffer_id LONG,
  -- The holding of the process, see `dmabuf_holding`; NULL where only the
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
