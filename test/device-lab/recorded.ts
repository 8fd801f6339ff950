// SPDX-License-Identifier: Apache-2.0
// A recorded file, as the real trace processor understands it.

import {readFile} from 'node:fs/promises';
import {toRaw, type RawText} from '../../src/core/model/index.js';
import {openTrace, type Row} from '../trace_processor/index.js';

/** A slice of a process: it holds a buffer. Times are BOOTTIME ns. */
export interface HeldSlice {
  readonly pid: number;
  readonly inode: bigint;
  /** The kernel's bytes, one UTF-16 unit for each. */
  readonly name: RawText | undefined;
  readonly beginNs: bigint;
  /** undefined: still held at the end. */
  readonly endNs: bigint | undefined;
}

/** A value of `dma-buf RSS` or `dma-buf PSS`. */
export interface ProcessCounter {
  readonly pid: number;
  readonly name: string;
  readonly value: number;
}

export interface Recorded {
  /** What the trace processor had to say against the file; [] is good. */
  readonly importErrors: readonly Row[];
  /** Whole samples. */
  readonly samples: number;
  /** What went wrong in any sample, as it was recorded. */
  readonly problems: readonly string[];
  /** Of all samples together. */
  readonly vanished: number;
  /** In any one sample, at the most and at the least. */
  readonly unreadable: {readonly most: number; readonly least: number};
  readonly held: readonly HeldSlice[];
  /** `Total`, `Held by processes`, ... that have any value, with all of them. */
  readonly counters: ReadonlyMap<string, readonly number[]>;
  /** RSS and PSS of processes. */
  readonly processCounters: readonly ProcessCounter[];
  /** How many there are, and REALTIME − BOOTTIME of the first. */
  readonly clock: {
    readonly snapshots: number;
    readonly bootNs: bigint;
    readonly realNs: bigint;
  };
}

const SAMPLES = `
  SELECT
    extract_arg(arg_set_id, 'dma_buf_sample.processes_vanished') AS vanished,
    extract_arg(arg_set_id, 'dma_buf_sample.processes_unreadable') AS unreadable
  FROM slice WHERE category = 'dma_buf.sample' AND dur >= 0`;
const PROBLEMS = `
  SELECT a.string_value AS problem
  FROM slice s JOIN args a USING (arg_set_id)
  WHERE s.category = 'dma_buf.sample'
    AND a.flat_key = 'dma_buf_sample.problem'`;
const HELD = `
  SELECT s.ts, s.dur, p.pid,
    extract_arg(s.arg_set_id, 'dma_buf.inode') AS inode,
    extract_arg(s.arg_set_id, 'dma_buf.name') AS name,
    extract_arg(s.arg_set_id, 'dma_buf.name_raw') AS name_base64
  FROM slice s
  JOIN process_track t ON s.track_id = t.id
  JOIN process p USING (upid)
  WHERE s.category = 'dma_buf'
  ORDER BY s.ts`;
const COUNTERS = `
  SELECT t.name, c.value
  FROM counter c JOIN track t ON c.track_id = t.id
  WHERE t.id NOT IN (SELECT id FROM process_counter_track)
  ORDER BY c.ts`;
const PROCESS_COUNTERS = `
  SELECT p.pid, t.name, c.value
  FROM counter c
  JOIN process_counter_track t ON c.track_id = t.id
  JOIN process p USING (upid)
  WHERE t.name IN ('dma-buf RSS', 'dma-buf PSS')
  ORDER BY c.ts`;
const CLOCKS = `
  SELECT clock_name AS name, clock_value AS value FROM clock_snapshot`;

/** Opens a recorded file with the real trace processor. */
export async function readRecorded(path: string): Promise<Recorded> {
  const db = await openTrace(await readFile(path));
  try {
    const samples = await db.query(SAMPLES);
    const unreadable = samples.map((row) => Number(row['unreadable'] ?? 0));
    const clocks = await db.query(CLOCKS);
    const counters = new Map<string, number[]>();
    for (const {name, value} of await db.query(COUNTERS)) {
      const values = counters.get(String(name)) ?? [];
      counters.set(String(name), [...values, Number(value)]);
    }
    return {
      importErrors: await db.importErrors(),
      samples: samples.length,
      problems: (await db.query(PROBLEMS)).map(({problem}) => String(problem)),
      vanished: samples.reduce((sum, row) => sum + Number(row['vanished']), 0),
      unreadable: {
        most: Math.max(...unreadable),
        least: Math.min(...unreadable),
      },
      held: (await db.query(HELD)).map(toHeld),
      counters,
      processCounters: (await db.query(PROCESS_COUNTERS)).map(
        ({pid, name, value}) => ({
          pid: Number(pid),
          name: String(name),
          value: Number(value),
        }),
      ),
      clock: {
        snapshots: clocks.filter(({name}) => name === 'BOOTTIME').length,
        bootNs: clockValue(clocks, 'BOOTTIME'),
        realNs: clockValue(clocks, 'REALTIME'),
      },
    };
  } finally {
    db.close();
  }
}

function toHeld({ts, dur, pid, inode, ...row}: Row): HeldSlice {
  const beginNs = BigInt(String(ts));
  const durationNs = BigInt(String(dur));
  return {
    pid: Number(pid),
    inode: BigInt(String(inode)),
    name: rawName(row),
    beginNs,
    endNs: durationNs < 0n ? undefined : beginNs + durationNs,
  };
}

/** Bytes that are no UTF-8 stand beside the text. */
function rawName({name, name_base64: base64}: Row): RawText | undefined {
  if (base64 !== undefined) {
    return Buffer.from(String(base64), 'base64').toString('latin1');
  }
  return name === undefined ? undefined : toRaw(String(name));
}

function clockValue(clocks: readonly Row[], wanted: string): bigint {
  const found = clocks.find(({name}) => name === wanted);
  if (found === undefined) throw new Error(`no clock ${wanted} in the trace`);
  return BigInt(String(found['value']));
}
