// SPDX-License-Identifier: Apache-2.0
// Macros for the command palette of a stock ui.perfetto.dev. They are made of
// commands that the UI keeps stable for automation, and allows to run as a
// trace opens: docs/visualization/commands-automation-reference.md of Perfetto.
import {SQL_PACKAGE} from '../sql/sql_files.js';

/** One command of the UI; all arguments are strings. */
export interface CommandInvocation {
  readonly id: string;
  readonly args: readonly string[];
}

export interface Macro {
  /** Begins with the server's namespace. */
  readonly id: string;
  /** As the command palette shows it. */
  readonly name: string;
  readonly run: readonly CommandInvocation[];
}

const WORKSPACE = 'DMA-BUF';
/** The root track, as in the path of a track. */
const ROOT = '^DMA-BUF( \\(simulated\\))?';

export const MACROS: readonly Macro[] = [
  macro('PinTotals', 'DMA-BUF: pin the totals', [
    pinTracks(
      `${ROOT} > (Total|Held by processes|Kernel-only.*|Mapped-only)$`,
      'path',
    ),
  ]),
  macro('PinExporters', 'DMA-BUF: pin the exporters', [
    pinTracks(`${ROOT} > Exporter: .*$`, 'path'),
  ]),
  macro('PinPss', 'DMA-BUF: pin the PSS of each process', [
    pinTracks('^dma-buf PSS$', 'name'),
  ]),
  macro('PinBuffers', 'DMA-BUF: pin the buffers of each process', [
    pinTracks('^dma-buf buffers$', 'name'),
  ]),
  macro('Workspace', 'DMA-BUF: a workspace with these tracks alone', [
    command('CreateWorkspace', WORKSPACE),
    command(
      'CopyTracksToWorkspaceByRegexWithAncestors',
      `(${ROOT} > .+$)|( > dma-buf (PSS|RSS|buffers)$)`,
      WORKSPACE,
      'path',
    ),
    command('SwitchWorkspace', WORKSPACE),
  ]),
  macro('LargestHolders', 'DMA-BUF: largest holders at the end', [
    include('state'),
    show(
      'Largest holders of dma-bufs',
      `SELECT process_name, pid, buffers, rss, pss, unknown_sizes
FROM dmabuf_processes_at(TRACE_END())
ORDER BY pss DESC`,
    ),
  ]),
  macro('LargestBuffers', 'DMA-BUF: largest buffers at the end', [
    include('state'),
    show(
      'Largest dma-bufs',
      `SELECT buffer_id, inode, name, exporter, size, holders, is_kernel_only,
  is_mapped_only, since
FROM dmabuf_buffers_at(TRACE_END())
ORDER BY size DESC`,
    ),
  ]),
  macro('Growth', 'DMA-BUF: what grew from begin to end', [
    include('state'),
    include('samples'),
    show(
      'Growth of dma-bufs by process',
      `SELECT process_name, pid, change_bytes, gained, lost, bytes1, bytes2
FROM dmabuf_difference(
  (SELECT MIN(ts + dur) FROM dmabuf_sample),
  TRACE_END(),
  'process'
)
ORDER BY change_bytes DESC`,
    ),
    show(
      'Growth of dma-bufs by name',
      `SELECT name, change_bytes, gained, lost, bytes1, bytes2
FROM dmabuf_difference(
  (SELECT MIN(ts + dur) FROM dmabuf_sample),
  TRACE_END(),
  'name'
)
ORDER BY change_bytes DESC`,
    ),
  ]),
  macro('LeakCandidates', 'DMA-BUF: leak candidates', [
    include('leaks'),
    show(
      'Leak candidates of dma-bufs',
      `SELECT id, kind, process_name, pid, name, exporter, buffers, bytes,
  evidence
FROM dmabuf_leak_candidate
ORDER BY id`,
    ),
    slicesBy(
      'Leaked dma-bufs',
      'candidate',
      `SELECT
  b.ts,
  b.end_ts - b.ts AS dur,
  COALESCE(b.name, b.exporter, '(unnamed)') || ' ' || b.inode AS name,
  c.id || ': ' || c.kind || ' ' || IFNULL(c.process_name, 'kernel')
    AS candidate
FROM dmabuf_leak_buffer AS l
JOIN dmabuf_leak_candidate AS c ON c.id = l.candidate_id
JOIN dmabuf_buffer AS b ON b.id = l.buffer_id`,
    ),
  ]),
  macro('KernelOnly', 'DMA-BUF: when no process held a buffer', [
    include('pss'),
    slicesBy(
      'Kernel-only dma-bufs',
      'exporter',
      `SELECT
  i.ts,
  i.dur,
  COALESCE(b.name, b.exporter, '(unnamed)') || ' ' || b.inode AS name,
  IFNULL(b.exporter, '(unknown)') AS exporter
FROM dmabuf_holder_interval AS i
JOIN dmabuf_buffer AS b ON b.id = i.buffer_id
WHERE i.holders = 0`,
    ),
  ]),
  macro('Events', 'DMA-BUF: allocations and frees at their true time', [
    include('alloc_events'),
    slicesBy(
      'dma-bufs allocated and freed',
      'kind',
      `SELECT
  ts,
  0 AS dur,
  IFNULL(exporter, source) || ' ' || inode || ', ' || size || ' B' AS name,
  kind
FROM dmabuf_alloc_event`,
    ),
  ]),
  macro('Gaps', 'DMA-BUF: when the recording could not see', [
    include('samples'),
    slicesBy(
      'Not seen of dma-bufs',
      'kind',
      'SELECT ts, dur, detail AS name, kind FROM dmabuf_coverage_gap',
    ),
  ]),
];

function macro(
  id: string,
  name: string,
  run: readonly CommandInvocation[],
): Macro {
  return {id: `${SQL_PACKAGE}.${id}`, name, run};
}

function command(id: string, ...args: readonly string[]): CommandInvocation {
  return {id: `dev.perfetto.${id}`, args};
}

function pinTracks(regex: string, what: 'name' | 'path'): CommandInvocation {
  return command('PinTracksByRegex', regex, what);
}

function include(module: string): CommandInvocation {
  const name = `${SQL_PACKAGE}.${module}`;
  return command('RunQuery', `INCLUDE PERFETTO MODULE ${name};`);
}

function show(title: string, sql: string): CommandInvocation {
  return command('RunQueryAndShowTab', sql, title);
}

/** A track of slices for each value of a column. */
function slicesBy(
  title: string,
  column: string,
  sql: string,
): CommandInvocation {
  return command('AddDebugSliceTrackWithPivot', sql, column, title);
}
