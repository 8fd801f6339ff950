// SPDX-License-Identifier: Apache-2.0
// The SQL package on recordings made by hand: the odd cases.
import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {writeTarArchive} from '../../../src/producer/archive/tar_archive.js';
import {temporaryFolder} from '../../producer/trace/temporary.js';
import {hasTraceProcessor, type TraceDb} from '../../trace_processor/index.js';
import {
  everything,
  INTERVAL_NS,
  LENGTH_NS,
  PROVENANCE,
  record,
  Scene,
  SECOND,
  stampOf,
} from '../../producer/trace/scene.js';
import {openWithPackage, withPackage} from './dmabuf_db.js';

const isHere = await hasTraceProcessor();
const folder = temporaryFolder();

/** An expression: which sample a time is the stamp of. */
function sampleOf(ts: string): string {
  return `(${ts} - ${stampOf(0)}) / ${INTERVAL_NS}`;
}

describe.skipIf(!isHere)('a recording of everything', () => {
  let db: TraceDb;
  beforeAll(async () => {
    db = await openWithPackage(...record(everything()));
  });
  afterAll(() => db.close());

  test('has a row for each life of a buffer', async () => {
    expect(
      await db.query(`
        SELECT ${sampleOf('ts')} AS first, is_open, inode, generation, key,
          name, exporter, size, max_holders, holdings, fd_refs, kernel_refs,
          began_unseen, depth, slice_id = id AS is_slice,
          IIF(is_open, end_ts = TRACE_END(), end_ts = ts + dur) AS ends
        FROM dmabuf_buffer ORDER BY id`),
    ).toEqual([
      buffer(0, 0, 1, 0, 'old', 'system', 8192, 2, 2, 1, 0, 1, 0),
      buffer(0, 0, 9, 0, undefined, 'vgem', 1 << 20, 0, 0, 0, 1, 1, 1),
      buffer(1, 1, 2, 0, 'preview', 'system', 12_288, 1, 2, 1, 4, 0, 2),
      buffer(4, 1, 1, 1, undefined, 'system', 4096, 1, 1, 1, 0, 0, 0),
    ]);
  });

  test('has a row for each holding, with how it was held last', async () => {
    expect(
      await db.query(`
        SELECT h.pid, h.process_name AS process, h.key, h.name, h.size,
          h.fd_refs, h.map_refs, h.mapped_bytes, h.holders, h.is_open,
          ${sampleOf('h.ts')} AS first,
          IIF(h.is_open, NULL, ${sampleOf('h.end_ts')}) AS past
        FROM dmabuf_holding AS h
        JOIN dmabuf_buffer AS b ON b.id = h.buffer_id AND b.key = h.key
        ORDER BY h.id`),
    ).toEqual([
      holding(10, 'cameraserver', '1.0', 'old', 8192, [0, 1, 8192], 1, 0, 4),
      holding(10, 'cameraserver', '2.0', 'preview', 12_288, [1, 0, 0], 1, 1, 3),
      holding(20, 'surfaceflinger', '1.0', 'old', 8192, [2, 1, 8192], 2, 1, 2),
      holding(20, 'surfaceflinger', '2.0', 'preview', 12_288, [1, 0, 0], 1, 3),
      holding(10, 'newcomer', '1.1', undefined, 4096, [1, 0, 0], 1, 4),
    ]);
  });

  test('has the counters, in the order to show them', async () => {
    expect(
      await db.query(`
        SELECT name, kind, exporter, source FROM dmabuf_global_counter
        ORDER BY sort_order`),
    ).toEqual([
      counter('Total', 'total'),
      counter('Held by processes', 'held'),
      counter('Kernel-only', 'kernel_only'),
      counter('Mapped-only', 'mapped_only'),
      counter('Buffer count', 'buffer_count'),
      counter('Exporter: system', 'exporter', 'system'),
      counter('Exporter: vgem', 'exporter', 'vgem'),
    ]);
    expect(
      await db.query(`
        SELECT p.pid, p.process_name, p.holdings, p.depths,
          (SELECT name FROM track WHERE id = p.pss_track_id) AS pss,
          (SELECT name FROM track WHERE id = p.rss_track_id) AS rss,
          (SELECT name FROM track WHERE id = p.dmabuf_rss_track_id) AS stock
        FROM dmabuf_process AS p ORDER BY p.upid`),
    ).toEqual(
      [
        [10, 'cameraserver', 2, 2],
        [20, 'surfaceflinger', 2, 1],
        [10, 'newcomer', 1, 1],
      ].map(([pid, process_name, holdings, depths]) => ({
        pid,
        process_name,
        holdings,
        depths,
        pss: 'dma-buf PSS',
        rss: 'dma-buf RSS',
        stock: 'mem.dmabuf_rss',
      })),
    );
  });

  test('knows when the holders of a buffer changed', async () => {
    expect(
      await db.query(`
        SELECT b.key, ${sampleOf('i.ts')} AS first, i.is_open, i.holders, i.pss
        FROM dmabuf_holder_interval AS i
        JOIN dmabuf_buffer AS b ON b.id = i.buffer_id
        ORDER BY b.id, i.ts`),
    ).toEqual([
      {key: '1.0', first: 0, is_open: 0, holders: 1, pss: 8192},
      {key: '1.0', first: 1, is_open: 0, holders: 2, pss: 4096},
      {key: '1.0', first: 2, is_open: 0, holders: 1, pss: 8192},
      {key: '9.0', first: 0, is_open: 0, holders: 0, pss: undefined},
      {key: '2.0', first: 1, is_open: 0, holders: 1, pss: 12_288},
      {key: '2.0', first: 3, is_open: 1, holders: 1, pss: 12_288},
      {key: '1.1', first: 4, is_open: 1, holders: 1, pss: 4096},
    ]);
  });

  test('knows who took a buffer over from whom, and its new name', async () => {
    expect(
      await db.query(`
        SELECT a.process_name AS giver, b.process_name AS taker, b.key,
          ${sampleOf('f.ts')} AS sample, f.after / ${INTERVAL_NS} AS after
        FROM dmabuf_holder_flow AS f
        JOIN dmabuf_holding AS a ON a.id = f.from_holding_id
        JOIN dmabuf_holding AS b ON b.id = f.to_holding_id
        ORDER BY f.ts`),
    ).toEqual([
      take('cameraserver', 'surfaceflinger', '1.0', 1, 1),
      take('cameraserver', 'surfaceflinger', '2.0', 3, 2),
    ]);
    expect(
      await db.query(`
        SELECT b.key, r.name, ${sampleOf('r.ts')} AS sample
        FROM dmabuf_rename AS r JOIN dmabuf_buffer AS b ON b.id = r.buffer_id`),
    ).toEqual([{key: '2.0', name: 'preview', sample: 2}]);
    expect(
      await db.query(`
        SELECT pid FROM dmabuf_holders_of(
          (SELECT id FROM dmabuf_buffer WHERE key = '1.0'))`),
    ).toEqual([{pid: 10}, {pid: 20}]);
  });

  test('knows what is only mapped', async () => {
    expect(
      await db.query(`
        SELECT inode, is_mapped_only, is_kernel_only
        FROM dmabuf_buffers_at(${stampOf(3)}) ORDER BY inode`),
    ).toEqual([
      {inode: 1, is_mapped_only: 1, is_kernel_only: 0},
      {inode: 2, is_mapped_only: 0, is_kernel_only: 0},
      {inode: 9, is_mapped_only: 0, is_kernel_only: 1},
    ]);
  });

  test('a stamp is in the sample that saw it, and not in the one past', async () => {
    const keysAt = async (ts: bigint): Promise<unknown[]> =>
      (
        await db.query(`
          SELECT inode FROM dmabuf_buffers_at(${ts}) ORDER BY inode`)
      ).map(({inode}) => inode);
    expect(await keysAt(stampOf(0) - 1n)).toEqual([]);
    expect(await keysAt(stampOf(0))).toEqual([1, 9]);
    expect(await keysAt(stampOf(5) - 1n)).toEqual([1, 2, 9]);
    expect(await keysAt(stampOf(5))).toEqual([1, 2]);
    expect(await keysAt(stampOf(9))).toEqual([1, 2]);
  });

  test('compares two times whichever comes first', async () => {
    const change = async (one: bigint, two: bigint) =>
      db.query(`
        SELECT process_name AS process, gained, lost, change_bytes AS change
        FROM dmabuf_difference(${one}, ${two}, 'process') ORDER BY process`);
    expect(await change(stampOf(0), stampOf(3))).toEqual([
      {process: 'cameraserver', gained: 0, lost: 0, change: 0},
      {process: 'surfaceflinger', gained: 1, lost: 0, change: 12_288},
    ]);
    expect(await change(stampOf(3), stampOf(0))).toEqual([
      {process: 'cameraserver', gained: 0, lost: 0, change: 0},
      {process: 'surfaceflinger', gained: 0, lost: 1, change: -12_288},
    ]);
  });

  test('has the samples and no gap', async () => {
    expect(
      await db.query(`
        SELECT sequence, dur, is_full_scan, device_cpu_ns, bytes, kernel_list,
          since_previous, problems FROM dmabuf_sample ORDER BY id LIMIT 2`),
    ).toEqual([sample(0, 1, undefined), sample(1, 0, Number(INTERVAL_NS))]);
    expect(await db.query('SELECT * FROM dmabuf_coverage_gap')).toEqual([]);
  });

  test('says what it comes from', async () => {
    expect(await db.query('SELECT * FROM dmabuf_trace_info')).toEqual([
      {
        has_recording: 1,
        is_simulated: 0,
        schema_version: 1,
        tool_version: PROVENANCE.toolVersion,
        source: 'adb',
        device: PROVENANCE.device,
        kernel_release: PROVENANCE.kernelRelease,
        build_fingerprint: undefined,
        boot_id: PROVENANCE.bootId,
        uid: 0,
        ended: 'finished',
        samples: 6,
        has_dma_heap_stat: 0,
        has_dmabuf_rss: 1,
        has_stock_dmabuf_rss: 0,
        has_dma_buf_events: 0,
        has_any: 1,
      },
    ]);
  });
});

