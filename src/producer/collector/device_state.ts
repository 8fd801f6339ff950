// SPDX-License-Identifier: Apache-2.0
import {
  inodeKey,
  type Holding,
  type InodeKey,
  type Process,
  type ProcessHoldings,
} from '../../core/model/index.js';
import {DescriptorTable, type FdRef} from './descriptor_table.js';
import {KnownBuffers, type KnownBuffersOptions} from './known_buffers.js';
import {
  addHolding,
  holdersOf,
  noteHolding,
  refsOf,
  removeHolding,
  type BufferFacts,
  type TrackedBuffer,
  TrackedHolding,
} from './tracked_buffer.js';
import {
  addSize,
  newProcess,
  readState,
  type FdTable,
  type MapRefs,
  type TrackedProcess,
} from './tracked_process.js';

const NO_MAPS: ReadonlyMap<bigint, MapRefs> = new Map();
const NO_FDS: FdTable = new Map();

/**
 * What is known of the device's dma-bufs and of who holds them: put together
 * from partial readings, each of which replaces what it covers. No I/O.
 */
export class DeviceState {
  readonly buffers: KnownBuffers;
  readonly processes = new Map<number, TrackedProcess>();

  constructor(options: KnownBuffersOptions) {
    this.buffers = new KnownBuffers(options);
  }

  // -- processes -----------------------------------------------------------

  /** Adds a process; one of the same pid before it has exited. */
  startProcess(pid: number, procInode: bigint, nowNs: bigint): TrackedProcess {
    this.removeProcess(pid);
    const tracked = newProcess(pid, procInode, nowNs);
    this.processes.set(pid, tracked);
    return tracked;
  }

  removeProcess(pid: number): void {
    const tracked = this.processes.get(pid);
    if (tracked === undefined) return;
    this.setMaps(tracked, NO_MAPS);
    for (const table of [...tracked.tables.keys()]) {
      this.setTable(tracked, table, NO_FDS);
    }
    this.processes.delete(pid);
  }

  describeProcess(
    tracked: TrackedProcess,
    facts: Partial<Omit<Process, 'pid'>>,
  ): void {
    const process = {...tracked.process, ...facts};
    if (
      process.startTicks === tracked.process.startTicks &&
      process.comm === tracked.process.comm &&
      process.cmdline === tracked.process.cmdline
    ) {
      return;
    }
    tracked.process = process;
    tracked.stale = true;
  }

  /** fd → inode, of the descriptors that are of known dma-bufs. */
  dmaBufsOf(refs: Iterable<FdRef>): Map<number, InodeKey> {
    const fds = new Map<number, InodeKey>();
    for (const {fd, inode} of refs) {
      if (this.buffers.isKnown(inode)) fds.set(fd, inode);
    }
    return fds;
  }

  /**
   * Replaces one descriptor table of a process.
   *
   * @returns whether it is another one now
   */
  setTable(tracked: TrackedProcess, name: string, fds: FdTable): boolean {
    const before = tracked.tables.get(name);
    const gone: FdRef[] = [];
    const come: FdRef[] = [];
    for (const [fd, inode] of fds) {
      if (before?.get(fd)?.key !== inode) come.push({fd, inode});
    }
    before?.forEach(({key: inode}, fd) => {
      if (fds.get(fd) !== inode) gone.push({fd, inode});
    });
    return this.changeTable(tracked, name, gone, come);
  }

  /**
   * Changes a descriptor table of a process where it changed.
   *
   * @returns whether it is another one now
   */
  changeTable(
    tracked: TrackedProcess,
    name: string,
    removed: readonly FdRef[],
    added: readonly FdRef[],
  ): boolean {
    if (removed.length + added.length === 0) return false;
    let table = tracked.tables.get(name);
    if (table === undefined) {
      table = new DescriptorTable();
      tracked.tables.set(name, table);
    }
    table.reading = undefined;
    // What is new comes first: a buffer that got another fd stays held.
    const holdings: TrackedHolding[] = [];
    for (const {inode} of added) {
      const holding = this.holdingOf(tracked, inode);
      holdings.push(holding);
      this.count(holding, 1, 0);
    }
    for (const {fd} of removed) {
      const holding = table.delete(fd);
      if (holding !== undefined) this.count(holding, -1, 0);
    }
    for (let i = 0; i < holdings.length; i++) {
      const [ref, holding] = [added[i], holdings[i]];
      if (ref !== undefined && holding !== undefined) {
        table.set(ref.fd, holding);
      }
    }
    if (table.size === 0) tracked.tables.delete(name);
    tracked.stale = true;
    return true;
  }

  /** Replaces the mappings of a process. */
  setMaps(tracked: TrackedProcess, maps: ReadonlyMap<bigint, MapRefs>): void {
    const before = tracked.maps;
    if (before === maps) return;
    let changed = false;
    for (const [inode, {refs, bytes}] of maps) {
      const known = before.get(inode);
      if (known?.refs === refs && known.bytes === bytes) continue;
      changed = true;
      this.countMaps(tracked, inode, refs - (known?.refs ?? 0), bytes);
    }
    for (const [inode, {refs}] of before) {
      if (maps.has(inode)) continue;
      changed = true;
      this.countMaps(tracked, inode, -refs, 0n);
    }
    tracked.maps = maps;
    if (changed) tracked.stale = true;
  }

  private countMaps(
    tracked: TrackedProcess,
    inode: bigint,
    refs: number,
    bytes: bigint,
  ): void {
    const holding = this.holdingOf(tracked, inodeKey(inode));
    holding.mappedBytes = bytes;
    this.count(holding, 0, refs);
  }

