// SPDX-License-Identifier: Apache-2.0
import {
  fromBinary,
  getExtension,
  hasExtension,
  isFieldSet,
} from '@bufbuild/protobuf';
import type {Provenance} from '../../core/model/index.js';
import type {ClockReading} from './descriptors.js';
import {BuiltinClock} from './proto/perfetto/common/builtin_clock_pb.js';
import type {TraceAttributes} from './proto/perfetto/common/trace_attributes_pb.js';
import type {ClockSnapshot} from './proto/perfetto/trace/clock_snapshot_pb.js';
import {TracePacketSchema} from './proto/perfetto/trace/trace_packet_pb.js';
import {
  ProcessDescriptorSchema,
  type ProcessDescriptor,
} from './proto/perfetto/trace/track_event/process_descriptor_pb.js';
import type {TrackDescriptor} from './proto/perfetto/trace/track_event/track_descriptor_pb.js';
import {
  TrackEvent_Type,
  type TrackEvent,
} from './proto/perfetto/trace/track_event/track_event_pb.js';
import {
  dma_buf,
  dma_buf_sample,
  DmaBufEventSchema,
  DmaBufSampleSchema,
  type DmaBufEvent,
  type DmaBufSample,
} from './proto/perfetto_dmabuf/dma_buf_extension_pb.js';
import type {
  BufferRecord,
  CounterSummary,
  HoldingRecord,
  ProcessRecord,
  Recording,
  SampleRecord,
  SampleSummary,
} from './recording.js';
import {
  attribute,
  NS_PER_TICK,
  SCHEMA_VERSION,
  trackName,
  trackUuid,
} from './schema.js';

type Mutable<T> = {-readonly [K in keyof T]: T[K]};

interface OpenProcess extends Mutable<ProcessRecord> {
  holdings: HoldingRecord[];
}
interface OpenBuffer extends Mutable<BufferRecord> {
  names: string[];
  holdings: HoldingRecord[];
}
type OpenHolding = Mutable<HoldingRecord>;

interface Slice {
  /** Of the `Buffers` track. */
  readonly lifetime?: OpenBuffer;
  readonly holding?: OpenHolding;
}

interface Event {
  readonly timestampNs: bigint;
  readonly event: TrackEvent;
}

interface Counter {
  readonly name: string;
  readonly parentUuid: bigint;
}

/**
 * Puts a recording together from our packets, in the order of the file. A
 * sample counts when it is there as a whole: its slice on `Samples`, which is
 * written last, has ended.
 */
export class RecordingBuilder {
  private readonly attributes = new Map<string, string | number>();
  private readonly counterTracks = new Map<bigint, Counter>();
  /** Parent uuid by lane uuid. */
  private readonly lanes = new Map<bigint, bigint>();
  private readonly processes = new Map<bigint, OpenProcess>();
  private readonly buffers = new Map<string, OpenBuffer>();
  /** Open slices by lane uuid. */
  private readonly open = new Map<bigint, Slice>();
  private readonly counters = new Map<string, CounterSummary>();
  private readonly samples = new SampleCounter();
  private clock: ClockReading | undefined;
  private pending: Event[] = [];
  private beginNs: bigint | undefined;
  private endNs = 0n;
  private past = false;

  /** @param untilNs samples later than that, from the first on, are left out. */
  constructor(private readonly untilNs: bigint | undefined) {}

  /** True once there was a sample that is to be left out. */
  get isPast(): boolean {
    return this.past;
  }

  /** @throws when the bytes are no TracePacket. */
  add(bytes: Uint8Array): void {
    const packet = fromBinary(TracePacketSchema, bytes);
    const {data} = packet;
    switch (data.case) {
      case 'clockSnapshot':
        this.clock ??= readClock(data.value);
        break;
      case 'traceAttributes':
        this.addAttributes(data.value);
        break;
      case 'trackDescriptor':
        this.addTrack(data.value);
        break;
      case 'trackEvent':
        this.pending.push({
          timestampNs: packet.timestamp,
          event: data.value,
        });
        if (isSampleEnd(data.value)) this.commit();
        break;
      default:
    }
  }

