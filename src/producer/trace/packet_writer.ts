// SPDX-License-Identifier: Apache-2.0
// The hot path of a recording: packets written straight to the wire, from
// pieces that are encoded once and used often. What is written rarely goes
// through the generated types (descriptors.ts). The field numbers of protos/
// are spelled out here, and tests hold every kind of packet against what the
// generated types decode.
import {WireType} from '@bufbuild/protobuf/wire';
import {WireWriter} from './wire_writer.js';

/**
 * Encoded fields of one message. Since protobuf takes fields in any order,
 * pieces of one message can be put one after the other.
 */
export type Fields = Uint8Array;

const NO_FIELDS: Fields = new Uint8Array();

function tag(fieldNumber: number, wireType: WireType): number {
  return ((fieldNumber << 3) | wireType) >>> 0;
}

const VARINT = WireType.Varint;
const BIT64 = WireType.Bit64;
const DELIMITED = WireType.LengthDelimited;

const TRACE = {packet: tag(1, DELIMITED)};

const PACKET = {
  timestamp: tag(8, VARINT),
  processStats: tag(9, DELIMITED),
  sequenceId: tag(10, VARINT),
  trackEvent: tag(11, DELIMITED),
  internedData: tag(12, DELIMITED),
  sequenceFlags: tag(13, VARINT),
  trackDescriptor: tag(60, DELIMITED),
};
/** TracePacket.SequenceFlags.SEQ_NEEDS_INCREMENTAL_STATE */
const NEEDS_INCREMENTAL_STATE = 2;

const EVENT = {
  categoryIids: tag(3, VARINT),
  type: tag(9, VARINT),
  nameIid: tag(10, VARINT),
  trackUuid: tag(11, VARINT),
  name: tag(23, DELIMITED),
  counterValue: tag(30, VARINT),
  doubleCounterValue: tag(44, BIT64),
  flowIds: tag(47, BIT64),
  correlationIdStr: tag(53, DELIMITED),
  dmaBuf: tag(4900, DELIMITED),
  dmaBufSample: tag(4901, DELIMITED),
};

/** TrackEvent.Type */
const TYPE = {sliceBegin: 1, sliceEnd: 2, instant: 3, counter: 4};

const INTERNED_DATA = {eventNames: tag(2, DELIMITED)};
const EVENT_NAME = {iid: tag(1, VARINT), name: tag(2, DELIMITED)};

const DESCRIPTOR = {
  uuid: tag(1, VARINT),
  name: tag(2, DELIMITED),
  parentUuid: tag(5, VARINT),
  siblingOrderRank: tag(12, VARINT),
  siblingMergeBehavior: tag(15, VARINT),
  siblingMergeKey: tag(16, DELIMITED),
};
/** TrackDescriptor.SIBLING_MERGE_BEHAVIOR_BY_SIBLING_MERGE_KEY */
const BY_SIBLING_MERGE_KEY = 3;

const STATS = {processes: tag(1, DELIMITED)};
const STATS_PROCESS = {pid: tag(1, VARINT), dmabufRssKb: tag(24, VARINT)};

const DMA_BUF = {
  inode: tag(1, VARINT),
  size: tag(2, VARINT),
  name: tag(3, DELIMITED),
  exporter: tag(4, DELIMITED),
  pid: tag(5, VARINT),
  fdRefs: tag(6, VARINT),
  mapRefs: tag(7, VARINT),
  mappedBytes: tag(8, VARINT),
  kernelRefs: tag(9, VARINT),
  holders: tag(10, VARINT),
  generation: tag(11, VARINT),
  nameDoubtful: tag(12, VARINT),
  simulated: tag(13, VARINT),
  nameRaw: tag(14, DELIMITED),
  beganUnseen: tag(15, VARINT),
  endedUnseen: tag(16, VARINT),
};

const SAMPLE = {
  sequence: tag(1, VARINT),
  fullScan: tag(2, VARINT),
  deviceCpuNs: tag(3, VARINT),
  wallNs: tag(4, VARINT),
  bytes: tag(5, VARINT),
  processesSeen: tag(6, VARINT),
  processesScanned: tag(7, VARINT),
  processesUnreadable: tag(8, VARINT),
  processesVanished: tag(9, VARINT),
  kernelList: tag(10, DELIMITED),
  fileCounts: tag(11, VARINT),
  inodeCollisions: tag(12, VARINT),
  kernelOnlyIsUpperBound: tag(13, VARINT),
  unknownSizes: tag(14, VARINT),
  lostCounter: tag(15, DELIMITED),
  countersLost: tag(16, VARINT),
  problem: tag(17, DELIMITED),
};

