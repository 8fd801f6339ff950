// SPDX-License-Identifier: Apache-2.0
import {fromBinary, getExtension, hasExtension} from '@bufbuild/protobuf';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import type {Snapshot} from '../../../src/core/model/index.js';
import {TraceSchema} from '../../../src/producer/trace/proto/perfetto/trace/trace_pb.js';
import {
  TracePacket_SequenceFlags,
  type TracePacket,
} from '../../../src/producer/trace/proto/perfetto/trace/trace_packet_pb.js';
import type {TrackDescriptor} from '../../../src/producer/trace/proto/perfetto/trace/track_event/track_descriptor_pb.js';
import {TrackEvent_Type} from '../../../src/producer/trace/proto/perfetto/trace/track_event/track_event_pb.js';
import {dma_buf_sample} from '../../../src/producer/trace/proto/perfetto_dmabuf/dma_buf_extension_pb.js';
import {story} from './story.js';
import {everything, PROVENANCE, record, Scene, stampOf} from './scene.js';

function decode(bytes: Uint8Array): TracePacket[] {
  return fromBinary(TraceSchema, bytes).packet;
}

function packetsOf(snapshots: readonly Snapshot[]): TracePacket[] {
  return decode(Buffer.concat(record(snapshots)));
}

function tracks(packets: readonly TracePacket[]): Map<bigint, TrackDescriptor> {
  const found = new Map<bigint, TrackDescriptor>();
  for (const {data} of packets) {
    if (data.case === 'trackDescriptor') found.set(data.value.uuid, data.value);
  }
  return found;
}

/** Values of all counters of a name, in order. */
function counts(packets: readonly TracePacket[], name: string): number[] {
  const byUuid = tracks(packets);
  return packets.flatMap(({data}) => {
    if (data.case !== 'trackEvent') return [];
    const {trackUuid, counterValueField} = data.value;
    const track = byUuid.get(trackUuid);
    if (track?.staticOrDynamicName.value !== name) return [];
    const {value} = counterValueField;
    return value === undefined ? [] : [Number(value)];
  });
}

describe('header', () => {
  const [header] = record([]) as [Uint8Array];
  const packets = decode(header);

  test('begins with the one clock snapshot', () => {
    const clocks = packets.filter(({data}) => data.case === 'clockSnapshot');
    expect(clocks).toEqual([packets[0]]);
  });

  test('embeds our extension alone', () => {
    const files = packets.flatMap(({data}) =>
      data.case === 'extensionDescriptor'
        ? (data.value.descriptor.value?.file ?? [])
        : [],
    );
    expect(files.map(({name}) => name)).toEqual([
      'perfetto_dmabuf/dma_buf_extension.proto',
    ]);
  });

  test('clears the sequence before anything refers to it', () => {
    const flags = packets.map((packet) => packet.sequenceFlags);
    expect(flags).toContain(
      TracePacket_SequenceFlags.SEQ_INCREMENTAL_STATE_CLEARED,
    );
    expect(flags).not.toContain(
      TracePacket_SequenceFlags.SEQ_NEEDS_INCREMENTAL_STATE,
    );
  });

  test('tells real from simulated in track, description and attributes', () => {
    const [simulated] = record([], {
      provenance: {...PROVENANCE, simulated: true, source: 'simulator'},
    }) as [Uint8Array];
    const roots = [header, simulated].map(
      (bytes) => [...tracks(decode(bytes)).values()][0],
    );
    expect(roots.map((root) => root?.staticOrDynamicName.value)).toEqual([
      'DMA-BUF',
      'DMA-BUF (simulated)',
    ]);
    expect(roots[1]?.description).toMatch(/^Simulated: /);
  });
});

