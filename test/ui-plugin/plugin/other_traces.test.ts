// SPDX-License-Identifier: Apache-2.0
// @vitest-environment node
// The plugin on traces of all kinds: with gaps, with Perfetto's own data of
// dma-bufs beside a recording or alone, with nothing, with a package that an
// extension server brought.
import {Page} from './page.js';
import {describe, expect, test} from 'vitest';
import DmaBufPlugin from '../../../src/ui-plugin/org.kernel.DmaBuf/index.js';
import {
  SQL_MODULES,
  SQL_PACKAGE,
} from '../../../src/ui-plugin/org.kernel.DmaBuf/sql_modules.js';
import {
  everything,
  record,
  Scene,
  START_NS,
} from '../../producer/trace/scene.js';
import {
  hasTraceProcessor,
  openTrace,
  type TraceDb,
} from '../../trace_processor/index.js';
import {
  dmaBufExports,
  dmabufRss,
  dmaHeapStats,
  processTree,
} from '../sql/stock_trace.js';
import {EngineDouble} from './engine_double.js';
import {addStockTracks} from './stock_tracks.js';
import {openTraceDouble, type TraceDouble} from './trace_double.js';
import {treeText} from './tree_text.js';
import {CounterTrack} from './ui_double/components/tracks/counter_track.js';
import {SliceTrack} from './ui_double/components/tracks/slice_track.js';

const isThere = await hasTraceProcessor();

const TREE = processTree(
  new Map([
    [1, 'init'],
    [10, 'camera'],
  ]),
);
const at = (ms: bigint): bigint => START_NS + ms * 1_000_000n;

/** Buffer 5 comes and goes; 6 comes and stays. */
const HEAP = dmaHeapStats([
  {ts: at(5n), pid: 10, inode: 5n, length: 4096n, total: 4096n},
  {ts: at(300n), pid: 10, inode: 6n, length: 8192n, total: 12_288n},
  {ts: at(800n), pid: 1, inode: 5n, length: -4096n, total: 8192n},
]);

interface Loaded {
  readonly trace: TraceDouble;
  readonly db: TraceDb;
  readonly engine: EngineDouble;
}

async function withPlugin(
  pieces: ReadonlyArray<Uint8Array>,
  check: (loaded: Loaded) => Promise<void> | void,
  prepare: (db: TraceDb) => Promise<void> = async () => {},
): Promise<void> {
  const db = await openTrace(Buffer.concat(pieces));
  try {
    await prepare(db);
    const trace = await openTraceDouble(db);
    await addStockTracks(trace);
    const {engine} = trace;
    if (!(engine instanceof EngineDouble)) throw new Error('no double');
    engine.queries.length = 0;
    await new DmaBufPlugin().onTraceLoad(trace);
    await check({trace, db, engine});
  } finally {
    db.close();
  }
}

function tree({trace}: Loaded): ReadonlyArray<string> {
  return treeText(trace.defaultWorkspace.tracks);
}

/** What a track of slices shows: name, and when in ms. */
async function slices(
  {trace, db}: Loaded,
  uri: string,
): Promise<ReadonlyArray<string>> {
  const renderer = trace.tracks.getTrack(uri)?.renderer;
  if (!(renderer instanceof SliceTrack)) throw new Error(`no slices: ${uri}`);
  const rows = await db.query(`${renderer.attrs.dataset.query()} ORDER BY ts`);
  return rows.map((row) => {
    const ms = (Number(row['ts']) - Number(START_NS)) / 1e6;
    return `${renderer.attrs.sliceName?.({...row, ts: 0n})} at ${ms}`;
  });
}

