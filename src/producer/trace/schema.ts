// SPDX-License-Identifier: Apache-2.0
// What our recordings look like in a trace: names, ids and order of tracks.
// The encoder writes it, the reader and the SQL find it again by it.

/** Version of this schema, in the attribute `dma_buf.schema_version`. */
export const SCHEMA_VERSION = 1;

/** trusted_packet_sequence_id of everything we write. */
export const SEQUENCE_ID = 0x0dab;

/** ns in a tick of field 22 of /proc/PID/stat (USER_HZ is 100). */
export const NS_PER_TICK = 10_000_000n;

/** Name of a recording in an archive: it sorts after the system trace. */
export const MEMBER_NAME = 'zz_dmabuf.pftrace';

/** Names of tracks under the root. */
export const trackName = {
  root: 'DMA-BUF',
  simulatedRoot: 'DMA-BUF (simulated)',
  total: 'Total',
  held: 'Held by processes',
  kernelOnly: 'Kernel-only',
  kernelOnlyUpperBound: 'Kernel-only (upper bound)',
  mappedOnly: 'Mapped-only',
  bufferCount: 'Buffer count',
  buffers: 'Buffers',
  samples: 'Samples',
  /** Of a process. */
  pss: 'dma-buf PSS',
  /** Of a process. */
  rss: 'dma-buf RSS',
  /** Of a process. */
  processBuffers: 'dma-buf buffers',
} as const;

export const EXPORTER_PREFIX = 'Exporter: ';
export const UNKNOWN_EXPORTER = '(unknown)';

/** Order under the root; exporters come between, as they appear. */
export const trackRank = {
  total: 0,
  held: 1,
  kernelOnly: 2,
  kernelOnlyUpperBound: 3,
  mappedOnly: 4,
  bufferCount: 5,
  firstExporter: 10,
  buffers: 100_000,
  samples: 100_001,
} as const;

/** Interned event categories. */
export const category = {
  buffer: {iid: 1, name: 'dma_buf'},
  rename: {iid: 2, name: 'dma_buf.rename'},
  sample: {iid: 3, name: 'dma_buf.sample'},
} as const;

/** Interned event names that do not depend on a buffer. */
export const eventName = {
  fullScan: {iid: 1, name: 'full scan'},
  quickScan: {iid: 2, name: 'quick scan'},
} as const;

/** iids from here on name buffers. */
export const FIRST_BUFFER_NAME_IID = 16;

/** Name of the instant that marks a buffer's new name. */
export function renameTitle(name: string): string {
  return `named ${name === '' ? '""' : name}`;
}

/** Keys of TraceAttributes; rows `trace_attribute.KEY` of `metadata`. */
export const attribute = {
  schemaVersion: 'dma_buf.schema_version',
  toolVersion: 'dma_buf.tool_version',
  simulated: 'dma_buf.simulated',
  source: 'dma_buf.source',
  device: 'dma_buf.device',
  kernelRelease: 'dma_buf.kernel_release',
  buildFingerprint: 'dma_buf.build_fingerprint',
  bootId: 'dma_buf.boot_id',
  uid: 'dma_buf.uid',
  /** Written last: how the recording ended. */
  ended: 'dma_buf.ended',
  samples: 'dma_buf.samples',
} as const;

export const trackUuid = {
  root: uuid('root'),
  counter: (name: string) => uuid('counter', name),
  buffersLane: (lane: number) => uuid('buffers', String(lane)),
  samples: uuid('samples'),
  /** Of a process, as `processKey` names it. */
  process: (key: string) => uuid('process', key),
  processCounter: (key: string, name: string) =>
    uuid('process counter', key, name),
  processLane: (key: string, lane: number) =>
    uuid('process lane', key, String(lane)),
};

/** The flow that ties the holders of a buffer, as `bufferKey` names it. */
export function flowId(key: string): bigint {
  return uuid('flow', key);
}

/**
 * An id made of names alone: the same in every recording. 56 bits, which are
 * eight bytes on the wire, and never 0, which would be the default track.
 */
function uuid(...names: string[]): bigint {
  const text = ['dma_buf', ...names].join('\0');
  const high = BigInt(hash32(text, 0x9747b28c) >>> 8);
  const low = BigInt(hash32(text, 0x5bd1e995));
  return ((high << 32n) | low) + 1n;
}

/** MurmurHash3's mixing, over UTF-16 units. */
function hash32(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) {
    let unit = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    unit = Math.imul((unit << 15) | (unit >>> 17), 0x1b873593);
    hash ^= unit;
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