/** Fields of DmaBufEvent; what is undefined is not written. */
export interface DmaBufFields {
  readonly inode?: bigint | undefined;
  /** bytes */
  readonly size?: bigint | undefined;
  readonly name?: string | undefined;
  readonly exporter?: string | undefined;
  readonly pid?: number | undefined;
  readonly fdRefs?: number | undefined;
  readonly mapRefs?: number | undefined;
  /** bytes */
  readonly mappedBytes?: bigint | undefined;
  readonly kernelRefs?: bigint | undefined;
  readonly holders?: number | undefined;
  readonly generation?: number | undefined;
  readonly nameDoubtful?: boolean | undefined;
  readonly simulated?: boolean | undefined;
  readonly nameRaw?: Uint8Array | undefined;
  readonly beganUnseen?: boolean | undefined;
  readonly endedUnseen?: boolean | undefined;
}

/**
 * Fields of DmaBufEvent that belong to one slice rather than to the buffer.
 * All of them are always there, which keeps the hot path fast.
 */
export interface SliceFacts {
  readonly pid: number | undefined;
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
  /** bytes */
  readonly mappedBytes: bigint | undefined;
  readonly kernelRefs: bigint | undefined;
  readonly holders: number | undefined;
  readonly beganUnseen: true | undefined;
}

/** Fields of DmaBufSample; what is undefined is not written. */
export interface DmaBufSampleFields {
  readonly sequence?: number | undefined;
  readonly fullScan?: boolean | undefined;
  /** ns */
  readonly deviceCpuNs?: bigint | undefined;
  /** ns */
  readonly wallNs?: bigint | undefined;
  readonly bytes?: number | undefined;
  readonly processesSeen?: number | undefined;
  readonly processesScanned?: number | undefined;
  readonly processesUnreadable?: number | undefined;
  readonly processesVanished?: number | undefined;
  readonly kernelList?: string | undefined;
  readonly fileCounts?: boolean | undefined;
  readonly inodeCollisions?: number | undefined;
  readonly kernelOnlyIsUpperBound?: boolean | undefined;
  readonly unknownSizes?: number | undefined;
  readonly lostCounter?: readonly string[] | undefined;
  readonly countersLost?: number | undefined;
  readonly problem?: readonly string[] | undefined;
}

/** What a slice says of itself beside its times and its extension. */
export interface SliceFields {
  readonly categoryIid: number;
  /** Interned name; else `name`. */
  readonly nameIid?: number | undefined;
  readonly name?: string | undefined;
  /** Slices with one correlation id have one colour. */
  readonly correlationId?: string | undefined;
  /** Slices with one flow id are joined by arrows. */
  readonly flowId?: bigint | undefined;
}

/** A sibling track that is shown merged with those of the same key. */
export interface LaneDescriptor {
  readonly uuid: bigint;
  readonly parentUuid: bigint;
  /** Name and merge key of the track that all lanes make up. */
  readonly name: string;
  readonly rank: number | undefined;
}

/** One process in a ProcessStats packet. */
export interface ProcessRss {
  readonly pid: number;
  /** bytes; the packet says it in whole kB. */
  readonly rssBytes: bigint;
}

/** A string that this packet is the first to refer to. */
export interface InternedName {
  readonly iid: number;
  readonly name: string;
}

/** TrackEvent fields: the track it is on. */
export function onTrack(trackUuid: bigint): Fields {
  return piece.uint32(EVENT.trackUuid).uint64(trackUuid).finish();
}

/** TrackEvent fields: category, name, colour, flow. */
export function sliceFields(slice: SliceFields): Fields {
  uint32(piece, EVENT.categoryIids, slice.categoryIid);
  uint32(piece, EVENT.nameIid, slice.nameIid);
  string(piece, EVENT.name, slice.name);
  string(piece, EVENT.correlationIdStr, slice.correlationId);
  if (slice.flowId !== undefined) {
    piece.uint32(EVENT.flowIds).fixed64(slice.flowId);
  }
  return piece.finish();
}

/** DmaBufEvent fields. */
export function dmaBufFields(fields: DmaBufFields): Fields {
  writeDmaBuf(piece, fields);
  return piece.finish();
}

/** For pieces; empty between calls. */
const piece = new WireWriter();

/**
 * Collects packets as a piece of a Perfetto `Trace` message: `take()` yields
 * bytes that can be appended to a trace file as they are.
 */
export class PacketWriter {
  private readonly out = new WireWriter();
  private header: Fields = NO_FIELDS;

  /** @param sequenceId trusted_packet_sequence_id of all packets, not 0. */
  constructor(private readonly sequenceId: number) {
    this.stamp(0n);
  }