describe.skipIf(!isHere)('what could not be seen', () => {
  test('is a gap with its reason', async () => {
    const scene = new Scene();
    scene.start(1, {name: 'one'});
    scene.start(2, {name: 'two'});
    scene.alloc(1n);
    scene.hold(1, 1n);
    scene.sample(); // 0
    scene.sample(); // 1
    scene.process(1).readState = 'unreadable';
    scene.kernelList = undefined;
    scene.problems = ['bufinfo: permission denied'];
    scene.sample(); // 2
    scene.sample(); // 3
    scene.process(1).readState = 'complete';
    scene.kernelList = 'bufinfo';
    scene.problems = [];
    scene.alloc(2n);
    scene.sample(); // 4
    await withPackage(record(scene.snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      const gaps = await db.query(`
        SELECT kind, detail, ${sampleOf('ts')} AS first,
          ${sampleOf('ts + dur')} AS past, track_id IS NOT NULL AS on_track,
          (SELECT pid FROM process AS p WHERE p.upid = g.upid) AS pid
        FROM dmabuf_coverage_gap AS g ORDER BY id`);
      const listed = gaps.filter(({kind}) => kind !== 'counter_lost');
      expect(listed).toEqual([
        gap('no_kernel_list', 'no list of all buffers'),
        gap('unreadable_processes', 'up to 1 processes'),
      ]);
      const lost = gaps.filter(({kind}) => kind === 'counter_lost');
      expect(lost.map(({detail}) => detail)).toEqual(
        expect.arrayContaining(['Total', 'dma-buf PSS of pid 1']),
      );
      expect(lost).toContainEqual({
        ...gap('counter_lost', 'Total'),
        on_track: 1,
      });
      expect(lost).toContainEqual({
        ...gap('counter_lost', 'dma-buf PSS of pid 1'),
        on_track: 1,
        pid: 1,
      });
      expect(
        await db.query(`
          SELECT COUNT() AS n, MIN(problem) AS problem
          FROM dmabuf_sample_problem`),
      ).toEqual([{n: 2, problem: 'bufinfo: permission denied'}]);
      expect(
        await db.query(`
          SELECT began_unseen, ended_unseen, is_open FROM dmabuf_holding
          ORDER BY id`),
      ).toEqual([
        {began_unseen: 1, ended_unseen: 1, is_open: 0},
        {began_unseen: 1, ended_unseen: 0, is_open: 1},
      ]);
    });
  });

  test('samples that are missing or late are gaps', async () => {
    const scene = new Scene();
    scene.alloc(1n);
    for (let i = 0; i < 14; i++) scene.sample();
    // 5 never came; 10 came five seconds late.
    const snapshots = scene.snapshots
      .filter(({sequence}) => sequence !== 5)
      .map((snapshot) => {
        const late = snapshot.sequence >= 10 ? 5_000_000_000n : 0n;
        const {startNs, endNs} = snapshot;
        return {...snapshot, startNs: startNs + late, endNs: endNs + late};
      });
    await withPackage(record(snapshots), async (db) => {
      expect(
        await db.query(`
          SELECT kind, detail, ${sampleOf('ts')} AS first,
            dur / ${INTERVAL_NS} AS length
          FROM dmabuf_coverage_gap ORDER BY id`),
      ).toEqual([
        {kind: 'missing_samples', detail: '1 missing', first: 4, length: 2},
        {
          kind: 'late_sample',
          detail: '5.3 s after the one before',
          first: 9,
          length: 21,
        },
      ]);
    });
  });

  test('a size that nobody told is in no sum', async () => {
    const scene = new Scene();
    scene.start(1, {name: 'one'});
    scene.alloc(1n, {sizeBytes: undefined});
    scene.alloc(2n, {sizeBytes: 4096n, exporter: undefined});
    scene.hold(1, 1n);
    scene.hold(1, 2n);
    scene.sample();
    scene.sample();
    await withPackage(record(scene.snapshots), async (db) => {
      expect(
        await db.query(`
          SELECT buffers, rss, pss, unknown_sizes
          FROM dmabuf_processes_at(${stampOf(1)})`),
      ).toEqual([{buffers: 2, rss: 4096, pss: 4096, unknown_sizes: 1}]);
      expect(
        await db.query(`
          SELECT exporter, buffers, unknown_sizes, start_bytes, peak_bytes
          FROM dmabuf_held_in(${stampOf(0)}, ${INTERVAL_NS}, 'exporter')
          ORDER BY exporter`),
      ).toEqual([
        {
          exporter: undefined,
          buffers: 1,
          unknown_sizes: 0,
          start_bytes: 4096,
          peak_bytes: 4096,
        },
        {
          exporter: 'system',
          buffers: 1,
          unknown_sizes: 1,
          start_bytes: 0,
          peak_bytes: 0,
        },
      ]);
    });
  });
});

