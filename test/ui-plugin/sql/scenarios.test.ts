// SPDX-License-Identifier: Apache-2.0
// The SQL package on recordings of simulated phones, against what the simulated
// kernel really had.
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {SCENARIOS, type Leak} from '../../../src/core/kernel/index.js';
import {
  hasTraceProcessor,
  type Row,
  type TraceDb,
} from '../../trace_processor/index.js';
import {openWithPackage} from './dmabuf_db.js';
import {
  playScenario,
  type Moment,
  type PlayedScenario,
} from './played_scenario.js';

const isHere = await hasTraceProcessor();

/** So late in a recording a leak has not had the time to show. */
const SETTLING_NS = 6_000_000_000n;

const KINDS: Readonly<Record<string, readonly string[]>> = {
  'camera-preview': ['last_holder'],
  'video-playback': ['outlived', 'outlived', 'outlived'],
  'game-120hz': [],
  'app-switching': ['growth'],
  'surfaceflinger-leak': ['last_holder'],
  'kernel-growth': ['kernel_only'],
  'mapped-growth': ['growth'],
  'fd-leak': ['growth'],
  'process-storm': [],
};

const CASES = SCENARIOS.flatMap(({name, seed}) => [
  {name, seed, scale: 1},
  {name, seed: 31_337, scale: 2},
]);

