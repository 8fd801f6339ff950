-- SPDX-License-Identifier: Apache-2.0

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
  -- What it was taken from, as in `adb`.
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
  -- True when the trace holds `dma_heap_stat` events: allocations and frees of
  -- heap memory at their true time.
  has_dma_heap_stat BOOL,
  -- True when the trace holds counters `mem.dmabuf_rss` of processes.
  has_dmabuf_rss BOOL,
  -- True when it holds those counters of processes that no recording counts:
  -- Perfetto's own, and not the copies that a recording makes for Perfetto's
  -- memory views.
  has_stock_dmabuf_rss BOOL,
  -- True when the trace holds `dma_buf_export` ftrace events (kernel 7.0 and
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
