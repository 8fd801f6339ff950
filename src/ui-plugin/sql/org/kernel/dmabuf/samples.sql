-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.tracks;

-- The samples of a recording: when the device was looked at, what that cost,
-- and what was not seen. What a sample saw is stamped with its end.
CREATE PERFETTO TABLE dmabuf_sample(
  -- Alias for `slice.id`.
  id ID(slice.id),
  -- When the sample began.
  ts TIMESTAMP,
  -- How long it took; -1 where the trace was cut in the middle of it.
  dur DURATION,
  -- Alias for `slice.track_id`.
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
  -- Where the list of all buffers came from: `bufinfo`, `bpf` or `sysfs`. NULL
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
  -- Number of problems, see `dmabuf_sample_problem`.
  problems LONG,
  -- Alias for `slice.arg_set_id`.
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
  -- `missing_samples`: samples are missing in the recording;
  -- `late_sample`: a sample came more than four times as late as is usual in
  -- this recording, and at least a second late;
  -- `no_kernel_list`: nothing listed all buffers, so that what no process holds
  -- was not seen;
  -- `unreadable_processes`: some processes could not be read;
  -- `counter_lost`: the value of a counter could not be known.
  kind STRING,
  -- More about it, in a few words.
  detail STRING,
  -- The counter, of kind `counter_lost` alone.
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
