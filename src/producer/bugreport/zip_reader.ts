// SPDX-License-Identifier: Apache-2.0
// Bug reports come from strangers. Nothing in a zip is unpacked to a place of
// its own choosing: entries are looked up by name and read as streams, each
// with a limit, whatever the zip says of their sizes.
import {stat} from 'node:fs/promises';
import {Transform, type Readable} from 'node:stream';
import {openPromise, type Entry, type ZipFile} from 'yauzl';
import {quoteRaw} from '../../core/formats/index.js';
import {BugReportError} from './errors.js';

export interface ZipEntry {
  /** As the zip has it, one character for each byte. */
  readonly name: string;
  /** As the zip says it. */
  readonly sizeBytes: number;
}

export interface ZipReader {
  readonly path: string;
  readonly entries: readonly ZipEntry[];
  /** Where the zip's own directory of entries begins and ends. */
  readonly directory: {readonly begin: number; readonly end: number};
  readonly sizeBytes: number;
  readonly comment: Uint8Array;
  /**
   * What is in an entry, unpacked. Reading it fails when it is more than the
   * zip says, or than `maxBytes`, or is garbled.
   *
   * @throws BugReportError when it cannot be unpacked, or makes no sense
   */
  read(entry: ZipEntry, maxBytes: number): Promise<Readable>;
  close(): void;
}

/** A real report has a few thousand. */
const MOST_ENTRIES = 100_000;
/** What deflate can do at most, and a bit; text of a report has some 10. */
const MOST_RATIO = 1100;

/**
 * Opens a zip and reads its directory.
 *
 * @throws BugReportError when it is none, or is damaged
 */
export async function openZip(path: string): Promise<ZipReader> {
  const {size} = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  let zip: ZipFile;
  try {
    zip = await openPromise(path, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: true,
    });
  } catch (error) {
    throw damagedZip(path, error);
  }
  try {
    // The declarations call it a boolean; it is the offset of the next record.
    const begin = Number(zip.readEntryCursor);
    const entries = await readEntries(path, zip);
    return {
      path,
      entries: [...entries.keys()],
      directory: {begin, end: Number(zip.readEntryCursor)},
      sizeBytes: size,
      comment: commentOf(zip),
      read: (entry, maxBytes) =>
        readEntry(path, zip, entry, entries.get(entry), maxBytes),
      close: () => zip.close(),
    };
  } catch (error) {
    zip.close();
    throw error;
  }
}

/** The only entry of a name; undefined where there is none. */
export function findEntry(
  {path, entries}: ZipReader,
  name: string,
): ZipEntry | undefined {
  const found = entries.filter((entry) => entry.name === name);
  if (found.length > 1) {
    throw new BugReportError(
      `${path} has ${found.length} entries named ${quoteRaw(name)}, and ` +
        'which one counts cannot be told: take the bug report again',
    );
  }
  return found[0];
}

async function readEntries(
  path: string,
  zip: ZipFile,
): Promise<Map<ZipEntry, Entry>> {
  if (zip.entryCount > MOST_ENTRIES) {
    throw new BugReportError(
      `${path} has ${zip.entryCount} entries, which no bug report has: check ` +
        'that it is the right file',
    );
  }
  const entries = new Map<ZipEntry, Entry>();
  try {
    for await (const entry of zip.eachEntry()) {
      const name = entry.fileNameRaw.toString('latin1');
      entries.set({name, sizeBytes: entry.uncompressedSize}, entry);
    }
  } catch (error) {
    throw damagedZip(path, error);
  }
  return entries;
}

function commentOf(zip: ZipFile): Uint8Array {
  // With decodeStrings off it is a Buffer, whatever the declarations say.
  const comment: unknown = zip.comment;
  return comment instanceof Uint8Array ? comment : new Uint8Array();
}

async function readEntry(
  path: string,
  zip: ZipFile,
  {name, sizeBytes}: ZipEntry,
  entry: Entry | undefined,
  maxBytes: number,
): Promise<Readable> {
  const what = `${quoteRaw(name)} in ${path}`;
  if (entry === undefined) throw new RangeError(`${what} is of another zip`);
  if (entry.isEncrypted()) {
    throw new BugReportError(
      `${what} is encrypted: unpack it with its password and give the text`,
    );
  }
  if (!entry.canDecodeFileData()) {
    throw new BugReportError(
      `${what} is packed by method ${entry.compressionMethod}, which is not ` +
        'known here: unpack it and give the text',
    );
  }
  const isImpossible = sizeBytes > (entry.compressedSize + 64) * MOST_RATIO;
  if (sizeBytes > maxBytes || isImpossible) {
    throw new BugReportError(
      `${what} claims to be ${sizeBytes} bytes out of ` +
        `${entry.compressedSize}, which is ` +
        (isImpossible ? 'not possible' : `more than ${maxBytes}`) +
        ': check where the file is from',
    );
  }
  let source: Readable;
  try {
    source = await zip.openReadStreamPromise(entry);
  } catch (error) {
    throw damagedZip(path, error);
  }
  // Named errors, whatever zlib or yauzl say.
  const named = new Transform({
    transform(chunk, _encoding, done) {
      this.push(chunk);
      done();
    },
  });
  source.on('error', (error) => named.destroy(damagedEntry(what, error)));
  named.on('close', () => source.destroy());
  return source.pipe(named);
}

function damagedEntry(what: string, error: unknown): BugReportError {
  return new BugReportError(
    `${what} is damaged (${messageOf(error)}): copy or take the bug report ` +
      'again',
    {cause: error},
  );
}

function damagedZip(path: string, error: unknown): BugReportError {
  if (isErrno(error)) return unreadable(path, error);
  const message = messageOf(error);
  const what = /strong encryption/.test(message)
    ? `${path} is encrypted: unpack it with its password and give the text`
    : /signature not found/.test(message)
      ? `${path} is no zip, or is cut: copy or take the bug report again`
      : `${path} is damaged (${message}): copy or take the bug report again`;
  return new BugReportError(what, {cause: error});
}

/** The same failure, with the file's name, the reason and the fix. */
export function unreadable(path: string, error: unknown): BugReportError {
  const {code = ''} = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file: check its name',
    EACCES: 'permission denied: give a file you may read',
    EISDIR: 'it is a folder: give the zip or the text in it',
  };
  return new BugReportError(
    `cannot read ${path}: ${reasons[code] ?? messageOf(error)}`,
    {cause: error},
  );
}

function isErrno(error: unknown): boolean {
  return error instanceof Error && 'code' in error && 'syscall' in error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
