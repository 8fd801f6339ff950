// SPDX-License-Identifier: Apache-2.0
import {
  DeltaMap,
  sameName,
  type BufferName,
  type DmaBuf,
  type Holding,
  type Process,
  type ProcessHoldings,
  type RawText,
} from '../../core/model/index.js';
import {contradicts, listedName, toldName} from './buffer_names.js';
import {InodeGenerations} from './inode_generations.js';
import {
  addSize,
  newProcess,
  readState,
  type FdRef,
  type FdTable,
  type MapRefs,
  type TrackedProcess,
} from './tracked_process.js';

/** What a source tells of a buffer; undefined where it does not. */
export interface BufferFacts {
  readonly inode: bigint;
  readonly sizeBytes?: bigint | undefined;
  readonly exporter?: RawText | undefined;
  readonly name?: BufferName | undefined;
  readonly fileCount?: bigint | undefined;
}

interface TrackedBuffer {
  buffer: DmaBuf;
  /** fds and mappings in all processes. */
  refs: number;
  /** Number of the last list that had it, and what that told. */
  list: number;
  listFacts: BufferFacts | undefined;
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

interface References {
  fds: number;
  maps: number;
  readonly pids: Map<number, number>;
}

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
  private readonly generations = new InodeGenerations();
  /** Dropped before a list could tell whether they are gone. */
  private readonly lost = new Map<bigint, DmaBuf>();
  /**
   * Buffers whose name the list may not tell, the one that was asked for it
   * longest ago first.
   */
  private readonly asked = new Set<bigint>();
  readonly processes = new Map<number, TrackedProcess>();
  /** Other references, or new, since buffers were last retired. */
  private readonly touched = new Set<bigint>();
  /** Buffers without a reference by a process. */
  private readonly unheld = new Set<bigint>();
  /** Buffers whose name is missing or in doubt, and was not asked for. */
  private readonly nameless = new Set<bigint>();
  /** Buffers with other references than were settled, in the last list. */
  private readonly open = new Set<bigint>();
  /** What is different in the next snapshot. */
  private readonly changed = new Map<bigint, DmaBuf | undefined>();
  private shown = DeltaMap.empty<bigint, DmaBuf>();
  /** Number of lists so far. */
  private lists = 0;

