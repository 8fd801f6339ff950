// SPDX-License-Identifier: Apache-2.0
import {
  InodeMap,
  type Holding,
  type InodeKey,
  type Process,
  type ProcessHoldings,
  type ReadState,
} from '../../core/model/index.js';
import type {DescriptorTable} from './descriptor_table.js';
import type {TrackedHolding} from './tracked_buffer.js';

/** A process's mappings of one buffer. */
export interface MapRefs {
  readonly refs: number;
  readonly bytes: bigint;
}

/** fd → inode, of one descriptor table. */
export type FdTable = ReadonlyMap<number, InodeKey>;

/** The table shared by the process's threads; others are `task/TID/fd`. */
export const MAIN_TABLE = 'fd';

/** What is known of a process. */
export interface TrackedProcess {
  readonly pid: number;
  /** Inode of /proc/PID/fd: another one means another process. */
  procInode: bigint;
  process: Process;
  fdCount: bigint;
  readonly tables: Map<string, DescriptorTable>;
  maps: ReadonlyMap<bigint, MapRefs>;
  fds: 'unread' | 'read' | 'refused';
  mappings: 'unread' | 'read' | 'refused';
  kernelRssBytes: bigint | undefined;
  kernelPssBytes: bigint | undefined;
  asOfNs: bigint;
  /** When its descriptors were last seen to change, BOOTTIME ns. */
  changedNs: bigint | undefined;
  /** Of which the last descriptor was closed since this was cleared. */
  readonly closed: TrackedHolding[];
  /** Sizes of the distinct buffers held, as far as known, bytes. */
  heldBytes: bigint;
  /** Buffers held of which no source told the size yet. */
  unknownSizes: number;
  /** As they were shown last. */
  holdings: InodeMap<Holding>;
  /** Those that may not be as they were shown. */
  readonly changed: TrackedHolding[];
  /** As it was shown last. */
  view: ProcessHoldings | undefined;
  /** Something about it is not as it was shown. */
  stale: boolean;
}

/** A process that was not known, of which nothing was read yet. */
export function newProcess(
  pid: number,
  procInode: bigint,
  nowNs: bigint,
): TrackedProcess {
  return {
    pid,
    procInode,
    process: {
      pid,
      startTicks: undefined,
      comm: undefined,
      cmdline: undefined,
    },
    fdCount: 0n,
    tables: new Map(),
    maps: new Map(),
    fds: 'unread',
    mappings: 'unread',
    kernelRssBytes: undefined,
    kernelPssBytes: undefined,
    asOfNs: nowNs,
    changedNs: undefined,
    closed: [],
    heldBytes: 0n,
    unknownSizes: 0,
    holdings: InodeMap.empty(),
    changed: [],
    view: undefined,
    stale: true,
  };
}

/** Adds a buffer's size to what a process holds, or takes it away. */
export function addSize(
  holder: TrackedProcess,
  sizeBytes: bigint | undefined,
  sign: 1 | -1,
): void {
  if (sizeBytes === undefined) holder.unknownSizes += sign;
  else if (sign > 0) holder.heldBytes += sizeBytes;
  else holder.heldBytes -= sizeBytes;
}

/** What of a process could be read; what was not asked for is not refused. */
export function readState(tracked: TrackedProcess): ReadState {
  const refused =
    Number(tracked.fds === 'refused') + Number(tracked.mappings === 'refused');
  if (refused === 0) return 'complete';
  return refused === 2 ? 'unreadable' : 'partial';
}
