// SPDX-License-Identifier: Apache-2.0
// What Google's trace processor makes of our recordings.
import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {
  hasTraceProcessor,
  openTrace,
  type Row,
  type TraceDb,
} from '../../trace_processor/index.js';
import {
  everything,
  INTERVAL_NS,
  LENGTH_NS,
  PROVENANCE,
  record,
  Scene,
  stampOf,
  START_NS,
} from './scene.js';
import {story} from './story.js';

const isHere = await hasTraceProcessor();

async function withTrace(
  pieces: readonly Uint8Array[],
  check: (db: TraceDb) => Promise<void>,
): Promise<void> {
  const db = await openTrace(Buffer.concat(pieces));
  try {
    await check(db);
  } finally {
    db.close();
  }
}

/** Slices of buffers on a track, times as indices of samples. */
const SLICES = (where: string): string => `
  SELECT
    (s.ts - ${stampOf(0)}) / ${INTERVAL_NS} AS first,
    IIF(s.dur = -1, NULL, (s.ts + s.dur - ${stampOf(0)}) / ${INTERVAL_NS})
      AS past,
    s.name,
    p.name AS process,
    EXTRACT_ARG(s.arg_set_id, 'dma_buf.inode') AS inode,
    EXTRACT_ARG(s.arg_set_id, 'dma_buf.generation') AS generation
  FROM slice s
  JOIN track t ON s.track_id = t.id
  LEFT JOIN process_track pt ON pt.id = t.id
  LEFT JOIN process p USING (upid)
  WHERE ${where}
  ORDER BY s.ts, p.pid, inode`;