describe.skipIf(!isHere)('recordings that are cut or joined', () => {
  test('without an end mark, everything is still there', async () => {
    const pieces = record(everything()).slice(0, -1);
    await withPackage(pieces, async (db) => {
      expect(
        await db.query(`
          SELECT has_recording, ended, samples FROM dmabuf_trace_info`),
      ).toEqual([{has_recording: 1, ended: undefined, samples: undefined}]);
      expect(await db.query('SELECT COUNT() AS n FROM dmabuf_holding')).toEqual(
        [{n: 5}],
      );
    });
  });

  test('two of one boot keep their buffers apart', async () => {
    const first = everything();
    const laterNs = 10n * SECOND;
    const second = first.map((snapshot) => ({
      ...snapshot,
      startNs: snapshot.startNs + laterNs,
      endNs: snapshot.endNs + laterNs,
    }));
    const path = join(folder, 'two.tar');
    await writeTarArchive(
      path,
      [first, second].map((snapshots, index) => {
        const bytes = Buffer.concat(record(snapshots));
        return {
          name: `${index}.pftrace`,
          sizeBytes: bytes.length,
          open: () => Readable.from([bytes]),
        };
      }),
    );
    const pieces = [await readFile(path)];
    await withPackage(pieces, async (db) => {
      expect(await db.query('SELECT id FROM dmabuf_root_track')).toHaveLength(
        2,
      );
      const rows = await db.query(`
        SELECT b.key, b.ts >= ${stampOf(0) + laterNs} AS is_second,
          COUNT(h.id) AS holdings,
          SUM(h.ts >= ${stampOf(0) + laterNs}) AS of_second
        FROM dmabuf_buffer AS b
        LEFT JOIN dmabuf_holding AS h ON h.buffer_id = b.id
        GROUP BY b.id ORDER BY is_second, b.key`);
      expect(rows).toEqual(
        [0, 1].flatMap((is_second) =>
          (
            [
              ['1.0', 2],
              ['1.1', 1],
              ['2.0', 2],
              ['9.0', 0],
            ] as const
          ).map(([key, holdings]) => ({
            key,
            is_second,
            holdings,
            of_second: holdings === 0 ? undefined : holdings * is_second,
          })),
        ),
      );
    });
  });

  test('a header alone has no rows, and no error', async () => {
    await withPackage(record([]).slice(0, 1), async (db) => {
      for (const table of TABLES) {
        expect(await db.query(`SELECT * FROM ${table}`), table).toEqual([]);
      }
      expect(
        await db.query('SELECT has_recording FROM dmabuf_trace_info'),
      ).toEqual([{has_recording: 0}]);
    });
  });

  test('a holding whose buffer the trace does not tell of', async () => {
    const [header, ...samples] = record(everything());
    if (header === undefined) throw new Error('no header');
    // The first sample made lifetimes and tracks: without it some are unknown.
    await withPackage([header, ...samples.slice(1)], async (db) => {
      expect(
        await db.query(`
          SELECT COUNT() AS n FROM dmabuf_holding AS h
          LEFT JOIN dmabuf_buffer AS b ON b.id = h.buffer_id
          WHERE b.id IS NULL`),
      ).toEqual([{n: 0}]);
      const orphans = await db.query(`
        SELECT key, name, size, holdings, is_open,
          IIF(is_open, NULL, ${sampleOf('end_ts')}) AS past
        FROM dmabuf_buffer WHERE slice_id IS NULL AND id < 0 ORDER BY key`);
      expect(orphans).toEqual([
        {
          key: '1.0',
          name: 'old',
          size: 8192,
          holdings: 1,
          is_open: 0,
          past: 2,
        },
        // Its lifetime is on a line that the first sample described.
        {
          key: '1.1',
          name: undefined,
          size: 4096,
          holdings: 1,
          is_open: 1,
          past: undefined,
        },
      ]);
      expect(
        await db.query(`
          SELECT SUM(rss) AS rss FROM dmabuf_processes_at(${stampOf(1)})`),
      ).toEqual([{rss: 8192}]);
    });
  });
});

