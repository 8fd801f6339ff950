// SPDX-License-Identifier: Apache-2.0
import {fromBinary} from '@bufbuild/protobuf';
import {BinaryReader, WireType} from '@bufbuild/protobuf/wire';
import {readPackets, TraceReadError, type Damage} from './packet_stream.js';
import {TracePacketSchema} from './proto/perfetto/trace/trace_packet_pb.js';
import type {Recording} from './recording.js';
import {RecordingBuilder} from './recording_builder.js';
import {MEMBER_NAME, trackUuid} from './schema.js';

export {TraceReadError} from './packet_stream.js';
export type * from './recording.js';

/** Field numbers of TracePacket. */
const CLOCK_SNAPSHOT = 6;
const SEQUENCE_ID = 10;
const TRACK_DESCRIPTOR = 60;

/**
 * Reads a recording of ours back from a trace, or from the archive that has it
 * beside a system trace, in which there may be packets of
 * others too. A trace that was cut or garbled is read up to there, and the
 * recording's warnings say so. Memory depends on the buffers and holdings in
 * it, not on the file's size.
 *
 * @param options.untilNs read no further than the last sample up to then, ns
 *     from the first sample on; what is open is what was there at that time.
 * @throws TraceReadError when the file cannot be read, is no trace, or holds no
 *     recording of ours.
 */
export async function readRecording(
  path: string,
  options: {readonly untilNs?: bigint | undefined} = {},
): Promise<Recording> {
  const builder = new RecordingBuilder(options.untilNs);
  const warnings: string[] = [];
  let ourSequence: number | undefined;
  /** Comes first in the file, before we know which packets are ours. */
  let clock: Uint8Array | undefined;

  for await (const packet of readPackets(path, {member: MEMBER_NAME})) {
    if ('kind' in packet) {
      warnings.push(describeDamage(packet));
      break;
    }
    try {
      const {sequenceId, fields} = summarize(packet.bytes);
      if (ourSequence === undefined) {
        if (fields.has(CLOCK_SNAPSHOT)) clock = packet.bytes.slice();
        if (!isOurRoot(packet.bytes, fields)) continue;
        ourSequence = sequenceId;
        if (clock !== undefined) builder.add(clock);
      } else if (isOurRoot(packet.bytes, fields)) {
        warnings.push('there is a second recording in it, which is left out');
        break;
      }
      if (sequenceId === ourSequence) builder.add(packet.bytes);
      if (builder.isPast) break;
    } catch {
      warnings.push(describeDamage({kind: 'garbled', offset: packet.offset}));
      break;
    }
  }

  if (ourSequence === undefined) {
    throw new TraceReadError(
      `${path} holds nothing recorded by perfetto-dmabuf` +
        warnings.map((warning) => `; ${warning}`).join(''),
    );
  }
  const recording = builder.build(warnings);
  if (recording === undefined) {
    throw new TraceReadError(
      `${path} holds a recording of perfetto-dmabuf without a whole sample`,
    );
  }
  return recording;
}

function describeDamage({kind, offset}: Damage): string {
  return kind === 'cut'
    ? `the file is cut in the packet at byte ${offset}`
    : `the file is garbled from byte ${offset} on, the rest is left out`;
}

/** What is needed to tell whose packet it is, without decoding all of it. */
function summarize(bytes: Uint8Array): {
  sequenceId: number | undefined;
  fields: ReadonlySet<number>;
} {
  const reader = new BinaryReader(bytes);
  const fields = new Set<number>();
  let sequenceId: number | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    fields.add(field);
    if (field === SEQUENCE_ID && wireType === WireType.Varint) {
      sequenceId = reader.uint32();
    } else {
      reader.skip(wireType, field);
    }
  }
  return {sequenceId, fields};
}

function isOurRoot(bytes: Uint8Array, fields: ReadonlySet<number>): boolean {
  if (!fields.has(TRACK_DESCRIPTOR)) return false;
  try {
    const {data} = fromBinary(TracePacketSchema, bytes);
    return (
      data.case === 'trackDescriptor' && data.value.uuid === trackUuid.root
    );
  } catch {
    // Somebody else's, in a way we cannot read.
    return false;
  }
}
