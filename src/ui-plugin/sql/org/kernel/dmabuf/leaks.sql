-- SPDX-License-Identifier: Apache-2.0

INCLUDE PERFETTO MODULE org.kernel.dmabuf.pss;

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
SELECT
  NULL AS id,
  NULL AS kind,
  NULL AS upid,
  NULL AS pid,
  NULL AS process_name,
  NULL AS name,
  NULL AS exporter,
  NULL AS buffers,
  NULL AS bytes,
  NULL AS first_ts,
  NULL AS last_ts,
  NULL AS oldest,
  NULL AS freed,
  NULL AS freed_after,
  NULL AS let_go_ts,
  NULL AS let_go_upid,
  NULL AS evidence
WHERE
  FALSE;

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
  NULL AS candidate_id,
  NULL AS buffer_id,
  NULL AS holding_id,
  NULL AS let_go_ts
WHERE
  FALSE;
