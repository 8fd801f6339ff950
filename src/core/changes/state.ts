// SPDX-License-Identifier: Apache-2.0
import {account, type Accounting} from '../accounting/index.js';
import type {DmaBuf} from '../model/dma_buf.js';
import type {Process} from '../model/process.js';
import type {ProcessHoldings, Snapshot} from '../model/snapshot.js';

/** A snapshot, and what it means when something is not in it. */
export interface State {
  readonly snapshot: Snapshot;
  /** A buffer that is not in it did not exist. */
  readonly listsAllBuffers: boolean;
  /** A process that is not in it did not exist. */
  readonly listsAllProcesses: boolean;
}

/** A state, prepared for questions. */
export class SeenState {
  readonly snapshot: Snapshot;
  readonly listsAllBuffers: boolean;
  readonly accounting: Accounting;
  /** False: there may be holders that were not read. */
  readonly holdersKnown: boolean;
  private readonly holders: ReadonlyMap<bigint, readonly Process[]>;
  /** A process that is not in the state certainly held nothing. */
  private readonly tellsAbsence: boolean;

  constructor({snapshot, listsAllBuffers, listsAllProcesses}: State) {
    const {processesUnreadable, holdersCut} = snapshot.coverage;
    this.snapshot = snapshot;
    this.listsAllBuffers = listsAllBuffers;
    this.accounting = account(snapshot);
    this.holdersKnown = processesUnreadable === 0 && holdersCut !== true;
    this.holders = holdersByInode(snapshot);
    this.tellsAbsence = listsAllProcesses || this.holdersKnown;
  }

  isHeld({inode}: DmaBuf): boolean {
    return this.holders.has(inode);
  }

  /** As far as they could be read, by pid. */
  holdersOf({inode}: DmaBuf): readonly Process[] {
    return this.holders.get(inode) ?? [];
  }

  /**
   * Whether all that these processes held is known; of no process, whether it
   * certainly held nothing.
   */
  knowsAllOf(processes: readonly ProcessHoldings[]): boolean {
    return processes.length === 0
      ? this.tellsAbsence
      : processes.every(({readState}) => readState === 'complete');
  }
}

function holdersByInode({
  processes,
}: Snapshot): ReadonlyMap<bigint, readonly Process[]> {
  const holders = new Map<bigint, Process[]>();
  for (const {process, holdings} of processes.values()) {
    for (const inode of holdings.keys()) {
      const known = holders.get(inode);
      if (known === undefined) holders.set(inode, [process]);
      else known.push(process);
    }
  }
  for (const list of holders.values()) list.sort((a, b) => a.pid - b.pid);
  return holders;
}
