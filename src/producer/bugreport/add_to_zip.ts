// SPDX-License-Identifier: Apache-2.0
// Adds one file to a copy of a zip. The libraries for zips write whole ones:
// they would unpack and pack again what is there, and lose its order, dates,
// attributes and bytes. A zip, though, is made to be added to: entries, then
// the directory of them, then the end record. So all up to the directory is
// copied as it is, the new entry put behind it, then the old directory as it
// was with one record more, and a new end record. yauzl has read and checked
// the directory before. Format: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.
import {createReadStream} from 'node:fs';
import {open, stat, type FileHandle} from 'node:fs/promises';
import {createDeflateRaw} from 'node:zlib';
import {quoteRaw} from '../../core/formats/index.js';
import {placeOf} from '../archive/tar_archive.js';
import {toReadError} from '../trace/packet_stream.js';
import {toWriteError} from '../trace/sinks.js';
import {Crc32} from './crc32.js';
import {BugReportError} from './errors.js';
import {checkOutput} from './trace_file.js';
import {findEntry, openZip, type ZipReader} from './zip_reader.js';

export interface AddToZipOptions {
  /** Breaks off; nothing is left at the output. */
  readonly signal?: AbortSignal | undefined;
  /** Numbers from here on take zip64's fields; for tests. */
  readonly zip64From?: number;
}

const END_BYTES = 22;
const ZIP64_END_BYTES = 56;
const ZIP64_LOCATOR_BYTES = 20;
const UINT16 = 0xffff;
const UINT32 = 0xffffffff;
const DEFLATE = 8;
/** Unix, a plain file that all may read. */
const MADE_BY = (3 << 8) | 45;
const ATTRIBUTES = 0o100644 * 0x10000;

/**
 * Writes a copy of a zip with one file more, deflated. Every other entry's
 * bytes, and the directory's records of them, stay as they are; the output
 * comes into its place when it is whole. Everything is streamed.
 *
 * @param entryName printable ASCII.
 * @throws BugReportError when the zip is damaged, has that name already or is
 *     of a form that cannot be added to
 * @throws TraceReadError, TraceWriteError
 */
export async function addToZip(
  zipPath: string,
  filePath: string,
  entryName: string,
  outPath: string,
  options: AddToZipOptions = {},
): Promise<void> {
  await checkOutput(outPath, [zipPath, filePath]);
  const before = await stat(outPath).catch(() => undefined);
  if (before !== undefined && !before.isFile()) {
    throw new BugReportError(
      `${outPath} is no plain file, which a zip has to be: name another with -o`,
    );
  }
  const zip = await openZip(zipPath);
  try {
    checkForm(zip, entryName);
    const place = await placeOf(outPath);
    try {
      const file = await openNew(place.partial, outPath);
      try {
        await new ZipAppender(zip, file, outPath, options).add(
          filePath,
          entryName,
        );
      } finally {
        await file.close();
      }
      await place.settle();
    } catch (error) {
      await place.discard();
      throw error;
    }
  } finally {
    zip.close();
  }
}

/** Nothing but the end records may stand behind the directory. */
function checkForm(zip: ZipReader, entryName: string): void {
  const {path, directory, sizeBytes, comment} = zip;
  if (findEntry(zip, entryName) !== undefined) {
    throw new BugReportError(
      `${path} has an entry ${quoteRaw(entryName)} already: give the report ` +
        'as it came from the device',
    );
  }
  const rest = sizeBytes - directory.end - END_BYTES - comment.length;
  if (rest === 0) return;
  if (rest === ZIP64_END_BYTES + ZIP64_LOCATOR_BYTES) return;
  throw new BugReportError(
    `${path} has something between its directory and its end (a signature?), ` +
      'which adding to it would break: attach without --into-zip',
  );
}

async function openNew(partial: string, name: string): Promise<FileHandle> {
  try {
    return await open(partial, 'wx+');
  } catch (error) {
    throw toWriteError(name, error);
  }
}

/** What the new entry turned out to be. */
interface Packed {
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
}

