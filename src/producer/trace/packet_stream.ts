// SPDX-License-Identifier: Apache-2.0
import {once} from 'node:events';
import {createReadStream} from 'node:fs';
import {open, type FileHandle} from 'node:fs/promises';
import {extract, type Extract} from 'tar-stream';

/** Bytes read from the file at once. */
const READ_BYTES = 1 << 18;
/** No packet is bigger; a length beyond it is garbage. */
const MAX_PACKET_BYTES = 1 << 28;
/** Tag of Trace.packet. */
const PACKET_TAG = 0x0a;

/** A file that is not what was asked for; the message says what it is. */
export class TraceReadError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TraceReadError';
  }
}

export interface RawPacket {
  /** A TracePacket, encoded. Valid until the next packet is asked for. */
  readonly bytes: Uint8Array;
  /** Where its frame begins in the file. */
  readonly offset: number;
}

/** Why reading ended before the end of the file. */
export interface Damage {
  readonly kind: 'cut' | 'garbled';
  readonly offset: number;
}

export interface PacketOptions {
  /** If the file is a tar archive, this member of it is read. */
  readonly member?: string;
}

/**
 * Yields the packets of a Perfetto trace file, whatever its size. A file that
 * was cut or garbled ends with a {@link Damage} in place of the rest.
 *
 * @throws TraceReadError when the file cannot be read or is no trace.
 */
export async function* readPackets(
  path: string,
  {member}: PacketOptions = {},
): AsyncGenerator<RawPacket | Damage, void> {
  const file = await openFile(path);
  try {
    let first: Uint8Array | undefined = await readMore(path, file);
    if (member !== undefined && isTar(first)) {
      yield* readMember(path, member);
      return;
    }
    yield* splitPackets(path, () => {
      const next = first ?? readMore(path, file);
      first = undefined;
      return next;
    });
  } finally {
    await file.close();
  }
}

async function* readMember(
  path: string,
  name: string,
): AsyncGenerator<RawPacket | Damage, void> {
  const archive = extract();
  const ending = new AbortController();
  const feeding = feed(path, archive, ending.signal).catch((error: unknown) => {
    archive.destroy(error as Error);
  });
  try {
    for await (const entry of archive) {
      if (entry.header.name !== name) {
        entry.resume();
        continue;
      }
      const pieces = entry[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
      yield* splitPackets(path, () => nextOf(pieces));
      return;
    }
  } catch (error) {
    if (error instanceof TraceReadError) throw error;
    // A broken archive has no such member, as far as can be told.
  } finally {
    ending.abort();
    archive.destroy();
    await feeding;
  }
  throw new TraceReadError(
    `${path} is no Perfetto trace: it is a tar archive, unpack it first`,
  );
}

async function feed(
  path: string,
  archive: Extract,
  signal: AbortSignal,
): Promise<void> {
  const source = createReadStream(path, {signal});
  for await (const piece of source) {
    if (!archive.write(piece)) await once(archive, 'drain', {signal});
  }
  archive.end(undefined);
}

/** Empty at the end, and where the archive is cut. */
async function nextOf(pieces: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  try {
    const piece = await pieces.next();
    return piece.done === true ? new Uint8Array() : piece.value;
  } catch {
    return new Uint8Array();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw toReadError(path, error);
  }
}

/** The same failure, with the file's name and the reason. */
export function toReadError(path: string, error: unknown): TraceReadError {
  const {code, message} = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a folder',
  };
  const reason = reasons[code ?? ''] ?? message;
  return new TraceReadError(`cannot read ${path}: ${reason}`, {cause: error});
}

/** @param read gives the next bytes; none at the end. */
async function* splitPackets(
  path: string,
  read: () => Promise<Uint8Array> | Uint8Array,
): AsyncGenerator<RawPacket | Damage, void> {
  let pending: Uint8Array = new Uint8Array();
  /** File offset of pending[0]. */
  let base = 0;
  for (;;) {
    const more = await read();
    const isFirst = base === 0 && pending.length === 0;
    if (isFirst) checkMagic(path, more);
    pending = concat(pending, more);
    let at = 0;
    for (;;) {
      const frame = frameAt(pending, at);
      if (frame === 'more') break;
      if (frame === 'garbled') {
        yield {kind: 'garbled', offset: base + at};
        return;
      }
      yield {
        bytes: pending.subarray(frame.begin, frame.end),
        offset: base + at,
      };
      at = frame.end;
    }
    pending = pending.subarray(at);
    base += at;
    if (more.length === 0) {
      if (pending.length > 0) yield {kind: 'cut', offset: base};
      return;
    }
  }
}

/** The packets in bytes that hold nothing else, as far as they are whole. */
export function* splitFrames(bytes: Uint8Array): Generator<Uint8Array, void> {
  let at = 0;
  for (;;) {
    const frame = frameAt(bytes, at);
    if (typeof frame === 'string') return;
    yield bytes.subarray(frame.begin, frame.end);
    at = frame.end;
  }
}

async function readMore(path: string, file: FileHandle): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  try {
    const {bytesRead} = await file.read(buffer, 0, READ_BYTES);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw toReadError(path, error);
  }
}

function checkMagic(path: string, start: Uint8Array): void {
  if (start[0] === PACKET_TAG) return;
  throw new TraceReadError(`${path} is no Perfetto trace: ${describe(start)}`);
}

function describe(start: Uint8Array): string {
  const magic = String.fromCharCode(...start.subarray(0, 4));
  if (start.length === 0) return 'it is empty';
  if (magic.startsWith('\x1f\x8b')) return 'it is compressed, gunzip it first';
  if (magic.startsWith('PK')) return 'it is a zip archive, unpack it first';
  if (isTar(start)) return 'it is a tar archive, unpack it first';
  return 'it does not begin with a trace packet';
}

function isTar(start: Uint8Array): boolean {
  return String.fromCharCode(...start.subarray(257, 262)) === 'ustar';
}

/** The frame of the packet at `at`, as far as it is there. */
function frameAt(
  bytes: Uint8Array,
  at: number,
): {readonly begin: number; readonly end: number} | 'more' | 'garbled' {
  if (at >= bytes.length) return 'more';
  if (bytes[at] !== PACKET_TAG) return 'garbled';
  let length = 0;
  let factor = 1;
  for (let i = at + 1; ; i++) {
    const byte = bytes[i];
    if (byte === undefined) return 'more';
    length += (byte & 0x7f) * factor;
    factor *= 0x80;
    if (length > MAX_PACKET_BYTES || factor > 2 ** 35) return 'garbled';
    if (byte >= 0x80) continue;
    const begin = i + 1;
    const end = begin + length;
    return end > bytes.length ? 'more' : {begin, end};
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