/** All that is empty without a recording. */
const TABLES = [
  'dmabuf_global_counter',
  'dmabuf_process_counter',
  'dmabuf_sample',
  'dmabuf_sample_problem',
  'dmabuf_coverage_gap',
  'dmabuf_buffer',
  'dmabuf_holding',
  'dmabuf_process',
  'dmabuf_rename',
  'dmabuf_holder_flow',
  'dmabuf_holder_interval',
  'dmabuf_holding_share',
  'dmabuf_leak_candidate',
  'dmabuf_leak_buffer',
  'dmabuf_alloc_event',
  'dmabuf_heap_allocation',
  'dmabuf_holdings_at(0)',
  'dmabuf_buffers_at(0)',
  'dmabuf_processes_at(0)',
  'dmabuf_holders_of(0)',
  `dmabuf_held_in(0, 1000, 'process')`,
  `dmabuf_difference(0, 1000, 'name')`,
];

function buffer(
  first: number,
  is_open: number,
  inode: number,
  generation: number,
  name: string | undefined,
  exporter: string,
  size: number,
  max_holders: number,
  holdings: number,
  fd_refs: number,
  kernel_refs: number,
  began_unseen: number,
  depth: number,
) {
  return {
    first,
    is_open,
    inode,
    generation,
    key: `${inode}.${generation}`,
    name,
    exporter,
    size,
    max_holders,
    holdings,
    fd_refs,
    kernel_refs,
    began_unseen,
    depth,
    is_slice: 1,
    ends: 1,
  };
}

