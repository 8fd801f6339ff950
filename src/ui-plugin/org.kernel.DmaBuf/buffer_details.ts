// SPDX-License-Identifier: Apache-2.0
// What is known of one buffer and of all who held it.
import type {Engine} from '../../trace_processor/engine';
import {
  LONG,
  LONG_NULL,
  NUM,
  NUM_NULL,
  STR,
  STR_NULL,
} from '../../trace_processor/query_result';
import {queryRows} from './rows';
import type {SqlPackage} from './sql_package';

export interface Holder {
  /** Of the table `slice`. */
  readonly id: number;
  readonly upid: number;
  readonly pid: bigint;
  readonly processName: string | undefined;
  readonly ts: bigint;
  readonly endTs: bigint;
  readonly isOpen: boolean;
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
  readonly mappedBytes: bigint | undefined;
  /** It may have begun earlier. */
  readonly beganUnseen: boolean;
  /** It may still go on. */
  readonly endedUnseen: boolean;
  /** Bytes of its share as it took the buffer and as it was last. */
  readonly firstShare: number | undefined;
  readonly lastShare: number | undefined;
  /** Who had taken it before, by the flow. */
  readonly from:
    {readonly holdingId: number; readonly upid: number} | undefined;
}

/** A span of time in which the number of holders is the same. */
export interface Sharing {
  readonly ts: bigint;
  readonly dur: bigint;
  readonly holders: number;
  /** Bytes of each holder's share. */
  readonly share: number | undefined;
}

export interface BufferDetails {
  readonly id: number;
  readonly inode: bigint;
  readonly key: string;
  readonly name: string | undefined;
  readonly isNameDoubtful: boolean;
  readonly exporter: string | undefined;
  readonly size: bigint | undefined;
  readonly ts: bigint;
  readonly endTs: bigint;
  readonly isOpen: boolean;
  readonly beganUnseen: boolean;
  readonly endedUnseen: boolean;
  /** References that no process explained as it was first seen. */
  readonly kernelRefs: number | undefined;
  readonly machineId: number;
  /** Slice of its lifetime, where there is one. */
  readonly sliceId: number | undefined;
  readonly holders: ReadonlyArray<Holder>;
  readonly sharing: ReadonlyArray<Sharing>;
  readonly renames: ReadonlyArray<{readonly ts: bigint; readonly name: string}>;
}

/**
 * By the slice of its lifetime or of one of its holdings; undefined when it is
 * no buffer's slice.
 */
export async function queryBufferDetails(
  engine: Engine,
  sqlPackage: SqlPackage,
  sliceId: number,
): Promise<BufferDetails | undefined> {
  await sqlPackage.include('pss');
  const result = await engine.query(`
    SELECT
      id, inode, key, name, name_is_doubtful, exporter, size, ts, end_ts,
      is_open, began_unseen, ended_unseen, kernel_refs, slice_id,
      ifnull(machine_id, 0) AS machine_id
    FROM dmabuf_buffer
    WHERE id = ifnull(
      (SELECT buffer_id FROM dmabuf_holding WHERE id = ${sliceId}),
      ${sliceId}
    )`);
  const row = result.maybeFirstRow({
    id: NUM,
    inode: LONG,
    key: STR,
    name: STR_NULL,
    name_is_doubtful: NUM,
    exporter: STR_NULL,
    size: LONG_NULL,
    ts: LONG,
    end_ts: LONG,
    is_open: NUM,
    began_unseen: NUM,
    ended_unseen: NUM,
    kernel_refs: NUM_NULL,
    slice_id: NUM_NULL,
    machine_id: NUM,
  });
  if (row === undefined) return undefined;
  return {
    id: row.id,
    inode: row.inode,
    key: row.key,
    name: row.name ?? undefined,
    isNameDoubtful: row.name_is_doubtful !== 0,
    exporter: row.exporter ?? undefined,
    size: row.size ?? undefined,
    ts: row.ts,
    endTs: row.end_ts,
    isOpen: row.is_open !== 0,
    beganUnseen: row.began_unseen !== 0,
    endedUnseen: row.ended_unseen !== 0,
    kernelRefs: row.kernel_refs ?? undefined,
    machineId: row.machine_id,
    sliceId: row.slice_id ?? undefined,
    holders: await queryHolders(engine, row.id),
    sharing: await querySharing(engine, row.id),
    renames: await queryRows(
      engine,
      `SELECT ts, ifnull(name, '') AS name
       FROM dmabuf_rename WHERE buffer_id = ${row.id} ORDER BY ts`,
      {ts: LONG, name: STR},
    ),
  };
}

