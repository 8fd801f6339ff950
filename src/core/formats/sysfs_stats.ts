// SPDX-License-Identifier: Apache-2.0
/**
 * /sys/kernel/dmabuf/buffers/INODE/{exporter_name,size}: "%s\n" and "%zu\n" of
 * drivers/dma-buf/dma-buf-sysfs-stats.c, 5.13 to 6.19 where
 * CONFIG_DMABUF_SYSFS_STATS is set. No names.
 */
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';
import {asDecimal, detachedSlice, isDigit} from './scan.js';

export interface SysfsDmaBuf {
  /** Undefined when the file was not read: the buffer went away meanwhile. */
  sizeBytes?: bigint;
  exporter?: RawText;
}

const DIRECTORY = '/sys/kernel/dmabuf/buffers';
const EXPORTER = '/exporter_name:';
const SIZE = '/size:';

/**
 * The output of `grep -r '' /sys/kernel/dmabuf/buffers` (lines `PATH:VALUE`,
 * the path in any form that ends in INODE/FILE), by inode. Lines of other
 * files are skipped, and so is what cannot be read or is cut at the end: its
 * value stays undefined.
 */
export function parseSysfsGrep(text: RawText): Map<bigint, SysfsDmaBuf> {
  const buffers = new Map<bigint, SysfsDmaBuf>();
  for (let start = 0, end; start < text.length; start = end + 1) {
    end = text.indexOf('\n', start);
    if (end < 0) break;
    const line = text.slice(start, end);
    // The first colon after the file's name: a path before it has none of
    // these parts, and an exporter's name may hold anything.
    const exporter = line.indexOf(EXPORTER);
    const size = line.indexOf(SIZE);
    const isSize = size >= 0 && (exporter < 0 || size < exporter);
    const at = isSize ? size : exporter;
    if (at < 0) continue;
    const inode = inodeBefore(line, at);
    if (inode === undefined) continue;
    let buffer = buffers.get(inode);
    if (buffer === undefined) buffers.set(inode, (buffer = {}));
    if (isSize) {
      const bytes = asDecimal(line.slice(at + SIZE.length));
      if (bytes !== undefined) buffer.sizeBytes ??= bytes;
    } else {
      buffer.exporter ??= detachedSlice(
        line,
        at + EXPORTER.length,
        line.length,
      );
    }
  }
  return buffers;
}

function inodeBefore(line: RawText, end: number): bigint | undefined {
  // `grep: PATH: No such file` of a buffer that has just gone.
  const blank = line.indexOf(' ');
  if (blank >= 0 && blank < end) return undefined;
  let start = end;
  while (start > 0 && isDigit(line.charCodeAt(start - 1))) start--;
  if (start > 0 && line[start - 1] !== '/') return undefined;
  return asDecimal(line.slice(start, end));
}

/**
 * The file `size`: bytes.
 * @throws FormatError when the text is cut or no number.
 */
export function parseSysfsSize(text: RawText): bigint {
  const bytes = text.endsWith('\n') ? asDecimal(text.slice(0, -1)) : undefined;
  if (bytes === undefined) {
    throw new FormatError(
      `${DIRECTORY}/INODE/size`,
      1,
      `expected a number of bytes and a newline, found ${quoteRaw(text)}`,
    );
  }
  return bytes;
}

export function renderSysfsSize(sizeBytes: bigint): RawText {
  return `${sizeBytes}\n`;
}

/**
 * The file `exporter_name`.
 * @throws FormatError when the text is cut.
 */
export function parseSysfsExporter(text: RawText): RawText {
  if (!text.endsWith('\n')) {
    throw new FormatError(
      `${DIRECTORY}/INODE/exporter_name`,
      1,
      `expected a name and a newline, found ${quoteRaw(text)}`,
    );
  }
  return text.slice(0, -1);
}

export function renderSysfsExporter(exporter: RawText): RawText {
  return `${exporter}\n`;
}

/** What grep prints for the directory; values that are undefined are absent. */
export function renderSysfsGrep(
  buffers: ReadonlyMap<bigint, SysfsDmaBuf>,
  directory: string = DIRECTORY,
): RawText {
  let text = '';
  for (const [inode, {exporter, sizeBytes}] of buffers) {
    const path = `${directory}/${inode}`;
    if (exporter !== undefined) text += `${path}${EXPORTER}${exporter}\n`;
    if (sizeBytes !== undefined) text += `${path}${SIZE}${sizeBytes}\n`;
  }
  return text;
}
