// SPDX-License-Identifier: Apache-2.0
// A trace as the device's own tracing service writes it: clocks, processes, and
// a memory counter of each; by field numbers, for we do not write such packets.
import {BinaryWriter, WireType} from '@bufbuild/protobuf/wire';

const CLOCKS = {realtime: 1, monotonic: 3, boottime: 6};

export interface SystemTraceOptions {
  readonly bootNs: bigint;
  readonly realNs: bigint;
  /** pid and command line. */
  readonly processes: readonly (readonly [number, string])[];
}

export function systemTrace(options: SystemTraceOptions): Buffer {
  const {bootNs, realNs, processes} = options;
  return Buffer.concat([
    packet(bootNs, 6, (clocks) => {
      const readings = [
        [CLOCKS.boottime, bootNs],
        [CLOCKS.monotonic, bootNs - 1_000_000n],
        [CLOCKS.realtime, realNs],
      ] as const;
      for (const [id, time] of readings) {
        message(clocks, 1, (clock) => {
          clock.tag(1, WireType.Varint).uint32(id);
          clock.tag(2, WireType.Varint).uint64(time);
        });
      }
    }),
    packet(bootNs, 2, (tree) => {
      for (const [pid, cmdline] of processes) {
        message(tree, 1, (process) => {
          process.tag(1, WireType.Varint).int32(pid);
          process.tag(2, WireType.Varint).int32(1);
          process.tag(3, WireType.LengthDelimited).string(cmdline);
        });
      }
    }),
    packet(bootNs + 1_000_000_000n, 9, (stats) => {
      for (const [pid] of processes) {
        message(stats, 1, (process) => {
          process.tag(1, WireType.Varint).int32(pid);
          process.tag(3, WireType.Varint).uint64(4096n);
        });
      }
    }),
  ]);
}

function packet(
  timestampNs: bigint,
  field: number,
  fill: (writer: BinaryWriter) => void,
): Uint8Array {
  const trace = new BinaryWriter();
  message(trace, 1, (body) => {
    body.tag(8, WireType.Varint).uint64(timestampNs);
    // trusted_uid and the sequence, as traced stamps them.
    body.tag(3, WireType.Varint).int32(9999);
    body.tag(10, WireType.Varint).uint32(1);
    message(body, field, fill);
  });
  return trace.finish();
}

function message(
  writer: BinaryWriter,
  field: number,
  fill: (writer: BinaryWriter) => void,
): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  fill(writer);
  writer.join();
}
