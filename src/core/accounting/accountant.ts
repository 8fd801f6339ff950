// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from '../model/dma_buf.js';
import {changedInodes} from '../model/inode_map.js';
import type {Holding, ProcessHoldings, Snapshot} from '../model/snapshot.js';
import type {RawText} from '../model/text.js';
import type {
  Accounting,
  BufferAccount,
  ProcessAccount,
  Sum,
} from './accounting.js';
import {Pss} from './pss.js';

/** Adds one snapshot up. */
export function account(snapshot: Snapshot): Accounting {
  return new Accountant().account(snapshot);
}

interface References {
  fdRefs: number;
  mapRefs: number;
  readonly pids: Set<number>;
}

/** What a process's holdings add up to. */
interface Shares {
  rssBytes: bigint;
  readonly pss: Pss;
  buffers: number;
  unknownSizes: number;
}

type Holdings = ReadonlyMap<bigint, Holding>;

const NO_REFERENCES: References = {fdRefs: 0, mapRefs: 0, pids: new Set()};
const NO_HOLDINGS: Holdings = new Map();

/**
 * Adds up the snapshots of a recording, one after the other. What it costs
 * depends on what is different from the snapshot before, as told by the
 * identity of the objects in it: a long recording of thousands of buffers
 * makes no garbage.
 */
export class Accountant {
  private readonly references = new Map<bigint, References>();
  private readonly buffers = new Map<bigint, BufferAccount>();
  /** Of the snapshot before. */
  private known: ReadonlyMap<bigint, DmaBuf> = new Map();
  private readonly processes = new Map<number, ProcessAccount>();
  /** By pid. */
  private readonly shares = new Map<number, Shares>();
  private readonly total = emptySum();
  private readonly held = emptySum();
  private readonly kernelOnly = emptySum();
  private readonly mappedOnly = emptySum();
  /** Buffers of which it is not known whether they are mapped only. */
  private perhapsMappedOnly = 0;
  private readonly byExporter = new Map<RawText | undefined, Sum>();
  private readonly byName = new Map<RawText | undefined, Sum>();

  /**
   * The result is good until the next call: its maps and sums are the
   * accountant's own.
   */
  account(snapshot: Snapshot): Accounting {
    const changedPids = new Set<number>();
    const changedInodes = this.changedInodes(snapshot);
    this.shareOut(
      changedInodes,
      -1,
      changedPids,
      (pid) => this.processes.get(pid)?.holdings,
    );
    this.updateReferences(snapshot, changedPids);
    this.updateBuffers(snapshot, changedInodes);
    this.shareOut(changedInodes, 1, changedPids, (pid) =>
      snapshot.processes.get(pid),
    );
    for (const pid of this.shares.keys()) {
      if (!snapshot.processes.has(pid)) this.shares.delete(pid);
    }
    for (const pid of changedPids) {
      const holdings = snapshot.processes.get(pid);
      if (holdings === undefined) continue;
      this.processes.set(pid, this.accountProcess(holdings));
    }
    const listed = snapshot.coverage.kernelList !== undefined;
    return {
      total: listed ? this.total : undefined,
      held: this.held,
      kernelOnly: listed ? this.kernelOnly : undefined,
      kernelOnlyIsUpperBound:
        snapshot.coverage.processesUnreadable > 0 ||
        snapshot.coverage.holdersCut === true,
      mappedOnly: this.perhapsMappedOnly === 0 ? this.mappedOnly : undefined,
      byExporter: this.byExporter,
      byName: this.byName,
      buffers: this.buffers,
      processes: this.processes,
    };
  }

  /** Inodes of buffers that are not, or not held, as they were. */
  private changedInodes(snapshot: Snapshot): Set<bigint> {
    const inodes = new Set(changedInodes(this.known, snapshot.buffers));
    this.known = snapshot.buffers;
    const add = (before: Holdings, after: Holdings): void => {
      for (const inode of changedInodes(before, after)) inodes.add(inode);
    };
    for (const [pid, {holdings}] of this.processes) {
      const after = snapshot.processes.get(pid)?.holdings ?? NO_HOLDINGS;
      add(holdings.holdings, after);
    }
    for (const [pid, {holdings}] of snapshot.processes) {
      if (!this.processes.has(pid)) add(NO_HOLDINGS, holdings);
    }
    return inodes;
  }

  private updateReferences(snapshot: Snapshot, changedPids: Set<number>): void {
    for (const [pid, {holdings}] of this.processes) {
      if (snapshot.processes.has(pid)) continue;
      this.count(pid, holdings.holdings, NO_HOLDINGS);
      this.processes.delete(pid);
    }
    for (const [pid, after] of snapshot.processes) {
      const account = this.processes.get(pid);
      const before = account?.holdings;
      if (before === after) continue;
      if (account !== undefined && holdsTheSame(account.holdings, after)) {
        this.processes.set(pid, {...account, holdings: after});
        continue;
      }
      this.count(pid, before?.holdings ?? NO_HOLDINGS, after.holdings);
      changedPids.add(pid);
    }
  }

  /** Puts what a process holds now in the place of what it held. */
  private count(pid: number, before: Holdings, after: Holdings): void {
    for (const inode of changedInodes(before, after)) {
      const then = before.get(inode);
      const now = after.get(inode);
      const refs = this.referencesOf(inode);
      refs.fdRefs += (now?.fdRefs ?? 0) - (then?.fdRefs ?? 0);
      refs.mapRefs += (now?.mapRefs ?? 0) - (then?.mapRefs ?? 0);
      if (now !== undefined) refs.pids.add(pid);
      else refs.pids.delete(pid);
      if (refs.pids.size === 0) this.references.delete(inode);
    }
  }

