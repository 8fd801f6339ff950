// SPDX-License-Identifier: Apache-2.0
import {mkdtempSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {mergeTraces} from '../../../src/producer/archive/merge.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {
  everything,
  INTERVAL_NS,
  PROVENANCE,
  record,
  SECOND,
  stampOf,
  START_NS,
} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {
  BOOTED_AT,
  packet,
  SWITCHES_NS,
  systemTrace,
  type SystemScene,
} from './system_scene.js';

const isHere = await hasTraceProcessor();
const root = temporaryFolder();

interface Paths {
  readonly folder: string;
  readonly system: string;
  readonly ours: string;
  readonly output: string;
}

function files(
  scene: SystemScene = {},
  ours: Uint8Array = Buffer.concat(record(everything())),
): Paths {
  const folder = mkdtempSync(join(root, 'merge-'));
  const paths = {
    folder,
    system: join(folder, 'system.pftrace'),
    ours: join(folder, 'ours.pftrace'),
    output: join(folder, 'out.tar'),
  };
  writeFileSync(paths.system, systemTrace(scene));
  writeFileSync(paths.ours, ours);
  return paths;
}

const merge = ({system, ours, output}: Paths): ReturnType<typeof mergeTraces> =>
  mergeTraces(system, ours, output);

const SCHED = `SELECT ts FROM sched WHERE cpu = 0 ORDER BY ts`;
const SAMPLES = `
  SELECT ts + dur AS seen FROM slice WHERE category = 'dma_buf.sample'
  ORDER BY ts`;

describe.skipIf(!isHere)('a merged archive in the trace processor', () => {
  test.each<[string, SystemScene]>([
    ['plain', {}],
    ['compressed', {compressed: true}],
    // The wall clock was corrected in between; BOOTTIME was not.
    ['half a second off', {bootedAt: BOOTED_AT + SECOND / 2n}],
  ])('has both on one time line: %s', async (_what, scene) => {
    const paths = files(scene);
    await merge(paths);
    const db = await openTrace(readFileSync(paths.output));
    try {
      expect(await db.importErrors()).toEqual([]);
      const switches = await db.query(SCHED);
      expect(switches.map(({ts}) => BigInt(ts as number))).toEqual(SWITCHES_NS);
      const samples = await db.query(SAMPLES);
      expect(samples.length).toBeGreaterThan(2);
      expect(samples.map(({seen}) => BigInt(seen as number))).toEqual(
        samples.map((_, index) => stampOf(index)),
      );
      // Our first sample ends within the first time slice.
      expect(stampOf(0) - (SWITCHES_NS[0] ?? 0n)).toBeLessThan(INTERVAL_NS);
    } finally {
      db.close();
    }
  });

  test('our processes are those of the system trace', async () => {
    const paths = files({pids: [10, 20]});
    await merge(paths);
    const db = await openTrace(readFileSync(paths.output));
    try {
      const processes = await db.query(`
        SELECT p.pid, p.name, group_concat(t.name) AS counters
        FROM process p JOIN process_counter_track t USING (upid)
        WHERE t.name IN ('mem.rss', 'dma-buf RSS')
        GROUP BY upid ORDER BY upid`);
      expect(processes).toEqual([
        {pid: 10, name: 'system.name10', counters: 'mem.rss,dma-buf RSS'},
        {pid: 20, name: 'system.name20', counters: 'mem.rss,dma-buf RSS'},
        // Started under the pid of another while we recorded.
        {pid: 10, name: 'newcomer', counters: 'dma-buf RSS'},
      ]);
    } finally {
      db.close();
    }
  });

  test("the kernel's own dmabuf_rss stands alone", async () => {
    const both = files();
    const system = files({dmabufRss: true});
    expect((await merge(both)).rssLeftOut).toBe(false);
    expect((await merge(system)).rssLeftOut).toBe(true);
    const values = async (path: string): Promise<unknown[]> => {
      const db = await openTrace(readFileSync(path));
      try {
        expect(await db.importErrors()).toEqual([]);
        const rows = await db.query(`
          SELECT DISTINCT value FROM counter JOIN process_counter_track t
            ON track_id = t.id WHERE t.name = 'mem.dmabuf_rss'`);
        return rows.map(({value}) => value);
      } finally {
        db.close();
      }
    };
    expect(await values(both.output)).not.toContain(512 * 1024);
    expect(await values(system.output)).toEqual([512 * 1024]);
  });
});