  /** Sets the time (BOOTTIME ns) of the packets that follow. */
  stamp(timestampNs: bigint): void {
    this.header = new WireWriter()
      .uint32(PACKET.timestamp)
      .uint64(timestampNs)
      .uint32(PACKET.sequenceId)
      .uint32(this.sequenceId)
      .uint32(PACKET.sequenceFlags)
      .uint32(NEEDS_INCREMENTAL_STATE)
      .finish();
  }

  /** Appends packets that were encoded elsewhere, framed as in a Trace. */
  framed(packets: Uint8Array): void {
    this.out.raw(packets);
  }

  /** A value on a counter track. */
  counter(track: Fields, value: bigint | number): void {
    const out = this.packet();
    event(out, TYPE.counter, track);
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      out.uint32(EVENT.doubleCounterValue).double(value);
    } else {
      out.uint32(EVENT.counterValue).int64(value);
    }
    out.join().join();
  }

  /**
   * Begin of a slice. Its extension is in two parts: what belongs to the
   * buffer, encoded once, and what belongs to this slice.
   */
  begin(
    track: Fields,
    slice: Fields,
    buffer: Fields,
    facts: SliceFacts,
    interned?: InternedName,
  ): void {
    const out = this.packet();
    if (interned !== undefined) writeInternedData(out, interned);
    event(out, TYPE.sliceBegin, track).raw(slice);
    writeFacts(out.uint32(EVENT.dmaBuf).fork().raw(buffer), facts);
    out.join().join().join();
  }

  /** An instant. */
  instant(
    track: Fields,
    slice: Fields,
    buffer: Fields,
    pid: number | undefined,
    interned?: InternedName,
  ): void {
    const out = this.packet();
    if (interned !== undefined) writeInternedData(out, interned);
    event(out, TYPE.instant, track).raw(slice);
    int32(out.uint32(EVENT.dmaBuf).fork().raw(buffer), DMA_BUF.pid, pid);
    out.join().join().join();
  }

  /**
   * End of a slice.
   *
   * @param changed what is not any more as the begin said it.
   */
  end(track: Fields, changed?: DmaBufFields): void {
    const out = event(this.packet(), TYPE.sliceEnd, track);
    if (changed !== undefined) {
      writeDmaBuf(out.uint32(EVENT.dmaBuf).fork(), changed);
      out.join();
    }
    out.join().join();
  }

  /** Begin of a slice of the `Samples` track. */
  sampleBegin(track: Fields, slice: Fields, fields: DmaBufSampleFields): void {
    const out = this.packet();
    event(out, TYPE.sliceBegin, track).raw(slice);
    writeSample(out.uint32(EVENT.dmaBufSample).fork(), fields);
    out.join().join().join();
  }

  /** Descriptor of a track for stacked slices. */
  lane(lane: LaneDescriptor): void {
    const out = this.packet().uint32(PACKET.trackDescriptor).fork();
    out.uint32(DESCRIPTOR.uuid).uint64(lane.uuid);
    string(out, DESCRIPTOR.name, lane.name);
    out.uint32(DESCRIPTOR.parentUuid).uint64(lane.parentUuid);
    out.uint32(DESCRIPTOR.siblingMergeBehavior).uint32(BY_SIBLING_MERGE_KEY);
    string(out, DESCRIPTOR.siblingMergeKey, lane.name);
    int32(out, DESCRIPTOR.siblingOrderRank, lane.rank);
    out.join().join();
  }

  /** What the stock memory views read; nothing when the list is empty. */
  processStats(processes: readonly ProcessRss[]): void {
    if (processes.length === 0) return;
    const out = this.packet().uint32(PACKET.processStats).fork();
    for (const {pid, rssBytes} of processes) {
      out.uint32(STATS.processes).fork();
      int32(out, STATS_PROCESS.pid, pid);
      uint64(out, STATS_PROCESS.dmabufRssKb, rssBytes / 1024n);
      out.join();
    }
    out.join().join();
  }

  /** All packets since the last call. */
  take(): Uint8Array {
    return this.out.finish();
  }

  /** Begins a packet, to be joined when its data is written. */
  private packet(): WireWriter {
    return this.out.uint32(TRACE.packet).fork().raw(this.header);
  }
}

/** Begins a packet's track event, to be joined when it is written. */
function event(out: WireWriter, type: number, track: Fields): WireWriter {
  return out
    .uint32(PACKET.trackEvent)
    .fork()
    .uint32(EVENT.type)
    .uint32(type)
    .raw(track);
}

