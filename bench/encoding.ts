// SPDX-License-Identifier: Apache-2.0
// What writing a trace costs the host: the recorder, from changes to bytes,
// against building the very same packets with `create` and `toBinary`.
import {
  create,
  fromBinary,
  getExtension,
  hasExtension,
  isFieldSet,
  isMessage,
  setExtension,
  toBinary,
  type DescMessage,
  type Message,
} from '@bufbuild/protobuf';
import {account, type Accounting} from '../src/core/accounting/index.js';
import {compare, type Changes} from '../src/core/changes/index.js';
import type {Snapshot} from '../src/core/model/index.js';
import {TraceSchema} from '../src/producer/trace/proto/perfetto/trace/trace_pb.js';
import {
  TracePacketSchema,
  type TracePacket,
} from '../src/producer/trace/proto/perfetto/trace/trace_packet_pb.js';
import {TrackEventSchema} from '../src/producer/trace/proto/perfetto/trace/track_event/track_event_pb.js';
import {
  dma_buf,
  dma_buf_sample,
  DmaBufEventSchema,
  DmaBufSampleSchema,
} from '../src/producer/trace/proto/perfetto_dmabuf/dma_buf_extension_pb.js';
import {TraceEncoder} from '../src/producer/trace/trace_recorder.js';
import {CLOCK, PROVENANCE, Scene} from '../test/producer/trace/scene.js';
import type {Ratio} from './ratio.js';

const PROCESSES = 200;
const BUFFERS = 5000;
/** Of BUFFERS, from one sample to the next: 1 % a second at 4 Hz. */
const CHANGED = 13;
const SAMPLES = 40;
const ROUNDS = 9;

interface Sample {
  readonly snapshot: Snapshot;
  readonly changes: Changes;
  readonly accounting: Accounting;
}

/** Plain values, as one would write them to make a message of. */
interface Plain {
  [field: string]: unknown;
}

/** A packet as plain values; its event's extensions beside it. */
interface PlainPacket {
  readonly packet: Plain;
  readonly event: Plain | undefined;
  readonly dmaBuf: Plain | undefined;
  readonly dmaBufSample: Plain | undefined;
}

/** Encoding speed and steady trace size. */
export async function benchEncoding(): Promise<Ratio[]> {
  const samples = population();
  const first = samples.slice(0, 1);
  const steadyBytes = encode(samples).slice(1).map(lengthOf);
  const [fullBytes = 0] = encode(first).map(lengthOf);
  const bytes = steadyBytes.reduce((a, b) => a + b, 0) / steadyBytes.length;
  return [
    speed('packet encoding, full sample', first, 0),
    speed('packet encoding, steady samples', samples, 1),
    {
      name: 'trace bytes, steady sample against a full one',
      ratio: bytes / fullBytes,
      limit: '<= 0.02',
      detail: `${bytes.toFixed(0)} B / ${fullBytes} B`,
    },
  ];
}

function lengthOf(bytes: Uint8Array): number {
  return bytes.length;
}

/** Two processes share each buffer; the oldest buffers make way for new. */
function population(): Sample[] {
  const scene = new Scene();
  for (let pid = 1; pid <= PROCESSES; pid++) scene.start(pid);
  let next = 1;
  const alloc = (): void => {
    const inode = BigInt(next);
    scene.alloc(inode, {
      sizeBytes: 4096n * BigInt(1 + (next % 3000)),
      name: {raw: `camera preview ${next % 50}`, doubtful: false},
      fileCount: 4n,
    });
    scene.hold(1 + (next % PROCESSES), inode, 2, 1);
    scene.hold(1 + ((next * 7 + 3) % PROCESSES), inode, 1, 1);
    next++;
  };
  for (let i = 0; i < BUFFERS; i++) alloc();
  scene.sample();
  for (let sample = 1; sample < SAMPLES; sample++) {
    for (let i = 0; i < CHANGED; i++) {
      scene.free(BigInt(next - BUFFERS));
      alloc();
    }
    scene.sample();
  }
  return scene.snapshots.map((snapshot, i) => ({
    snapshot,
    changes: compare(scene.snapshots[i - 1], snapshot),
    accounting: account(snapshot),
  }));
}

function newEncoder(): TraceEncoder {
  const encoder = new TraceEncoder({
    provenance: PROVENANCE,
    dmabufRssInProcessStats: true,
  });
  encoder.header(CLOCK);
  return encoder;
}

