// SPDX-License-Identifier: Apache-2.0
// Who holds what at a time, as rows and as trees of them.
import type {Engine} from '../../trace_processor/engine';
import {
  LONG,
  LONG_NULL,
  NUM,
  NUM_NULL,
  STR_NULL,
} from '../../trace_processor/query_result';
import {bufferTitle} from './buffer_title';
import {processTitle} from './navigation';
import {queryRows} from './rows';
import type {Session} from './session';

/** A buffer and one who holds it; without a process only the kernel does. */
export interface StateRow {
  readonly bufferId: number;
  /** Slice of the holding, or of the lifetime where only the kernel holds it. */
  readonly sliceId: number | undefined;
  readonly upid: number | undefined;
  readonly pid: bigint | undefined;
  readonly processName: string | undefined;
  readonly inode: bigint;
  readonly name: string | undefined;
  readonly exporter: string | undefined;
  readonly size: bigint | undefined;
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
  readonly since: bigint;
  /** Bytes of the holder's share; undefined when not known or kernel-only. */
  readonly pss: number | undefined;
  readonly machineId: number;
}

const HOLDINGS_AT = (ts: bigint): string => `
  SELECT
    h.buffer_id, h.holding_id AS slice_id, h.upid, h.pid, h.process_name,
    h.inode, h.name, h.exporter, h.size, h.fd_refs, h.map_refs, h.since, h.pss,
    0 AS machine_id
  FROM dmabuf_holdings_at(${ts}) AS h
  UNION ALL
  SELECT
    a.buffer_id, b.slice_id, NULL, NULL, NULL,
    a.inode, a.name, a.exporter, a.size, NULL, NULL, a.since, NULL,
    ifnull(b.machine_id, 0)
  FROM dmabuf_buffers_at(${ts}) AS a
  JOIN dmabuf_buffer AS b ON b.id = a.buffer_id
  WHERE a.is_kernel_only`;

// Of a trace without a recording: who allocated what is not freed by then.
const ALLOCATIONS_AT = (ts: bigint): string => `
  SELECT
    id AS buffer_id, NULL AS slice_id, upid, pid, process_name,
    inode, NULL AS name, NULL AS exporter, size, NULL AS fd_refs,
    NULL AS map_refs, ts AS since, NULL AS pss, 0 AS machine_id
  FROM dmabuf_heap_allocation
  WHERE ts <= ${ts} AND (is_open OR end_ts > ${ts})`;

export async function queryState(
  {trace, sqlPackage, contents}: Session,
  ts: bigint,
): Promise<ReadonlyArray<StateRow>> {
  await sqlPackage.include(contents.hasRecording ? 'state' : 'alloc_events');
  const rows = await queryRows(
    trace.engine,
    contents.hasRecording ? HOLDINGS_AT(ts) : ALLOCATIONS_AT(ts),
    {
      buffer_id: NUM,
      slice_id: NUM_NULL,
      upid: NUM_NULL,
      pid: LONG_NULL,
      process_name: STR_NULL,
      inode: LONG,
      name: STR_NULL,
      exporter: STR_NULL,
      size: LONG_NULL,
      fd_refs: NUM_NULL,
      map_refs: NUM_NULL,
      since: LONG,
      pss: NUM_NULL,
      machine_id: NUM,
    },
  );
  return rows.map((row) => ({
    bufferId: row.buffer_id,
    sliceId: row.slice_id ?? undefined,
    upid: row.upid ?? undefined,
    pid: row.pid ?? undefined,
    processName: row.process_name ?? undefined,
    inode: row.inode,
    name: row.name ?? undefined,
    exporter: row.exporter ?? undefined,
    size: row.size ?? undefined,
    fdRefs: row.fd_refs ?? undefined,
    mapRefs: row.map_refs ?? undefined,
    since: row.since,
    pss: row.pss ?? undefined,
    machineId: row.machine_id,
  }));
}

/** The times at which the state may have changed, in order. */
export async function queryStamps({
  trace,
  sqlPackage,
  contents,
}: Session): Promise<ReadonlyArray<bigint>> {
  await sqlPackage.include(contents.hasRecording ? 'samples' : 'alloc_events');
  const stamps = await queryStampRows(trace.engine, contents.hasRecording);
  const {start, end} = trace.traceInfo;
  return stamps.length === 0 ? [start, end] : stamps;
}