async function queryHolders(
  engine: Engine,
  bufferId: number,
): Promise<ReadonlyArray<Holder>> {
  const shares = await queryShares(engine, bufferId);
  const rows = await queryRows(
    engine,
    `SELECT
       h.id, h.upid, h.pid, h.process_name, h.ts, h.end_ts, h.is_open,
       h.fd_refs, h.map_refs, h.mapped_bytes, h.began_unseen, h.ended_unseen,
       f.from_holding_id, f.from_upid
     FROM dmabuf_holding AS h
     LEFT JOIN dmabuf_holder_flow AS f ON f.to_holding_id = h.id
     WHERE h.buffer_id = ${bufferId}
     ORDER BY h.ts, h.id`,
    {
      id: NUM,
      upid: NUM,
      pid: LONG,
      process_name: STR_NULL,
      ts: LONG,
      end_ts: LONG,
      is_open: NUM,
      fd_refs: NUM_NULL,
      map_refs: NUM_NULL,
      mapped_bytes: LONG_NULL,
      began_unseen: NUM,
      ended_unseen: NUM,
      from_holding_id: NUM_NULL,
      from_upid: NUM_NULL,
    },
  );
  return rows.map((row) => ({
    id: row.id,
    upid: row.upid,
    pid: row.pid,
    processName: row.process_name ?? undefined,
    ts: row.ts,
    endTs: row.end_ts,
    isOpen: row.is_open !== 0,
    fdRefs: row.fd_refs ?? undefined,
    mapRefs: row.map_refs ?? undefined,
    mappedBytes: row.mapped_bytes ?? undefined,
    beganUnseen: row.began_unseen !== 0,
    endedUnseen: row.ended_unseen !== 0,
    firstShare: shares.get(row.id)?.at(0),
    lastShare: shares.get(row.id)?.at(-1),
    from:
      row.from_holding_id === null || row.from_upid === null
        ? undefined
        : {holdingId: row.from_holding_id, upid: row.from_upid},
  }));
}

/** The shares of each holding in the order of time, by its id. */
async function queryShares(
  engine: Engine,
  bufferId: number,
): Promise<ReadonlyMap<number, ReadonlyArray<number | undefined>>> {
  const rows = await queryRows(
    engine,
    `SELECT holding_id, pss FROM dmabuf_holding_share
     WHERE buffer_id = ${bufferId} ORDER BY holding_id, ts`,
    {holding_id: NUM, pss: NUM_NULL},
  );
  const shares = new Map<number, Array<number | undefined>>();
  for (const {holding_id: id, pss} of rows) {
    const ofHolding = shares.get(id) ?? [];
    ofHolding.push(pss ?? undefined);
    shares.set(id, ofHolding);
  }
  return shares;
}

async function querySharing(
  engine: Engine,
  bufferId: number,
): Promise<ReadonlyArray<Sharing>> {
  const rows = await queryRows(
    engine,
    `SELECT ts, dur, holders, pss FROM dmabuf_holder_interval
     WHERE buffer_id = ${bufferId} ORDER BY ts`,
    {ts: LONG, dur: LONG, holders: NUM, pss: NUM_NULL},
  );
  return rows.map(({ts, dur, holders, pss}) => ({
    ts,
    dur,
    holders,
    share: pss ?? undefined,
  }));
}