describe.skipIf(!isHere).each(CASES)(
  '$name, seed $seed, scale $scale',
  ({name, seed, scale}) => {
    let played: PlayedScenario;
    let db: TraceDb;
    beforeAll(async () => {
      played = await playScenario({scenario: name, seed, scale});
      db = await openWithPackage(played.trace);
    });
    afterAll(() => db.close());

    /** Full scans, where the recording knows all: some, and the last. */
    const momentsToCheck = (): Moment[] => {
      const full = played.moments.filter(({isFullScan}) => isFullScan);
      expect(full.length).toBeGreaterThanOrEqual(2);
      return full;
    };

    test('loads without an error of any severity', async () => {
      expect(await db.importErrors()).toEqual([]);
    });

    test('says that it is simulated', async () => {
      expect(
        await db.query(`
          SELECT has_recording, is_simulated, source, device, ended, samples
          FROM dmabuf_trace_info`),
      ).toEqual([
        {
          has_recording: 1,
          is_simulated: 1,
          source: 'simulator',
          device: name,
          ended: 'finished',
          samples: played.moments.length,
        },
      ]);
    });

    test('has the holders that there were', async () => {
      for (const {ts, holdings} of momentsToCheck()) {
        const rows = await db.query(`
          SELECT pid, inode FROM dmabuf_holdings_at(${ts})`);
        expect(rows.map(toKey).sort()).toEqual(holdings.map(toKey).sort());
      }
    });

    test('has the buffers that there were', async () => {
      for (const {ts, buffers} of momentsToCheck()) {
        const rows = await db.query(`
          SELECT inode, size, exporter, holders, is_kernel_only
          FROM dmabuf_buffers_at(${ts}) ORDER BY inode`);
        expect(rows).toEqual(
          buffers
            .map(({inode, size, exporter, holders}) => ({
              inode: Number(inode),
              size: Number(size),
              exporter,
              holders,
              is_kernel_only: Number(holders === 0),
            }))
            .sort((a, b) => a.inode - b.inode),
        );
      }
    });

    test('has the names that buffers had at the end', async () => {
      const last = played.moments.at(-1);
      const rows = await db.query(`
        SELECT inode, name FROM dmabuf_buffer WHERE is_open ORDER BY inode`);
      expect(rows).toEqual(
        last?.buffers
          .map(({inode, name: given}) => ({inode: Number(inode), name: given}))
          .sort((a, b) => a.inode - b.inode),
      );
    });

    test('shares each buffer among its holders, to the byte', async () => {
      for (const {ts, buffers, holdings} of momentsToCheck()) {
        const held = buffers.filter(({holders}) => holders > 0);
        const total = held.reduce((sum, {size}) => sum + size, 0n);
        const processes = await db.query(`
          SELECT pid, rss, pss FROM dmabuf_processes_at(${ts}) ORDER BY pid`);
        expect(sum(processes, 'pss')).toBeCloseTo(Number(total), 3);
        const [shares] = await db.query(`
          SELECT TOTAL(pss) AS pss, COUNT() AS n FROM dmabuf_holding_share
          WHERE ts <= ${ts} AND (end_ts > ${ts} OR is_open)`);
        expect(shares?.['pss']).toBeCloseTo(Number(total), 3);
        expect(shares?.['n']).toBe(holdings.length);
        const sizes = new Map(buffers.map((each) => [each.inode, each]));
        const expected = new Map<number, {rss: bigint; pss: number}>();
        for (const {pid, inode} of holdings) {
          const {size = 0n, holders = 1} = sizes.get(inode) ?? {};
          const {rss, pss} = expected.get(pid) ?? {rss: 0n, pss: 0};
          expected.set(pid, {
            rss: rss + size,
            pss: pss + Number(size) / holders,
          });
        }
        expect(processes.map(({pid}) => pid)).toEqual(
          [...expected.keys()].sort((a, b) => a - b),
        );
        for (const {pid, rss, pss} of processes) {
          const of = expected.get(Number(pid));
          expect(rss).toBe(Number(of?.rss));
          expect(pss).toBeCloseTo(of?.pss ?? NaN, 3);
        }
      }
    });

    test('agrees with its own counters at each sample', async () => {
      const counters = await db.query(`
        SELECT c.ts, g.kind, c.value FROM dmabuf_global_counter AS g
        JOIN counter AS c USING (track_id)
        WHERE g.kind IN ('total', 'held', 'kernel_only')`);
      expect(counters.length).toBeGreaterThan(10);
      // One query for all: the state of each sample by its buffers.
      const rows = await db.query(`
        SELECT
          s.ts + s.dur AS ts,
          SUM(b.size) AS total,
          SUM(IIF(i.holders > 0, b.size, 0)) AS held,
          SUM(IIF(i.holders = 0, b.size, 0)) AS kernel_only
        FROM dmabuf_sample AS s
        JOIN dmabuf_holder_interval AS i
          ON i.ts <= s.ts + s.dur
        JOIN dmabuf_buffer AS b ON b.id = i.buffer_id
        WHERE i.end_ts > s.ts + s.dur OR i.is_open
        GROUP BY s.id`);
      const states = new Map(rows.map((row) => [row['ts'], row]));
      for (const {ts, kind, value} of counters) {
        expect(states.get(ts)?.[String(kind)], `${kind} at ${ts}`).toBe(value);
      }
    });

    test('tells apart what was lost and gained', async () => {
      const [first, second] = [played.moments[8], played.moments.at(-1)];
      if (first === undefined || second === undefined) throw new Error('short');
      const one = await db.query(`
        SELECT pid, inode FROM dmabuf_holdings_at(${first.ts})`);
      const two = await db.query(`
        SELECT pid, inode FROM dmabuf_holdings_at(${second.ts})`);
      const [before, after] = [one, two].map(
        (rows) => new Set(rows.map(toKey)),
      ) as [Set<string>, Set<string>];
      const rows = await db.query(`
        SELECT * FROM
          dmabuf_difference(${first.ts}, ${second.ts}, 'holding')`);
      const keysOf = (column: string): string[] =>
        rows.filter((row) => row[column] === 1).map(toKey);
      expect(keysOf('gained').sort()).toEqual(
        [...after].filter((key) => !before.has(key)).sort(),
      );
      expect(keysOf('lost').sort()).toEqual(
        [...before].filter((key) => !after.has(key)).sort(),
      );
      expect(new Set(keysOf('buffers1'))).toEqual(before);
      expect(new Set(keysOf('buffers2'))).toEqual(after);
      for (const by of ['name', 'exporter', 'buffer', 'total']) {
        const [sums] = await db.query(`
          SELECT SUM(bytes1) AS b1, SUM(bytes2) AS b2, SUM(change_bytes) AS c
          FROM dmabuf_difference(${first.ts}, ${second.ts}, '${by}')`);
        const t1 = Number(first.accounting.total?.bytes);
        const t2 = Number(second.accounting.total?.bytes);
        expect(sums).toEqual({b1: t1, b2: t2, c: t2 - t1});
      }
    });

    test('tells the peak of a span as the counters do', async () => {
      const {moments} = played;
      const [first, last] = [moments[10], moments[40]];
      if (first === undefined || last === undefined) throw new Error('short');
      const span = `${first.ts}, ${last.ts - first.ts}`;
      const inside = moments.slice(10, 41).map(({accounting}) => accounting);
      const totals = inside.map(({total}) => Number(total?.bytes));
      expect(
        await db.query(`
          SELECT start_bytes, end_bytes, peak_bytes, change_bytes
          FROM dmabuf_held_in(${span}, 'total')`),
      ).toEqual([
        {
          start_bytes: totals[0],
          end_bytes: totals.at(-1),
          peak_bytes: Math.max(...totals),
          change_bytes: (totals.at(-1) ?? 0) - (totals[0] ?? 0),
        },
      ]);
      const rows = await db.query(`
        SELECT pid, start_bytes, end_bytes, peak_bytes, start_pss, end_pss
        FROM dmabuf_held_in(${span}, 'process')`);
      expect(rows.length).toBeGreaterThan(3);
      for (const row of rows) {
        const pid = Number(row['pid']);
        const rss = inside.map((each) =>
          Number(each.processes.get(pid)?.rssBytes ?? 0n),
        );
        const pss = inside.map((each) => each.processes.get(pid)?.pssBytes);
        expect(row['start_bytes']).toBe(rss[0]);
        expect(row['end_bytes']).toBe(rss.at(-1));
        expect(row['peak_bytes']).toBe(Math.max(...rss));
        expect(row['start_pss']).toBeCloseTo(pss[0] ?? 0, 3);
        expect(row['end_pss']).toBeCloseTo(pss.at(-1) ?? 0, 3);
      }
    });

    test('blames what leaks, with its kind and holder, and no more', async () => {
      const {leaks} = played.truth;
      const candidates = await db.query('SELECT * FROM dmabuf_leak_candidate');
      expect(candidates.map((row) => row['kind'])).toEqual(KINDS[name]);
      expect(candidates.map((row) => row['name']).sort()).toEqual(
        leaks.map(({bufferName}) => bufferName).sort(),
      );
      for (const leak of leaks) {
        const candidate = candidates.find(
          (row) =>
            row['name'] === leak.bufferName &&
            row['exporter'] === leak.exporter,
        );
        expect(candidate?.['pid']).toBe(leak.holders[0]?.pid);
        expect(candidate?.['process_name']).toBe(leak.holders[0]?.name);
        await checkBuffers(leak, candidate);
      }
    });

    const checkBuffers = async (
      leak: Leak,
      candidate: Row | undefined,
    ): Promise<void> => {
      const rows = await db.query(`
        SELECT b.inode, b.size, h.pid, l.let_go_ts
        FROM dmabuf_leak_buffer AS l
        JOIN dmabuf_buffer AS b ON b.id = l.buffer_id
        LEFT JOIN dmabuf_holding AS h ON h.id = l.holding_id
        WHERE l.candidate_id = ${candidate?.['id']}`);
      expect(rows.length).toBe(candidate?.['buffers']);
      expect(sum(rows, 'size')).toBe(candidate?.['bytes']);
      const found = new Set(rows.map(({inode}) => inode));
      const settled = leak.buffers.filter(
        ({leakedAtNs}) => leakedAtNs < played.endNs - SETTLING_NS,
      );
      expect(settled.length).toBeGreaterThan(0);
      for (const {inode} of settled) expect(found).toContain(Number(inode));
      // The buffers in use at the end look the same, and are few.
      expect(rows.length).toBeLessThanOrEqual(leak.buffers.length + 5);
      for (const {pid} of rows) expect(pid).toBe(leak.holders[0]?.pid);
    };
  },
);

function toKey(row: {
  readonly pid?: unknown;
  readonly inode?: unknown;
}): string {
  return `${String(row.pid)} ${String(row.inode)}`;
}

function sum(rows: readonly Row[], column: string): number {
  return rows.reduce((total, row) => total + Number(row[column] ?? 0), 0);
}