class ZipAppender {
  private position = 0;
  private readonly zip64From: number;

  constructor(
    private readonly zip: ZipReader,
    private readonly file: FileHandle,
    private readonly outPath: string,
    private readonly options: AddToZipOptions,
  ) {
    this.zip64From = options.zip64From ?? UINT32;
  }

  async add(filePath: string, entryName: string): Promise<void> {
    const {directory, entries, path, comment} = this.zip;
    await this.copy(path, 0, directory.begin);
    const name = Buffer.from(entryName, 'latin1');
    const when = dosTime(new Date());
    const header = this.position;
    // Deflate makes incompressible data some 0.03 % longer.
    const {size} = await stat(filePath).catch((error: unknown) => {
      throw toReadError(filePath, error);
    });
    const isBig = size * 1.001 + 1024 >= this.zip64From;
    // Written again when the sizes are known.
    const unknown = {crc: 0, packedBytes: 0, bytes: 0};
    await this.write(localHeader(name, when, unknown, isBig));
    const packed = await this.pack(filePath);
    await this.writeAt(header, localHeader(name, when, packed, isBig));

    const directoryBegin = this.position;
    await this.copy(path, directory.begin, directory.end);
    await this.write(
      centralHeader(name, when, packed, header, isBig, this.zip64From),
    );
    const directoryBytes = this.position - directoryBegin;
    await this.write(
      endRecords(
        {
          entries: entries.length + 1,
          directoryBytes,
          directoryBegin,
          end: this.position,
        },
        comment,
        this.zip64From,
      ),
    );
  }

  private async pack(filePath: string): Promise<Packed> {
    const crc = new Crc32();
    const begin = this.position;
    let bytes = 0;
    const source = createReadStream(filePath);
    const deflate = createDeflateRaw();
    source.on('data', (chunk) => {
      if (typeof chunk === 'string') return;
      crc.update(chunk);
      bytes += chunk.length;
    });
    source.on('error', (error) =>
      deflate.destroy(toReadError(filePath, error)),
    );
    source.pipe(deflate);
    try {
      for await (const chunk of deflate as AsyncIterable<Uint8Array>) {
        await this.write(chunk);
      }
    } finally {
      source.destroy();
    }
    return {crc: crc.value, packedBytes: this.position - begin, bytes};
  }

  private async copy(path: string, begin: number, end: number): Promise<void> {
    if (begin === end) return;
    const source = createReadStream(path, {
      start: begin,
      end: end - 1,
      highWaterMark: 1 << 20,
    });
    const from = this.position;
    try {
      for await (const chunk of source as AsyncIterable<Uint8Array>) {
        await this.write(chunk);
      }
    } catch (error) {
      throw isErrnoOfRead(error) ? toReadError(path, error) : error;
    } finally {
      source.destroy();
    }
    if (this.position - from !== end - begin) {
      throw new BugReportError(
        `${path} became shorter while it was read: try again when nobody ` +
          'writes to it',
      );
    }
  }

  private async write(data: Uint8Array): Promise<void> {
    await this.writeAt(this.position, data);
    this.position += data.length;
  }

  private async writeAt(position: number, data: Uint8Array): Promise<void> {
    this.options.signal?.throwIfAborted();
    let done = 0;
    try {
      while (done < data.length) {
        const {bytesWritten} = await this.file.write(
          data,
          done,
          data.length - done,
          position + done,
        );
        done += bytesWritten;
      }
    } catch (error) {
      throw toWriteError(this.outPath, error);
    }
  }
}

function isErrnoOfRead(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    (error.syscall === 'read' || error.syscall === 'open')
  );
}

/** MS-DOS date and time: local, from 1980, two seconds' steps. */
function dosTime(date: Date): number {
  const year = Math.max(date.getFullYear() - 1980, 0);
  return (
    ((year << 25) |
      ((date.getMonth() + 1) << 21) |
      (date.getDate() << 16) |
      (date.getHours() << 11) |
      (date.getMinutes() << 5) |
      (date.getSeconds() >> 1)) >>>
    0
  );
}

