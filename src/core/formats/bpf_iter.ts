// SPDX-License-Identifier: Apache-2.0
/**
 * The text of a dma-buf BPF iterator (kernel/bpf/dmabuf_iter.c, 6.16): read
 * from its pin, on Android /sys/fs/bpf/dmabuf/prog_dmabufIter_iter_dmabuf. The
 * program there and the kernel's selftest (dmabuf_iter.c under
 * tools/testing/selftests/bpf/progs) print "%lu\n%llu\n%s\n%s\n" for each
 * buffer: inode, size, name, exporter. A newline in a name is printed as a
 * blank, and a name never set as an empty line.
 */
import type {BufferName} from '../model/dma_buf.js';
import type {RawText} from '../model/text.js';
import {asDecimal} from './scan.js';

export interface BpfDmaBuf {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /**
   * Doubtful when it holds a blank (was it a newline?); raw undefined and
   * doubtful when the line is empty (unset, or ""?).
   */
  readonly name: BufferName;
  readonly exporter: RawText;
}

export interface BpfIterText {
  readonly buffers: readonly BpfDmaBuf[];
  /** What was cut or garbled; empty when all could be read. */
  readonly problems: readonly string[];
}

/** Takes any text; keeps the buffers that are whole. */
export function parseBpfIter(text: RawText): BpfIterText {
  const lines = text.split('\n');
  const problems: string[] = [];
  // What follows the last newline is no whole line.
  const rest = lines.pop() ?? '';
  const buffers: BpfDmaBuf[] = [];
  let strays = 0;
  let at = 0;
  while (at + 4 <= lines.length) {
    const [inode, sizeBytes] = [lines[at], lines[at + 1]].map((line) =>
      asDecimal(line ?? ''),
    );
    if (inode === undefined || sizeBytes === undefined) {
      strays++;
      at++;
      continue;
    }
    buffers.push({
      inode,
      sizeBytes,
      name: printedName(lines[at + 2] ?? ''),
      exporter: lines[at + 3] ?? '',
    });
    at += 4;
  }
  if (strays > 0) {
    problems.push(
      `the BPF iterator's text holds ${strays} lines of no known form`,
    );
  }
  if (at < lines.length || rest !== '') {
    problems.push(
      `the BPF iterator's text is cut after ${buffers.length} buffers`,
    );
  }
  return {buffers, problems};
}

export function renderBpfIter(buffers: readonly BpfDmaBuf[]): RawText {
  let text = '';
  for (const {inode, sizeBytes, name, exporter} of buffers) {
    const printed = (name.raw ?? '').replaceAll('\n', ' ');
    text += `${inode}\n${sizeBytes}\n${printed}\n${exporter}\n`;
  }
  return text;
}

function printedName(printed: RawText): BufferName {
  return printed === ''
    ? {raw: undefined, doubtful: true}
    : {raw: printed, doubtful: printed.includes(' ')};
}