  constructor(private readonly options: DeviceStateOptions) {}

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
    tracked.stale = true;
  }

  /** fd → inode, of the descriptors that are of known dma-bufs. */
  dmaBufsOf(refs: Iterable<FdRef>): Map<number, bigint> {
    const fds = new Map<number, bigint>();
    for (const {fd, inode} of refs) {
      if (this.buffers.has(inode)) fds.set(fd, inode);
    }
    return fds;
  }

  /**
   * Replaces one descriptor table of a process.
   *
   * @returns whether it is another one now
   */
  setTable(tracked: TrackedProcess, table: string, fds: FdTable): boolean {
    const before = tracked.tables.get(table);
    let changed = false;
    // What is new comes first: a buffer that got another fd stays held.
    for (const [fd, inode] of fds) {
      if (before?.get(fd) === inode) continue;
      changed = true;
      this.count(inode, tracked, 1, 0);
    }
    for (const [fd, inode] of before ?? []) {
      if (fds.get(fd) === inode) continue;
      changed = true;
      this.count(inode, tracked, -1, 0);
    }
    if (!changed) return false;
    if (fds.size === 0) tracked.tables.delete(table);
    else tracked.tables.set(table, new Map(fds));
    tracked.stale = true;
    return true;
  }

  /**
   * Changes a descriptor table of a process where it changed.
   *
   * @returns whether it is another one now
   */
  changeTable(
    tracked: TrackedProcess,
    table: string,
    removed: readonly FdRef[],
    added: readonly FdRef[],
  ): boolean {
    const fds = tracked.tables.get(table);
    if (fds === undefined || removed.length + added.length === 0) return false;
    for (const {inode} of added) this.count(inode, tracked, 1, 0);
    for (const {fd, inode} of removed) {
      fds.delete(fd);
      this.count(inode, tracked, -1, 0);
    }
    for (const {fd, inode} of added) fds.set(fd, inode);
    if (fds.size === 0) tracked.tables.delete(table);
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
      this.count(inode, tracked, 0, refs - (known?.refs ?? 0));
    }
    for (const [inode, {refs}] of before) {
      if (maps.has(inode)) continue;
      changed = true;
      this.count(inode, tracked, 0, -refs);
    }
    if (!changed) return;
    tracked.maps = maps;
    tracked.stale = true;
  }

  private count(
    inode: bigint,
    tracked: TrackedProcess,
    fds: number,
    maps: number,
  ): void {
    const {pid, fdRefs} = tracked;
    tracked.changed.add(inode);
    const open = (fdRefs.get(inode) ?? 0) + fds;
    if (open > 0) {
      fdRefs.set(inode, open);
    } else if (fds < 0) {
      fdRefs.delete(inode);
      tracked.closed.add(inode);
    }
    let refs = this.references.get(inode);
    if (refs === undefined) {
      refs = {fds: 0, maps: 0, pids: new Map()};
      this.references.set(inode, refs);
    }
    refs.fds += fds;
    refs.maps += maps;
    const buffer = this.buffers.get(inode);
    const before = refs.pids.get(pid) ?? 0;
    const held = before + fds + maps;
    if (held > 0) refs.pids.set(pid, held);
    else refs.pids.delete(pid);
    if (held > 0 && before === 0) addSize(tracked, buffer?.buffer.sizeBytes, 1);
    if (held === 0 && before > 0)
      addSize(tracked, buffer?.buffer.sizeBytes, -1);
    if (refs.pids.size === 0) this.references.delete(inode);
    if (buffer === undefined) return;
    buffer.refs = refs.fds + refs.maps;
    this.touch(inode, buffer);
    this.noteCount(inode, buffer);
  }

  private touch(inode: bigint, {refs}: TrackedBuffer): void {
    this.touched.add(inode);
    if (refs === 0) this.unheld.add(inode);
    else this.unheld.delete(inode);
  }

  /** Whether the references of a buffer are as they were settled. */
  private noteCount(
    inode: bigint,
    {buffer, refs, kernelRefs}: TrackedBuffer,
  ): void {
    const {fileCount} = buffer;
    const isOpen =
      fileCount !== undefined &&
      fileCount - BigInt(refs) !== (kernelRefs ?? 0n);
    if (isOpen) this.open.add(inode);
    else this.open.delete(inode);
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
  private referenceCount(inode: bigint): number {
    const refs = this.references.get(inode);
    return refs === undefined ? 0 : refs.fds + refs.maps;
  }

  /** fileCount minus what processes explain; undefined when not known. */
  unexplained(inode: bigint): bigint | undefined {
    const tracked = this.buffers.get(inode);
    const count = tracked?.buffer.fileCount;
    return tracked === undefined || count === undefined
      ? undefined
      : count - BigInt(tracked.refs);
  }

  /**
   * Takes the kernel's list in, before processes are read. A listed inode that
   * stands for a buffer of another size or exporter than before is a new
   * buffer.
   *
   * @param complete false: a buffer that is missing may yet be there
   * @returns how many buffers share an inode with one before them in the list;
   *     only the first is followed
   */
  applyList(list: Iterable<BufferFacts>, complete = true): number {
    this.lists++;
    let collisions = 0;
    for (const facts of list) {
      const known = this.buffers.get(facts.inode);
      if (known?.list === this.lists) collisions++;
      else if (known === undefined || !this.isAsListed(known, facts)) {
        this.learn(facts, true);
      }
    }
    if (complete) this.dropUnlisted();
    return collisions;
  }

  /** The list tells of a buffer what it told before, and so it is known. */
  private isAsListed(known: TrackedBuffer, facts: BufferFacts): boolean {
    if (known.listFacts !== facts) return false;
    if (known.buffer.fileCount !== facts.fileCount) return false;
    known.list = this.lists;
    known.refsAtCount = known.refs;
    return true;
  }

  private dropUnlisted(): void {
    // Whatever was known before the list was read and is not in it has been
    // released: nobody holds it any more, whoever was seen with it last.
    const gone = new Set<bigint>();
    for (const [inode, {list}] of this.buffers) {
      if (list !== this.lists) gone.add(inode);
    }
    this.release(gone);
    for (const [inode, {generation}] of this.lost) {
      this.generations.remember(inode, generation + 1);
    }
    this.lost.clear();
  }

  /** The kernel has let buffers go: so have all their holders. */
  private release(gone: ReadonlySet<bigint>): void {
    const holders = new Set<number>();
    for (const inode of gone) {
      for (const pid of this.holders(inode)) holders.add(pid);
    }
    for (const pid of holders) {
      const tracked = this.processes.get(pid);
      if (tracked === undefined) continue;
      for (const [table, fds] of [...tracked.tables]) {
        const left = [...fds].filter(([, inode]) => !gone.has(inode));
        this.setTable(tracked, table, new Map(left));
      }
      const maps = [...tracked.maps].filter(([inode]) => !gone.has(inode));
      this.setMaps(tracked, new Map(maps));
    }
    for (const inode of gone) this.forget(inode, true);
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
    const name = listed
      ? listedName(buffer.name, known.listName, facts.name)
      : toldName(buffer.name, facts.name);
    if (listed) {
      known.listed = true;
      known.list = this.lists;
      if (!sameName(known.listName, facts.name)) {
        known.nameAsked = false;
        this.asked.add(facts.inode);
      }
      known.listName = facts.name;
      known.listFacts = facts;
    } else {
      known.listFacts = undefined;
    }
    if (!listed && contradicts(known.listName, facts.name)) {
      // Renamed since the list was read: should the list print the old name
      // again, it was renamed once more.
      known.listName = undefined;
    }
    if (facts.fileCount !== undefined) known.refsAtCount = known.refs;
    if (!tellsMore(buffer, facts, name)) {
      this.noteName(known);
      return;
    }
    this.show(known, {
      inode: buffer.inode,
      generation: buffer.generation,
      sizeBytes: facts.sizeBytes ?? buffer.sizeBytes,
      exporter: facts.exporter ?? buffer.exporter,
      name,
      fileCount: facts.fileCount ?? buffer.fileCount,
    });
    this.noteName(known);
  }

  /** Puts what is known of a buffer now in the place of what was. */
  private show(tracked: TrackedBuffer, buffer: DmaBuf): void {
    const {inode} = buffer;
    if (tracked.buffer.sizeBytes !== buffer.sizeBytes) {
      this.resize(inode, tracked.buffer.sizeBytes, buffer.sizeBytes);
    }
    tracked.buffer = buffer;
    this.changed.set(inode, buffer);
    this.touchHolders(inode);
    this.noteCount(inode, tracked);
  }

  /** A buffer turned out to be of another size: so do its holders' sums. */
  private resize(
    inode: bigint,
    before: bigint | undefined,
    after: bigint | undefined,
  ): void {
    for (const pid of this.holders(inode)) {
      const holder = this.processes.get(pid);
      if (holder === undefined) continue;
      addSize(holder, before, -1);
      addSize(holder, after, 1);
    }
  }

  private noteName({buffer, nameAsked}: TrackedBuffer): void {
    const {inode, name} = buffer;
    const isOpen = name === undefined || name.doubtful;
    if (isOpen && !nameAsked) this.nameless.add(inode);
    else this.nameless.delete(inode);
  }

  /** A buffer that was not known; another one of the inode is gone. */
  private begin(facts: BufferFacts, listed: boolean): void {
    const {inode} = facts;
    this.forget(inode, true);
    const tracked: TrackedBuffer = {
      buffer: {
        inode,
        generation: this.generationOf(facts),
        sizeBytes: facts.sizeBytes,
        exporter: facts.exporter,
        name: facts.name,
        fileCount: facts.fileCount,
      },
      refs: this.referenceCount(inode),
      list: listed ? this.lists : -1,
      listFacts: listed ? facts : undefined,
      listName: listed ? facts.name : undefined,
      listed,
      refsAtCount: this.referenceCount(inode),
      kernelRefs: undefined,
      nameAsked: false,
    };
    this.buffers.set(inode, tracked);
    this.resize(inode, undefined, facts.sizeBytes);
    this.show(tracked, tracked.buffer);
    this.touch(inode, tracked);
    this.noteName(tracked);
    this.generations.see(inode);
    this.lost.delete(inode);
    this.asked.add(inode);
  }

  private generationOf(facts: BufferFacts): number {
    const {inode} = facts;
    const lost = this.lost.get(inode);
    if (lost !== undefined) {
      return isOther(lost, facts) ? lost.generation + 1 : lost.generation;
    }
    return this.generations.of(inode);
  }

  /**
   * To be called once the processes were read after a list with counts. What
   * no process explains is the kernel's own, if all processes were read;
   * otherwise it may yet turn out to be theirs.
   */
  settleCounts(allWereRead: boolean): void {
    for (const tracked of this.buffers.values()) {
      tracked.refsAtCount = tracked.refs;
      const {fileCount} = tracked.buffer;
      const rest =
        fileCount === undefined
          ? undefined
          : fileCount - BigInt(tracked.refsAtCount);
      if (allWereRead || rest === undefined || rest === 0n) {
        tracked.kernelRefs = rest;
      }
      this.noteCount(tracked.buffer.inode, tracked);
    }
  }

  /** Unexplained references when counts were last settled. */
  settledKernelRefs(inode: bigint): bigint | undefined {
    return this.buffers.get(inode)?.kernelRefs;
  }

  /** Buffers with other references than were settled, in the last list. */
  unsettled(): ReadonlySet<bigint> {
    return this.open;
  }

  /**
   * Buffers whose name fdinfo has to tell and was not asked for yet: all that
   * have none, and at most `limit` of those whose name is in doubt. They count
   * as asked from now on.
   */
  takeDoubtfulNames(limit: number): bigint[] {
    const inodes: bigint[] = [];
    let doubtful = 0;
    for (const inode of this.nameless) {
      const tracked = this.buffers.get(inode);
      if (tracked === undefined) continue;
      if (tracked.buffer.name !== undefined && ++doubtful > limit) continue;
      if (!((this.references.get(inode)?.fds ?? 0) > 0)) continue;
      tracked.nameAsked = true;
      this.nameless.delete(inode);
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
    // The others are as they were when they were looked at last.
    for (const inode of new Set([...this.touched, ...this.unheld])) {
      const tracked = this.buffers.get(inode);
      if (tracked === undefined) continue;
      const {buffer, refs, kernelRefs, listed} = tracked;
      const onlyProcesses =
        !thereIsAList || (kernelRefs !== undefined && kernelRefs <= 0n);
      if (refs === 0 && !(listed && (listIsFresh || !onlyProcesses))) {
        this.forget(inode, false);
        continue;
      }
      if (
        !listIsFresh &&
        buffer.fileCount !== undefined &&
        refs !== tracked.refsAtCount
      ) {
        this.show(tracked, {...buffer, fileCount: undefined});
      }
    }
    this.touched.clear();
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
    this.changed.set(inode, undefined);
    this.asked.delete(inode);
    this.touched.delete(inode);
    this.unheld.delete(inode);
    this.nameless.delete(inode);
    this.open.delete(inode);
    this.resize(inode, buffer.sizeBytes, undefined);
    if (proven || !(uniqueInodes || hasList)) {
      this.generations.remember(inode, buffer.generation + 1);
    } else if (uniqueInodes) {
      // Should it come back, it is the same.
      if (buffer.generation > 0)
        this.generations.remember(inode, buffer.generation);
    } else {
      this.lost.set(inode, buffer);
    }
  }

  private touchHolders(inode: bigint): void {
    for (const pid of this.holders(inode)) {
      const holder = this.processes.get(pid);
      if (holder === undefined) continue;
      holder.changed.add(inode);
      holder.stale = true;
    }
  }

  // -- snapshot ------------------------------------------------------------

  snapshotBuffers(): ReadonlyMap<bigint, DmaBuf> {
    this.shown = this.shown.with(this.changed);
    this.changed.clear();
    return this.shown;
  }

  snapshotProcesses(): Map<number, ProcessHoldings> {
    const processes = new Map<number, ProcessHoldings>();
    for (const [pid, tracked] of this.processes) {
      const {view, asOfNs, stale} = tracked;
      if (view === undefined || stale) tracked.view = this.view(tracked);
      // Read again and found the same.
      else if (view.asOfNs !== asOfNs) tracked.view = {...view, asOfNs};
      tracked.stale = false;
      if (tracked.view !== undefined) processes.set(pid, tracked.view);
    }
    return processes;
  }

  private view(tracked: TrackedProcess): ProcessHoldings {
    return {
      process: tracked.process,
      readState: readState(tracked),
      holdings: this.holdings(tracked),
      kernelRssBytes: tracked.kernelRssBytes,
      kernelPssBytes: tracked.kernelPssBytes,
      asOfNs: tracked.asOfNs,
    };
  }

  /** Holdings by inode; what is as it was shown last is the same object. */
  private holdings(tracked: TrackedProcess): ReadonlyMap<bigint, Holding> {
    const {fdRefs, maps, changed} = tracked;
    const changes = new Map<bigint, Holding | undefined>();
    for (const inode of changed) {
      const buffer = this.buffers.get(inode)?.buffer;
      const fds = fdRefs.get(inode) ?? 0;
      const mapped = maps.get(inode);
      const mapRefs = mapped?.refs ?? 0;
      const mappedBytes = mapped?.bytes ?? 0n;
      const known = tracked.holdings.get(inode);
      if (buffer === undefined || fds + mapRefs === 0) {
        if (known !== undefined) changes.set(inode, undefined);
      } else if (
        known?.buffer !== buffer ||
        known.fdRefs !== fds ||
        known.mapRefs !== mapRefs ||
        known.mappedBytes !== mappedBytes
      ) {
        changes.set(inode, {buffer, fdRefs: fds, mapRefs, mappedBytes});
      }
    }
    changed.clear();
    tracked.holdings = tracked.holdings.with(changes);
    return tracked.holdings;
  }
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

/** Whether facts, and the name they leave, are not what is known. */
function tellsMore(
  known: DmaBuf,
  {sizeBytes, exporter, fileCount}: BufferFacts,
  name: BufferName | undefined,
): boolean {
  return (
    (sizeBytes !== undefined && sizeBytes !== known.sizeBytes) ||
    (exporter !== undefined && exporter !== known.exporter) ||
    (fileCount !== undefined && fileCount !== known.fileCount) ||
    !sameName(known.name, name) ||
    known.name?.doubtful !== name?.doubtful
  );
}

function* mapValues<K, V, R>(
  map: ReadonlyMap<K, V>,
  to: (value: V) => R,
): IterableIterator<R> {
  for (const value of map.values()) yield to(value);
}