describe.skipIf(!isThere)('a trace', () => {
  test('with nothing of dma-bufs costs one query', async () => {
    await withPlugin([TREE], (loaded) => {
      const {trace, engine} = loaded;
      expect(tree(loaded)).toEqual([]);
      expect(engine.queries).toHaveLength(1);
      expect(trace.registeredTracks).toEqual([]);
      expect(trace.registeredPages).toEqual([]);
      expect(trace.registeredCommands).toEqual([]);
      expect(trace.areaTabs).toEqual([]);
      expect(trace.menuItems).toEqual([]);
    });
  });

  test('with dma_heap_stat alone shows allocations and frees', async () => {
    await withPlugin([TREE, HEAP], async (loaded) => {
      expect(tree(loaded)).toEqual([
        'DMA-BUF',
        '  Allocations and frees (true time)',
      ]);
      expect(await slices(loaded, '/org.kernel.DmaBuf/alloc_events')).toEqual([
        'alloc 5 at 5',
        'alloc 6 at 300',
        'free 5 at 800',
      ]);
    });
  });

  test('with dma_heap_stat alone can be explored, and says what is not known', async () => {
    await withPlugin([TREE, HEAP], async ({trace}) => {
      const [explorer] = trace.registeredPages;
      const state = new Page(() => explorer?.render('/state'));
      await state.settle();
      expect(state.text()).toContain('who holds them');
      expect(state.text()).toContain('is not known');
      expect(state.rows()).toEqual([
        ['▸camera 10', '8.0 KiB', '', '1', '', '', ''],
      ]);
      await state.click('Start');
      expect(state.rows()).toEqual([
        ['▸camera 10', '4.0 KiB', '', '1', '', '', ''],
      ]);
      const leaks = new Page(() => explorer?.render('/leaks'));
      await leaks.settle();
      expect(leaks.text()).toContain('has no recording of who holds');
      expect(trace.registeredCommands.map(({id}) => id)).toEqual([
        'org.kernel.DmaBuf.PinTracks',
        'org.kernel.DmaBuf.GoToPeak',
        'org.kernel.DmaBuf.Explore',
      ]);
    });
  });

  test('with dma_buf_export shows all exporters’ allocations', async () => {
    const exports = dmaBufExports([
      {ts: at(7n), pid: 10, exporter: 'vgem', size: 4096n, inode: 8n},
    ]);
    await withPlugin([TREE, exports], async (loaded) => {
      expect(loaded.trace.registeredCommands).toEqual([]);
      expect(await slices(loaded, '/org.kernel.DmaBuf/alloc_events')).toEqual([
        'alloc 8 at 7',
      ]);
    });
  });

  test('with mem.dmabuf_rss alone shows its sum, said to be no total', async () => {
    const pieces = [
      TREE,
      dmabufRss(at(0n), 1, 4n),
      dmabufRss(at(1n), 10, 8n),
      dmabufRss(at(2n), 1, 2n),
    ];
    await withPlugin(pieces, async (loaded) => {
      const {trace, db} = loaded;
      expect(tree(loaded)).toEqual([
        'Process 1',
        '  mem.dmabuf_rss',
        'Process 2',
        '  mem.dmabuf_rss',
        'DMA-BUF',
        '  mem.dmabuf_rss of all processes (shared counts for each)',
      ]);
      const uri = '/org.kernel.DmaBuf/dmabuf_rss_sum';
      const renderer = trace.tracks.getTrack(uri)?.renderer;
      if (!(renderer instanceof CounterTrack)) throw new Error('no counter');
      expect(await db.query(renderer.attrs.sqlSource)).toEqual([
        {ts: Number(at(0n)), value: 4096},
        {ts: Number(at(1n)), value: 12_288},
        {ts: Number(at(2n)), value: 10_240},
      ]);
      await trace.run('org.kernel.DmaBuf.GoToLargestHolder');
      expect(trace.scrolled[0]?.time?.start).toBe(at(1n));
      expect(trace.registeredPages).toEqual([]);
    });
  });

  test('with a recording shows its copies of RSS once', async () => {
    await withPlugin(record(everything()), (loaded) => {
      expect(tree(loaded)).not.toContain('  mem.dmabuf_rss');
      expect(tree(loaded).filter((n) => n === '  dma-buf RSS')).toHaveLength(3);
    });
  });

  test('with both shows true times in the recording’s group', async () => {
    // Buffer 2 is there from sample 1 on: 260 ms after the first began.
    const heap = dmaHeapStats([
      {ts: at(40n), pid: 10, inode: 2n, length: 12_288n, total: 12_288n},
    ]);
    await withPlugin([...record(everything()), TREE, heap], async (loaded) => {
      const uri = '/org.kernel.DmaBuf/alloc_events';
      expect(await slices(loaded, uri)).toEqual(['alloc 2 at 40']);
      const renderer = loaded.trace.tracks.getTrack(uri)?.renderer;
      if (!(renderer instanceof SliceTrack)) throw new Error('no slices');
      const row = {id: 0, ts: at(40n), what: 'alloc', inode: 2n};
      // As the UI hands it over: a column named `kind` would be hidden.
      const selection = {...row, kind: 'track_event', trackUri: uri};
      const panel = renderer.attrs.detailsPanel?.(selection);
      await panel?.load?.({
        kind: 'track_event',
        trackUri: uri,
        eventId: 0,
        ts: loaded.trace.traceInfo.start,
      });
      const page = new Page(() => panel?.render());
      expect(page.text()).toContain('From the event | dma_heap_stat');
      expect(page.text()).toContain('Seen by samples | 220.0 ms later');
      await page.click('show its lifetime');
      expect(loaded.trace.selected).toHaveLength(1);
      const lines = tree(loaded);
      expect(lines.filter((n) => n === 'DMA-BUF')).toHaveLength(1);
      expect(lines.at(-1)).toBe('  Allocations and frees (true time)');
    });
  });

  test('with a process that could not be read shows the gap', async () => {
    const scene = new Scene();
    scene.start(10, {name: 'camera'});
    scene.start(20, {name: 'secret', readState: 'unreadable'});
    scene.alloc(1n);
    scene.hold(10, 1n);
    scene.sample();
    scene.sample();
    scene.process(20).readState = 'complete';
    scene.sample();
    await withPlugin(record(scene.snapshots), async (loaded) => {
      expect(tree(loaded)).toContain('  Coverage gaps');
      expect(await slices(loaded, '/org.kernel.DmaBuf/coverage_gaps')).toEqual([
        'unreadable processes: up to 1 processes at 10',
      ]);
    });
  });

  test('with the package from an extension server uses that', async () => {
    await withPlugin(
      record(everything()),
      ({trace, engine}) => {
        expect(trace.registeredPages).toHaveLength(1);
        const texts = new Set(SQL_MODULES.map(({sql}) => sql));
        expect(engine.queries.filter((sql) => texts.has(sql))).toEqual([]);
      },
      (db) =>
        db.registerSqlPackage({
          name: SQL_PACKAGE,
          modules: SQL_MODULES.map(({name, sql}) => ({name, sql})),
        }),
    );
  });
});