function holding(
  pid: number,
  process: string,
  key: string,
  name: string | undefined,
  size: number,
  [fd_refs, map_refs, mapped_bytes]: readonly [number, number, number],
  holders: number,
  first: number,
  past?: number,
) {
  return {
    pid,
    process,
    key,
    name,
    size,
    fd_refs,
    map_refs,
    mapped_bytes,
    holders,
    is_open: Number(past === undefined),
    first,
    past,
  };
}

function counter(name: string, kind: string, exporter?: string) {
  return {name, kind, exporter, source: 'recording'};
}

function take(
  giver: string,
  taker: string,
  key: string,
  sampleIndex: number,
  after: number,
) {
  return {giver, taker, key, sample: sampleIndex, after};
}

function sample(
  sequence: number,
  is_full_scan: number,
  since_previous: number | undefined,
) {
  return {
    sequence,
    dur: Number(LENGTH_NS),
    is_full_scan,
    device_cpu_ns: 3_000_000,
    bytes: 1000,
    kernel_list: 'bufinfo',
    since_previous,
    problems: 0,
  };
}

/** Of samples 2 and 3: from the stamp of 2 to that of 4. */
function gap(kind: string, detail: string) {
  return {kind, detail, first: 2, past: 4, on_track: 0, pid: undefined};
}
