// SPDX-License-Identifier: Apache-2.0
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import {create, toBinary} from '@bufbuild/protobuf';
import {BinaryWriter, WireType} from '@bufbuild/protobuf/wire';
import {describe, expect, test} from 'vitest';
import type {Snapshot} from '../../../src/core/model/index.js';
import {TraceSchema} from '../../../src/producer/trace/proto/perfetto/trace/trace_pb.js';
import {
  readRecording,
  TraceReadError,
  type Recording,
} from '../../../src/producer/trace/trace_reader.js';
import {
  CLOCK,
  everything,
  INTERVAL_NS,
  PROVENANCE,
  record,
  Scene,
  stampOf,
} from './scene.js';
import {temporaryFolder} from './temporary.js';

const folder = temporaryFolder();

async function readBack(...parts: Uint8Array[]): Promise<Recording> {
  const path = join(folder, 'trace.pftrace');
  await writeFile(path, Buffer.concat(parts));
  return readRecording(path);
}

describe('a recording read back', () => {
  test('tells where it came from, how long it ran and how it ended', async () => {
    const recording = await readBack(...record(everything()));
    expect(recording.provenance).toEqual(PROVENANCE);
    expect(recording.clock).toEqual(CLOCK);
    expect(recording.beginNs).toBe(stampOf(0));
    expect(recording.endNs).toBe(stampOf(5));
    expect(recording.ended).toBe('finished');
    expect(recording.warnings).toEqual([]);
  });

  test('tells what its samples say of themselves', async () => {
    const {samples} = await readBack(...record(everything()));
    expect(samples).toEqual({
      count: 6,
      fullScans: 1,
      missing: 0,
      longestGapNs: INTERVAL_NS,
      deviceCpuNs: 18_000_000n,
      bytes: 6000,
      kernelLists: ['bufinfo'],
      withoutKernelList: 0,
      mostUnreadable: 0,
      mostVanished: 0,
      mostInodeCollisions: 0,
      problems: new Map(),
      last: {
        sequence: 5,
        fullScan: false,
        kernelList: 'bufinfo',
        fileCounts: true,
        processesSeen: 3,
        processesScanned: 3,
        processesUnreadable: 0,
        processesVanished: 0,
        inodeCollisions: 0,
        kernelOnlyIsUpperBound: false,
        problems: [],
      },
    });
  });

  test('counts samples that were lost, and problems', async () => {
    const scene = new Scene();
    scene.sample();
    scene.kernelList = undefined;
    scene.problems = ['bufinfo: cut'];
    scene.sample();
    scene.sample();
    scene.sample();
    const [a, , c, d] = scene.snapshots as [
      Snapshot,
      Snapshot,
      Snapshot,
      Snapshot,
    ];
    const noCost = {...d, cost: {...d.cost, deviceCpuNs: undefined}};
    const {samples} = await readBack(...record([a, c, noCost]));
    expect(samples).toMatchObject({
      count: 3,
      missing: 1,
      withoutKernelList: 2,
      deviceCpuNs: 6_000_000n,
      longestGapNs: 2n * INTERVAL_NS - 10_000_000n + 10_000_000n,
      problems: new Map([['bufinfo: cut', 2]]),
    });
  });

  test('has first, peak and last of each counter', async () => {
    const {counters, processes} = await readBack(...record(everything()));
    expect(counters.get('Total')).toEqual({
      firstNs: stampOf(0),
      first: 1_056_768,
      peakNs: stampOf(1),
      peak: 1_069_056,
      lastNs: stampOf(5),
      last: 16_384,
    });
    expect(counters.get('Exporter: vgem')).toMatchObject({peak: 1_048_576});
    expect(processes.map(({name, pid}) => [name, pid])).toEqual([
      ['cameraserver', 10],
      ['surfaceflinger', 20],
      ['newcomer', 10],
    ]);
    const [camera, flinger] = processes;
    expect(camera?.rss).toMatchObject({first: 8192, peak: 20_480, last: 0});
    expect(flinger?.pss).toMatchObject({first: 4096, peak: 12_288});
  });

  test('has each life of a buffer and who held it', async () => {
    const {buffers} = await readBack(...record(everything()));
    const lives = buffers.map((buffer) => ({
      key: buffer.key,
      names: buffer.names,
      beginNs: buffer.beginNs,
      endNs: buffer.endNs,
      beganUnseen: buffer.beganUnseen,
      holders: buffer.holdings.map(({process, beginNs, endNs}) => [
        process.name,
        beginNs,
        endNs,
      ]),
    }));
    expect(lives).toEqual([
      {
        key: '1.0',
        names: ['old'],
        beginNs: stampOf(0),
        endNs: stampOf(4),
        beganUnseen: true,
        holders: [
          ['cameraserver', stampOf(0), stampOf(4)],
          ['surfaceflinger', stampOf(1), stampOf(2)],
        ],
      },
      {
        key: '9.0',
        names: [],
        beginNs: stampOf(0),
        endNs: stampOf(5),
        beganUnseen: true,
        holders: [],
      },
      {
        key: '2.0',
        names: ['preview'],
        beginNs: stampOf(1),
        endNs: undefined,
        beganUnseen: false,
        holders: [
          ['cameraserver', stampOf(1), stampOf(3)],
          ['surfaceflinger', stampOf(3), undefined],
        ],
      },
      {
        key: '1.1',
        names: [],
        beginNs: stampOf(4),
        endNs: undefined,
        beganUnseen: false,
        holders: [['newcomer', stampOf(4), undefined]],
      },
    ]);
    expect(buffers[0]?.holdings[0]).toMatchObject({
      fdRefs: 0,
      mapRefs: 1,
      mappedBytes: 8192n,
    });
    expect(buffers[2]).toMatchObject({sizeBytes: 12_288n, exporter: 'system'});
  });
});