  /** The recording up to here; undefined when it has no whole sample. */
  build(damage: readonly string[]): Recording | undefined {
    if (this.beginNs === undefined) return undefined;
    const warnings = [...damage];
    const version = this.number(attribute.schemaVersion);
    if (version !== undefined && version > SCHEMA_VERSION) {
      warnings.push(
        `written by a newer version (schema ${version}, known here ` +
          `${SCHEMA_VERSION}): parts may be missing`,
      );
    }
    if (this.pending.length > 0) {
      warnings.push('the last sample is incomplete and left out');
    }
    const ended = this.text(attribute.ended);
    if (ended === undefined && !this.past) {
      warnings.push('the recording was cut short: it has no end mark');
    }
    return {
      provenance: this.provenance(),
      clock: this.clock,
      beginNs: this.beginNs,
      endNs: this.endNs,
      ended,
      hasMore: this.past,
      samples: this.samples.summary(),
      counters: this.counters,
      processes: [...this.processes.values()],
      buffers: [...this.buffers.values()],
      warnings,
    };
  }

  private provenance(): Provenance {
    return {
      simulated: this.number(attribute.simulated) === 1,
      source: this.text(attribute.source) ?? 'unknown',
      device: this.text(attribute.device) ?? 'unknown',
      kernelRelease: this.text(attribute.kernelRelease),
      buildFingerprint: this.text(attribute.buildFingerprint),
      bootId: this.text(attribute.bootId),
      uid: this.number(attribute.uid),
      toolVersion: this.text(attribute.toolVersion) ?? 'unknown',
    };
  }

  private text(key: string): string | undefined {
    const value = this.attributes.get(key);
    return value === undefined ? undefined : String(value);
  }

  private number(key: string): number | undefined {
    const value = this.attributes.get(key);
    return value === undefined ? undefined : Number(value);
  }

  private addAttributes({attribute: attributes}: TraceAttributes): void {
    for (const {key, value} of attributes) {
      if (value.case === 'stringValue') this.attributes.set(key, value.value);
      if (value.case === 'longValue') {
        this.attributes.set(key, Number(value.value));
      }
    }
  }

  private addTrack(track: TrackDescriptor): void {
    const {uuid, parentUuid, process, counter, staticOrDynamicName} = track;
    if (process !== undefined) {
      const known = this.processes.get(uuid);
      if (known !== undefined) known.name = process.processName;
      else {
        this.processes.set(uuid, {
          pid: process.pid,
          name: process.processName,
          startTicks: startTicksOf(process),
          rss: undefined,
          pss: undefined,
          holdings: [],
        });
      }
    } else if (counter !== undefined) {
      const name = staticOrDynamicName.value ?? '';
      this.counterTracks.set(uuid, {name, parentUuid});
    } else {
      this.lanes.set(uuid, parentUuid);
    }
  }

  private commit(): void {
    const stampNs = this.pending.at(-1)?.timestampNs ?? 0n;
    const begunNs = this.beginNs ?? stampNs;
    if (this.untilNs !== undefined && stampNs - begunNs > this.untilNs) {
      this.past = true;
      this.pending = [];
      return;
    }
    for (const {timestampNs, event} of this.pending) {
      if (event.trackUuid === trackUuid.samples) {
        if (!hasExtension(event, dma_buf_sample)) continue;
        this.samples.add(timestampNs, getExtension(event, dma_buf_sample));
      } else if (event.type === TrackEvent_Type.COUNTER) {
        this.count(timestampNs, event);
      } else {
        this.addSliceEvent(timestampNs, event);
      }
    }
    this.beginNs = begunNs;
    this.endNs = stampNs;
    this.pending = [];
  }

  private count(timestampNs: bigint, event: TrackEvent): void {
    const track = this.counterTracks.get(event.trackUuid);
    const {value} = event.counterValueField;
    if (track === undefined || value === undefined) return;
    const {name, parentUuid} = track;
    const process = this.processes.get(parentUuid);
    const extend = (
      summary: CounterSummary | undefined,
    ): CounterSummary | undefined =>
      extendCounter(summary, timestampNs, Number(value));
    if (process === undefined) {
      const summary = extend(this.counters.get(name));
      if (summary !== undefined) this.counters.set(name, summary);
    } else if (name === trackName.rss) {
      process.rss = extend(process.rss);
    } else if (name === trackName.pss) {
      process.pss = extend(process.pss);
    }
  }

