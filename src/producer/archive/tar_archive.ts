// SPDX-License-Identifier: Apache-2.0
// The archive that ui.perfetto.dev opens as one trace: a tar whose members are
// traces. Perfetto's reader takes names and sizes from the ustar headers alone
// (src/trace_processor/importers/archive/tar_trace_reader.cc) and refuses, or
// passes over, the extended ones; so names that would need one are refused.
import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {createReadStream} from 'node:fs';
import {realpath, rename, stat, unlink} from 'node:fs/promises';
import type {Readable} from 'node:stream';
import {pack, type Pack} from 'tar-stream';
import {toReadError, TraceReadError} from '../trace/packet_stream.js';
import {openFileSink, toWriteError, type TraceSink} from '../trace/sinks.js';

/** A file in an archive. */
export interface TarMember {
  /** As {@link isMemberName} wants it. */
  readonly name: string;
  /** What `open()` yields; no more, no less. */
  readonly sizeBytes: number;
  /** Called once, when it is the member's turn. */
  open(): Readable;
}

/** A member that did not yield what was announced of it. */
export class MemberChangedError extends TraceReadError {
  constructor(name: string, announced: number, found: string) {
    super(
      `${name} changed while it was read (it had ${announced} bytes, ` +
        `${found}): try again when nobody writes to it`,
    );
    this.name = 'MemberChangedError';
  }
}

/** What a ustar header holds of a name without a prefix. */
const LONGEST_NAME = 100;
const BLOCK_BYTES = 512;
/** In a header. */
const SIZE_AT = 124;
/** In a header: the byte after the size's digits. */
const SIZE_END = 135;
/** In a header. */
const CHECKSUM_AT = 148;

/**
 * Whether Perfetto finds a member of this name again: printable ASCII, at most
 * 100 of it, in no folder, and no dot file, which it passes over.
 */
export function isMemberName(name: string): boolean {
  return (
    /^[\x21-\x7e][\x20-\x7e]*$/.test(name) &&
    name.length <= LONGEST_NAME &&
    !name.includes('/') &&
    !name.startsWith('.')
  );
}

/** A member's name as near to `text` as {@link isMemberName} lets it be. */
export function toMemberName(text: string): string {
  const name = text
    .replace(/[^\x20-\x7e]|[/\\]/g, '_')
    .replace(/^[. ]+/, '')
    // The end tells a reader more than the middle.
    .replace(/^(.{60}).*(.{37})$/, (all, head: string, tail: string) =>
      all.length <= LONGEST_NAME ? all : `${head}...${tail}`,
    );
  return name === '' ? '_' : name;
}

/**
 * A file as a member, as long as it is now.
 *
 * @throws TraceReadError when there is no such file.
 */
export async function fileMember(
  name: string,
  path: string,
): Promise<TarMember> {
  try {
    const {size} = await stat(path);
    return {name, sizeBytes: size, open: () => createReadStream(path)};
  } catch (error) {
    throw toReadError(path, error);
  }
}

/**
 * Writes members, in this order, into one tar. Nothing is held in memory but a
 * few pieces of the member under way. The file comes into its place when it is
 * whole; a failed one is taken away, and what was there before stays.
 *
 * @throws TraceWriteError when the archive cannot be written, e.g. ENOSPC.
 * @throws MemberChangedError when a member is longer or shorter than announced.
 * @throws TraceReadError when a member cannot be read.
 * @throws RangeError when a name is none, or is there twice.
 */
export async function writeTarArchive(
  path: string,
  members: readonly TarMember[],
): Promise<void> {
  checkNames(members);
  const place = await placeOf(path);
  const sink = await openFileSink(place.partial, path);
  try {
    try {
      await copyAll(members, sink);
    } finally {
      await sink.close();
    }
    await place.settle();
  } catch (error) {
    await place.discard();
    throw error;
  }
}

function checkNames(members: readonly TarMember[]): void {
  const names = new Set<string>();
  for (const {name} of members) {
    if (!isMemberName(name)) throw new RangeError(`no member name: ${name}`);
    if (names.has(name)) throw new RangeError(`two members named ${name}`);
    names.add(name);
  }
}

/** Where an archive grows until it is whole. */
export interface Place {
  readonly partial: string;
  settle(): Promise<void>;
  discard(): Promise<void>;
}

