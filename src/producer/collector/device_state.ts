// SPDX-License-Identifier: Apache-2.0
import {
  sameName,
  type BufferName,
  type DmaBuf,
  type Holding,
  type Process,
  type ProcessHoldings,
  type RawText,
  type ReadState,
} from '../../core/model/index.js';

/** What a source tells of a buffer; undefined where it does not. */
export interface BufferFacts {
  readonly inode: bigint;
  readonly sizeBytes?: bigint | undefined;
  readonly exporter?: RawText | undefined;
  readonly name?: BufferName | undefined;
  readonly fileCount?: bigint | undefined;
}

/** A process's mappings of one buffer. */
export interface MapRefs {
  readonly refs: number;
  readonly bytes: bigint;
}

/** fd (as /proc prints it) → inode, of one descriptor table. */
export type FdTable = ReadonlyMap<string, bigint>;

/** The table shared by the process's threads; others are `task/TID/fd`. */
export const MAIN_TABLE = 'fd';

interface TrackedBuffer {
  buffer: DmaBuf;
  /** As the list printed it last; undefined: no list told. */
  listName: BufferName | undefined;
  /** In the kernel's list when it was last read. */
  listed: boolean;
  /** References by processes when fileCount was read. */
  refsAtCount: number;
  /** fileCount − refsAtCount: held by nobody that can be seen. */
  kernelRefs: bigint | undefined;
  /** fdinfo was asked for the name that the list leaves in doubt. */
  nameAsked: boolean;
}

export interface TrackedProcess {
  readonly pid: number;
  /** Inode of /proc/PID/fd: another one means another process. */
  procInode: bigint;
  process: Process;
  fdCount: bigint;
  readonly tables: Map<string, FdTable>;
  maps: ReadonlyMap<bigint, MapRefs>;
  fds: 'unread' | 'read' | 'refused';
  mappings: 'unread' | 'read' | 'refused';
  kernelRssBytes: bigint | undefined;
  kernelPssBytes: bigint | undefined;
  asOfNs: bigint;
  view: ProcessHoldings | undefined;
}

interface References {
  fds: number;
  maps: number;
  readonly pids: Map<number, number>;
}

/** Freed inodes whose generation is remembered. */
const REMEMBERED_INODES = 65536;

export interface DeviceStateOptions {
  /** An inode number never comes back for another buffer (since 5.18). */
  readonly uniqueInodes: boolean;
  /** The kernel's list of all buffers can be read. */
  readonly hasList: boolean;
}

/**
 * What is known of the device's dma-bufs: put together from partial readings,
 * each of which replaces what it covers. No I/O.
 */
export class DeviceState {
  private readonly buffers = new Map<bigint, TrackedBuffer>();
  private readonly references = new Map<bigint, References>();
  /** Of the next buffer of an inode, oldest first; bounded. */
  private readonly generations = new Map<bigint, number>();
  /** Of the next buffer of an inode that `generations` has forgotten. */
  private generationFloor = 0;
  private highestInode = -1n;
  /** Dropped before a list could tell whether they are gone. */
  private readonly lost = new Map<bigint, DmaBuf>();
  /**
   * Buffers whose name the list may not tell, the one that was asked for it
   * longest ago first.
   */
  private readonly asked = new Set<bigint>();
  readonly processes = new Map<number, TrackedProcess>();

  constructor(private readonly options: DeviceStateOptions) {}

  // -- processes -----------------------------------------------------------

  /** Adds a process; one of the same pid before it has exited. */
  startProcess(pid: number, procInode: bigint, nowNs: bigint): TrackedProcess {
    this.removeProcess(pid);
    const tracked: TrackedProcess = {
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
      view: undefined,
    };
    this.processes.set(pid, tracked);
    return tracked;
  }