describe.skipIf(!isHere)('a recording of everything', () => {
  let db: TraceDb;
  beforeAll(async () => {
    db = await openTrace(Buffer.concat(record(everything())));
  });
  afterAll(() => db.close());

  const counter = (name: string, pid?: number): Promise<Row[]> =>
    db.query(`
      SELECT (c.ts - ${stampOf(0)}) / ${INTERVAL_NS} AS sample, c.value
      FROM counter c JOIN track t ON c.track_id = t.id
      LEFT JOIN process_counter_track pt ON pt.id = t.id
      LEFT JOIN process p USING (upid)
      WHERE t.name = '${name}'
        ${pid === undefined ? '' : `AND p.pid = ${pid}`}
      ORDER BY c.ts, p.upid`);

  test('loads without an error of any severity', async () => {
    expect(await db.importErrors()).toEqual([]);
  });

  test('has the clock snapshot, in BOOTTIME', async () => {
    expect(
      await db.query('SELECT clock_name, clock_value FROM clock_snapshot'),
    ).toEqual([
      {clock_name: 'BOOTTIME', clock_value: Number(START_NS)},
      {clock_name: 'REALTIME', clock_value: 1_700_000_000_000_000_000n},
    ]);
  });

  test('says where it comes from', async () => {
    const rows = await db.query(`
      SELECT SUBSTR(name, 25) AS key, IFNULL(str_value, int_value) AS value
      FROM metadata WHERE name GLOB 'trace_attribute.dma_buf.*'`);
    expect(Object.fromEntries(rows.map((r) => [r['key'], r['value']]))).toEqual(
      {
        schema_version: 1,
        tool_version: PROVENANCE.toolVersion,
        simulated: 0,
        source: 'adb',
        device: PROVENANCE.device,
        kernel_release: PROVENANCE.kernelRelease,
        boot_id: PROVENANCE.bootId,
        uid: 0,
        ended: 'finished',
        samples: 6,
      },
    );
  });

  test('has the root track with its children in order', async () => {
    const rows = await db.query(`
      SELECT DISTINCT
        t.name,
        t.counter_unit AS unit,
        EXTRACT_ARG(t.source_arg_set_id, 'sibling_order_rank') AS rank
      FROM (
        SELECT t.*, c.unit AS counter_unit FROM track t
        LEFT JOIN counter_track c USING (id)
      ) t
      JOIN track root ON t.parent_id = root.id
      WHERE root.name = 'DMA-BUF'
      ORDER BY rank`);
    expect(rows.map(({name, unit}) => [name, unit])).toEqual([
      ['Total', 'bytes'],
      ['Held by processes', 'bytes'],
      ['Kernel-only', 'bytes'],
      ['Mapped-only', 'bytes'],
      ['Buffer count', 'count'],
      ['Exporter: system', 'bytes'],
      ['Exporter: vgem', 'bytes'],
      ['Buffers', undefined],
      ['Samples', undefined],
    ]);
  });

  test('counts what the kernel lists', async () => {
    expect(await counter('Total')).toEqual([
      {sample: 0, value: 1_056_768},
      {sample: 1, value: 1_069_056},
      {sample: 4, value: 1_064_960},
      {sample: 5, value: 16_384},
    ]);
    expect(await counter('Held by processes')).toEqual([
      {sample: 0, value: 8192},
      {sample: 1, value: 20_480},
      {sample: 4, value: 16_384},
    ]);
    expect(await counter('Kernel-only')).toEqual([
      {sample: 0, value: 1_048_576},
      {sample: 5, value: 0},
    ]);
    expect(await counter('Mapped-only')).toEqual([
      {sample: 0, value: 0},
      {sample: 2, value: 8192},
      {sample: 4, value: 0},
    ]);
    expect(await counter('Buffer count')).toEqual([
      {sample: 0, value: 2},
      {sample: 1, value: 3},
      {sample: 5, value: 2},
    ]);
    expect(await counter('Exporter: vgem')).toEqual([
      {sample: 0, value: 1_048_576},
      {sample: 5, value: 0},
    ]);
  });

  test('counts RSS and PSS of each process, pid reuse included', async () => {
    expect(await counter('dma-buf RSS', 10)).toEqual([
      {sample: 0, value: 8192},
      {sample: 1, value: 20_480},
      {sample: 3, value: 8192},
      {sample: 4, value: 0},
      {sample: 4, value: 4096},
    ]);
    expect(await counter('dma-buf PSS', 20)).toEqual([
      {sample: 1, value: 4096},
      {sample: 2, value: 0},
      {sample: 3, value: 12_288},
    ]);
  });

  test('feeds the stock memory views', async () => {
    expect(await counter('mem.dmabuf_rss', 10)).toEqual(
      await counter('dma-buf RSS', 10),
    );
    expect(await counter('mem.dmabuf_rss', 20)).toEqual(
      await counter('dma-buf RSS', 20),
    );
  });

  test('shows a reused pid as two processes', async () => {
    expect(
      await db.query(`
        SELECT name, start_ts FROM process WHERE pid = 10 ORDER BY upid`),
    ).toEqual([
      {name: 'cameraserver', start_ts: 1_000_000_000},
      {name: 'newcomer', start_ts: 9_990_000_000},
    ]);
    expect(
      await db.query('SELECT pid FROM process WHERE pid > 0 ORDER BY pid'),
    ).toEqual([{pid: 10}, {pid: 10}, {pid: 20}]);
  });

  test('shows the lives of buffers, a reused inode as two', async () => {
    expect(
      await db.query(SLICES(`t.name = 'Buffers' AND s.category = 'dma_buf'`)),
    ).toEqual([
      life(0, 4, 'old 1', 1, 0),
      life(0, 5, 'vgem 9', 9, 0),
      life(1, undefined, 'system 2', 2, 0),
      life(4, undefined, 'system 1', 1, 1),
    ]);
  });

  test('shows who held what, since when, until when', async () => {
    expect(
      await db.query(
        SLICES(`t.name = 'dma-buf buffers' AND s.category = 'dma_buf'`),
      ),
    ).toEqual([
      life(0, 4, 'old 1', 1, 0, 'cameraserver'),
      life(1, 3, 'system 2', 2, 0, 'cameraserver'),
      life(1, 2, 'old 1', 1, 0, 'surfaceflinger'),
      life(3, undefined, 'preview 2', 2, 0, 'surfaceflinger'),
      life(4, undefined, 'system 1', 1, 1, 'newcomer'),
    ]);
  });

  test('each slice carries the typed extension', async () => {
    const read = (key: string): string =>
      `EXTRACT_ARG(s.arg_set_id, 'dma_buf.${key}') AS ${key}`;
    const keys = [
      'size',
      'name',
      'exporter',
      'pid',
      'fd_refs',
      'map_refs',
      'mapped_bytes',
      'kernel_refs',
      'holders',
      'began_unseen',
      'simulated',
    ];
    const rows = await db.query(`
      SELECT t.name AS track, ${keys.map(read).join(', ')}
      FROM slice s JOIN track t ON s.track_id = t.id
      WHERE s.name = 'system 2' ORDER BY track`);
    expect(rows).toEqual([
      {
        track: 'Buffers',
        size: 12_288,
        // Named when it was there already, and still there at the end.
        name: undefined,
        exporter: 'system',
        pid: undefined,
        fd_refs: 1,
        map_refs: 0,
        mapped_bytes: undefined,
        kernel_refs: 4,
        holders: 1,
        began_unseen: undefined,
        simulated: undefined,
      },
      {
        track: 'dma-buf buffers',
        size: 12_288,
        // Its end says the name it had got.
        name: 'preview',
        exporter: 'system',
        pid: 10,
        fd_refs: 1,
        map_refs: 0,
        mapped_bytes: 0,
        kernel_refs: 4,
        holders: 1,
        began_unseen: undefined,
        simulated: undefined,
      },
    ]);
  });

  test('the end of a slice says how it was held last', async () => {
    expect(
      await db.query(`
        SELECT EXTRACT_ARG(arg_set_id, 'dma_buf.fd_refs') AS fds,
          EXTRACT_ARG(arg_set_id, 'dma_buf.map_refs') AS maps,
          EXTRACT_ARG(arg_set_id, 'dma_buf.mapped_bytes') AS mapped
        FROM slice WHERE name = 'old 1'
          AND EXTRACT_ARG(arg_set_id, 'dma_buf.pid') = 10`),
    ).toEqual([{fds: 0, maps: 1, mapped: 8192}]);
  });

  test('marks a name that came late', async () => {
    expect(
      await db.query(`
        SELECT (s.ts - ${stampOf(0)}) / ${INTERVAL_NS} AS sample, s.name,
          t.name AS track, s.dur,
          EXTRACT_ARG(s.arg_set_id, 'dma_buf.inode') AS inode
        FROM slice s JOIN track t ON s.track_id = t.id
        WHERE s.category = 'dma_buf.rename' ORDER BY track`),
    ).toEqual(
      ['Buffers', 'dma-buf buffers'].map((track) => ({
        sample: 2,
        name: 'named preview',
        track,
        dur: 0,
        inode: 2,
      })),
    );
  });

  test('gives one buffer one colour in all processes', async () => {
    expect(
      await db.query(`
        SELECT EXTRACT_ARG(arg_set_id, 'correlation_id') AS colour, COUNT(*) AS n
        FROM slice WHERE category = 'dma_buf' GROUP BY colour ORDER BY colour`),
    ).toEqual([
      {colour: '1.0', n: 3},
      {colour: '1.1', n: 2},
      {colour: '2.0', n: 3},
      {colour: '9.0', n: 1},
    ]);
  });

  test('ties the holders of a buffer in the order they took it', async () => {
    expect(
      await db.query(`
        SELECT a.name AS name_out, pa.name AS process_out,
          b.name AS name_in, pb.name AS process_in
        FROM flow f
        JOIN slice a ON f.slice_out = a.id
        JOIN process_track ta ON a.track_id = ta.id
        JOIN process pa ON ta.upid = pa.upid
        JOIN slice b ON f.slice_in = b.id
        JOIN process_track tb ON b.track_id = tb.id
        JOIN process pb ON tb.upid = pb.upid
        ORDER BY a.ts, b.ts`),
    ).toEqual([
      flow('old 1', 'cameraserver', 'old 1', 'surfaceflinger'),
      flow('system 2', 'cameraserver', 'preview 2', 'surfaceflinger'),
    ]);
    expect(await db.query('SELECT COUNT(*) AS n FROM flow')).toEqual([{n: 2}]);
  });

  test('shows length, cost and coverage of each sample', async () => {
    const rows = await db.query(`
      SELECT (s.ts - ${START_NS}) / ${INTERVAL_NS} AS sample, s.dur, s.name,
        s.arg_set_id
      FROM slice s JOIN track t ON s.track_id = t.id
      WHERE t.name = 'Samples' ORDER BY s.ts`);
    expect(rows.map(({sample, dur, name}) => [sample, dur, name])).toEqual(
      [0, 1, 2, 3, 4, 5].map((sample) => [
        sample,
        Number(LENGTH_NS),
        sample === 0 ? 'full scan' : 'quick scan',
      ]),
    );
    const args = await db.query(`
      SELECT SUBSTR(key, 16) AS key, display_value AS value FROM args
      WHERE arg_set_id = ${rows[1]?.['arg_set_id']}
        AND key GLOB 'dma_buf_sample.*'`);
    expect(Object.fromEntries(args.map((r) => [r['key'], r['value']]))).toEqual(
      {
        sequence: '1',
        full_scan: 'false',
        device_cpu_ns: '3000000',
        wall_ns: String(LENGTH_NS),
        bytes: '1000',
        processes_seen: '3',
        processes_scanned: '3',
        processes_unreadable: '0',
        processes_vanished: '0',
        kernel_list: 'bufinfo',
        file_counts: 'true',
        inode_collisions: '0',
        kernel_only_is_upper_bound: 'false',
        unknown_sizes: '0',
        counters_lost: '0',
      },
    );
  });
});

