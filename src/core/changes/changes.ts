// SPDX-License-Identifier: Apache-2.0
import {sameName, type DmaBuf} from '../model/dma_buf.js';
import {changedInodes} from '../model/inode_map.js';
import type {Process} from '../model/process.js';
import type {Holding, ProcessHoldings, Snapshot} from '../model/snapshot.js';

export interface Acquired {
  readonly process: Process;
  readonly holding: Holding;
}

export interface Released {
  readonly process: Process;
  /** As it was in the earlier snapshot. */
  readonly holding: Holding;
}

export interface Adjusted {
  readonly process: Process;
  readonly before: Holding;
  readonly after: Holding;
}

export interface Renamed {
  readonly before: DmaBuf;
  readonly after: DmaBuf;
}

/** What is different in the later of two snapshots. */
export interface Changes {
  readonly allocated: readonly DmaBuf[];
  readonly freed: readonly DmaBuf[];
  readonly renamed: readonly Renamed[];
  readonly started: readonly Process[];
  readonly exited: readonly Process[];
  /** By pid. */
  readonly acquired: readonly Acquired[];
  readonly released: readonly Released[];
  /** Still held, with other numbers of fds, mappings or mapped bytes. */
  readonly adjusted: readonly Adjusted[];
}

/**
 * Compares two snapshots of one recording; without an earlier one, everything
 * in the later one is new. A number (inode, pid) that now stands for another
 * buffer or process is an end and a beginning.
 */
export function compare(
  before: Snapshot | undefined,
  after: Snapshot,
): Changes {
  const changes = {
    allocated: [] as DmaBuf[],
    freed: [] as DmaBuf[],
    renamed: [] as Renamed[],
    started: [] as Process[],
    exited: [] as Process[],
    acquired: [] as Acquired[],
    released: [] as Released[],
    adjusted: [] as Adjusted[],
  };
  compareBuffers(before, after, changes);
  compareProcesses(before, after, changes);
  return changes;
}

function compareBuffers(
  before: Snapshot | undefined,
  after: Snapshot,
  changes: {allocated: DmaBuf[]; freed: DmaBuf[]; renamed: Renamed[]},
): void {
  const earlierBuffers = before?.buffers ?? new Map<bigint, DmaBuf>();
  for (const inode of changedInodes(earlierBuffers, after.buffers)) {
    const earlier = earlierBuffers.get(inode);
    const buffer = after.buffers.get(inode);
    if (buffer === undefined) {
      if (earlier !== undefined) changes.freed.push(earlier);
    } else if (earlier?.generation !== buffer.generation) {
      if (earlier !== undefined) changes.freed.push(earlier);
      changes.allocated.push(buffer);
    } else if (!sameName(earlier.name, buffer.name)) {
      changes.renamed.push({before: earlier, after: buffer});
    }
  }
}

function compareProcesses(
  before: Snapshot | undefined,
  after: Snapshot,
  changes: {
    started: Process[];
    exited: Process[];
    acquired: Acquired[];
    released: Released[];
    adjusted: Adjusted[];
  },
): void {
  for (const [pid, earlier] of before?.processes ?? []) {
    const later = after.processes.get(pid);
    if (later !== undefined && isSameProcess(earlier.process, later.process)) {
      continue;
    }
    changes.exited.push(earlier.process);
    for (const holding of earlier.holdings.values()) {
      changes.released.push({process: earlier.process, holding});
    }
  }
  for (const [pid, later] of after.processes) {
    const earlier = before?.processes.get(pid);
    if (
      earlier !== undefined &&
      isSameProcess(earlier.process, later.process)
    ) {
      compareHoldings(earlier, later, changes);
      continue;
    }
    changes.started.push(later.process);
    for (const holding of later.holdings.values()) {
      changes.acquired.push({process: later.process, holding});
    }
  }
}

function isSameProcess(a: Process, b: Process): boolean {
  return a === b || a.startTicks === b.startTicks;
}

function compareHoldings(
  earlier: ProcessHoldings,
  later: ProcessHoldings,
  changes: {acquired: Acquired[]; released: Released[]; adjusted: Adjusted[]},
): void {
  if (earlier.holdings === later.holdings) return;
  const {process} = later;
  for (const inode of changedInodes(earlier.holdings, later.holdings)) {
    const then = earlier.holdings.get(inode);
    const now = later.holdings.get(inode);
    if (then?.buffer.generation !== now?.buffer.generation) {
      if (then !== undefined) changes.released.push({process, holding: then});
      if (now !== undefined) changes.acquired.push({process, holding: now});
    } else if (
      then !== undefined &&
      now !== undefined &&
      (then.fdRefs !== now.fdRefs ||
        then.mapRefs !== now.mapRefs ||
        then.mappedBytes !== now.mappedBytes)
    ) {
      changes.adjusted.push({process, before: then, after: now});
    }
  }
}