  /** Few processes hold the same buffer: none of its holdings is far. */
  private holdingOf(process: TrackedProcess, key: InodeKey): TrackedHolding {
    const tracked = this.buffers.at(key);
    let holding = tracked.first;
    while (holding !== undefined && holding.process !== process) {
      holding = holding.next;
    }
    return holding ?? new TrackedHolding(process, key, tracked);
  }

  private count(holding: TrackedHolding, fds: number, maps: number): void {
    const {process, tracked} = holding;
    holding.fds += fds;
    holding.maps += maps;
    tracked.fds += fds;
    tracked.maps += maps;
    if (fds < 0 && holding.fds === 0) process.closed.push(holding);
    const isHeld = holding.fds + holding.maps > 0;
    if (isHeld !== holding.isHeld) {
      addSize(process, tracked.buffer?.sizeBytes, isHeld ? 1 : -1);
      if (isHeld) addHolding(holding);
      else removeHolding(holding);
    }
    noteHolding(holding);
    this.buffers.noteReferences(tracked);
  }

  // -- buffers ---------------------------------------------------------------

  /** A descriptor through which a buffer can be asked about. */
  anyFd(
    tracked: TrackedBuffer,
  ): (FdRef & {readonly pid: number; readonly table: string}) | undefined {
    for (const {process} of holdersOf(tracked)) {
      for (const [table, fds] of process.tables) {
        const fd = fds.find(({tracked: held}) => held === tracked);
        if (fd === undefined) continue;
        return {pid: process.pid, table, fd, inode: inodeKey(tracked.inode)};
      }
    }
    return undefined;
  }

  /**
   * Takes the kernel's list in, before processes are read.
   *
   * @param complete false: a buffer that is missing may yet be there
   * @returns as {@link KnownBuffers.applyList}
   */
  applyList(list: Iterable<BufferFacts>, complete = true): number {
    const collisions = this.buffers.applyList(list);
    if (complete) this.dropUnlisted();
    return collisions;
  }

  /**
   * Whatever was known before the list was read and is not in it has been
   * released: nobody holds it any more, whoever was seen with it last.
   */
  private dropUnlisted(): void {
    const gone = this.buffers.unlisted();
    const held = gone.filter((tracked) => refsOf(tracked) > 0);
    this.letGo(new Set(held));
    this.buffers.release(gone);
  }

  /** The kernel has let buffers go: so have all their holders. */
  private letGo(gone: ReadonlySet<TrackedBuffer>): void {
    const holders = new Set<TrackedProcess>();
    for (const tracked of gone) {
      for (const {process} of holdersOf(tracked)) holders.add(process);
    }
    for (const process of holders) {
      for (const [name, fds] of [...process.tables]) {
        const closed: FdRef[] = [];
        fds.forEach(({tracked, key: inode}, fd) => {
          if (gone.has(tracked)) closed.push({fd, inode});
        });
        const {reading} = fds;
        this.changeTable(process, name, closed, []);
        fds.reading = reading && {
          version: reading.version,
          gone: reading.gone.concat(closed.map(({fd}) => fd)),
        };
      }
      const maps = [...process.maps].filter(([inode]) => {
        const tracked = this.buffers.find(inodeKey(inode));
        return tracked === undefined || !gone.has(tracked);
      });
      if (maps.length < process.maps.size) this.setMaps(process, new Map(maps));
    }
  }

  // -- snapshot ------------------------------------------------------------

  snapshotProcesses(): Map<number, ProcessHoldings> {
    const processes = new Map<number, ProcessHoldings>();
    for (const tracked of this.processes.values()) {
      const {pid, view, asOfNs, stale} = tracked;
      if (view === undefined || stale) tracked.view = viewOf(tracked);
      // Read again and found the same.
      else if (view.asOfNs !== asOfNs) tracked.view = {...view, asOfNs};
      tracked.stale = false;
      if (tracked.view !== undefined) processes.set(pid, tracked.view);
    }
    return processes;
  }
}

function viewOf(tracked: TrackedProcess): ProcessHoldings {
  return {
    process: tracked.process,
    readState: readState(tracked),
    holdings: holdingsOf(tracked),
    kernelRssBytes: tracked.kernelRssBytes,
    kernelPssBytes: tracked.kernelPssBytes,
    asOfNs: tracked.asOfNs,
  };
}

/** Holdings by inode; what is as it was shown last is the same object. */
function holdingsOf(process: TrackedProcess): ReadonlyMap<bigint, Holding> {
  const {changed} = process;
  process.holdings = process.holdings.with((set) => {
    for (const holding of changed) {
      holding.isChanged = false;
      const {tracked, shown} = holding;
      const now = shownNow(holding);
      if (now !== shown) {
        holding.shown = now;
        set(tracked.inode, now);
      }
    }
  });
  changed.length = 0;
  return process.holdings;
}

/** What there is to show; the same object, where it was shown so. */
function shownNow(holding: TrackedHolding): Holding | undefined {
  const {tracked, isHeld, fds, maps, mappedBytes, shown} = holding;
  const {buffer} = tracked;
  if (buffer === undefined || !isHeld) return undefined;
  if (
    shown?.buffer === buffer &&
    shown.fdRefs === fds &&
    shown.mapRefs === maps &&
    shown.mappedBytes === mappedBytes
  ) {
    return shown;
  }
  return {buffer, fdRefs: fds, mapRefs: maps, mappedBytes};
}
