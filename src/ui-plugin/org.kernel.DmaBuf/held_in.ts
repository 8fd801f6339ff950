// SPDX-License-Identifier: Apache-2.0
// What is held in a span of time, and what differs between two times: the rows
// of dmabuf_held_in() and dmabuf_difference().
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
import type {SqlPackage} from './sql_package';

/** `holding` is a process and a buffer. */
export type Key = 'process' | 'holding' | 'name' | 'exporter' | 'buffer';

export const KEY_OPTIONS: ReadonlyArray<{
  readonly value: Key;
  readonly label: string;
}> = [
  {value: 'process', label: 'By process'},
  {value: 'holding', label: 'By process and buffer'},
  {value: 'name', label: 'By name'},
  {value: 'exporter', label: 'By exporter'},
  {value: 'buffer', label: 'By buffer'},
];

/** Whether the rows of a key are of processes, and so have PSS. */
export function isOfProcesses(key: Key): boolean {
  return key === 'process' || key === 'holding';
}

interface Keyed {
  readonly upid: number | undefined;
  /** Texts of the key: process, buffer, name, exporter; the first columns. */
  readonly process: string | undefined;
  readonly buffer: string | undefined;
  readonly name: string | undefined;
  readonly exporter: string | undefined;
}

export interface HeldRow extends Keyed {
  readonly buffers: number;
  readonly unknownSizes: number;
  readonly startBytes: bigint;
  readonly endBytes: bigint;
  readonly peakBytes: bigint | undefined;
  readonly peakTs: bigint;
  readonly changeBytes: bigint;
  readonly startPss: number | undefined;
  readonly endPss: number | undefined;
}

export interface DifferenceRow extends Keyed {
  readonly buffers1: number;
  readonly buffers2: number;
  readonly gained: number;
  readonly lost: number;
  readonly bytes1: bigint;
  readonly bytes2: bigint;
  readonly changeBytes: bigint;
  readonly changePss: number | undefined;
}

const KEY_SPEC = {
  upid: NUM_NULL,
  pid: LONG_NULL,
  process_name: STR_NULL,
  inode: LONG_NULL,
  name: STR_NULL,
  exporter: STR_NULL,
};

export interface HeldIn {
  readonly rows: ReadonlyArray<HeldRow>;
  /**
   * When the span was moved up to the first sample, since before it nothing is
   * known, that sample; undefined when it was not.
   */
  readonly firstSample: bigint | undefined;
}

export async function queryHeldIn(
  engine: Engine,
  sqlPackage: SqlPackage,
  span: {readonly start: bigint; readonly end: bigint},
  key: Key,
): Promise<HeldIn> {
  await sqlPackage.include('state');
  const first = await queryFirstSample(engine, sqlPackage);
  if (first === undefined || first <= span.start) {
    const rows = await queryHeldRows(engine, span, key);
    return {rows, firstSample: undefined};
  }
  if (first > span.end) return {rows: [], firstSample: first};
  const known = {start: first, end: span.end};
  return {rows: await queryHeldRows(engine, known, key), firstSample: first};
}

async function queryFirstSample(
  engine: Engine,
  sqlPackage: SqlPackage,
): Promise<bigint | undefined> {
  await sqlPackage.include('samples');
  const {first} = (
    await engine.query(
      'SELECT min(ts + dur) AS first FROM dmabuf_sample WHERE dur >= 0',
    )
  ).firstRow({first: LONG_NULL});
  return first ?? undefined;
}

async function queryHeldRows(
  engine: Engine,
  span: {readonly start: bigint; readonly end: bigint},
  key: Key,
): Promise<ReadonlyArray<HeldRow>> {
  const rows = await queryRows(
    engine,
    `SELECT * FROM dmabuf_held_in(
       ${span.start}, ${span.end - span.start}, '${key}')`,
    {
      ...KEY_SPEC,
      buffers: NUM,
      unknown_sizes: NUM,
      start_bytes: LONG,
      end_bytes: LONG,
      peak_bytes: LONG_NULL,
      peak_ts: LONG,
      change_bytes: LONG,
      start_pss: NUM_NULL,
      end_pss: NUM_NULL,
    },
  );
  return rows.map((row) => ({
    ...keyTexts(row, key),
    buffers: row.buffers,
    unknownSizes: row.unknown_sizes,
    startBytes: row.start_bytes,
    endBytes: row.end_bytes,
    peakBytes: row.peak_bytes ?? undefined,
    peakTs: row.peak_ts,
    changeBytes: row.change_bytes,
    startPss: row.start_pss ?? undefined,
    endPss: row.end_pss ?? undefined,
  }));
}

export async function queryDifference(
  engine: Engine,
  sqlPackage: SqlPackage,
  times: {readonly ts1: bigint; readonly ts2: bigint},
  key: Key,
): Promise<ReadonlyArray<DifferenceRow>> {
  await sqlPackage.include('state');
  const rows = await queryRows(
    engine,
    `SELECT * FROM dmabuf_difference(${times.ts1}, ${times.ts2}, '${key}')`,
    {
      ...KEY_SPEC,
      buffers1: NUM,
      buffers2: NUM,
      gained: NUM,
      lost: NUM,
      bytes1: LONG,
      bytes2: LONG,
      change_bytes: LONG,
      change_pss: NUM_NULL,
    },
  );
  return rows.map((row) => ({
    ...keyTexts(row, key),
    buffers1: row.buffers1,
    buffers2: row.buffers2,
    gained: row.gained,
    lost: row.lost,
    bytes1: row.bytes1,
    bytes2: row.bytes2,
    changeBytes: row.change_bytes,
    changePss: row.change_pss ?? undefined,
  }));
}

function keyTexts(row: typeof KEY_SPEC, key: Key): Keyed {
  const {upid, pid, process_name: processName, inode, name, exporter} = row;
  return {
    upid: upid ?? undefined,
    process:
      pid === null
        ? undefined
        : processTitle({name: processName ?? undefined, pid}),
    buffer: inode === null ? undefined : bufferTitle({name, exporter, inode}),
    name: key === 'name' ? (name ?? 'no name') : (name ?? undefined),
    exporter:
      key === 'exporter' ? (exporter ?? 'unknown') : (exporter ?? undefined),
  };
}
