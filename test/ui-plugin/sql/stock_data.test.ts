// SPDX-License-Identifier: Apache-2.0
// The SQL package on traces of others: with Perfetto's own data about dma-bufs,
// with that beside a recording of ours, and with none at all.
import {describe, expect, test} from 'vitest';
import {
  SQL_MODULES,
  SQL_PACKAGE,
} from '../../../src/ui-plugin/org.kernel.DmaBuf/sql_modules.js';
import {
  record,
  Scene,
  SECOND,
  stampOf,
  START_NS,
} from '../../producer/trace/scene.js';
import {plainSql} from '../../../src/ui-plugin/sql/sql_files.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {withPackage} from './dmabuf_db.js';
import {
  dmaBufExports,
  dmabufRss,
  dmaHeapStats,
  processTree,
} from './stock_trace.js';

const isHere = await hasTraceProcessor();

const TREE = processTree(
  new Map([
    [1, 'init'],
    [10, 'camera'],
  ]),
);
const at = (ms: bigint): bigint => START_NS + ms * 1_000_000n;

/** Buffer 5 comes and goes; 6 comes and stays; 5 comes again. */
const HEAP = dmaHeapStats([
  {ts: at(5n), pid: 10, inode: 5n, length: 4096n, total: 4096n},
  {ts: at(300n), pid: 10, inode: 6n, length: 8192n, total: 12_288n},
  {ts: at(800n), pid: 1, inode: 5n, length: -4096n, total: 8192n},
  {ts: at(900n), pid: 10, inode: 5n, length: 16_384n, total: 24_576n},
]);

describe.skipIf(!isHere)('a trace of others', () => {
  test('with none of our data is empty, and nothing fails', async () => {
    await withPackage([TREE], async (db) => {
      const made = SQL_MODULES.flatMap(({sql}) => [
        ...sql.matchAll(/^CREATE PERFETTO (?:TABLE|VIEW) (dmabuf_\w+)/gm),
      ]).map(([, name = '']) => name);
      expect(made).toEqual(
        expect.arrayContaining(['dmabuf_buffer', 'dmabuf_leak_candidate']),
      );
      for (const name of made) {
        if (name === 'dmabuf_trace_info') continue;
        expect(await db.query(`SELECT * FROM ${name}`), name).toEqual([]);
      }
      expect(
        await db.query(`
          SELECT has_recording, is_simulated, has_any, device
          FROM dmabuf_trace_info`),
      ).toEqual([
        {has_recording: 0, is_simulated: 0, has_any: 0, device: undefined},
      ]);
    });
  });

  test('with dma_heap_stat shows allocations and frees', async () => {
    await withPackage([TREE, HEAP], async (db) => {
      expect(
        await db.query(`
          SELECT kind, inode, size, exporter, pid, process_name, source,
            buffer_id, seen_after, (ts - ${START_NS}) / 1000000 AS ms
          FROM dmabuf_alloc_event ORDER BY id`),
      ).toEqual([
        event('alloc', 5, 4096, 10, 5),
        event('alloc', 6, 8192, 10, 300),
        event('free', 5, 4096, 1, 800),
        event('alloc', 5, 16_384, 10, 900),
      ]);
      expect(
        await db.query(`
          SELECT inode, size, is_open, IIF(is_open, NULL, dur / 1000000) AS ms
          FROM dmabuf_heap_allocation ORDER BY id`),
      ).toEqual([
        {inode: 5, size: 4096, is_open: 0, ms: 795},
        {inode: 6, size: 8192, is_open: 1, ms: undefined},
        {inode: 5, size: 16_384, is_open: 1, ms: undefined},
      ]);
      expect(
        await db.query(`
          SELECT g.kind, g.source, MAX(c.value) AS peak
          FROM dmabuf_global_counter AS g JOIN counter AS c USING (track_id)
          GROUP BY track_id`),
      ).toEqual([{kind: 'dma_heap', source: 'ftrace', peak: 24_576}]);
      expect(
        await db.query(`
          SELECT has_recording, has_dma_heap_stat, has_any
          FROM dmabuf_trace_info`),
      ).toEqual([{has_recording: 0, has_dma_heap_stat: 1, has_any: 1}]);
    });
  });

  test('with mem.dmabuf_rss shows each process', async () => {
    const rss = dmabufRss(at(100n), 10, 300n);
    await withPackage([TREE, rss], async (db) => {
      expect(
        await db.query(`
          SELECT c.kind, c.source, p.process_name, p.holdings,
            p.dmabuf_rss_track_id = c.track_id AS same, v.value
          FROM dmabuf_process_counter AS c
          JOIN dmabuf_process AS p USING (upid)
          JOIN counter AS v USING (track_id)`),
      ).toEqual([
        {
          kind: 'dmabuf_rss',
          source: 'process_stats',
          process_name: 'camera',
          holdings: 0,
          same: 1,
          value: 300 * 1024,
        },
      ]);
      expect(
        await db.query(`
          SELECT has_recording, has_dmabuf_rss, has_stock_dmabuf_rss, has_any
          FROM dmabuf_trace_info`),
      ).toEqual([
        {
          has_recording: 0,
          has_dmabuf_rss: 1,
          has_stock_dmabuf_rss: 1,
          has_any: 1,
        },
      ]);
    });
  });

  test("with kernel 7.0's events shows what was made", async () => {
    const made = dmaBufExports([
      {ts: at(5n), pid: 10, exporter: 'i915', size: 4096n, inode: 7n},
    ]);
    await withPackage([TREE, made], async (db) => {
      expect(
        await db.query(`
          SELECT kind, inode, size, exporter, pid, process_name, source,
            buffer_id, seen_after, (ts - ${START_NS}) / 1000000 AS ms
          FROM dmabuf_alloc_event`),
      ).toEqual([
        {
          ...event('alloc', 7, 4096, 10, 5),
          exporter: 'i915',
          source: 'dma_buf_export',
        },
      ]);
      expect(
        await db.query(
          'SELECT has_dma_buf_events, has_any FROM dmabuf_trace_info',
        ),
      ).toEqual([{has_dma_buf_events: 1, has_any: 1}]);
    });
  });
});