/** The TracePacket field interned_data with one event name. */
function writeInternedData(
  writer: WireWriter,
  {iid, name}: InternedName,
): void {
  writer.uint32(PACKET.internedData).fork();
  writer.uint32(INTERNED_DATA.eventNames).fork();
  uint32(writer, EVENT_NAME.iid, iid);
  string(writer, EVENT_NAME.name, name);
  writer.join().join();
}

function writeDmaBuf(writer: WireWriter, fields: DmaBufFields): void {
  uint64(writer, DMA_BUF.inode, fields.inode);
  uint64(writer, DMA_BUF.size, fields.size);
  string(writer, DMA_BUF.name, fields.name);
  string(writer, DMA_BUF.exporter, fields.exporter);
  int32(writer, DMA_BUF.pid, fields.pid);
  uint32(writer, DMA_BUF.fdRefs, fields.fdRefs);
  uint32(writer, DMA_BUF.mapRefs, fields.mapRefs);
  uint64(writer, DMA_BUF.mappedBytes, fields.mappedBytes);
  uint64(writer, DMA_BUF.kernelRefs, fields.kernelRefs);
  uint32(writer, DMA_BUF.holders, fields.holders);
  uint32(writer, DMA_BUF.generation, fields.generation);
  bool(writer, DMA_BUF.nameDoubtful, fields.nameDoubtful);
  bool(writer, DMA_BUF.simulated, fields.simulated);
  if (fields.nameRaw !== undefined) {
    writer.uint32(DMA_BUF.nameRaw).bytes(fields.nameRaw);
  }
  bool(writer, DMA_BUF.beganUnseen, fields.beganUnseen);
  bool(writer, DMA_BUF.endedUnseen, fields.endedUnseen);
}

function writeFacts(writer: WireWriter, facts: SliceFacts): void {
  int32(writer, DMA_BUF.pid, facts.pid);
  uint32(writer, DMA_BUF.fdRefs, facts.fdRefs);
  uint32(writer, DMA_BUF.mapRefs, facts.mapRefs);
  uint64(writer, DMA_BUF.mappedBytes, facts.mappedBytes);
  uint64(writer, DMA_BUF.kernelRefs, facts.kernelRefs);
  uint32(writer, DMA_BUF.holders, facts.holders);
  bool(writer, DMA_BUF.beganUnseen, facts.beganUnseen);
}

function writeSample(writer: WireWriter, fields: DmaBufSampleFields): void {
  uint64(writer, SAMPLE.sequence, fields.sequence);
  bool(writer, SAMPLE.fullScan, fields.fullScan);
  uint64(writer, SAMPLE.deviceCpuNs, fields.deviceCpuNs);
  uint64(writer, SAMPLE.wallNs, fields.wallNs);
  uint64(writer, SAMPLE.bytes, fields.bytes);
  uint32(writer, SAMPLE.processesSeen, fields.processesSeen);
  uint32(writer, SAMPLE.processesScanned, fields.processesScanned);
  uint32(writer, SAMPLE.processesUnreadable, fields.processesUnreadable);
  uint32(writer, SAMPLE.processesVanished, fields.processesVanished);
  string(writer, SAMPLE.kernelList, fields.kernelList);
  bool(writer, SAMPLE.fileCounts, fields.fileCounts);
  uint32(writer, SAMPLE.inodeCollisions, fields.inodeCollisions);
  bool(writer, SAMPLE.kernelOnlyIsUpperBound, fields.kernelOnlyIsUpperBound);
  uint32(writer, SAMPLE.unknownSizes, fields.unknownSizes);
  for (const text of fields.lostCounter ?? []) {
    string(writer, SAMPLE.lostCounter, text);
  }
  uint32(writer, SAMPLE.countersLost, fields.countersLost);
  for (const text of fields.problem ?? []) {
    string(writer, SAMPLE.problem, text);
  }
}

function uint64(
  writer: WireWriter,
  field: number,
  value: bigint | number | undefined,
): void {
  if (value !== undefined) writer.uint32(field).uint64(value);
}

function uint32(
  writer: WireWriter,
  field: number,
  value: number | undefined,
): void {
  if (value !== undefined) writer.uint32(field).uint32(value);
}

function int32(
  writer: WireWriter,
  field: number,
  value: number | undefined,
): void {
  if (value !== undefined) writer.uint32(field).int32(value);
}

function bool(
  writer: WireWriter,
  field: number,
  value: boolean | undefined,
): void {
  if (value !== undefined) writer.uint32(field).bool(value);
}

function string(
  writer: WireWriter,
  field: number,
  value: string | undefined,
): void {
  if (value !== undefined) writer.uint32(field).string(value);
}
