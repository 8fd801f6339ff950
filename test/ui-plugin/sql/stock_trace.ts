// SPDX-License-Identifier: Apache-2.0
// Traces with what Perfetto itself records of dma-bufs, written by hand: field
// numbers of protos/perfetto/trace/perfetto_trace.proto.
import {WireWriter} from '../../../src/producer/trace/wire_writer.js';

interface FtraceEvent {
  readonly ts: bigint;
  readonly pid: number;
}

/** `dmabuf_heap/dma_heap_stat`: length < 0 is a free. */
export interface DmaHeapStat extends FtraceEvent {
  readonly inode: bigint;
  readonly length: bigint;
  readonly total: bigint;
}

/** `dma_buf/dma_buf_export` of kernel 7.0. */
export interface DmaBufExport extends FtraceEvent {
  readonly exporter: string;
  readonly size: bigint;
  readonly inode: bigint;
}

const SEQUENCE = 77;

/** A field that holds a message. */
function nested(writer: WireWriter, field: number, fill: () => void): void {
  writer.uint32((field << 3) | 2).fork();
  fill();
  writer.join();
}

function varint(writer: WireWriter, field: number, value: bigint): void {
  writer.uint32(field << 3).int64(value);
}

function text(writer: WireWriter, field: number, value: string): void {
  writer.uint32((field << 3) | 2).string(value);
}

function packet(fill: (writer: WireWriter) => void): Uint8Array {
  const writer = new WireWriter();
  nested(writer, 1, () => {
    varint(writer, 10, BigInt(SEQUENCE));
    fill(writer);
  });
  return writer.finish();
}

/** What `linux.process_stats` says of processes. */
export function processTree(
  processes: ReadonlyMap<number, string>,
): Uint8Array {
  return packet((writer) => {
    nested(writer, 2, () => {
      for (const [pid, name] of processes) {
        nested(writer, 1, () => {
          varint(writer, 1, BigInt(pid));
          text(writer, 3, name);
        });
      }
    });
  });
}

export function dmaHeapStats(events: readonly DmaHeapStat[]): Uint8Array {
  return ftrace(events, 351, (writer, {inode, length, total}) => {
    varint(writer, 1, inode);
    varint(writer, 2, length);
    varint(writer, 3, total);
  });
}

/** As written for an event that has no proto of its own. */
export function dmaBufExports(events: readonly DmaBufExport[]): Uint8Array {
  return ftrace(events, 327, (writer, {exporter, size, inode}) => {
    text(writer, 1, 'dma_buf_export');
    nested(writer, 2, () => {
      text(writer, 1, 'exp_name');
      text(writer, 3, exporter);
    });
    for (const [name, value] of [
      ['size', size],
      ['ino', inode],
    ] as const) {
      nested(writer, 2, () => {
        text(writer, 1, name);
        varint(writer, 5, value);
      });
    }
  });
}

function ftrace<T extends FtraceEvent>(
  events: readonly T[],
  field: number,
  fill: (writer: WireWriter, event: T) => void,
): Uint8Array {
  return packet((writer) => {
    nested(writer, 1, () => {
      varint(writer, 1, 0n);
      for (const event of events) {
        nested(writer, 2, () => {
          varint(writer, 1, event.ts);
          varint(writer, 2, BigInt(event.pid));
          nested(writer, field, () => fill(writer, event));
        });
      }
    });
  });
}

/** `record_process_dmabuf_rss` of `linux.process_stats`. */
export function dmabufRss(ts: bigint, pid: number, kib: bigint): Uint8Array {
  return packet((writer) => {
    varint(writer, 8, ts);
    nested(writer, 9, () => {
      nested(writer, 1, () => {
        varint(writer, 1, BigInt(pid));
        varint(writer, 24, kib);
      });
    });
  });
}
