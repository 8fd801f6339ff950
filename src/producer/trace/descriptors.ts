// SPDX-License-Identifier: Apache-2.0
// Packets that are written once or seldom, by the generated types.
import {create, toBinary, type MessageInitShape} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';
import type {Provenance} from '../../core/model/index.js';
import {BuiltinClock} from './proto/perfetto/common/builtin_clock_pb.js';
import {TraceAttributesSchema} from './proto/perfetto/common/trace_attributes_pb.js';
import {ClockSnapshotSchema} from './proto/perfetto/trace/clock_snapshot_pb.js';
import {ExtensionDescriptorSchema} from './proto/perfetto/trace/extension_descriptor_pb.js';
import {InternedDataSchema} from './proto/perfetto/trace/interned_data/interned_data_pb.js';
import {TraceSchema} from './proto/perfetto/trace/trace_pb.js';
import type {TracePacketSchema} from './proto/perfetto/trace/trace_packet_pb.js';
import {TracePacket_SequenceFlags} from './proto/perfetto/trace/trace_packet_pb.js';
import {
  CounterDescriptor_Unit,
  CounterDescriptorSchema,
} from './proto/perfetto/trace/track_event/counter_descriptor_pb.js';
import {ProcessDescriptorSchema} from './proto/perfetto/trace/track_event/process_descriptor_pb.js';
import {
  TrackDescriptor_ChildTracksOrdering,
  TrackDescriptor_SiblingMergeBehavior,
  TrackDescriptorSchema,
} from './proto/perfetto/trace/track_event/track_descriptor_pb.js';
import {file_perfetto_dmabuf_dma_buf_extension} from './proto/perfetto_dmabuf/dma_buf_extension_pb.js';
import {
  attribute,
  category,
  eventName,
  SCHEMA_VERSION,
  SEQUENCE_ID,
  trackName,
  trackRank,
  trackUuid,
} from './schema.js';

type PacketInit = MessageInitShape<typeof TracePacketSchema>;
type DescriptorInit = MessageInitShape<typeof TrackDescriptorSchema>;

/** The device's clocks, read at one moment, ns. */
export interface ClockReading {
  /** CLOCK_BOOTTIME */
  readonly bootNs: bigint;
  /** CLOCK_REALTIME, since 1970 */
  readonly realNs: bigint;
}

export interface CounterTrack {
  readonly uuid: bigint;
  readonly parentUuid: bigint;
  readonly name: string;
  readonly unit: 'bytes' | 'count';
  readonly rank?: number | undefined;
  readonly description?: string | undefined;
  /** Counters of one parent with one key have one scale. */
  readonly shareKey?: string | undefined;
}

export interface ProcessTrack {
  readonly uuid: bigint;
  readonly pid: number;
  readonly name: string;
  /** BOOTTIME ns */
  readonly startNs: bigint | undefined;
  readonly simulated: boolean;
  /** BOOTTIME ns from which on the pid means this process. */
  readonly timestampNs: bigint;
}

/** One packet, framed so that it can be appended to a trace. */
export function framedPacket(packet: PacketInit): Uint8Array {
  return toBinary(
    TraceSchema,
    create(TraceSchema, {
      packet: [
        {
          optionalTrustedPacketSequenceId: {
            case: 'trustedPacketSequenceId',
            value: SEQUENCE_ID,
          },
          ...packet,
        },
      ],
    }),
  );
}

/**
 * The first packet of a file: the trace processor ties the clocks of several
 * files by it, and complains when it comes after others.
 */
export function clockSnapshotPacket(clock: ClockReading): Uint8Array {
  const value = create(ClockSnapshotSchema, {
    clocks: [
      {clockId: BuiltinClock.BOOTTIME, timestamp: clock.bootNs},
      {clockId: BuiltinClock.REALTIME, timestamp: clock.realNs},
    ],
    primaryTraceClock: BuiltinClock.BOOTTIME,
  });
  return framedPacket({data: {case: 'clockSnapshot', value}});
}

/**
 * Our extension alone. The trace processor has Perfetto's own descriptors; to
 * say them again costs 300 kB and can make the load fail.
 */
export function extensionDescriptorPacket(): Uint8Array {
  const extensionSet = create(FileDescriptorSetSchema, {
    file: [file_perfetto_dmabuf_dma_buf_extension.proto],
  });
  const value = create(ExtensionDescriptorSchema, {
    descriptor: {case: 'extensionSet', value: extensionSet},
  });
  return framedPacket({data: {case: 'extensionDescriptor', value}});
}

/** Clears the sequence's state and says the strings that never change. */
export function sequenceStartPacket(timestampNs: bigint): Uint8Array {
  const internedData = create(InternedDataSchema, {
    eventCategories: Object.values(category).map(({iid, name}) => ({
      iid: BigInt(iid),
      name,
    })),
    eventNames: Object.values(eventName).map(({iid, name}) => ({
      iid: BigInt(iid),
      name,
    })),
  });
  return framedPacket({
    timestamp: timestampNs,
    sequenceFlags: TracePacket_SequenceFlags.SEQ_INCREMENTAL_STATE_CLEARED,
    internedData,
  });
}

