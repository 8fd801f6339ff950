// SPDX-License-Identifier: Apache-2.0
// Which entries of a bug report's zip are what (dumpstate's bugreport-format.md).
import type {Readable} from 'node:stream';
import {quoteRaw} from '../../core/formats/index.js';
import {BugReportError} from './errors.js';
import {findEntry, type ZipReader} from './zip_reader.js';

/** What a recording is kept in. */
export type TraceKind = 'trace' | 'tar';

const MOST_NAME_BYTES = 4096;

/**
 * The name of the report's text. main_entry.txt says it; where there is none,
 * its form does.
 *
 * @throws BugReportError when the zip is no bug report
 */
export async function mainEntryName(zip: ZipReader): Promise<string> {
  const pointer = findEntry(zip, 'main_entry.txt');
  if (pointer !== undefined) {
    const stream = await zip.read(pointer, MOST_NAME_BYTES);
    const name = (await readAll(stream)).trim();
    if (findEntry(zip, name) !== undefined) return name;
    throw new BugReportError(
      `${zip.path} has no ${quoteRaw(name)}, which its main_entry.txt names: ` +
        'take the bug report again',
    );
  }
  const texts = new Set(
    zip.entries
      .map(({name}) => name)
      .filter((name) => /^bugreport[^/]*\.txt$/.test(name)),
  );
  const [name] = texts;
  if (texts.size === 1 && name !== undefined) return name;
  const inner = zip.entries.find(({name: entry}) =>
    /bugreport[^/]*\.zip$/.test(entry),
  );
  throw new BugReportError(
    texts.size > 1
      ? `${zip.path} has ${texts.size} bug reports in it: unpack it and give ` +
          'one of them'
      : inner === undefined
        ? `${zip.path} is no bug report: there is no bugreport-*.txt in it`
        : `${zip.path} has the bug report ${quoteRaw(inner.name)} in it: ` +
          'unpack it and give that one',
  );
}

/** The vendor's part, and the kernel's list where it was copied. */
export function extraEntryNames({entries}: ZipReader): string[] {
  const names = entries
    .map(({name}) => name)
    .filter(
      (name) =>
        name === 'dumpstate_board.txt' ||
        /^FS\/.*\/dma_?buf\/bufinfo$/.test(name),
    );
  return [...new Set(names)];
}

/**
 * Where dumpstate puts traces of tracing sessions that were under way, and we
 * ours.
 */
export function isTraceEntry(name: string): boolean {
  return /^FS\/data\/misc\/perfetto-traces\/.*\.(?:pftrace|perfetto-trace)$/.test(
    name,
  );
}

async function readAll(stream: Readable): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
}

const RECORDING = 'FS/data/misc/perfetto-traces/bugreport/dmabuf';

/** Where a report's zip carries a recording that was added to it. */
export function entryOfRecording(kind: TraceKind): string {
  return `${RECORDING}.${kind === 'tar' ? 'tar' : 'pftrace'}`;
}

export function isRecordingEntry(name: string): boolean {
  return name === entryOfRecording('trace') || name === entryOfRecording('tar');
}