async function queryStampRows(
  engine: Engine,
  hasRecording: boolean,
): Promise<ReadonlyArray<bigint>> {
  const rows = await queryRows(
    engine,
    hasRecording
      ? 'SELECT ts + dur AS ts FROM dmabuf_sample WHERE dur >= 0 ORDER BY 1'
      : 'SELECT DISTINCT ts FROM dmabuf_alloc_event ORDER BY ts',
    {ts: LONG},
  );
  return rows.map(({ts}) => ts);
}

/** Whether the row has to do with what was searched for. */
export function matches(row: StateRow, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  if (wanted === '') return true;
  const texts = [row.inode, row.pid, row.name, row.exporter, row.processName];
  return texts.some(
    (text) => text?.toString().toLowerCase().includes(wanted) === true,
  );
}

export interface TreeNode {
  /** Unlike those of its siblings. */
  readonly key: string;
  readonly label: string;
  /** Of the different buffers below, each once. */
  readonly bytes: bigint;
  /** Of the rows below; undefined where no process holds them. */
  readonly pss: number | undefined;
  readonly buffers: number;
  readonly unknownSizes: number;
  readonly children: ReadonlyArray<TreeNode>;
  /** Of a leaf, or of a buffer. */
  readonly row: StateRow | undefined;
}

type Level = (row: StateRow) => {readonly key: string; readonly label: string};

const KERNEL_ONLY = {key: 'kernel', label: 'Kernel-only (no process holds it)'};

const processLevel: Level = ({upid, pid, processName}) =>
  upid === undefined || pid === undefined
    ? KERNEL_ONLY
    : {key: `${upid}`, label: processTitle({name: processName, pid})};

const nameLevel: Level = ({name}) => ({
  key: name === undefined ? '' : `n${name}`,
  label: name === undefined || name === '' ? 'no name' : name,
});

const bufferLevel: Level = (row) => ({
  key: `${row.bufferId}`,
  label: bufferTitle(row),
});

/** Process, name, buffer; the largest first. */
export function treeByProcess(rows: ReadonlyArray<StateRow>): TreeNode[] {
  return makeTree(rows, [processLevel, nameLevel, bufferLevel]);
}

/** Buffer, holders; the largest first. */
export function treeByBuffer(rows: ReadonlyArray<StateRow>): TreeNode[] {
  return makeTree(rows, [bufferLevel, processLevel]);
}

function makeTree(
  rows: ReadonlyArray<StateRow>,
  levels: ReadonlyArray<Level>,
): TreeNode[] {
  const [level, ...deeper] = levels;
  if (level === undefined) return [];
  const groups = new Map<string, {label: string; rows: StateRow[]}>();
  for (const row of rows) {
    const {key, label} = level(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, {label, rows: [row]});
    else group.rows.push(row);
  }
  const nodes = [...groups].map(([key, group]) => ({
    key,
    label: group.label,
    ...sums(group.rows),
    children: makeTree(group.rows, deeper),
    row:
      deeper.length === 0 || level === bufferLevel ? group.rows[0] : undefined,
  }));
  return nodes.sort(byBytes);
}

function sums(
  rows: ReadonlyArray<StateRow>,
): Pick<TreeNode, 'bytes' | 'pss' | 'buffers' | 'unknownSizes'> {
  const seen = new Set<number>();
  let bytes = 0n;
  let unknownSizes = 0;
  let pss: number | undefined;
  for (const row of rows) {
    if (row.pss !== undefined) pss = (pss ?? 0) + row.pss;
    if (seen.has(row.bufferId)) continue;
    seen.add(row.bufferId);
    if (row.size === undefined) unknownSizes++;
    else bytes += row.size;
  }
  return {bytes, pss, buffers: seen.size, unknownSizes};
}

function byBytes(a: TreeNode, b: TreeNode): number {
  if (a.bytes !== b.bytes) return a.bytes < b.bytes ? 1 : -1;
  return a.label.localeCompare(b.label);
}
