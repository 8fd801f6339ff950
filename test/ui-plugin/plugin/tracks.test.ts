// SPDX-License-Identifier: Apache-2.0
// @vitest-environment node
// The tree of tracks of a recording, made by the simulator and read by the real
// trace processor.
import {Page} from './page.js';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import DmaBufPlugin from '../../../src/ui-plugin/org.kernel.DmaBuf/index.js';
import type {Track} from '../../../src/ui-plugin/api/public/track';
import {hasTraceProcessor} from '../../trace_processor/index.js';
import {openScenario, type RecordedTrace} from './recorded_trace.js';
import {treeText} from './tree_text.js';
import {CounterTrack} from './ui_double/components/tracks/counter_track.js';
import {SliceTrack} from './ui_double/components/tracks/slice_track.js';

const isThere = await hasTraceProcessor();

describe.skipIf(!isThere)('the tracks of a recording', () => {
  let recorded: RecordedTrace;

  beforeAll(async () => {
    recorded = await openScenario({scenario: 'surfaceflinger-leak'});
    await new DmaBufPlugin().onTraceLoad(recorded.trace);
  });

  afterAll(() => recorded.db.close());

  test('stand where the stock ones stood, each once', () => {
    const {trace} = recorded;
    expect(treeText(trace.defaultWorkspace.tracks)).toEqual([
      ...Array.from({length: 13}, (_, index) => [
        `Process ${index + 1}`,
        '  dma-buf PSS',
        '  dma-buf RSS',
        '  dma-buf buffers',
      ]).flat(),
      'DMA-BUF (simulated)',
      '  Total',
      '  Held by processes',
      '  Kernel-only',
      '  Mapped-only',
      '  Buffer count',
      '  By exporter',
      '    Exporter: system-uncached',
      '    Exporter: system',
      '  By name',
      '    hwui bitmap',
      '    Bubble',
      '    ImageWallpaper#58',
      '    FramebufferSurface',
      '    com.android.launcher3/Launcher',
      '    com.example.chat.video/Main',
      '    NavigationBar0#74',
      '    StatusBar#72',
      '  Buffers (lifetimes)',
      '  Samples',
    ]);
  });

  test('wear it that they are simulated', () => {
    const {trace} = recorded;
    const node = trace.defaultWorkspace.tracks.getTrackByUri(
      '/process_2/dma_buf_buffers',
    );
    expect(node?.chips).toEqual(['simulated']);
  });

  test('show the slices that the stock ones showed', async () => {
    const {trace, db} = recorded;
    for (const track of bufferTracks(trace.tracks.getAllTracks())) {
      const {uri, tags, renderer} = track;
      const ids = tags?.trackIds?.join() ?? '';
      const expected = await db.query(
        `SELECT id, ts, dur FROM slice
         WHERE track_id IN (${ids}) AND category = 'dma_buf' ORDER BY id`,
      );
      expect(expected.length, uri).toBeGreaterThan(0);
      expect(
        await db.query(
          `SELECT id, ts, dur FROM (${renderer.attrs.dataset.query()})
           ORDER BY id`,
        ),
      ).toEqual(expected);
    }
  });

  test('are laid out as the UI lays out flows', async () => {
    const {trace, db} = recorded;
    for (const {tags, renderer} of bufferTracks(trace.tracks.getAllTracks())) {
      const ids = tags?.trackIds?.join() ?? '';
      const overlaps = await db.query(
        `WITH s AS (${renderer.attrs.dataset.query()})
         SELECT a.id FROM s AS a JOIN s AS b USING (depth)
         WHERE a.id < b.id
           AND a.ts < iif(b.dur < 0, 1 << 62, b.ts + b.dur)
           AND b.ts < iif(a.dur < 0, 1 << 62, a.ts + a.dur)`,
      );
      expect(overlaps).toEqual([]);
      expect(
        await db.query(
          `SELECT s.id FROM (${renderer.attrs.dataset.query()}) AS s
           JOIN experimental_slice_layout('${ids}') AS l USING (id)
           WHERE l.layout_depth != s.depth`,
        ),
      ).toEqual([]);
    }
  });

  test('give a buffer one colour, and each its own', async () => {
    const {trace, db} = recorded;
    const colors = new Map<string, Set<string>>();
    for (const {renderer} of bufferTracks(trace.tracks.getAllTracks())) {
      const {attrs} = renderer;
      for (const row of await db.query(attrs.dataset.query())) {
        const color = attrs.colorizer?.({
          ...attrs.dataset.schema,
          key: String(row['key']),
        });
        const name = String(row['name']);
        const seen = colors.get(name) ?? new Set();
        colors.set(name, seen.add(color?.base.cssString ?? ''));
      }
    }
    const all = [...colors.values()].flatMap((seen) => [...seen]);
    expect(all).toHaveLength(colors.size);
    expect(new Set(all).size).toBe(colors.size);
  });

  test('lead to the leak that there is', async () => {
    const {trace, truth} = recorded;
    const [leak] = truth.leaks;
    const [explorer] = trace.registeredPages;
    const page = new Page(() => explorer?.render('/leaks'));
    await page.settle();
    expect(page.text()).toContain('Simulated: not the memory of any device');
    const [candidate] = page.rows();
    expect(candidate?.[1]).toContain(String(leak?.holders[0]?.pid));
    expect(candidate?.[2]).toBe(leak?.bufferName);
    await page.click('1');
    const buffers = page.rows().map(([title]) => title);
    const leaked = leak?.buffers.filter(
      ({leakedAtNs}) => leakedAtNs < trace.traceInfo.end,
    );
    expect(leaked).not.toEqual([]);
    for (const {inode} of leaked ?? []) {
      expect(buffers).toContain(`${leak?.bufferName} ${inode}`);
    }
  });

  test('by name add up to the total', async () => {
    const {trace, db} = recorded;
    const sums = trace.tracks
      .getAllTracks()
      .filter(({uri}) => uri.includes('/name_'))
      .map(({renderer}) =>
        renderer instanceof CounterTrack ? renderer.attrs.sqlSource : '',
      )
      .map(
        (sql) =>
          `SELECT (SELECT value FROM (${sql}) ORDER BY ts DESC LIMIT 1) AS v`,
      );
    expect(
      await db.query(
        `SELECT sum(v) AS bytes FROM (${sums.join(' UNION ALL ')})`,
      ),
    ).toEqual(
      await db.query(
        `SELECT CAST(value AS INT) AS bytes FROM counter
         WHERE track_id = (
           SELECT track_id FROM dmabuf_global_counter WHERE kind = 'total')
         ORDER BY ts DESC LIMIT 1`,
      ),
    );
  });
});

type BufferTrack = Track & {readonly renderer: SliceTrack<BufferRow>};

interface BufferRow {
  readonly [column: string]: string | number | bigint | null;
  readonly id: number;
  readonly ts: bigint;
  readonly dur: bigint;
  readonly depth: number;
}

function bufferTracks(tracks: ReadonlyArray<Track>): BufferTrack[] {
  return tracks.filter(
    (track): track is BufferTrack =>
      track.renderer instanceof SliceTrack &&
      track.tags?.kinds?.includes('DmaBufTrack') === true &&
      track.tags.trackIds !== undefined,
  );
}
