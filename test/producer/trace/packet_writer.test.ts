// SPDX-License-Identifier: Apache-2.0
import {
  create,
  createRegistry,
  equals,
  fromBinary,
  setExtension,
} from '@bufbuild/protobuf';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  dmaBufFields,
  onTrack,
  PacketWriter,
  sliceFields,
  type DmaBufFields,
  type DmaBufSampleFields,
  type SliceFacts,
} from '../../../src/producer/trace/packet_writer.js';
import {TraceSchema} from '../../../src/producer/trace/proto/perfetto/trace/trace_pb.js';
import {
  TracePacketSchema,
  type TracePacket,
} from '../../../src/producer/trace/proto/perfetto/trace/trace_packet_pb.js';
import {TrackDescriptor_SiblingMergeBehavior} from '../../../src/producer/trace/proto/perfetto/trace/track_event/track_descriptor_pb.js';
import {
  TrackEvent_Type,
  TrackEventSchema,
} from '../../../src/producer/trace/proto/perfetto/trace/track_event/track_event_pb.js';
import {
  dma_buf,
  dma_buf_sample,
  DmaBufEventSchema,
  DmaBufSampleSchema,
} from '../../../src/producer/trace/proto/perfetto_dmabuf/dma_buf_extension_pb.js';

const STAMP_NS = 123_456_789_012_345n;
const UUID = 0xfedcba9876543210n;
const MAX_UINT64 = 2n ** 64n - 1n;

/** Every length of varint, with the numbers around each step. */
const uint64 = fc.oneof(
  fc.bigInt({min: 0n, max: MAX_UINT64}),
  fc
    .tuple(fc.integer({min: 0, max: 63}), fc.integer({min: -1, max: 1}))
    .map(([bit, step]) => {
      const value = (1n << BigInt(bit)) + BigInt(step);
      return value > 0n ? value : 0n;
    }),
);
const uint32 = fc.nat({max: 0xffffffff});
const text = fc.string({unit: 'binary', maxLength: 100});

const dmaBufArbitrary: fc.Arbitrary<DmaBufFields> = fc.record(
  {
    inode: uint64,
    size: uint64,
    name: text,
    exporter: text,
    pid: fc.integer({min: -(2 ** 31), max: 2 ** 31 - 1}),
    fdRefs: uint32,
    mapRefs: uint32,
    mappedBytes: uint64,
    kernelRefs: uint64,
    holders: uint32,
    generation: uint32,
    nameDoubtful: fc.boolean(),
    simulated: fc.boolean(),
    nameRaw: fc.uint8Array({maxLength: 32}),
    beganUnseen: fc.boolean(),
    endedUnseen: fc.boolean(),
  },
  {requiredKeys: []},
);

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, {nil: undefined});

const factsArbitrary: fc.Arbitrary<SliceFacts> = fc.record({
  pid: maybe(fc.integer({min: -(2 ** 31), max: 2 ** 31 - 1})),
  fdRefs: maybe(uint32),
  mapRefs: maybe(uint32),
  mappedBytes: maybe(uint64),
  kernelRefs: maybe(uint64),
  holders: maybe(uint32),
  beganUnseen: maybe(fc.constant(true as const)),
});

const sampleArbitrary: fc.Arbitrary<DmaBufSampleFields> = fc.record(
  {
    sequence: fc.maxSafeNat(),
    fullScan: fc.boolean(),
    deviceCpuNs: uint64,
    wallNs: uint64,
    bytes: fc.maxSafeNat(),
    processesSeen: uint32,
    processesScanned: uint32,
    processesUnreadable: uint32,
    processesVanished: uint32,
    kernelList: text,
    fileCounts: fc.boolean(),
    inodeCollisions: uint32,
    kernelOnlyIsUpperBound: fc.boolean(),
    unknownSizes: uint32,
    lostCounter: fc.array(text, {maxLength: 3}),
    countersLost: uint32,
    problem: fc.array(text, {maxLength: 3}),
  },
  {requiredKeys: []},
);

function newWriter(): PacketWriter {
  const writer = new PacketWriter(7);
  writer.stamp(STAMP_NS);
  return writer;
}

function onlyPacket(writer: PacketWriter): TracePacket {
  const {packet} = fromBinary(TraceSchema, writer.take());
  expect(packet).toHaveLength(1);
  return packet[0] as TracePacket;
}

/** A packet as the generated types make it. */
function packetOf(
  data: TracePacket['data'],
  names: {iid: bigint; name: string}[] = [],
): TracePacket {
  return create(TracePacketSchema, {
    timestamp: STAMP_NS,
    optionalTrustedPacketSequenceId: {
      case: 'trustedPacketSequenceId',
      value: 7,
    },
    sequenceFlags: 2,
    ...(names.length === 0 ? {} : {internedData: {eventNames: names}}),
    data,
  });
}

const registry = createRegistry(dma_buf, dma_buf_sample);

function expectSame(actual: TracePacket, expected: TracePacket): void {
  const isSame = equals(TracePacketSchema, actual, expected, {
    registry,
    extensions: true,
    unknown: true,
  });
  // The comparison of the matcher is for its message only.
  if (!isSame) expect(actual).toEqual(expected);
  expect(isSame).toBe(true);
}