/** 4.3.7; with the sizes in a zip64 field where they may be too big. */
function localHeader(
  name: Buffer,
  when: number,
  {crc, packedBytes, bytes}: Packed,
  isBig: boolean,
): Buffer {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  writeCommon(header, 4, when, crc, isBig);
  header.writeUInt32LE(isBig ? UINT32 : packedBytes, 18);
  header.writeUInt32LE(isBig ? UINT32 : bytes, 22);
  header.writeUInt16LE(name.length, 26);
  const extra = isBig ? zip64Field([bytes, packedBytes]) : Buffer.alloc(0);
  header.writeUInt16LE(extra.length, 28);
  return Buffer.concat([header, name, extra]);
}

/** 4.3.12 */
function centralHeader(
  name: Buffer,
  when: number,
  {crc, packedBytes, bytes}: Packed,
  offset: number,
  isBig: boolean,
  zip64From: number,
): Buffer {
  const header = Buffer.alloc(46);
  const isFar = offset >= zip64From;
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(MADE_BY, 4);
  writeCommon(header, 6, when, crc, isBig || isFar);
  header.writeUInt32LE(isBig ? UINT32 : packedBytes, 20);
  header.writeUInt32LE(isBig ? UINT32 : bytes, 24);
  header.writeUInt16LE(name.length, 28);
  const big = [
    ...(isBig ? [bytes, packedBytes] : []),
    ...(isFar ? [offset] : []),
  ];
  const extra = big.length > 0 ? zip64Field(big) : Buffer.alloc(0);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt32LE(ATTRIBUTES, 38);
  header.writeUInt32LE(isFar ? UINT32 : offset, 42);
  return Buffer.concat([header, name, extra]);
}

/** Version, flags, method, time and checksum, which both headers have. */
function writeCommon(
  header: Buffer,
  at: number,
  when: number,
  crc: number,
  isZip64: boolean,
): void {
  header.writeUInt16LE(isZip64 ? 45 : 20, at);
  header.writeUInt16LE(DEFLATE, at + 4);
  header.writeUInt32LE(when, at + 6);
  header.writeUInt32LE(crc, at + 10);
}

/** 4.5.3 */
function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) {
    field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  }
  return field;
}

interface Ending {
  readonly entries: number;
  readonly directoryBytes: number;
  readonly directoryBegin: number;
  /** Where the end records begin. */
  readonly end: number;
}

/** 4.3.14 to 4.3.16: zip64's two, where a number is too big, and the last. */
function endRecords(
  {entries, directoryBytes, directoryBegin, end}: Ending,
  comment: Uint8Array,
  zip64From: number,
): Buffer {
  const isBig =
    entries >= Math.min(UINT16, zip64From) ||
    directoryBytes >= zip64From ||
    directoryBegin >= zip64From;
  const last = Buffer.alloc(END_BYTES);
  last.writeUInt32LE(0x06054b50, 0);
  last.writeUInt16LE(isBig ? UINT16 : entries, 8);
  last.writeUInt16LE(isBig ? UINT16 : entries, 10);
  last.writeUInt32LE(isBig ? UINT32 : directoryBytes, 12);
  last.writeUInt32LE(isBig ? UINT32 : directoryBegin, 16);
  last.writeUInt16LE(comment.length, 20);
  if (!isBig) return Buffer.concat([last, comment]);

  const record = Buffer.alloc(ZIP64_END_BYTES);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(BigInt(ZIP64_END_BYTES - 12), 4);
  record.writeUInt16LE(MADE_BY, 12);
  record.writeUInt16LE(45, 14);
  record.writeBigUInt64LE(BigInt(entries), 24);
  record.writeBigUInt64LE(BigInt(entries), 32);
  record.writeBigUInt64LE(BigInt(directoryBytes), 40);
  record.writeBigUInt64LE(BigInt(directoryBegin), 48);
  const locator = Buffer.alloc(ZIP64_LOCATOR_BYTES);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(end), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([record, locator, last, comment]);
}