describe('sample', () => {
  test('without change is small, and says no counter again', () => {
    const scene = new Scene();
    for (let pid = 1; pid <= 100; pid++) {
      scene.start(pid);
      for (let n = 0n; n < 10n; n++) {
        const inode = BigInt(pid) * 100n + n;
        scene.alloc(inode);
        scene.hold(pid, inode);
      }
    }
    scene.sample();
    scene.sample();
    const [, full, steady] = record(scene.snapshots) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const kinds = decode(steady).map(({data}) =>
      data.case === 'trackEvent' ? data.value.type : data.case,
    );
    expect(kinds).toEqual([
      TrackEvent_Type.SLICE_BEGIN,
      TrackEvent_Type.SLICE_END,
    ]);
    expect(steady.length).toBeLessThan(full.length / 1000);
  });

  test('reuses lanes, so that churn needs no new tracks', () => {
    const scene = new Scene();
    scene.start(1);
    for (let inode = 1n; inode <= 50n; inode++) {
      scene.alloc(inode);
      scene.hold(1, inode);
      if (inode > 3n) scene.free(inode - 3n);
      scene.sample();
    }
    const names = [...tracks(packetsOf(scene.snapshots)).values()].map(
      ({staticOrDynamicName}) => staticOrDynamicName.value,
    );
    expect(names.filter((name) => name === 'Buffers')).toHaveLength(3);
    expect(names.filter((name) => name === 'dma-buf buffers')).toHaveLength(3);
  });

  test('a process that never held anything has no track', () => {
    const scene = new Scene();
    scene.start(1);
    scene.start(2);
    scene.alloc(1n);
    scene.hold(2, 1n);
    scene.sample();
    const pids = [...tracks(packetsOf(scene.snapshots)).values()].flatMap(
      ({process}) => (process === undefined ? [] : [process.pid]),
    );
    expect(pids).toEqual([2]);
  });

  test('a process of which only the pid is known is called by it', () => {
    const scene = new Scene();
    scene.start(7, {name: ''});
    scene.alloc(1n);
    scene.hold(7, 1n);
    const snapshot = scene.sample();
    const seen = snapshot.processes.get(7);
    if (seen === undefined) throw new Error('no process 7');
    const process = {...seen.process, comm: undefined, startTicks: undefined};
    const nameless = {
      ...snapshot,
      processes: new Map([[7, {...seen, process}]]),
    };
    const names = [...tracks(packetsOf([nameless])).values()].flatMap(
      (track) => track.process?.processName ?? [],
    );
    expect(names).toEqual(['pid 7']);
  });

  test('keeps the fractions of PSS', () => {
    const scene = new Scene();
    scene.alloc(1n, {sizeBytes: 4096n});
    for (const pid of [1, 2, 3]) {
      scene.start(pid);
      scene.hold(pid, 1n);
    }
    scene.sample();
    const shares = counts(packetsOf(scene.snapshots), 'dma-buf PSS');
    expect(shares).toHaveLength(3);
    for (const share of shares) expect(share).toBeCloseTo(4096 / 3, 6);
  });

  test('counters fall to zero when a process lets go, and when it exits', () => {
    const scene = new Scene();
    scene.alloc(1n);
    scene.alloc(2n);
    scene.start(1);
    scene.start(2);
    scene.hold(1, 1n);
    scene.hold(2, 2n);
    scene.sample();
    scene.release(1, 1n);
    scene.exit(2);
    scene.sample();
    const packets = packetsOf(scene.snapshots);
    expect(counts(packets, 'dma-buf RSS').sort()).toEqual([0, 0, 4096, 4096]);
    expect(counts(packets, 'dma-buf PSS').sort()).toEqual([0, 0, 4096, 4096]);
  });

  test('stamps never run backwards, whatever the clock does', () => {
    const scene = new Scene();
    scene.alloc(1n);
    scene.sample();
    scene.sample();
    const [first, second] = scene.snapshots as [Snapshot, Snapshot];
    const late = {...second, startNs: first.startNs - 5n, endNs: 7n};
    const stamps = packetsOf([first, late]).flatMap((packet) =>
      packet.data.case === 'trackEvent' ? [packet.timestamp] : [],
    );
    expect(Math.min(...stamps.slice(-2).map(Number))).toBe(Number(stampOf(0)));
  });
});