describe('among packets of others', () => {
  /** A packet with a field of TracePacket that we know nothing of. */
  function foreign(sequenceId: number, size: number): Uint8Array {
    return new BinaryWriter()
      .tag(1, WireType.LengthDelimited)
      .fork()
      .tag(10, WireType.Varint)
      .uint32(sequenceId)
      .tag(1234, WireType.LengthDelimited)
      .bytes(new Uint8Array(size).fill(0xff))
      .join()
      .finish();
  }

  const otherTracks = toBinary(
    TraceSchema,
    create(TraceSchema, {
      packet: [
        {
          data: {
            case: 'trackDescriptor',
            value: {
              $typeName: 'perfetto.protos.TrackDescriptor',
              uuid: 5n,
              parentUuid: 0n,
              staticOrDynamicName: {case: 'name', value: 'Total'},
              description: '',
              childOrdering: 0,
              siblingOrderRank: 0,
              siblingMergeBehavior: 0,
              siblingMergeKeyField: {case: undefined},
            },
          },
        },
      ],
    }),
  );

  test('the recording is found, whatever lies around and between', async () => {
    const pieces = record(everything());
    const alone = await readBack(...pieces);
    const mixed = pieces.flatMap((piece) => [
      foreign(1, 10),
      otherTracks,
      piece,
      foreign(2, 3_000_000),
    ]);
    expect(await readBack(...mixed)).toEqual(alone);
  });

  test('a second recording is left out, and said so', async () => {
    const pieces = record(everything());
    const {samples, warnings} = await readBack(...pieces, ...pieces);
    expect(samples.count).toBe(6);
    expect(warnings).toEqual([
      'there is a second recording in it, which is left out',
    ]);
  });
});

describe('a recording read up to a time', () => {
  async function readUntil(untilNs: bigint): Promise<Recording> {
    const path = join(folder, 'until.pftrace');
    await writeFile(path, Buffer.concat(record(everything())));
    return readRecording(path, {untilNs});
  }

  test.each([
    [0n, 0],
    [INTERVAL_NS - 1n, 0],
    [INTERVAL_NS, 1],
    [4n * INTERVAL_NS + 7n, 4],
  ])('%d ns ends with sample %i', async (untilNs, last) => {
    const recording = await readUntil(untilNs);
    expect(recording.endNs).toBe(stampOf(last));
    expect(recording.samples.last?.sequence).toBe(last);
    expect(recording.hasMore).toBe(true);
    expect(recording.ended).toBeUndefined();
    expect(recording.warnings).toEqual([]);
  });

  test('leaves open what was there then', async () => {
    const {buffers, processes} = await readUntil(INTERVAL_NS);
    const open = buffers.filter(({endNs}) => endNs === undefined);
    expect(open.map(({inode}) => inode)).toEqual([1n, 9n, 2n]);
    // Its name came with the next sample.
    expect(open.find(({inode}) => inode === 2n)?.names).toEqual([]);
    const holders = processes.filter(({holdings}) => holdings.length > 0);
    expect(holders.map(({pid, startTicks}) => [pid, startTicks])).toEqual([
      [10, 100n],
      [20, 200n],
    ]);
  });

  test('is whole when the time is not before its end', async () => {
    const recording = await readUntil(5n * INTERVAL_NS);
    expect(recording.hasMore).toBe(false);
    expect(recording.ended).toBe('finished');
  });
});

describe('what is no recording is refused in one line', () => {
  test.each([
    ['nothing', new Uint8Array(), /it is empty/],
    ['text', Buffer.from('hello'), /does not begin with a trace packet/],
    ['a zip', Buffer.from('PK\x03\x04'), /a zip archive, unpack it first/],
    ['a gzip', gzipSync('x'), /compressed, gunzip it first/],
    ['a tar', tarHeader(), /a tar archive, unpack it first/],
    [
      "others' trace",
      Buffer.from([0x0a, 2, 0x50, 1]),
      /nothing recorded by perfetto-dmabuf/,
    ],
    ['only a header', record([])[0] as Uint8Array, /without a whole sample/],
  ])('%s', async (_what, content, message) => {
    const error = await readBack(content).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TraceReadError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });

  test('a file that is not there', async () => {
    await expect(readRecording(join(folder, 'absent'))).rejects.toThrow(
      /cannot read .*absent: there is no such file/,
    );
  });

  test('a folder', async () => {
    await expect(readRecording(folder)).rejects.toThrow(/it is a folder/);
  });
});

function tarHeader(): Buffer {
  const header = Buffer.alloc(512);
  header.write('name');
  header.write('ustar', 257);
  return header;
}
