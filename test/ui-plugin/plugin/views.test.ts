// SPDX-License-Identifier: Apache-2.0
// @vitest-environment node
// What the plugin shows beside tracks, of a recording in which everything
// happens once (see `everything`), read by the real trace processor.
import {Page} from './page.js';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import DmaBufPlugin from '../../../src/ui-plugin/org.kernel.DmaBuf/index.js';
import type {Track} from '../../../src/ui-plugin/api/public/track';
import {everything, record, stampOf} from '../../producer/trace/scene.js';
import {
  hasTraceProcessor,
  openTrace,
  type TraceDb,
} from '../../trace_processor/index.js';
import {addStockTracks} from './stock_tracks.js';
import {openTraceDouble, toTime, type TraceDouble} from './trace_double.js';
import {SliceTrack} from './ui_double/components/tracks/slice_track.js';

const isThere = await hasTraceProcessor();

describe.skipIf(!isThere)('of a recording', () => {
  let db: TraceDb;
  let trace: TraceDouble;

  beforeAll(async () => {
    db = await openTrace(Buffer.concat(record(everything())));
    trace = await openTraceDouble(db);
    await addStockTracks(trace);
    await new DmaBufPlugin().onTraceLoad(trace);
    // Makes the tables by which the tests look up what to select.
    await open('state').settle();
  });

  afterAll(() => db.close());

  beforeEach(() => {
    trace.selected.length = 0;
    trace.navigated.length = 0;
    trace.scrolled.length = 0;
  });

  /** Selects the slice of a holding, or of a lifetime. */
  async function select(sql: string): Promise<Page> {
    const [row] = await db.query(sql);
    const id = Number(row?.['id']);
    const track = trace.tracks
      .getAllTracks()
      .find((t) => shows(t, Number(row?.['track_id'])));
    if (!(track?.renderer instanceof SliceTrack)) throw new Error('no track');
    const panel = track.renderer.attrs.detailsPanel?.({
      ...track.renderer.attrs.dataset.schema,
      id,
    });
    await panel?.load?.({
      kind: 'track_event',
      trackUri: track.uri,
      eventId: id,
      ts: trace.traceInfo.start,
    });
    return new Page(() => panel?.render());
  }

  /** A view of the explorer. */
  function open(view: string): Page {
    const [page] = trace.registeredPages;
    return new Page(() => page?.render(`/${view}`));
  }

  describe('the details of a buffer', () => {
    const OF_2 = `
      SELECT id, track_id FROM dmabuf_holding
      WHERE inode = 2 AND process_name = 'surfaceflinger'`;

    test('tell what it is', async () => {
      const page = await select(OF_2);
      expect(page.text().split('\n').slice(0, 13)).toEqual([
        'preview 2',
        'Buffer',
        'Inode | 2',
        'Name | preview',
        'Named | preview at 0.510000 s',
        'Exporter | system',
        'Size | 12.0 KiB (12,288 bytes)',
        'Age | 1.00 s',
        'First seen | 0.260000 s',
        'Gone | still there at the end of the trace',
        'Kernel references | 4',
        'Lifetime | show',
        'Holders over time',
      ]);
    });

    test('tell who held it, with references and shares', async () => {
      expect((await select(OF_2)).rows().slice(0, 2)).toEqual([
        [
          'cameraserver 10',
          '0.260000 s',
          '500.0 ms',
          '1',
          '0',
          '0 B',
          '12.0 KiB',
          '',
        ],
        [
          'surfaceflinger 20 (selected)',
          '0.760000 s',
          '500.0 ms, still held',
          '1',
          '0',
          '0 B',
          '12.0 KiB',
          'cameraserver 10',
        ],
      ]);
    });

    test('tell how the share changed while it was shared', async () => {
      const page = await select(
        `SELECT id, track_id FROM dmabuf_buffer
         WHERE inode = 1 AND generation = 0`,
      );
      const [camera, surfaceflinger, ...sharing] = page.rows();
      expect(camera?.slice(0, 7)).toEqual([
        'cameraserver 10',
        'before 0.010000 s',
        '1.00 s',
        '0',
        '1',
        '8.0 KiB',
        '8.0 KiB',
      ]);
      expect(surfaceflinger?.slice(3, 7)).toEqual([
        '2',
        '1',
        '8.0 KiB',
        '4.0 KiB',
      ]);
      expect(sharing).toEqual([
        ['0.010000 s', '250.0 ms', '1', '8.0 KiB'],
        ['0.260000 s', '250.0 ms', '2', '4.0 KiB'],
        ['0.510000 s', '500.0 ms', '1', '8.0 KiB'],
      ]);
      expect(page.text()).toContain('at least 1.00 s: it was there before');
    });

    test('lead to the same buffer in other processes', async () => {
      const page = await select(OF_2);
      await page.click('cameraserver');
      const [camera] = await db.query(
        `SELECT id, upid FROM dmabuf_holding
         WHERE inode = 2 AND process_name = 'cameraserver'`,
      );
      expect(trace.navigated).toEqual(['#!/viewer']);
      expect(trace.selected).toEqual([
        {
          trackUri: `/process_${camera?.['upid']}/dma_buf_buffers`,
          eventId: camera?.['id'],
        },
      ]);
      expect(
        trace.tracks.getTrack(trace.selected[0]?.trackUri ?? ''),
      ).toBeDefined();
    });

    test('say what only the kernel holds', async () => {
      const page = await select(
        'SELECT id, track_id FROM dmabuf_buffer WHERE inode = 9',
      );
      expect(page.text()).toContain('ever held it: kernel-only');
      expect(page.text()).toContain('| 0, kernel-only | ');
    });
  });

  describe('the tab of an area', () => {
    function selectArea(
      tracks: ReadonlyArray<Track>,
      from: number,
      to: number,
    ) {
      const [tab] = trace.areaTabs;
      return new Page(
        () =>
          tab?.render({
            kind: 'area',
            start: toTime(stampOf(from)),
            end: toTime(stampOf(to)),
            trackUris: tracks.map(({uri}) => uri),
            tracks,
          })?.content,
      );
    }

    test('tells what was held, by process', async () => {
      const page = selectArea(trace.tracks.getAllTracks(), 1, 3);
      await page.settle();
      expect(page.rows()).toEqual([
        row(
          'surfaceflinger 20',
          2,
          '8.0 KiB',
          '12.0 KiB',
          '+4.0 KiB',
          '12.0 KiB',
          '0.760000 s',
          '4.0 KiB',
          '12.0 KiB',
        ),
        row(
          'cameraserver 10',
          2,
          '20.0 KiB',
          '8.0 KiB',
          '-12.0 KiB',
          '20.0 KiB',
          '0.260000 s',
          '16.0 KiB',
          '8.0 KiB',
        ),
      ]);
      expect(page.text()).toContain('28.0 KiB | 20.0 KiB | -8.0 KiB |');
    });

    test('tells it by name, exporter and buffer, each buffer once', async () => {
      const page = selectArea(trace.tracks.getAllTracks(), 1, 3);
      await page.settle();
      await page.click('By exporter');
      expect(page.rows()).toEqual([
        row('vgem', 1, '1.0 MiB', '1.0 MiB', '0 B', '1.0 MiB', '0.260000 s'),
        row(
          'system',
          2,
          '20.0 KiB',
          '20.0 KiB',
          '0 B',
          '20.0 KiB',
          '0.260000 s',
        ),
      ]);
      await page.click('By name');
      expect(page.rows().map(([name]) => name)).toEqual([
        'no name',
        'preview',
        'old',
      ]);
      await page.click('By buffer');
      expect(page.rows().map(([buffer]) => buffer)).toEqual([
        'vgem 9',
        'preview 2',
        'old 1',
      ]);
    });

    test('keeps to the processes whose tracks are selected', async () => {
      const [{upid} = {}] = await db.query(
        `SELECT upid FROM process WHERE name = 'surfaceflinger'`,
      );
      const tracks = trace.tracks
        .getAllTracks()
        .filter(({tags}) => tags?.upid === upid);
      const page = selectArea(tracks, 1, 3);
      await page.settle();
      await page.click('By process');
      expect(page.rows().map(([name]) => name)).toEqual(['surfaceflinger 20']);
    });

    test('takes nothing for zero that was before the first sample', async () => {
      const page = selectArea(trace.tracks.getAllTracks(), -1, 3);
      await page.settle();
      await page.click('By process');
      expect(page.text()).toContain('Before the first sample nothing is known');
      const [, camera] = page.rows();
      expect(camera?.slice(0, 4)).toEqual([
        'cameraserver 10',
        '2',
        '8.0 KiB',
        '8.0 KiB',
      ]);
    });

    test('is not there for other tracks', () => {
      const other: Track = {uri: '/x', renderer: {render: () => {}}};
      expect(selectArea([other], 1, 3).text()).toBe('');
    });
  });

  describe('the explorer', () => {
    test('is in the side bar', () => {
      expect(trace.menuItems.map(({text, href}) => [text, href])).toEqual([
        ['DMA-BUF explorer', '#!/dmabuf/state'],
      ]);
      expect(trace.registeredPages.map(({route}) => route)).toEqual([
        '/dmabuf',
      ]);
    });

    test('shows the last state, and others by going to them', async () => {
      const page = open('state');
      await page.settle();
      expect(page.text()).toContain('Recorded from serial (model).');
      expect(page.text()).not.toContain('Simulated');
      const names = (): ReadonlyArray<string | undefined> =>
        page.rows().map(([name]) => name);
      expect(names()).toEqual(['▸surfaceflinger 20', '▸newcomer 10']);
      await page.click('Start');
      expect(names()).toEqual([
        '▸Kernel-only (no process holds it)',
        '▸cameraserver 10',
      ]);
      await page.click('▸');
    });

    test('opens process, name and buffer', async () => {
      const page = open('state');
      await page.settle();
      for (const level of ['surfaceflinger', 'preview']) {
        const closed = page.find(
          '.pf-dmabuf-tree__toggle[aria-expanded=false]',
        );
        expect(closed.parentElement?.textContent).toContain(level);
        await page.clickOn(closed);
      }
      expect(page.rows().slice(0, 3)).toEqual([
        ['▾surfaceflinger 20', '12.0 KiB', '12.0 KiB', '1', '', '', ''],
        ['▾preview', '12.0 KiB', '12.0 KiB', '1', '', '', ''],
        ['preview 2', '12.0 KiB', '12.0 KiB', '1', '1', '0', '0.760000 s'],
      ]);
      await page.click('preview 2');
      expect(trace.selected).toHaveLength(1);
    });

    test('finds by inode, name and pid, in the tree by buffer too', async () => {
      const page = open('state');
      await page.settle();
      await page.click('Buffer, holders');
      await page.type('input[type=search]', 'PREV');
      expect(page.rows().map(([name]) => name)).toEqual(['▸preview 2']);
      await page.type('input[type=search]', '10');
      expect(page.rows().map(([name]) => name)).toEqual(['▸system 1']);
      await page.type('input[type=search]', 'nobody');
      expect(page.text()).toContain('Nothing at this time matches nobody.');
    });

    test('compares two times', async () => {
      const page = open('compare');
      await page.settle();
      expect(page.rows().map((cells) => cells.slice(0, 6))).toEqual([
        ['surfaceflinger 20', '+12.0 KiB', '0 B', '12.0 KiB', '1', '0'],
        ['newcomer 10', '+4.0 KiB', '0 B', '4.0 KiB', '1', '0'],
        ['cameraserver 10', '-8.0 KiB', '8.0 KiB', '0 B', '0', '1'],
      ]);
      await page.click('By exporter');
      expect(page.rows().map((cells) => cells.slice(0, 2))).toEqual([
        ['system', '+8.0 KiB'],
        ['vgem', '-1.0 MiB'],
      ]);
    });
  });

  describe('a command', () => {
    test('goes to the largest holder', async () => {
      await trace.run('org.kernel.DmaBuf.GoToLargestHolder');
      const [{upid} = {}] = await db.query(
        `SELECT upid FROM process WHERE name = 'cameraserver'`,
      );
      expect(trace.scrolled).toEqual([
        {
          time: {start: stampOf(2), behavior: 'pan'},
          track: {uri: `/process_${upid}/dma_buf_buffers`, expandGroup: true},
        },
      ]);
    });

    test('goes to the peak', async () => {
      await trace.run('org.kernel.DmaBuf.GoToPeak');
      expect(trace.scrolled[0]?.time?.start).toBe(stampOf(1));
      expect(trace.timeline.hoverCursorTimestamp).toBe(stampOf(1));
      const uri = trace.scrolled[0]?.track?.uri ?? '';
      const node = trace.defaultWorkspace.tracks.getTrackByUri(uri);
      expect(node?.name).toBe('Total');
    });

    test('pins what matters, once', async () => {
      await trace.run('org.kernel.DmaBuf.PinTracks');
      await trace.run('org.kernel.DmaBuf.PinTracks');
      expect(trace.defaultWorkspace.pinned.map(({name}) => name)).toEqual([
        'DMA-BUF: Total',
        'DMA-BUF: Held by processes',
        'DMA-BUF: Kernel-only',
        'DMA-BUF: Mapped-only',
        'Process 1: dma-buf PSS',
        'Process 2: dma-buf PSS',
        'Process 3: dma-buf PSS',
      ]);
    });

    test.each([
      ['Explore', '#!/dmabuf/state'],
      ['ShowLeakCandidates', '#!/dmabuf/leaks'],
      ['CompareTwoTimes', '#!/dmabuf/compare'],
    ])('%s opens the explorer', async (name, hash) => {
      await trace.run(`org.kernel.DmaBuf.${name}`);
      expect(trace.navigated).toEqual([hash]);
    });
  });
});

/** Whether it is our track of those slices. */
function shows({renderer, tags}: Track, trackId: number): boolean {
  return (
    renderer instanceof SliceTrack && tags?.trackIds?.includes(trackId) === true
  );
}

/** A row of the tab: the count stands among texts. */
function row(name: string, buffers: number, ...cells: string[]): string[] {
  return [name, `${buffers}`, ...cells];
}
