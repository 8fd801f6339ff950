// SPDX-License-Identifier: Apache-2.0
// What the UI plugin costs as a trace opens: on a recording of 100,000 holdings,
// against Perfetto's own plugin for dma-bufs (com.android.AndroidDmabuf) on
// 100,000 dma_heap_stat events. Both in the trace processor of the tests: v55.3,
// in WebAssembly, on this thread. The plugin runs against a double of the UI, so
// that nothing is drawn; what it asks of the trace processor is real.
import {
  hasTraceProcessor,
  openTrace,
  type TraceDb,
} from '../test/trace_processor/index.js';
import {readSqlModules, SQL_PACKAGE} from '../src/ui-plugin/sql/sql_files.js';
import {median, type Ratio} from './ratio.js';
import {bundlePlugin, type PluginBundle} from './ui_plugin_bundle.js';
import {
  bigHeapTrace,
  bigRecording,
  HOLDINGS,
  PROCESSES,
} from './ui_plugin_trace.js';

const ROUNDS = 5;
/** What all tables of the package may take, ms. */
const TABLES_MS = 2000;

/** Undefined, with a line on stderr, where there is no trace processor. */
export async function benchUiPlugin(): Promise<Ratio[]> {
  if (!(await hasTraceProcessor())) return [];
  const plugin = await bundlePlugin();
  const recording = bigRecording();
  const heap = bigHeapTrace();
  const tables: number[] = [];
  const ours: number[] = [];
  const reference: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    reference.push(await withTrace(heap, timeAndroidDmabuf));
    ours.push(await withTrace(recording, (db) => timePlugin(db, plugin)));
    tables.push(await withTrace(recording, timeTables));
  }
  const size = `${HOLDINGS} holdings, ${PROCESSES} processes`;
  return [
    {
      name: `onTraceLoad of ${size}`,
      ratio: median(ours) / median(reference),
      limit: '<= 1',
      detail:
        `${toText(ours)} / AndroidDmabuf's on ${HOLDINGS} dma_heap_stat ` +
        `events ${toText(reference)}, CPU, trace processor v55.3 (wasm)`,
    },
    {
      name: `all SQL tables of ${size}`,
      ratio: median(tables) / TABLES_MS,
      limit: '<= 1',
      detail: `${toText(tables)} CPU / ${TABLES_MS} ms, on this machine`,
    },
  ];
}

async function withTrace(
  bytes: Uint8Array,
  run: (db: TraceDb) => Promise<number>,
): Promise<number> {
  const db = await openTrace(bytes);
  try {
    // What any UI has asked before plugins get the trace.
    await db.query(
      'SELECT COUNT() FROM track JOIN slice ON track_id = track.id',
    );
    return await run(db);
  } finally {
    db.close();
  }
}

/**
 * CPU time, ms: all of it is on one thread but for V8's compiling of the wasm,
 * so that an idle machine takes no longer by the clock, and a busy one makes no
 * difference.
 */
async function time(run: () => Promise<unknown>): Promise<number> {
  const start = process.cpuUsage();
  await run();
  const {user, system} = process.cpuUsage(start);
  return (user + system) / 1000;
}

async function timePlugin(db: TraceDb, plugin: PluginBundle): Promise<number> {
  const load = await plugin.prepare(db);
  return time(load);
}

async function timeTables(db: TraceDb): Promise<number> {
  const modules = await readSqlModules();
  await db.registerSqlPackage({
    name: SQL_PACKAGE,
    modules: modules.map(({name, sql}) => ({name, sql})),
  });
  const ms = await time(() =>
    db.query(`INCLUDE PERFETTO MODULE ${SQL_PACKAGE}.*`),
  );
  const [row] = await db.query('SELECT COUNT() AS n FROM dmabuf_holding');
  if (row?.['n'] !== HOLDINGS) throw new Error(`${row?.['n']} holdings`);
  return ms;
}

/** The queries of that plugin's onTraceLoad, as read at v55.3 and v58.2. */
async function timeAndroidDmabuf(db: TraceDb): Promise<number> {
  const ms = await time(async () => {
    await db.query('INCLUDE PERFETTO MODULE android.memory.dmabuf');
    await db.query(`
      SELECT DISTINCT upid, IIF(upid IS NULL, utid, NULL) AS utid
      FROM android_memory_cumulative_dmabuf`);
    await db.query(`
      SELECT id, name FROM track WHERE type = 'android_dma_heap'`);
    const [row] = await db.query(`
      SELECT MIN(name) AS name, GROUP_CONCAT(id) AS ids FROM track
      WHERE type = 'android_dma_allocations' GROUP BY track_group_id`);
    // A track of several lines gets a table of its layout.
    await db.query(`
      CREATE PERFETTO TABLE layout AS
      SELECT id, layout_depth AS depth
      FROM experimental_slice_layout('${String(row?.['ids'])}')`);
  });
  const [row] = await db.query(
    'SELECT COUNT() AS n FROM android_dmabuf_allocs',
  );
  if (row?.['n'] !== HOLDINGS) throw new Error(`${row?.['n']} events`);
  return ms;
}

function toText(values: readonly number[]): string {
  return `${median(values).toFixed(0)} ms`;
}