  removeProcess(pid: number): void {
    const tracked = this.processes.get(pid);
    if (tracked === undefined) return;
    this.setMaps(tracked, new Map());
    for (const table of [...tracked.tables.keys()]) {
      this.setTable(tracked, table, new Map());
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
    tracked.view = undefined;
  }

  /** Replaces one descriptor table of a process. */
  setTable(tracked: TrackedProcess, table: string, fds: FdTable): void {
    const before = tracked.tables.get(table);
    if (before !== undefined && sameTable(before, fds)) return;
    for (const inode of before?.values() ?? []) {
      this.count(inode, tracked.pid, -1, 0);
    }
    for (const inode of fds.values()) this.count(inode, tracked.pid, 1, 0);
    if (fds.size === 0) tracked.tables.delete(table);
    else tracked.tables.set(table, fds);
    tracked.view = undefined;
  }

  /** Replaces the mappings of a process. */
  setMaps(tracked: TrackedProcess, maps: ReadonlyMap<bigint, MapRefs>): void {
    if (sameMaps(tracked.maps, maps)) return;
    for (const [inode, {refs}] of tracked.maps) {
      this.count(inode, tracked.pid, 0, -refs);
    }
    for (const [inode, {refs}] of maps) {
      this.count(inode, tracked.pid, 0, refs);
    }
    tracked.maps = maps;
    tracked.view = undefined;
  }

  private count(inode: bigint, pid: number, fds: number, maps: number): void {
    let refs = this.references.get(inode);
    if (refs === undefined) {
      refs = {fds: 0, maps: 0, pids: new Map()};
      this.references.set(inode, refs);
    }
    refs.fds += fds;
    refs.maps += maps;
    const held = (refs.pids.get(pid) ?? 0) + fds + maps;
    if (held > 0) refs.pids.set(pid, held);
    else refs.pids.delete(pid);
    if (refs.pids.size === 0) this.references.delete(inode);
  }

  // -- buffers ---------------------------------------------------------------

  buffer(inode: bigint): DmaBuf | undefined {
    return this.buffers.get(inode)?.buffer;
  }

  get bufferCount(): number {
    return this.buffers.size;
  }

  allBuffers(): IterableIterator<DmaBuf> {
    return mapValues(this.buffers, ({buffer}) => buffer);
  }

  /** pids that hold a buffer. */
  holders(inode: bigint): Iterable<number> {
    return this.references.get(inode)?.pids.keys() ?? [];
  }

  /** fds and mappings of a buffer in all processes. */
  referenceCount(inode: bigint): number {
    const refs = this.references.get(inode);
    return refs === undefined ? 0 : refs.fds + refs.maps;
  }

  /** fileCount minus what processes explain; undefined when not known. */
  unexplained(inode: bigint): bigint | undefined {
    const count = this.buffers.get(inode)?.buffer.fileCount;
    return count === undefined
      ? undefined
      : count - BigInt(this.referenceCount(inode));
  }

  /**
   * Takes the kernel's complete list in, before processes are read. A listed
   * inode that stands for a buffer of another size or exporter than before is
   * a new buffer.
   */
  applyList(list: Iterable<BufferFacts>): void {
    const seen = new Set<bigint>();
    for (const facts of list) {
      seen.add(facts.inode);
      this.learn(facts, true);
    }
    // Whatever was known before the list was read and is not in it has been
    // released: nobody holds it any more, whoever was seen with it last.
    for (const inode of [...this.buffers.keys()]) {
      if (!seen.has(inode)) this.release(inode);
    }
    for (const [inode, {generation}] of this.lost) {
      this.remember(inode, generation + 1);
    }
    this.lost.clear();
  }

  /** The kernel has let a buffer go: so have all its holders. */
  private release(inode: bigint): void {
    for (const pid of [...this.holders(inode)]) {
      const tracked = this.processes.get(pid);
      if (tracked === undefined) continue;
      for (const [table, fds] of [...tracked.tables]) {
        const left = [...fds].filter(([, held]) => held !== inode);
        this.setTable(tracked, table, new Map(left));
      }
      const maps = new Map(tracked.maps);
      if (maps.delete(inode)) this.setMaps(tracked, maps);
    }
    this.forget(inode, true);
  }

  /** Takes in what a process's fdinfo, stat or maps tell of a buffer. */
  learn(facts: BufferFacts, listed = false): void {
    const known = this.buffers.get(facts.inode);
    if (known === undefined || isOther(known.buffer, facts)) {
      // The list's word counts: another live buffer may share the inode.
      if (known?.listed !== true || listed) this.begin(facts, listed);
      return;
    }
    const {buffer} = known;
    const name = listed ? listedName(known, facts) : toldName(buffer, facts);
    const merged: DmaBuf = {
      inode: buffer.inode,
      generation: buffer.generation,
      sizeBytes: facts.sizeBytes ?? buffer.sizeBytes,
      exporter: facts.exporter ?? buffer.exporter,
      name,
      fileCount: facts.fileCount ?? buffer.fileCount,
    };
    if (listed) {
      known.listed = true;
      if (!sameName(known.listName, facts.name)) {
        known.nameAsked = false;
        this.asked.add(facts.inode);
      }
      known.listName = facts.name;
    }
    if (facts.fileCount !== undefined) {
      known.refsAtCount = this.referenceCount(facts.inode);
    }
    if (sameBuffer(buffer, merged)) return;
    known.buffer = merged;
    this.touchHolders(facts.inode);
  }

  /** A buffer that was not known; another one of the inode is gone. */
  private begin(facts: BufferFacts, listed: boolean): void {
    const {inode} = facts;
    this.forget(inode, true);
    this.buffers.set(inode, {
      buffer: {
        inode,
        generation: this.generationOf(facts),
        sizeBytes: facts.sizeBytes,
        exporter: facts.exporter,
        name: facts.name,
        fileCount: facts.fileCount,
      },
      listName: listed ? facts.name : undefined,
      listed,
      refsAtCount: this.referenceCount(inode),
      kernelRefs: undefined,
      nameAsked: false,
    });
    if (inode > this.highestInode) this.highestInode = inode;
    this.lost.delete(inode);
    this.asked.add(inode);
    this.touchHolders(inode);
  }

  private generationOf(facts: BufferFacts): number {
    const {inode} = facts;
    const lost = this.lost.get(inode);
    if (lost !== undefined) {
      return isOther(lost, facts) ? lost.generation + 1 : lost.generation;
    }
    const floor = inode > this.highestInode ? 0 : this.generationFloor;
    return this.generations.get(inode) ?? floor;
  }

  /**
   * To be called once the processes were read after a list with counts. What
   * no process explains is the kernel's own, if all processes were read;
   * otherwise it may yet turn out to be theirs.
   */
  settleCounts(allWereRead: boolean): void {
    for (const [inode, tracked] of this.buffers) {
      tracked.refsAtCount = this.referenceCount(inode);
      const {fileCount} = tracked.buffer;
      const rest =
        fileCount === undefined
          ? undefined
          : fileCount - BigInt(tracked.refsAtCount);
      if (allWereRead || rest === undefined || rest === 0n) {
        tracked.kernelRefs = rest;
      }
    }
  }

  /** Unexplained references when counts were last settled. */
  settledKernelRefs(inode: bigint): bigint | undefined {
    return this.buffers.get(inode)?.kernelRefs;
  }

  /** Buffers with other references than were settled, in the last list. */
  unsettled(): bigint[] {
    const inodes: bigint[] = [];
    for (const [inode, {kernelRefs}] of this.buffers) {
      const rest = this.unexplained(inode);
      if (rest !== undefined && rest !== (kernelRefs ?? 0n)) inodes.push(inode);
    }
    return inodes;
  }

  /**
   * Buffers whose name fdinfo has to tell and was not asked for yet: all that
   * have none, and at most `limit` of those whose name is in doubt. They count
   * as asked from now on.
   */
  takeDoubtfulNames(limit: number): bigint[] {
    const inodes: bigint[] = [];
    let doubtful = 0;
    for (const [inode, tracked] of this.buffers) {
      const {name} = tracked.buffer;
      if (tracked.nameAsked || (name !== undefined && !name.doubtful)) continue;
      if (name !== undefined && ++doubtful > limit) continue;
      if (!((this.references.get(inode)?.fds ?? 0) > 0)) continue;
      tracked.nameAsked = true;
      this.asked.delete(inode);
      this.asked.add(inode);
      inodes.push(inode);
    }
    return inodes;
  }

  /**
   * Of the buffers whose name the list does not tell for sure, the `limit`
   * that were asked about longest ago: somebody may have renamed them.
   */
  takeNamesToAskAgain(limit: number): bigint[] {
    const inodes: bigint[] = [];
    for (const inode of this.asked) {
      if (inodes.length >= limit) break;
      const tracked = this.buffers.get(inode);
      const told = tracked?.listName;
      if (tracked === undefined || (told !== undefined && !told.doubtful)) {
        this.asked.delete(inode);
      } else {
        inodes.push(inode);
      }
    }
    for (const inode of inodes) {
      this.asked.delete(inode);
      this.asked.add(inode);
    }
    return inodes;
  }

  /** A descriptor through which a buffer can be asked about. */
  anyFd(inode: bigint): {pid: number; path: string} | undefined {
    for (const pid of this.holders(inode)) {
      const tables = this.processes.get(pid)?.tables ?? [];
      for (const [table, fds] of tables) {
        for (const [fd, held] of fds) {
          if (held === inode) return {pid, path: `${table}/${fd}`};
        }
      }
    }
    return undefined;
  }

  /**
   * Drops buffers that are gone: neither in the kernel's list nor held, or,
   * between two readings of the list, held by no process any more when nothing
   * but processes held them. Counts of references that changed since they were
   * read are unknown again.
   */
  retire(listIsFresh: boolean, thereIsAList: boolean): void {
    for (const [inode, tracked] of this.buffers) {
      const refs = this.referenceCount(inode);
      const {fileCount} = tracked.buffer;
      const onlyProcesses =
        !thereIsAList ||
        (tracked.kernelRefs !== undefined && tracked.kernelRefs <= 0n);
      const held = refs > 0;
      if (!held && !(tracked.listed && (listIsFresh || !onlyProcesses))) {
        this.forget(inode, false);
        continue;
      }
      if (
        !listIsFresh &&
        fileCount !== undefined &&
        refs !== tracked.refsAtCount
      ) {
        tracked.buffer = {...tracked.buffer, fileCount: undefined};
        this.touchHolders(inode);
      }
    }
  }

  /**
   * @param proven false: nobody is seen to hold it, but it may be on its way
   *     from one process to another
   */
  private forget(inode: bigint, proven: boolean): void {
    const tracked = this.buffers.get(inode);
    if (tracked === undefined) return;
    const {buffer} = tracked;
    const {uniqueInodes, hasList} = this.options;
    this.buffers.delete(inode);
    this.asked.delete(inode);
    if (proven || !(uniqueInodes || hasList)) {
      this.remember(inode, buffer.generation + 1);
    } else if (uniqueInodes) {
      // Should it come back, it is the same.
      if (buffer.generation > 0) this.remember(inode, buffer.generation);
    } else {
      this.lost.set(inode, buffer);
    }
  }

  private remember(inode: bigint, generation: number): void {
    this.generations.delete(inode);
    this.generations.set(inode, generation);
    if (this.generations.size <= REMEMBERED_INODES) return;
    const [oldest] = this.generations;
    if (oldest === undefined) return;
    this.generations.delete(oldest[0]);
    if (oldest[1] > this.generationFloor) this.generationFloor = oldest[1];
  }

  private touchHolders(inode: bigint): void {
    for (const pid of this.holders(inode)) {
      const holder = this.processes.get(pid);
      if (holder !== undefined) holder.view = undefined;
    }
  }

  // -- snapshot ------------------------------------------------------------

  snapshotBuffers(): Map<bigint, DmaBuf> {
    const buffers = new Map<bigint, DmaBuf>();
    for (const [inode, {buffer}] of this.buffers) buffers.set(inode, buffer);
    return buffers;
  }

  snapshotProcesses(): Map<number, ProcessHoldings> {
    const processes = new Map<number, ProcessHoldings>();
    for (const [pid, tracked] of this.processes) {
      const {view, asOfNs} = tracked;
      if (view === undefined) tracked.view = this.view(tracked);
      // Read again and found the same.
      else if (view.asOfNs !== asOfNs) tracked.view = {...view, asOfNs};
      if (tracked.view !== undefined) processes.set(pid, tracked.view);
    }
    return processes;
  }

  private view(tracked: TrackedProcess): ProcessHoldings {
    const holdings = new Map<bigint, Holding>();
    const fdRefs = new Map<bigint, number>();
    for (const table of tracked.tables.values()) {
      for (const inode of table.values()) {
        fdRefs.set(inode, (fdRefs.get(inode) ?? 0) + 1);
      }
    }
    for (const inode of new Set([...fdRefs.keys(), ...tracked.maps.keys()])) {
      const buffer = this.buffers.get(inode)?.buffer;
      if (buffer === undefined) continue;
      const maps = tracked.maps.get(inode);
      holdings.set(inode, {
        buffer,
        fdRefs: fdRefs.get(inode) ?? 0,
        mapRefs: maps?.refs ?? 0,
        mappedBytes: maps?.bytes ?? 0n,
      });
    }
    return {
      process: tracked.process,
      readState: readState(tracked),
      holdings,
      kernelRssBytes: tracked.kernelRssBytes,
      kernelPssBytes: tracked.kernelPssBytes,
      asOfNs: tracked.asOfNs,
    };
  }
}

/** What of a process could be read; what was not asked for is not refused. */
export function readState(tracked: TrackedProcess): ReadState {
  const refused =
    Number(tracked.fds === 'refused') + Number(tracked.mappings === 'refused');
  if (refused === 0) return 'complete';
  return refused === 2 ? 'unreadable' : 'partial';
}

function isOther(known: DmaBuf, facts: BufferFacts): boolean {
  return (
    differs(known.sizeBytes, facts.sizeBytes) ||
    differs(known.exporter, facts.exporter)
  );
}

function differs<T>(known: T | undefined, told: T | undefined): boolean {
  return known !== undefined && told !== undefined && known !== told;
}

/** The name after a list told it. */
function listedName(
  {buffer, listName}: TrackedBuffer,
  facts: BufferFacts,
): BufferName | undefined {
  const {name} = facts;
  if (name?.doubtful !== true || listName === undefined) {
    return toldName(buffer, facts);
  }
  // What is printed as before tells nothing new. If not, somebody renamed it.
  return sameName(name, listName) ? buffer.name : name;
}

/** A name that cannot be doubted beats one that can. */
function toldName(known: DmaBuf, {name}: BufferFacts): BufferName | undefined {
  if (name === undefined) return known.name;
  if (known.name === undefined || !name.doubtful) return name;
  // A doubtful text that may be the known name tells nothing new.
  if (!known.name.doubtful && mayBeSame(known.name, name)) return known.name;
  return sameName(known.name, name) ? known.name : name;
}

/** Whether a name can have been printed as that, cut at a newline or not. */
function mayBeSame(settled: BufferName, doubtful: BufferName): boolean {
  const text = settled.raw ?? '';
  const told = doubtful.raw;
  if (told === undefined) return text === '' || text === '<none>';
  return (
    text === told ||
    text.startsWith(`${told}\n`) ||
    told.startsWith(`${text}\n`) ||
    // As maps and as the BPF iterator print it.
    text.replaceAll('\\012', '\n') === told ||
    text.replaceAll('\n', ' ') === told
  );
}

function sameBuffer(a: DmaBuf, b: DmaBuf): boolean {
  return (
    a.sizeBytes === b.sizeBytes &&
    a.exporter === b.exporter &&
    a.fileCount === b.fileCount &&
    sameName(a.name, b.name) &&
    a.name?.doubtful === b.name?.doubtful
  );
}

function sameTable(a: FdTable, b: FdTable): boolean {
  if (a.size !== b.size) return false;
  for (const [fd, inode] of a) if (b.get(fd) !== inode) return false;
  return true;
}

function sameMaps(
  a: ReadonlyMap<bigint, MapRefs>,
  b: ReadonlyMap<bigint, MapRefs>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [inode, refs] of a) {
    const other = b.get(inode);
    if (other?.refs !== refs.refs || other.bytes !== refs.bytes) return false;
  }
  return true;
}

function* mapValues<K, V, R>(
  map: ReadonlyMap<K, V>,
  to: (value: V) => R,
): IterableIterator<R> {
  for (const value of map.values()) yield to(value);
}