function encode(samples: readonly Sample[]): Uint8Array[] {
  const encoder = newEncoder();
  return samples.map(({snapshot, changes, accounting}) =>
    encoder.sample(snapshot, changes, accounting),
  );
}

/** @param skip samples that are written but not measured. */
function speed(name: string, samples: readonly Sample[], skip: number): Ratio {
  const packets = encode(samples)
    .slice(skip)
    .flatMap((bytes) => fromBinary(TraceSchema, bytes).packet)
    .map(toPlain);
  const ours: number[] = [];
  const theirs: number[] = [];
  // The first round only warms the compiler up.
  for (let round = 0; round <= ROUNDS; round++) {
    const ourMs = recorderMs(samples, skip);
    const theirMs = milliseconds(() => {
      for (const packet of packets) rebuild(packet);
    });
    if (round === 0) continue;
    ours.push(ourMs);
    theirs.push(theirMs);
  }
  const perPacket = (ms: readonly number[]): string =>
    `${((fastest(ms) * 1000) / packets.length).toFixed(2)} us`;
  return {
    name,
    ratio: fastest(theirs) / fastest(ours),
    limit: '>= 5',
    detail:
      `create+toBinary ${perPacket(theirs)} / recorder ${perPacket(ours)} ` +
      `a packet (${packets.length} packets)`,
  };
}

/** What else the machine does only ever adds to a time. */
function fastest(ms: readonly number[]): number {
  return Math.min(...ms);
}

function recorderMs(samples: readonly Sample[], skip: number): number {
  const encoder = newEncoder();
  const write = ({snapshot, changes, accounting}: Sample): Uint8Array =>
    encoder.sample(snapshot, changes, accounting);
  samples.slice(0, skip).forEach(write);
  const measured = samples.slice(skip);
  return milliseconds(() => measured.forEach(write));
}

function milliseconds(work: () => void): number {
  const begin = performance.now();
  work();
  return performance.now() - begin;
}

function rebuild({packet, event, dmaBuf, dmaBufSample}: PlainPacket): void {
  if (event === undefined) {
    toBinary(TracePacketSchema, create(TracePacketSchema, packet));
    return;
  }
  const value = create(TrackEventSchema, event);
  if (dmaBuf !== undefined) {
    setExtension(value, dma_buf, create(DmaBufEventSchema, dmaBuf));
  }
  if (dmaBufSample !== undefined) {
    const sample = create(DmaBufSampleSchema, dmaBufSample);
    setExtension(value, dma_buf_sample, sample);
  }
  const data = {case: 'trackEvent' as const, value};
  toBinary(TracePacketSchema, create(TracePacketSchema, {...packet, data}));
}

function toPlain(packet: TracePacket): PlainPacket {
  const {data} = packet;
  const plain = plainOf(TracePacketSchema, packet);
  if (data.case !== 'trackEvent') {
    return {
      packet: plain,
      event: undefined,
      dmaBuf: undefined,
      dmaBufSample: undefined,
    };
  }
  const event = data.value;
  const {data: _, ...rest} = plain;
  return {
    packet: rest,
    event: plainOf(TrackEventSchema, event),
    dmaBuf: hasExtension(event, dma_buf)
      ? plainOf(DmaBufEventSchema, getExtension(event, dma_buf))
      : undefined,
    dmaBufSample: hasExtension(event, dma_buf_sample)
      ? plainOf(DmaBufSampleSchema, getExtension(event, dma_buf_sample))
      : undefined,
  };
}

/** The fields of a message that are set, its messages plain as well. */
function plainOf(schema: DescMessage, message: Message): Plain {
  const plain: Plain = {};
  for (const field of schema.fields) {
    if (!isFieldSet(message, field)) continue;
    const values = message as unknown as Plain;
    if (field.oneof === undefined) {
      plain[field.localName] = plainValue(field, values[field.localName]);
      continue;
    }
    const chosen = values[field.oneof.localName] as {value: unknown};
    plain[field.oneof.localName] = {
      case: field.localName,
      value: plainValue(field, chosen.value),
    };
  }
  return plain;
}

function plainValue(
  field: {readonly message?: DescMessage | undefined},
  value: unknown,
): unknown {
  if (Array.isArray(value)) return value.map((each) => plainValue(field, each));
  const {message: schema} = field;
  return schema !== undefined && isMessage(value)
    ? plainOf(schema, value)
    : value;
}