describe('unknown is never zero', () => {
  test('no kernel list: no total, kernel-only, buffer count', () => {
    const scene = new Scene();
    scene.kernelList = undefined;
    scene.start(1);
    scene.alloc(1n);
    scene.hold(1, 1n);
    scene.sample();
    const packets = packetsOf(scene.snapshots);
    expect(counts(packets, 'Total')).toEqual([]);
    expect(counts(packets, 'Kernel-only')).toEqual([]);
    expect(counts(packets, 'Buffer count')).toEqual([]);
    expect(counts(packets, 'Held by processes')).toEqual([4096]);
  });

  test('unreadable processes: no zero for what is held', () => {
    const scene = new Scene();
    scene.kernelList = undefined;
    scene.start(1, {readState: 'unreadable', kernelRssBytes: 8192n});
    scene.start(2, {readState: 'unreadable'});
    scene.sample();
    const packets = packetsOf(scene.snapshots);
    expect(counts(packets, 'Held by processes')).toEqual([]);
    expect(counts(packets, 'Mapped-only')).toEqual([]);
    expect(counts(packets, 'dma-buf RSS')).toEqual([8192]);
    expect(counts(packets, 'dma-buf PSS')).toEqual([]);
  });

  test('what becomes unknown is named on the sample and keeps its value', () => {
    const scene = new Scene();
    scene.start(1);
    scene.alloc(1n);
    scene.hold(1, 1n);
    scene.sample();
    scene.kernelList = undefined;
    scene.process(1).readState = 'unreadable';
    scene.sample();
    const packets = packetsOf(scene.snapshots);
    expect(counts(packets, 'Total')).toEqual([4096]);
    expect(counts(packets, 'dma-buf RSS')).toEqual([4096]);
    expect(counts(packets, 'Exporter: system')).toEqual([4096]);
    const samples = packets.flatMap(({data}) =>
      data.case === 'trackEvent' && hasExtension(data.value, dma_buf_sample)
        ? [getExtension(data.value, dma_buf_sample)]
        : [],
    );
    expect(samples.map((sample) => [...sample.lostCounter].sort())).toEqual([
      [],
      [
        'Buffer count',
        'Exporter: system',
        'Kernel-only',
        'Total',
        'dma-buf PSS of pid 1',
        'dma-buf RSS of pid 1',
      ],
    ]);
  });

  test('kernel-only is an upper bound once a process could not be read', () => {
    const scene = new Scene();
    scene.start(1);
    scene.alloc(1n);
    scene.sample();
    scene.process(1).readState = 'unreadable';
    scene.sample();
    scene.process(1).readState = 'complete';
    scene.alloc(2n);
    scene.sample();
    const packets = packetsOf(scene.snapshots);
    expect(counts(packets, 'Kernel-only')).toEqual([4096]);
    expect(counts(packets, 'Kernel-only (upper bound)')).toEqual([4096, 8192]);
  });
});

test('ProcessStats are left out when asked', () => {
  const packets = decode(
    Buffer.concat(record(everything(), {dmabufRssInProcessStats: false})),
  );
  expect(packets.some(({data}) => data.case === 'processStats')).toBe(false);
  expect(
    packetsOf(everything()).some(({data}) => data.case === 'processStats'),
  ).toBe(true);
});

test('in any story, slices of a lane begin and end by turns', () => {
  fc.assert(
    fc.property(story, (snapshots) => {
      const packets = packetsOf(snapshots);
      const open = new Set<bigint>();
      let lastNs = 0n;
      for (const {data, timestamp} of packets) {
        if (data.case !== 'trackEvent') continue;
        const {type, trackUuid} = data.value;
        if (hasExtension(data.value, dma_buf_sample)) {
          expect(open.has(trackUuid)).toBe(false);
          open.add(trackUuid);
          continue;
        }
        expect(timestamp).toBeGreaterThanOrEqual(lastNs);
        lastNs = timestamp;
        if (type === TrackEvent_Type.SLICE_BEGIN) {
          expect(open.has(trackUuid)).toBe(false);
          open.add(trackUuid);
        } else if (type === TrackEvent_Type.SLICE_END) {
          expect(open.delete(trackUuid)).toBe(true);
        } else if (type === TrackEvent_Type.INSTANT) {
          expect(open.has(trackUuid)).toBe(true);
        }
      }
      const last = snapshots.at(-1);
      const held = [...(last?.processes.values() ?? [])].reduce(
        (sum, {holdings}) => sum + holdings.size,
        0,
      );
      expect(open.size).toBe(held + (last?.buffers.size ?? 0));
    }),
  );
});
