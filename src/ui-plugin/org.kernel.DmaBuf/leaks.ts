// SPDX-License-Identifier: Apache-2.0
// Memory that looks as if it had been forgotten: dmabuf_leak_candidate.
import type {Engine} from '../../trace_processor/engine';
import {
  LONG,
  LONG_NULL,
  NUM,
  NUM_NULL,
  STR,
  STR_NULL,
} from '../../trace_processor/query_result';
import {bufferTitle} from './buffer_title';
import {processTitle} from './navigation';
import {queryRows} from './rows';
import type {SqlPackage} from './sql_package';

export interface LeakCandidate {
  readonly id: number;
  readonly kind: string;
  readonly upid: number | undefined;
  /** Undefined where only the kernel holds them. */
  readonly process: string | undefined;
  readonly name: string | undefined;
  readonly exporter: string | undefined;
  readonly buffers: number;
  readonly bytes: bigint | undefined;
  readonly firstTs: bigint;
  readonly oldest: bigint | undefined;
  readonly evidence: string;
}

export async function queryLeakCandidates(
  engine: Engine,
  sqlPackage: SqlPackage,
): Promise<ReadonlyArray<LeakCandidate>> {
  await sqlPackage.include('leaks');
  const rows = await queryRows(
    engine,
    `SELECT
       id, kind, upid, pid, process_name, name, exporter, buffers, bytes,
       first_ts, oldest, evidence
     FROM dmabuf_leak_candidate ORDER BY id`,
    {
      id: NUM,
      kind: STR,
      upid: NUM_NULL,
      pid: LONG_NULL,
      process_name: STR_NULL,
      name: STR_NULL,
      exporter: STR_NULL,
      buffers: NUM,
      bytes: LONG_NULL,
      first_ts: LONG,
      oldest: LONG_NULL,
      evidence: STR_NULL,
    },
  );
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    upid: row.upid ?? undefined,
    process:
      row.pid === null
        ? undefined
        : processTitle({name: row.process_name ?? undefined, pid: row.pid}),
    name: row.name ?? undefined,
    exporter: row.exporter ?? undefined,
    buffers: row.buffers,
    bytes: row.bytes ?? undefined,
    firstTs: row.first_ts,
    oldest: row.oldest ?? undefined,
    evidence: row.evidence ?? '',
  }));
}

export interface LeakedBuffer {
  readonly title: string;
  readonly size: bigint | undefined;
  readonly ts: bigint;
  readonly letGoTs: bigint | undefined;
  /** Slice of the holding, or of the lifetime where only the kernel holds it. */
  readonly sliceId: number | undefined;
  readonly upid: number | undefined;
  readonly machineId: number;
}

export async function queryLeakedBuffers(
  engine: Engine,
  candidateId: number,
): Promise<ReadonlyArray<LeakedBuffer>> {
  const rows = await queryRows(
    engine,
    `SELECT
       b.inode, b.name, b.exporter, b.size, b.ts, l.let_go_ts, h.upid,
       ifnull(l.holding_id, b.slice_id) AS slice_id,
       ifnull(b.machine_id, 0) AS machine_id
     FROM dmabuf_leak_buffer AS l
     JOIN dmabuf_buffer AS b ON b.id = l.buffer_id
     LEFT JOIN dmabuf_holding AS h ON h.id = l.holding_id
     WHERE l.candidate_id = ${candidateId}
     ORDER BY b.ts`,
    {
      inode: LONG,
      name: STR_NULL,
      exporter: STR_NULL,
      size: LONG_NULL,
      ts: LONG,
      let_go_ts: LONG_NULL,
      upid: NUM_NULL,
      slice_id: NUM_NULL,
      machine_id: NUM,
    },
  );
  return rows.map((row) => ({
    title: bufferTitle(row),
    size: row.size ?? undefined,
    ts: row.ts,
    letGoTs: row.let_go_ts ?? undefined,
    sliceId: row.slice_id ?? undefined,
    upid: row.upid ?? undefined,
    machineId: row.machine_id,
  }));
}