describe.skipIf(!isHere)('a recording beside stock events', () => {
  test('tells what was made and freed between samples', async () => {
    const scene = new Scene();
    scene.start(10, {name: 'camera'});
    scene.alloc(5n, {sizeBytes: 4096n});
    scene.hold(10, 5n);
    scene.sample(); // at 10 ms: 5 was made at 5 ms
    scene.sample(); // at 260 ms
    scene.alloc(6n, {sizeBytes: 8192n});
    scene.sample(); // at 510 ms: 6 was made at 300 ms
    scene.sample(); // at 760 ms
    scene.free(5n);
    scene.alloc(5n, {sizeBytes: 16_384n, generation: 1, exporter: 'cma'});
    scene.alloc(7n, {exporter: 'i915'});
    scene.sample(); // at 1010 ms: 5 was freed at 800 ms, made again at 900 ms
    const made = dmaBufExports([
      {ts: at(950n), pid: 10, exporter: 'i915', size: 4096n, inode: 7n},
      {ts: at(960n), pid: 10, exporter: 'i915', size: 4096n, inode: 8n},
    ]);
    const pieces = [...record(scene.snapshots), HEAP, made];
    await withPackage(pieces, async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT e.kind, e.source, b.key, e.exporter,
            (e.ts - ${START_NS}) / 1000000 AS ms,
            e.seen_after / 1000000 AS after
          FROM dmabuf_alloc_event AS e
          LEFT JOIN dmabuf_buffer AS b ON b.id = e.buffer_id
          ORDER BY e.id`),
      ).toEqual([
        // There before the first sample: when that saw it tells nothing.
        seen('alloc', 'dma_heap_stat', '5.0', 'system', 5, undefined),
        seen('alloc', 'dma_heap_stat', '6.0', 'system', 300, 210),
        seen('free', 'dma_heap_stat', '5.0', 'system', 800, 210),
        seen('alloc', 'dma_heap_stat', '5.1', 'cma', 900, 110),
        seen('alloc', 'dma_buf_export', '7.0', 'i915', 950, 60),
        // Made and gone between two samples.
        seen('alloc', 'dma_buf_export', undefined, 'i915', 960, undefined),
      ]);
    });
  });

  test('of a process that it does not count is stock', async () => {
    const scene = new Scene();
    scene.start(10, {name: 'camera'});
    scene.alloc(5n);
    scene.hold(10, 5n);
    scene.sample();
    const stock = dmabufRss(stampOf(0) + SECOND, 1, 12n);
    for (const [pieces, isStock] of [
      [record(scene.snapshots), 0],
      [[...record(scene.snapshots), TREE, stock], 1],
    ] as const) {
      await withPackage(pieces, async (db) => {
        expect(
          await db.query(`
            SELECT has_dmabuf_rss, has_stock_dmabuf_rss
            FROM dmabuf_trace_info`),
        ).toEqual([{has_dmabuf_rss: 1, has_stock_dmabuf_rss: isStock}]);
      });
    }
  });
});

describe.skipIf(!isHere)('the modules', () => {
  test('can be included one by one, in any order', async () => {
    for (const {name} of [...SQL_MODULES].reverse()) {
      const db = await openTrace(TREE);
      try {
        await db.registerSqlPackage({
          name: SQL_PACKAGE,
          modules: SQL_MODULES.map(({name: each, sql}) => ({name: each, sql})),
        });
        await db.query(`INCLUDE PERFETTO MODULE ${name}`);
        await db.query(`INCLUDE PERFETTO MODULE ${SQL_PACKAGE}.*`);
      } finally {
        db.close();
      }
    }
  });

  test('run as plain text too, for lack of a package', async () => {
    const db = await openTrace(Buffer.concat([TREE, HEAP]));
    try {
      await db.query(plainSql(SQL_MODULES));
      expect(
        await db.query('SELECT COUNT() AS n FROM dmabuf_alloc_event'),
      ).toEqual([{n: 4}]);
    } finally {
      db.close();
    }
  });
});

function event(
  kind: string,
  inode: number,
  size: number,
  pid: number,
  ms: number,
) {
  return {
    kind,
    inode,
    size,
    exporter: undefined,
    pid,
    process_name: pid === 10 ? 'camera' : 'init',
    source: 'dma_heap_stat',
    buffer_id: undefined,
    seen_after: undefined,
    ms,
  };
}

function seen(
  kind: string,
  source: string,
  key: string | undefined,
  exporter: string,
  ms: number,
  after: number | undefined,
) {
  return {kind, source, key, exporter, ms, after};
}