describe('how far the clocks disagree', () => {
  test.each([
    [0n, 0n],
    [300_000n, 300_000n],
    [-4n * SECOND, 4n * SECOND],
  ])('by %s', async (shift, differ) => {
    const merged = await merge(files({bootedAt: BOOTED_AT + shift}));
    expect(merged).toEqual({
      clocksDifferNs: differ,
      sameBootId: false,
      apartNs: undefined,
      rssLeftOut: false,
      damaged: [],
    });
  });

  test('traces that do not overlap', async () => {
    const merged = await merge(files({firstNs: START_NS + 3600n * SECOND}));
    expect(merged.apartNs).toBeGreaterThan(3590n * SECOND);
  });
});

describe('what is refused', () => {
  const otherKernel = Buffer.concat(
    record(everything(), {
      provenance: {...PROVENANCE, buildFingerprint: 'a/b/c:15'},
    }),
  );
  const simulated = Buffer.concat(
    record(everything(), {provenance: {...PROVENANCE, simulated: true}}),
  );

  test.each<[string, SystemScene, Uint8Array | undefined, RegExp]>([
    [
      'another boot, by the clocks',
      {bootedAt: BOOTED_AT - 60n * SECOND},
      undefined,
      /are of different boots \(the device booted at 2023-11-14T21:55:40\.000Z and at 2023-11-14T21:56:40\.000Z\), or its wall clock was set/,
    ],
    [
      'another kernel',
      {kernelRelease: '5.10.9'},
      undefined,
      /are of different boots \(kernel 5\.10\.9 and 6\.1\.0-test\)/,
    ],
    [
      'another build',
      {fingerprint: 'a/b/c:14\x1b[31m'},
      otherKernel,
      /are of different boots \(build a\/b\/c:14 \[31m and a\/b\/c:15\)/,
    ],
    ['no clocks', {clocks: false}, undefined, /has no reading of BOOTTIME/],
    ['a simulation', {}, simulated, /ours\.pftrace is simulated/],
    [
      'two system traces',
      {},
      systemTrace(),
      /ours\.pftrace holds nothing recorded by perfetto-dmabuf/,
    ],
    [
      'a text',
      {},
      Buffer.from('hello'),
      /ours\.pftrace is no Perfetto trace: it does not begin/,
    ],
  ])('%s', async (_what, scene, ours, message) => {
    const paths = files(scene, ours);
    await expect(merge(paths)).rejects.toThrow(message);
    expect(readdirSync(paths.folder).sort()).toEqual([
      'ours.pftrace',
      'system.pftrace',
    ]);
  });

  test('the two in the wrong order, or one twice', async () => {
    const {system, ours, output} = files();
    await expect(mergeTraces(ours, system, output)).rejects.toThrow(
      /ours\.pftrace is the recording of perfetto-dmabuf: give the system/,
    );
    await expect(mergeTraces(ours, ours, output)).rejects.toThrow(
      /are the same file/,
    );
  });

  test('an output that would overwrite its input', async () => {
    const {system, ours} = files();
    const before = readFileSync(system);
    await expect(mergeTraces(system, ours, system)).rejects.toThrow(
      /is one of the traces to merge: choose another/,
    );
    expect(readFileSync(system).equals(before)).toBe(true);
  });
});

describe('what is damaged', () => {
  test('a cut trace is in as it is, and told', async () => {
    const paths = files();
    const whole = readFileSync(paths.system);
    writeFileSync(paths.system, whole.subarray(0, whole.length - 3));
    expect((await merge(paths)).damaged).toEqual([paths.system]);
  });

  test('compressed packets that are none', async () => {
    const paths = files();
    const bad = packet([50, Buffer.from('no zlib')]);
    writeFileSync(paths.system, Buffer.concat([systemTrace(), bad]));
    expect((await merge(paths)).damaged).toEqual([paths.system]);
  });
});
