// SPDX-License-Identifier: Apache-2.0
import type {Provenance} from '../../core/model/index.js';
import type {ClockReading} from './descriptors.js';

/** A counter over a recording. Only known values are in it. */
export interface CounterSummary {
  readonly firstNs: bigint;
  readonly first: number;
  readonly peakNs: bigint;
  readonly peak: number;
  readonly lastNs: bigint;
  readonly last: number;
}

/** One process's hold on one buffer. Times are BOOTTIME ns. */
export interface HoldingRecord {
  readonly buffer: BufferRecord;
  readonly process: ProcessRecord;
  readonly beginNs: bigint;
  /** Undefined: still held at the end. */
  readonly endNs: bigint | undefined;
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
  readonly mappedBytes: bigint | undefined;
  /** It may have begun before beginNs. */
  readonly beganUnseen: boolean;
  /** It may not have ended at endNs. */
  readonly endedUnseen: boolean;
}

/** One buffer's life. Times are BOOTTIME ns. */
export interface BufferRecord {
  /** inode and generation: unique in the recording. */
  readonly key: string;
  readonly inode: bigint;
  readonly generation: number;
  readonly sizeBytes: bigint | undefined;
  /** All its names, in the order they were given. */
  readonly names: readonly string[];
  readonly exporter: string | undefined;
  readonly beginNs: bigint;
  /** Undefined: still there at the end. */
  readonly endNs: bigint | undefined;
  readonly beganUnseen: boolean;
  readonly endedUnseen: boolean;
  /** In the order the holders took it. */
  readonly holdings: readonly HoldingRecord[];
}

export interface ProcessRecord {
  readonly pid: number;
  readonly name: string;
  /** Clock ticks since boot (USER_HZ, 100/s). */
  readonly startTicks: bigint | undefined;
  /** bytes */
  readonly rss: CounterSummary | undefined;
  /** bytes, with fractions */
  readonly pss: CounterSummary | undefined;
  readonly holdings: readonly HoldingRecord[];
}

/** What one sample says of itself. */
export interface SampleRecord {
  readonly sequence: number;
  readonly fullScan: boolean;
  /** Source of the list of all buffers; undefined when there was none. */
  readonly kernelList: string | undefined;
  readonly fileCounts: boolean;
  readonly processesSeen: number;
  readonly processesScanned: number;
  readonly processesUnreadable: number;
  readonly processesVanished: number;
  readonly inodeCollisions: number;
  /** Part of what is kernel-only may be held by who could not be read. */
  readonly kernelOnlyIsUpperBound: boolean;
  readonly problems: readonly string[];
}

/** What the samples of a recording say of themselves. */
export interface SampleSummary {
  readonly count: number;
  readonly fullScans: number;
  /** Sequence numbers that are missing between the first and the last. */
  readonly missing: number;
  /** Longest time from one sample to the next, ns. */
  readonly longestGapNs: bigint;
  /** ns; undefined where no sample told. */
  readonly deviceCpuNs: bigint | undefined;
  /** Over the transport. */
  readonly bytes: number;
  /** Sources of the list of all buffers; empty when there was none. */
  readonly kernelLists: readonly string[];
  /** Samples without such a list. */
  readonly withoutKernelList: number;
  readonly mostUnreadable: number;
  readonly mostVanished: number;
  readonly mostInodeCollisions: number;
  /** How many samples had each problem. */
  readonly problems: ReadonlyMap<string, number>;
  /** The last sample; undefined when there was none. */
  readonly last: SampleRecord | undefined;
}

/** A recording of ours, read back from a trace. */
export interface Recording {
  readonly provenance: Provenance;
  /** The clocks as the recording began. */
  readonly clock: ClockReading | undefined;
  /** End of the first and of the last sample, BOOTTIME ns. */
  readonly beginNs: bigint;
  readonly endNs: bigint;
  /** How it ended; undefined when it was cut short, or not read to its end. */
  readonly ended: string | undefined;
  /** There are samples after the one up to which it was to be read. */
  readonly hasMore: boolean;
  readonly samples: SampleSummary;
  /** By track name: Total, Held by processes, ..., Exporter: NAME. */
  readonly counters: ReadonlyMap<string, CounterSummary>;
  readonly processes: readonly ProcessRecord[];
  readonly buffers: readonly BufferRecord[];
  /** What is wrong with the file; one line each, empty when nothing. */
  readonly warnings: readonly string[];
}