/** A place beside the one that is meant, to be renamed when all is in it. */
export async function placeOf(path: string): Promise<Place> {
  // Through a link, so that the link stays.
  const target = await realpath(path).catch(() => path);
  const before = await stat(target).catch(() => undefined);
  if (before !== undefined && !before.isFile()) {
    // A device or a pipe is written to directly; a folder tells on opening.
    return {
      partial: target,
      settle: () => Promise.resolve(),
      discard: () => Promise.resolve(),
    };
  }
  const partial = `${target}.partial-${randomBytes(4).toString('hex')}`;
  return {
    partial,
    settle: async () => {
      try {
        await rename(partial, target);
      } catch (error) {
        throw toWriteError(path, error);
      }
    },
    discard: () => unlink(partial).catch(() => undefined),
  };
}

async function copyAll(
  members: readonly TarMember[],
  sink: TraceSink,
): Promise<void> {
  const tar = pack();
  const failing = new AbortController();
  // The one that fails first brings the other to its end.
  const fail = (error: unknown): void => {
    if (!failing.signal.aborted) failing.abort(error);
    tar.destroy(failing.signal.reason as Error);
  };
  await Promise.all([
    fill(tar, members, failing.signal).catch(fail),
    drain(tar, members, sink).catch(fail),
  ]);
  failing.signal.throwIfAborted();
}

async function drain(
  tar: Pack,
  members: readonly TarMember[],
  sink: TraceSink,
): Promise<void> {
  const sizes = members.map(({sizeBytes}) => sizeBytes).values();
  /** Bytes of the member under way, and its padding, that are still to come. */
  let rest = 0;
  for await (const piece of tar as AsyncIterable<Uint8Array>) {
    if (rest === 0) {
      const size = sizes.next().value;
      if (size !== undefined) {
        endSizeByNul(piece);
        rest = Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
      }
    } else {
      rest -= piece.length;
    }
    await sink.write(piece);
  }
}

/**
 * The library ends a header's size by a blank, as BSD's tar does, and Perfetto
 * before v58 takes no such size; GNU's tar ends it by a NUL.
 */
function endSizeByNul(header: Uint8Array): void {
  // From 8 GiB on the size is binary, without an end.
  const isBinary = ((header[SIZE_AT] ?? 0) & 0x80) !== 0;
  if (isBinary || header[SIZE_END] !== 0x20) return;
  header[SIZE_END] = 0;
  // The sum of the header's bytes, six octal digits.
  const text = new TextDecoder('latin1');
  const at = CHECKSUM_AT;
  const sum = parseInt(text.decode(header.subarray(at, at + 6)), 8) - 0x20;
  const digits = sum.toString(8).padStart(6, '0');
  header.set(new TextEncoder().encode(digits), at);
}

async function fill(
  tar: Pack,
  members: readonly TarMember[],
  signal: AbortSignal,
): Promise<void> {
  for (const member of members) await add(tar, member, signal);
  tar.finalize();
}

async function add(
  tar: Pack,
  member: TarMember,
  signal: AbortSignal,
): Promise<void> {
  const {name, sizeBytes} = member;
  const mtime = new Date();
  const header = {name, size: sizeBytes, mode: 0o644, mtime};
  const entry = tar.entry(header, () => undefined);
  // Whoever destroys it knows why; unheard, the error would end the process.
  entry.on('error', (error) => error);
  let done = 0;
  const source = member.open();
  try {
    for await (const piece of source as AsyncIterable<Uint8Array>) {
      done += piece.length;
      if (done > sizeBytes) {
        throw new MemberChangedError(name, sizeBytes, 'now it has more');
      }
      if (!entry.write(piece)) await once(entry, 'drain', {signal});
    }
  } catch (error) {
    throw isErrno(error) ? toReadError(name, error) : error;
  } finally {
    source.destroy();
  }
  if (done < sizeBytes) {
    throw new MemberChangedError(name, sizeBytes, `now it has ${done}`);
  }
  const closed = once(entry, 'close', {signal});
  entry.end(undefined);
  await closed;
}

function isErrno(error: unknown): boolean {
  return (
    error instanceof Error &&
    !(error instanceof TraceReadError) &&
    'code' in error &&
    'syscall' in error
  );
}