  private referencesOf(inode: bigint): References {
    let refs = this.references.get(inode);
    if (refs === undefined) {
      refs = {fdRefs: 0, mapRefs: 0, pids: new Set()};
      this.references.set(inode, refs);
    }
    return refs;
  }

  /** Adds buffers to their holders' sums, or takes them away. */
  private shareOut(
    inodes: ReadonlySet<bigint>,
    sign: 1 | -1,
    changedPids: Set<number>,
    processOf: (pid: number) => ProcessHoldings | undefined,
  ): void {
    for (const inode of inodes) {
      const pids = this.references.get(inode)?.pids ?? NO_REFERENCES.pids;
      for (const pid of pids) {
        const holding = processOf(pid)?.holdings.get(inode);
        if (holding === undefined) continue;
        const {sizeBytes} = holding.buffer;
        changedPids.add(pid);
        const shares = this.sharesOf(pid);
        shares.buffers += sign;
        if (sizeBytes === undefined) {
          shares.unknownSizes += sign;
        } else if (sign > 0) {
          shares.rssBytes += sizeBytes;
          shares.pss.add(sizeBytes, pids.size);
        } else {
          shares.rssBytes -= sizeBytes;
          shares.pss.remove(sizeBytes, pids.size);
        }
      }
    }
  }

  private sharesOf(pid: number): Shares {
    let shares = this.shares.get(pid);
    if (shares === undefined) {
      shares = {rssBytes: 0n, pss: new Pss(), buffers: 0, unknownSizes: 0};
      this.shares.set(pid, shares);
    }
    return shares;
  }

  private updateBuffers(
    snapshot: Snapshot,
    changedInodes: ReadonlySet<bigint>,
  ): void {
    for (const inode of changedInodes) {
      const before = this.buffers.get(inode);
      const refs = this.references.get(inode) ?? NO_REFERENCES;
      if (before !== undefined) this.sumUp(before, -1);
      const buffer = snapshot.buffers.get(inode);
      if (buffer === undefined) {
        this.buffers.delete(inode);
        continue;
      }
      const after = accountBuffer(buffer, refs);
      this.buffers.set(inode, after);
      this.sumUp(after, 1);
    }
  }

  private sumUp(entry: BufferAccount, sign: 1 | -1): void {
    const {buffer, holders, mappedOnly} = entry;
    addTo(this.total, buffer, sign);
    addTo(holders > 0 ? this.held : this.kernelOnly, buffer, sign);
    if (mappedOnly === undefined) this.perhapsMappedOnly += sign;
    else if (mappedOnly) addTo(this.mappedOnly, buffer, sign);
    addToKey(this.byExporter, buffer.exporter, buffer, sign);
    addToKey(this.byName, buffer.name?.raw, buffer, sign);
  }

  private accountProcess(process: ProcessHoldings): ProcessAccount {
    const shares = this.sharesOf(process.process.pid);
    const {rssBytes, pss, unknownSizes, buffers} = shares;
    // Of sizes nobody told, no sum is known: not even zero.
    const known = unknownSizes === 0 || unknownSizes < buffers;
    if (process.readState === 'complete' && known) {
      return {
        holdings: process,
        rssBytes,
        pssBytes: pss.bytes(),
        pss,
        unknownSizes,
      };
    }
    // What the kernel sums up itself, where it does.
    return {
      holdings: process,
      rssBytes: process.kernelRssBytes,
      pssBytes:
        process.kernelPssBytes === undefined
          ? undefined
          : Number(process.kernelPssBytes),
      pss: new Pss(),
      unknownSizes,
    };
  }
}

/** Read again, or described better, but with nothing else to add up. */
function holdsTheSame(a: ProcessHoldings, b: ProcessHoldings): boolean {
  return (
    a.holdings === b.holdings &&
    a.readState === b.readState &&
    a.kernelRssBytes === b.kernelRssBytes &&
    a.kernelPssBytes === b.kernelPssBytes
  );
}

function accountBuffer(
  buffer: DmaBuf,
  {fdRefs, mapRefs, pids}: References,
): BufferAccount {
  if (buffer.refsKnown === 'holders' && pids.size > 0) {
    return {
      buffer,
      holders: pids.size,
      fdRefs: undefined,
      mapRefs: undefined,
      kernelRefs: undefined,
      mappedOnly: undefined,
    };
  }
  let kernelRefs: bigint | undefined;
  if (buffer.fileCount !== undefined) {
    const rest = buffer.fileCount - BigInt(fdRefs + mapRefs);
    kernelRefs = rest > 0n ? rest : 0n;
  }
  return {
    buffer,
    holders: pids.size,
    fdRefs,
    mapRefs,
    kernelRefs,
    mappedOnly: pids.size > 0 && fdRefs === 0,
  };
}

function emptySum(): Sum {
  return {bytes: 0n, buffers: 0, unknownSizes: 0};
}

function addTo(sum: Sum, buffer: DmaBuf, sign: 1 | -1): void {
  sum.buffers += sign;
  if (buffer.sizeBytes === undefined) sum.unknownSizes += sign;
  else if (sign > 0) sum.bytes += buffer.sizeBytes;
  else sum.bytes -= buffer.sizeBytes;
}

function addToKey(
  sums: Map<RawText | undefined, Sum>,
  key: RawText | undefined,
  buffer: DmaBuf,
  sign: 1 | -1,
): void {
  let sum = sums.get(key);
  if (sum === undefined) {
    sum = emptySum();
    sums.set(key, sum);
  }
  addTo(sum, buffer, sign);
  if (sum.buffers === 0) sums.delete(key);
}