  private addSliceEvent(timestampNs: bigint, event: TrackEvent): void {
    const fields = hasExtension(event, dma_buf)
      ? getExtension(event, dma_buf)
      : undefined;
    switch (event.type) {
      case TrackEvent_Type.SLICE_BEGIN:
        if (fields !== undefined) this.begin(timestampNs, event, fields);
        break;
      case TrackEvent_Type.SLICE_END:
        this.end(timestampNs, event, fields);
        break;
      case TrackEvent_Type.INSTANT:
        if (fields !== undefined) {
          update(this.open.get(event.trackUuid)?.lifetime, fields);
        }
        break;
      default:
    }
  }

  private begin(
    beginNs: bigint,
    {trackUuid: lane}: TrackEvent,
    fields: DmaBufEvent,
  ): void {
    const parentUuid = this.lanes.get(lane);
    if (parentUuid === trackUuid.root) {
      this.open.set(lane, {lifetime: this.bufferOf(fields, beginNs)});
      return;
    }
    const process = this.processes.get(parentUuid ?? 0n);
    if (process === undefined) return;
    const buffer = this.bufferOf(fields, beginNs);
    const holding: OpenHolding = {
      buffer,
      process,
      beginNs,
      endNs: undefined,
      fdRefs: undefined,
      mapRefs: undefined,
      mappedBytes: undefined,
      beganUnseen: fields.beganUnseen,
      endedUnseen: false,
    };
    updateHolding(holding, fields);
    buffer.holdings.push(holding);
    process.holdings.push(holding);
    this.open.set(lane, {holding});
  }

  private end(
    endNs: bigint,
    {trackUuid: lane}: TrackEvent,
    fields: DmaBufEvent | undefined,
  ): void {
    const slice = this.open.get(lane);
    if (slice === undefined) return;
    this.open.delete(lane);
    const {lifetime, holding} = slice;
    if (lifetime !== undefined) {
      lifetime.endNs = endNs;
      lifetime.endedUnseen = fields?.endedUnseen ?? false;
      if (fields !== undefined) update(lifetime, fields);
    }
    if (holding !== undefined) {
      holding.endNs = endNs;
      holding.endedUnseen = fields?.endedUnseen ?? false;
      if (fields !== undefined) updateHolding(holding, fields);
    }
  }

  private bufferOf(fields: DmaBufEvent, beginNs: bigint): OpenBuffer {
    const {inode, generation} = fields;
    const key = `${inode}.${generation}`;
    let buffer = this.buffers.get(key);
    if (buffer === undefined) {
      buffer = {
        key,
        inode,
        generation,
        sizeBytes: undefined,
        names: [],
        exporter: undefined,
        beginNs,
        endNs: undefined,
        beganUnseen: fields.beganUnseen,
        endedUnseen: false,
        holdings: [],
      };
      this.buffers.set(key, buffer);
    }
    update(buffer, fields);
    return buffer;
  }
}

/** Counts what the samples say of themselves. */
class SampleCounter {
  private count = 0;
  private fullScans = 0;
  private firstSequence = 0;
  private lastSequence = 0;
  private lastNs: bigint | undefined;
  private longestGapNs = 0n;
  private deviceCpuNs: bigint | undefined;
  private bytes = 0;
  private readonly kernelLists = new Set<string>();
  private withoutKernelList = 0;
  private mostUnreadable = 0;
  private mostVanished = 0;
  private mostInodeCollisions = 0;
  private readonly problems = new Map<string, number>();
  private last: DmaBufSample | undefined;

  add(beginNs: bigint, sample: DmaBufSample): void {
    this.last = sample;
    const sequence = Number(sample.sequence);
    if (this.count === 0) this.firstSequence = sequence;
    this.count++;
    this.lastSequence = sequence;
    if (sample.fullScan) this.fullScans++;
    const gapNs = beginNs - (this.lastNs ?? beginNs);
    if (gapNs > this.longestGapNs) this.longestGapNs = gapNs;
    this.lastNs = beginNs;
    if (isFieldSet(sample, DmaBufSampleSchema.field.deviceCpuNs)) {
      this.deviceCpuNs = (this.deviceCpuNs ?? 0n) + sample.deviceCpuNs;
    }
    this.bytes += Number(sample.bytes);
    if (sample.kernelList === '') this.withoutKernelList++;
    else this.kernelLists.add(sample.kernelList);
    this.mostUnreadable = Math.max(
      this.mostUnreadable,
      sample.processesUnreadable,
    );
    this.mostVanished = Math.max(this.mostVanished, sample.processesVanished);
    this.mostInodeCollisions = Math.max(
      this.mostInodeCollisions,
      sample.inodeCollisions,
    );
    for (const problem of sample.problem) {
      this.problems.set(problem, (this.problems.get(problem) ?? 0) + 1);
    }
  }

