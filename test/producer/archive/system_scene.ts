// SPDX-License-Identifier: Apache-2.0
// System traces made by hand, of which every time is known.
import {BinaryWriter, WireType} from '@bufbuild/protobuf/wire';
import {deflateSync} from 'node:zlib';
import {CLOCK, INTERVAL_NS, START_NS} from '../trace/scene.js';

/** Bytes of a message: a field's number, then its value. */
type Value = bigint | number | string | Uint8Array;
type Fields = readonly (readonly [field: number, value: Value])[];

export function message(...fields: Fields): Uint8Array {
  const writer = new BinaryWriter();
  for (const [field, value] of fields) {
    if (typeof value === 'bigint' || typeof value === 'number') {
      writer.tag(field, WireType.Varint).uint64(BigInt(value));
    } else {
      writer.tag(field, WireType.LengthDelimited);
      writer.bytes(typeof value === 'string' ? Buffer.from(value) : value);
    }
  }
  return writer.finish();
}

/** A packet of the service's own sequence, in the frame it has in a file. */
export function packet(...fields: Fields): Uint8Array {
  return message([1, message(...fields, [3, 0], [10, 1])]);
}

/** REALTIME at BOOTTIME 0, in our recordings' scene. */
export const BOOTED_AT = CLOCK.realNs - CLOCK.bootNs;

export interface SystemScene {
  /** REALTIME at BOOTTIME 0. */
  readonly bootedAt?: bigint;
  readonly firstNs?: bigint;
  readonly kernelRelease?: string;
  readonly fingerprint?: string;
  /** The kernel's own dmabuf_rss of a process. */
  readonly dmabufRss?: boolean;
  /** Packets are compressed, as compression_type: COMPRESSION_TYPE_DEFLATE. */
  readonly compressed?: boolean;
  /** Of these processes. */
  readonly pids?: readonly number[];
  readonly clocks?: boolean;
}

/** Where a process runs on the system trace's CPU 0: from each to its next. */
export const SWITCHES_NS = [0n, 1n, 2n, 3n].map(
  (index) => START_NS + index * INTERVAL_NS,
);

/** A system trace as a tracing service writes it: sched, stats, clocks. */
export function systemTrace(scene: SystemScene = {}): Uint8Array {
  const {bootedAt = BOOTED_AT, firstNs = START_NS, pids = [1, 2, 3]} = scene;
  const clocks = (bootNs: bigint): Uint8Array =>
    packet([
      6,
      message(
        [1, message([1, 6], [2, bootNs])],
        // MONOTONIC stood still while the device slept.
        [1, message([1, 3], [2, bootNs - 77_000_000_000n])],
        [1, message([1, 1], [2, bootNs + bootedAt])],
        [2, 6],
      ),
    ]);
  const info = message(
    [
      1,
      message(
        [1, 'Linux'],
        [3, scene.kernelRelease ?? '6.1.0-test'],
        [4, 'aarch64'],
      ),
    ],
    ...(scene.fingerprint === undefined
      ? []
      : ([[2, scene.fingerprint]] as const)),
  );
  const tree = packet(
    [8, firstNs],
    [
      2,
      message(
        ...pids.map(
          (pid) =>
            [1, message([1, pid], [2, 1], [3, `system.name${pid}`])] as const,
        ),
      ),
    ],
  );
  const stats = SWITCHES_NS.map((offset) =>
    packet(
      [8, firstNs + offset - START_NS],
      [
        9,
        message(
          ...pids.map(
            (pid) =>
              [
                1,
                message(
                  [1, pid],
                  [3, 1000 + pid],
                  ...(scene.dmabufRss === true ? ([[24, 512]] as const) : []),
                ),
              ] as const,
          ),
        ),
      ],
    ),
  );
  const sched = packet([
    1,
    message(
      [1, 0],
      ...SWITCHES_NS.map(
        (ns, i) =>
          [
            2,
            message(
              [1, ns + firstNs - START_NS],
              [2, pids[i % pids.length] ?? 0],
              [
                4,
                message(
                  [1, 'prev'],
                  [2, pids[i % pids.length] ?? 0],
                  [3, 120],
                  [4, 1],
                  [5, 'next'],
                  [6, pids[(i + 1) % pids.length] ?? 0],
                  [7, 120],
                ),
              ],
            ),
          ] as const,
      ),
    ),
  ]);
  const packets = [
    ...(scene.clocks === false ? [] : [clocks(firstNs)]),
    packet([45, info]),
    tree,
    sched,
    ...stats,
    ...(scene.clocks === false ? [] : [clocks(firstNs + 10_000_000_000n)]),
  ];
  if (scene.compressed !== true) return Buffer.concat(packets);
  return message([1, message([50, deflateSync(Buffer.concat(packets))])]);
}