/** Where the data came from, for the metadata table. */
export function provenancePacket(provenance: Provenance): Uint8Array {
  return attributesPacket({
    [attribute.schemaVersion]: SCHEMA_VERSION,
    [attribute.toolVersion]: provenance.toolVersion,
    [attribute.simulated]: provenance.simulated ? 1 : 0,
    [attribute.source]: provenance.source,
    [attribute.device]: provenance.device,
    [attribute.kernelRelease]: provenance.kernelRelease,
    [attribute.buildFingerprint]: provenance.buildFingerprint,
    [attribute.bootId]: provenance.bootId,
    [attribute.uid]: provenance.uid,
  });
}

/** Key and value pairs about the recording; undefined ones are left out. */
export function attributesPacket(
  attributes: Record<string, string | number | undefined>,
): Uint8Array {
  const value = create(TraceAttributesSchema);
  for (const [key, content] of Object.entries(attributes)) {
    if (content === undefined) continue;
    value.attribute.push({
      $typeName: 'perfetto.protos.TraceAttributes.Attribute',
      key,
      value:
        typeof content === 'string'
          ? {case: 'stringValue', value: content}
          : {case: 'longValue', value: BigInt(content)},
    });
  }
  return framedPacket({data: {case: 'traceAttributes', value}});
}

/** The group all our tracks that are of no process lie in. */
export function rootTrackPacket(provenance: Provenance): Uint8Array {
  return trackPacket({
    uuid: trackUuid.root,
    staticOrDynamicName: {
      case: 'name',
      value: provenance.simulated ? trackName.simulatedRoot : trackName.root,
    },
    description: describe(provenance),
    childOrdering: TrackDescriptor_ChildTracksOrdering.EXPLICIT,
    siblingMergeBehavior: TrackDescriptor_SiblingMergeBehavior.NONE,
  });
}

function describe(provenance: Provenance): string {
  const lines = [
    provenance.simulated
      ? 'Simulated: not the memory of any device.'
      : 'Who holds which dma-buf.',
    `Source: ${provenance.source}, ${provenance.device}`,
    `Recorded by perfetto-dmabuf ${provenance.toolVersion}`,
  ];
  const {kernelRelease, buildFingerprint, uid} = provenance;
  if (kernelRelease !== undefined) lines.push(`Kernel: ${kernelRelease}`);
  if (buildFingerprint !== undefined) lines.push(`Build: ${buildFingerprint}`);
  if (uid !== undefined) lines.push(`Read as uid ${uid}`);
  return lines.join('\n');
}

/** The track of what each sample cost and covered. */
export function samplesTrackPacket(): Uint8Array {
  return trackPacket({
    uuid: trackUuid.samples,
    parentUuid: trackUuid.root,
    staticOrDynamicName: {case: 'name', value: trackName.samples},
    description:
      'Each time the device was read: how long it took, what it cost and ' +
      'what could not be read. What a sample saw is stamped with its end.',
    siblingOrderRank: trackRank.samples,
    siblingMergeBehavior: TrackDescriptor_SiblingMergeBehavior.NONE,
  });
}

export function counterTrackPacket(track: CounterTrack): Uint8Array {
  return trackPacket({
    uuid: track.uuid,
    parentUuid: track.parentUuid,
    staticOrDynamicName: {case: 'name', value: track.name},
    ...optional('description', track.description),
    ...optional('siblingOrderRank', track.rank),
    counter: create(CounterDescriptorSchema, {
      unit:
        track.unit === 'bytes'
          ? CounterDescriptor_Unit.SIZE_BYTES
          : CounterDescriptor_Unit.COUNT,
      ...optional('yAxisShareKey', track.shareKey),
    }),
  });
}

/**
 * A process. Stamped, because a reused pid means the new process from then on:
 * the trace processor starts a new one when it sees a new uuid for a pid.
 */
export function processTrackPacket(track: ProcessTrack): Uint8Array {
  return trackPacket(
    {
      uuid: track.uuid,
      process: create(ProcessDescriptorSchema, {
        pid: track.pid,
        processName: track.name,
        ...optional('startTimestampNs', track.startNs),
        processLabels: track.simulated ? ['simulated'] : [],
      }),
    },
    track.timestampNs,
  );
}

function trackPacket(
  descriptor: DescriptorInit,
  timestampNs?: bigint,
): Uint8Array {
  return framedPacket({
    ...optional('timestamp', timestampNs),
    data: {
      case: 'trackDescriptor',
      value: create(TrackDescriptorSchema, descriptor),
    },
  });
}

/** A property that is there only when it has a value. */
function optional<K extends string, V>(
  key: K,
  value: V | undefined,
): Partial<Record<K, V>> {
  return value === undefined ? {} : ({[key]: value} as Partial<Record<K, V>>);
}
