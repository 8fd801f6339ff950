// SPDX-License-Identifier: Apache-2.0
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeAll, describe, expect, test} from 'vitest';
import {report, type Report} from '../../../src/producer/trace/report.js';
import {readRecording} from '../../../src/producer/trace/trace_reader.js';
import {INTERVAL_NS, record, Scene} from './scene.js';
import {temporaryFolder} from './temporary.js';

const folder = temporaryFolder();
const MIB = 1_048_576n;

async function reportOf(scene: Scene): Promise<Report> {
  const path = join(folder, 'trace.pftrace');
  await writeFile(path, Buffer.concat(record(scene.snapshots)));
  return report(await readRecording(path));
}

describe('a camera that leaks snapshots', () => {
  let result: Report;

  /**
   * Each sample: a preview frame comes and goes, a snapshot comes and stays.
   * One frame in the middle stays too, and one buffer only the kernel keeps.
   */
  beforeAll(async () => {
    const scene = new Scene();
    const named = (raw: string, sizeBytes: bigint) => ({
      name: {raw, doubtful: false},
      sizeBytes,
    });
    scene.start(1, {name: 'camera'});
    scene.start(2, {name: 'app'});
    scene.alloc(1n, {...named('static', 64n * MIB), exporter: 'cma'});
    scene.hold(2, 1n);
    scene.sample();
    for (let i = 0n; i < 12n; i++) {
      const frame = 100n + i;
      const snapshot = 200n + i;
      scene.alloc(frame, named('preview', 8n * MIB));
      scene.alloc(snapshot, named('snapshot', 4n * MIB));
      scene.hold(1, frame);
      scene.hold(1, snapshot);
      scene.hold(2, snapshot);
      if (i === 2n) {
        scene.alloc(300n, named('pinned', 2n * MIB));
        scene.hold(1, 300n);
      }
      scene.sample();
      if (i !== 3n) scene.free(frame);
      if (i === 2n) scene.release(1, 300n);
    }
    scene.sample();
    result = await reportOf(scene);
  });

  test('lasted from the first sample to the last', () => {
    expect(result.durationNs).toBe(13n * INTERVAL_NS);
  });

  test('names the holders by what they held at most', () => {
    expect(
      result.topHolders.map((row) => [row.process, row.rss?.last]),
    ).toEqual([
      ['app', Number(112n * MIB)],
      ['camera', Number(56n * MIB)],
    ]);
    expect(result.topHolders[0]).toMatchObject({
      pid: 2,
      pss: {last: Number(88n * MIB)},
      buffersAtEnd: 13,
    });
  });

  test('names the biggest buffers', () => {
    expect(result.biggestBuffers[0]).toMatchObject({
      inode: 1n,
      name: 'static',
      exporter: 'cma',
      sizeBytes: 64n * MIB,
      beganUnseen: true,
      holders: [{pid: 2, process: 'app'}],
    });
    expect(result.biggestBuffers[1]).toMatchObject({name: 'preview'});
  });

  test('shows growth by process, name and exporter', () => {
    expect(result.growthByProcess[0]).toEqual({
      key: 'camera (1)',
      firstBytes: 0n,
      lastBytes: 56n * MIB,
      firstBuffers: 0,
      lastBuffers: 13,
    });
    expect(
      result.growthByName.map((row) => [row.key, row.lastBytes / MIB]),
    ).toEqual([
      ['snapshot', 48n],
      ['preview', 8n],
      ['pinned', 2n],
      ['static', 64n],
    ]);
    expect(
      result.growthByExporter.map((row) => [row.key, row.firstBuffers]),
    ).toEqual([
      ['system', 0],
      ['cma', 1],
    ]);
  });

  test('suspects what accumulates, what outlives its kind and what only the kernel keeps', () => {
    expect(
      result.leakCandidates.map((leak) => [
        leak.reason,
        leak.name,
        leak.buffers,
        leak.bytes / MIB,
        leak.freed,
        leak.holders.map(({process}) => process),
      ]),
    ).toEqual([
      ['accumulating', 'snapshot', 12, 48n, 0, ['camera', 'app']],
      ['outlived', 'preview', 1, 8n, 11, ['camera']],
      ['kernel-only', 'pinned', 1, 2n, 0, []],
    ]);
    expect(result.leakCandidates[1]).toMatchObject({
      oldestNs: 9n * INTERVAL_NS,
      freedAfterNs: INTERVAL_NS,
    });
  });

  test('lists what was held at the end, biggest first', () => {
    expect(result.heldAtEnd).toHaveLength(15);
    expect(result.heldAtEnd.slice(0, 2)).toMatchObject([
      {name: 'static'},
      {name: 'preview', inode: 103n},
    ]);
    expect(result.heldAtEnd.at(-1)).toMatchObject({
      name: 'pinned',
      holders: [],
    });
  });

  test('has the sums of the kernel', () => {
    expect(result.total).toMatchObject({last: Number(122n * MIB)});
    expect(result.kernelOnly).toMatchObject({last: Number(2n * MIB)});
    expect(result.kernelOnlyIsUpperBound).toBe(false);
    expect([...result.exporters.keys()]).toEqual(['cma', 'system']);
  });
});

test('a steady recording has no leak candidate', async () => {
  const scene = new Scene();
  scene.start(1);
  for (let inode = 1n; inode <= 20n; inode++) scene.alloc(inode);
  for (let inode = 1n; inode <= 20n; inode++) scene.hold(1, inode);
  for (let i = 0; i < 10; i++) scene.sample();
  expect((await reportOf(scene)).leakCandidates).toEqual([]);
});

test('an unrooted recording: unknown stays undefined', async () => {
  const scene = new Scene();
  scene.kernelList = undefined;
  scene.start(1, {readState: 'unreadable', kernelRssBytes: 8192n});
  scene.sample();
  const result = await reportOf(scene);
  expect(result.total).toBeUndefined();
  expect(result.kernelOnly).toBeUndefined();
  expect(result.topHolders).toEqual([
    {
      pid: 1,
      process: 'process1',
      rss: expect.objectContaining({last: 8192}) as unknown,
      pss: undefined,
      buffersAtEnd: 0,
    },
  ]);
});