describe('packets written straight to the wire decode as the generated types', () => {
  test('counter', () => {
    const value = fc.oneof(
      fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n}),
      uint64.map((v) => BigInt.asIntN(64, v)),
      fc.maxSafeInteger(),
      fc.double({noNaN: true}),
    );
    fc.assert(
      fc.property(value, (counted) => {
        const writer = newWriter();
        writer.counter(onTrack(UUID), counted);
        const isWhole =
          typeof counted === 'bigint' || Number.isSafeInteger(counted);
        const event = create(TrackEventSchema, {
          type: TrackEvent_Type.COUNTER,
          trackUuid: UUID,
          counterValueField: isWhole
            ? {case: 'counterValue', value: BigInt(counted)}
            : {case: 'doubleCounterValue', value: Number(counted)},
        });
        expectSame(
          onlyPacket(writer),
          packetOf({case: 'trackEvent', value: event}),
        );
      }),
    );
  });

  test('slice begin and instant with the dma_buf extension', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('begin' as const, 'instant' as const),
        dmaBufArbitrary,
        factsArbitrary,
        fc.record(
          {name: text, correlationId: text, flowId: uint64},
          {requiredKeys: []},
        ),
        fc.option(text, {nil: undefined}),
        (type, bufferFields, facts, slice, newName) => {
          const writer = newWriter();
          const on = onTrack(UUID);
          const said = sliceFields({categoryIid: 3, ...slice});
          const buffer = dmaBufFields(bufferFields);
          const interned =
            newName === undefined ? undefined : {iid: 99, name: newName};
          if (type === 'begin') {
            writer.begin(on, said, buffer, facts, interned);
          } else {
            writer.instant(on, said, buffer, facts.pid, interned);
          }
          const event = create(TrackEventSchema, {
            type:
              type === 'instant'
                ? TrackEvent_Type.INSTANT
                : TrackEvent_Type.SLICE_BEGIN,
            trackUuid: UUID,
            categoryIids: [3n],
            flowIds: slice.flowId === undefined ? [] : [slice.flowId],
          });
          if (slice.name !== undefined) {
            event.nameField = {case: 'name', value: slice.name};
          }
          if (slice.correlationId !== undefined) {
            event.correlationIdField = {
              case: 'correlationIdStr',
              value: slice.correlationId,
            };
          }
          setExtension(
            event,
            dma_buf,
            create(DmaBufEventSchema, {
              ...defined(bufferFields),
              ...defined(type === 'begin' ? facts : {pid: facts.pid}),
            }),
          );
          expectSame(
            onlyPacket(writer),
            packetOf(
              {case: 'trackEvent', value: event},
              newName === undefined ? [] : [{iid: 99n, name: newName}],
            ),
          );
        },
      ),
    );
  });

  test('slice end, with and without what changed', () => {
    fc.assert(
      fc.property(fc.option(dmaBufArbitrary), (changed) => {
        const writer = newWriter();
        writer.end(onTrack(UUID), changed ?? undefined);
        const event = create(TrackEventSchema, {
          type: TrackEvent_Type.SLICE_END,
          trackUuid: UUID,
        });
        if (changed) {
          const fields = create(DmaBufEventSchema, defined(changed));
          setExtension(event, dma_buf, fields);
        }
        expectSame(
          onlyPacket(writer),
          packetOf({case: 'trackEvent', value: event}),
        );
      }),
    );
  });

  test('sample begin', () => {
    fc.assert(
      fc.property(sampleArbitrary, (fields) => {
        const writer = newWriter();
        writer.sampleBegin(
          onTrack(UUID),
          sliceFields({categoryIid: 1, nameIid: 300}),
          fields,
        );
        const {sequence, bytes, lostCounter, problem, ...rest} =
          defined(fields);
        const event = create(TrackEventSchema, {
          type: TrackEvent_Type.SLICE_BEGIN,
          trackUuid: UUID,
          categoryIids: [1n],
          nameField: {case: 'nameIid', value: 300n},
        });
        setExtension(
          event,
          dma_buf_sample,
          create(DmaBufSampleSchema, {
            ...rest,
            ...(sequence === undefined ? {} : {sequence: BigInt(sequence)}),
            ...(bytes === undefined ? {} : {bytes: BigInt(bytes)}),
            lostCounter: [...(lostCounter ?? [])],
            problem: [...(problem ?? [])],
          }),
        );
        expectSame(
          onlyPacket(writer),
          packetOf({case: 'trackEvent', value: event}),
        );
      }),
    );
  });

  test('lane descriptor', () => {
    fc.assert(
      fc.property(text, fc.option(fc.nat()), (name, rank) => {
        const writer = newWriter();
        writer.lane({
          uuid: UUID,
          parentUuid: 5n,
          name,
          rank: rank ?? undefined,
        });
        const packet = onlyPacket(writer);
        expect(packet.data).toMatchObject({
          case: 'trackDescriptor',
          value: {
            uuid: UUID,
            parentUuid: 5n,
            staticOrDynamicName: {case: 'name', value: name},
            siblingOrderRank: rank ?? 0,
            siblingMergeBehavior:
              TrackDescriptor_SiblingMergeBehavior.BY_SIBLING_MERGE_KEY,
            siblingMergeKeyField: {case: 'siblingMergeKey', value: name},
          },
        });
      }),
    );
  });

  test('process stats, in whole kB', () => {
    const writer = newWriter();
    writer.processStats([
      {pid: 1, rssBytes: 0n},
      {pid: 2 ** 31 - 1, rssBytes: 2n ** 63n + 1023n},
    ]);
    expect(onlyPacket(writer).data).toMatchObject({
      case: 'processStats',
      value: {
        processes: [
          {pid: 1, dmabufRssKb: 0n},
          {pid: 2 ** 31 - 1, dmabufRssKb: 2n ** 53n},
        ],
      },
    });
  });

  test('no process stats for no process', () => {
    const writer = newWriter();
    writer.processStats([]);
    expect(writer.take()).toHaveLength(0);
  });
});

/** Without the keys that are undefined. */
function defined<T extends object>(
  fields: T,
): {
  [K in keyof T]: Exclude<T[K], undefined>;
} {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as {[K in keyof T]: Exclude<T[K], undefined>};
}