  summary(): SampleSummary {
    const span = this.lastSequence - this.firstSequence + 1;
    return {
      count: this.count,
      fullScans: this.fullScans,
      missing: Math.max(0, span - this.count),
      longestGapNs: this.longestGapNs,
      deviceCpuNs: this.deviceCpuNs,
      bytes: this.bytes,
      kernelLists: [...this.kernelLists],
      withoutKernelList: this.withoutKernelList,
      mostUnreadable: this.mostUnreadable,
      mostVanished: this.mostVanished,
      mostInodeCollisions: this.mostInodeCollisions,
      problems: this.problems,
      last: this.last === undefined ? undefined : readSample(this.last),
    };
  }
}

function readSample(sample: DmaBufSample): SampleRecord {
  const {kernelList} = sample;
  return {
    sequence: Number(sample.sequence),
    fullScan: sample.fullScan,
    kernelList: kernelList === '' ? undefined : kernelList,
    fileCounts: sample.fileCounts,
    processesSeen: sample.processesSeen,
    processesScanned: sample.processesScanned,
    processesUnreadable: sample.processesUnreadable,
    processesVanished: sample.processesVanished,
    inodeCollisions: sample.inodeCollisions,
    kernelOnlyIsUpperBound: sample.kernelOnlyIsUpperBound,
    problems: sample.problem,
  };
}

function startTicksOf(process: ProcessDescriptor): bigint | undefined {
  return isFieldSet(process, ProcessDescriptorSchema.field.startTimestampNs)
    ? process.startTimestampNs / NS_PER_TICK
    : undefined;
}

function readClock({clocks}: ClockSnapshot): ClockReading | undefined {
  const boot = clocks.find((c) => c.clockId === BuiltinClock.BOOTTIME);
  const real = clocks.find((c) => c.clockId === BuiltinClock.REALTIME);
  if (boot === undefined || real === undefined) return undefined;
  return {bootNs: boot.timestamp, realNs: real.timestamp};
}

function isSampleEnd(event: TrackEvent): boolean {
  return (
    event.type === TrackEvent_Type.SLICE_END &&
    event.trackUuid === trackUuid.samples
  );
}

function extendCounter(
  summary: CounterSummary | undefined,
  atNs: bigint,
  value: number,
): CounterSummary {
  if (summary === undefined) {
    return {
      firstNs: atNs,
      first: value,
      peakNs: atNs,
      peak: value,
      lastNs: atNs,
      last: value,
    };
  }
  const isPeak = value > summary.peak;
  return {
    ...summary,
    ...(isPeak ? {peakNs: atNs, peak: value} : {}),
    lastNs: atNs,
    last: value,
  };
}

/** Takes over what the event says, and leaves what it does not. */
function update(buffer: OpenBuffer | undefined, fields: DmaBufEvent): void {
  if (buffer === undefined) return;
  if (isSet(fields, 'size')) buffer.sizeBytes = fields.size;
  if (isSet(fields, 'exporter')) buffer.exporter = fields.exporter;
  if (isSet(fields, 'name') && buffer.names.at(-1) !== fields.name) {
    buffer.names.push(fields.name);
  }
}

function updateHolding(holding: OpenHolding, fields: DmaBufEvent): void {
  if (isSet(fields, 'fdRefs')) holding.fdRefs = fields.fdRefs;
  if (isSet(fields, 'mapRefs')) holding.mapRefs = fields.mapRefs;
  if (isSet(fields, 'mappedBytes')) holding.mappedBytes = fields.mappedBytes;
}

function isSet(
  fields: DmaBufEvent,
  name: keyof typeof DmaBufEventSchema.field,
): boolean {
  return isFieldSet(fields, DmaBufEventSchema.field[name]);
}