function life(
  first: number,
  past: number | undefined,
  name: string,
  inode: number,
  generation: number,
  process?: string,
): Row {
  return {first, past, name, process, inode, generation};
}

function flow(
  name_out: string,
  process_out: string,
  name_in: string,
  process_in: string,
): Row {
  return {name_out, process_out, name_in, process_in};
}

describe.skipIf(!isHere)('special recordings', () => {
  test('simulated data says so everywhere', async () => {
    const provenance = {...PROVENANCE, simulated: true, source: 'simulator'};
    await withTrace(record(everything(), {provenance}), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT name FROM track WHERE name GLOB 'DMA-BUF*'`),
      ).toEqual([{name: 'DMA-BUF (simulated)'}]);
      expect(
        await db.query(`
          SELECT COUNT(*) AS n,
            SUM(EXTRACT_ARG(arg_set_id, 'dma_buf.simulated')) AS simulated
          FROM slice WHERE category = 'dma_buf'`),
      ).toEqual([{n: 9, simulated: 9}]);
      expect(
        await db.query(`
          SELECT int_value FROM metadata
          WHERE name = 'trace_attribute.dma_buf.simulated'`),
      ).toEqual([{int_value: 1}]);
    });
  });

  test('an unrooted device: what is unknown has no row', async () => {
    const scene = new Scene();
    scene.kernelList = undefined;
    scene.problems = ['bufinfo: permission denied'];
    scene.start(1, {
      readState: 'unreadable',
      kernelRssBytes: 8192n,
      kernelPssBytes: 5000n,
    });
    scene.start(2, {readState: 'unreadable'});
    scene.sample();
    scene.sample();
    await withTrace(record(scene.snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT t.name, c.value FROM counter c
          JOIN track t ON c.track_id = t.id ORDER BY t.name`),
      ).toEqual([
        {name: 'dma-buf PSS', value: 5000},
        {name: 'dma-buf RSS', value: 8192},
        {name: 'mem.dmabuf_rss', value: 8192},
      ]);
      expect(
        await db.query(`
          SELECT
            EXTRACT_ARG(arg_set_id, 'dma_buf_sample.kernel_list') AS list,
            EXTRACT_ARG(arg_set_id, 'dma_buf_sample.processes_unreadable')
              AS unreadable,
            EXTRACT_ARG(arg_set_id, 'dma_buf_sample.problem[0]') AS problem
          FROM slice WHERE category = 'dma_buf.sample' LIMIT 1`),
      ).toEqual([
        {
          list: undefined,
          unreadable: 2,
          problem: 'bufinfo: permission denied',
        },
      ]);
    });
  });

  test('a hold that goes out of sight is not said to be released', async () => {
    const scene = new Scene();
    scene.start(1);
    scene.start(2);
    scene.alloc(1n);
    scene.alloc(2n);
    scene.hold(1, 1n);
    scene.hold(2, 2n);
    scene.sample();
    scene.process(1).readState = 'unreadable';
    scene.release(2, 2n);
    scene.sample();
    scene.process(1).readState = 'complete';
    scene.sample();
    await withTrace(record(scene.snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT EXTRACT_ARG(s.arg_set_id, 'dma_buf.pid') AS pid, s.dur > 0 AS
            ended,
            EXTRACT_ARG(s.arg_set_id, 'dma_buf.began_unseen') AS began,
            EXTRACT_ARG(s.arg_set_id, 'dma_buf.ended_unseen') AS unseen
          FROM slice s JOIN process_track t ON s.track_id = t.id
          ORDER BY s.ts, pid`),
      ).toEqual([
        {pid: 1, ended: 1, began: 1, unseen: 1},
        {pid: 2, ended: 1, began: 1, unseen: undefined},
        {pid: 1, ended: 0, began: 1, unseen: undefined},
      ]);
    });
  });

  test('hostile names come through as text, and as bytes', async () => {
    const names = [
      '',
      'two\nlines',
      '\x1b[31mred',
      'tab\tand "quotes"',
      'n\xc3\xa4me',
      'bad\xff\xfe',
    ];
    const scene = new Scene();
    scene.start(1, {name: 'weird \xff(name)'});
    for (const [index, raw] of names.entries()) {
      const inode = BigInt(index + 1);
      scene.alloc(inode, {name: {raw, doubtful: index === 1}});
      scene.hold(1, inode);
    }
    scene.sample();
    await withTrace(record(scene.snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT EXTRACT_ARG(s.arg_set_id, 'dma_buf.name') AS name,
            EXTRACT_ARG(s.arg_set_id, 'dma_buf.name_raw') AS raw,
            EXTRACT_ARG(s.arg_set_id, 'dma_buf.name_doubtful') AS doubtful
          FROM slice s JOIN process_track t ON s.track_id = t.id
          ORDER BY EXTRACT_ARG(s.arg_set_id, 'dma_buf.inode')`),
      ).toEqual([
        {name: '', raw: undefined, doubtful: undefined},
        {name: 'two\nlines', raw: undefined, doubtful: 1},
        {name: '\x1b[31mred', raw: undefined, doubtful: undefined},
        {name: 'tab\tand "quotes"', raw: undefined, doubtful: undefined},
        {name: 'näme', raw: undefined, doubtful: undefined},
        {name: 'bad\ufffd\ufffd', raw: 'YmFk//4=', doubtful: undefined},
      ]);
      expect(await db.query('SELECT name FROM process WHERE pid = 1')).toEqual([
        {name: 'weird \ufffd(name)'},
      ]);
    });
  });

  test('a process that got another name is one process', async () => {
    const scene = new Scene();
    scene.alloc(1n);
    scene.start(1, {name: 'zygote64'});
    scene.hold(1, 1n);
    scene.sample();
    scene.process(1).name = 'com.example.app';
    scene.sample();
    await withTrace(record(scene.snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(await db.query('SELECT name FROM process WHERE pid = 1')).toEqual([
        {name: 'com.example.app'},
      ]);
    });
  });

  test('sizes and inodes beyond 2^53 stay exact', async () => {
    const scene = new Scene();
    scene.start(1);
    scene.alloc(2n ** 60n + 1n, {sizeBytes: 2n ** 62n + 3n});
    scene.hold(1, 2n ** 60n + 1n);
    scene.sample();
    await withTrace(record(scene.snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT EXTRACT_ARG(s.arg_set_id, 'dma_buf.inode') AS inode,
            EXTRACT_ARG(s.arg_set_id, 'dma_buf.size') AS size
          FROM slice s JOIN process_track t ON s.track_id = t.id`),
      ).toEqual([{inode: 2n ** 60n + 1n, size: 2n ** 62n + 3n}]);
    });
  });
});

describe.skipIf(!isHere)('any story', () => {
  const stories = fc.sample(story, {seed: 20_260, numRuns: 12});

  test.each(stories.map((_, i) => i))('number %i', async (index) => {
    const snapshots = stories[index] ?? [];
    const last = snapshots.at(-1);
    const held = [...(last?.processes.values() ?? [])].flatMap((process) =>
      [...process.holdings.values()].map(({buffer}) => Number(buffer.inode)),
    );
    await withTrace(record(snapshots), async (db) => {
      expect(await db.importErrors()).toEqual([]);
      const open = await db.query(`
        SELECT EXTRACT_ARG(s.arg_set_id, 'dma_buf.inode') AS inode
        FROM slice s JOIN process_track t ON s.track_id = t.id
        WHERE s.category = 'dma_buf' AND s.dur = -1 ORDER BY inode`);
      expect(open.map(({inode}) => inode)).toEqual(held.sort());
      const lives = await db.query(`
        SELECT COUNT(*) AS n FROM slice s JOIN track t ON s.track_id = t.id
        WHERE t.name = 'Buffers' AND s.category = 'dma_buf' AND s.dur = -1`);
      expect(lives).toEqual([{n: last?.buffers.size}]);
    });
  });
});
