// SPDX-License-Identifier: Apache-2.0
import {
  InodeMap,
  inodeKey,
  sameName,
  type BufferName,
  type DmaBuf,
  type InodeKey,
} from '../../core/model/index.js';
import {contradicts, listedName, toldName} from './buffer_names.js';
import {InodeGenerations} from './inode_generations.js';
import {PlacedList} from './placed_list.js';
import {
  noteHolding,
  refsOf,
  unexplainedRefs,
  type BufferFacts,
  TrackedBuffer,
} from './tracked_buffer.js';
import {addSize} from './tracked_process.js';

export interface KnownBuffersOptions {
  /** An inode number never comes back for another buffer (since 5.18). */
  readonly uniqueInodes: boolean;
  /** The kernel's list of all buffers can be read. */
  readonly hasList: boolean;
}

/** Why a buffer is not known any more. */
type Farewell =
  /** The kernel has let it go. */
  | 'released'
  /** Another buffer has its inode number. */
  | 'replaced'
  /** Nobody is seen to hold it; it may be on its way to another process. */
  | 'unseen';

/** The buffers there are, and what the sources tell of them. No I/O. */
export class KnownBuffers {
  private readonly byInode = new Map<InodeKey, TrackedBuffer>();
  private bufferCount = 0;
  private readonly generations = new InodeGenerations();
  /** Dropped before a list could tell whether they are gone. */
  private readonly lost = new Map<bigint, DmaBuf>();
  /** Buffers whose name no list has told for sure. */
  private readonly doubtful = new PlacedList<'doubtfulPlace', TrackedBuffer>(
    'doubtfulPlace',
  );
  private lastAge = 0;
  /** Other references, or new, since buffers were last retired. */
  private readonly touched: TrackedBuffer[] = [];
  /** Buffers without a reference by a process. */
  private readonly unheld = new PlacedList<'unheldPlace', TrackedBuffer>(
    'unheldPlace',
  );
  /** Buffers whose name is missing or in doubt, and was not asked for. */
  private readonly nameless = new PlacedList<'namelessPlace', TrackedBuffer>(
    'namelessPlace',
  );
  /** Buffers with other references than were settled, in the last list. */
  private readonly open = new PlacedList<'openPlace', TrackedBuffer>(
    'openPlace',
  );
  /** Buffers with references that no process explains. */
  private readonly unexplained = new PlacedList<
    'unexplainedPlace',
    TrackedBuffer
  >('unexplainedPlace');
  /** All that the next settling of counts may have to look at. */
  private readonly loose = new PlacedList<'loosePlace', TrackedBuffer>(
    'loosePlace',
  );
  /** What is different in the next snapshot. */
  private readonly changed: TrackedBuffer[] = [];
  private shown = InodeMap.empty<DmaBuf>();
  /** Number of lists so far. */
  private lists = 0;
  /** The buffers of the last list in its order, less those that are gone. */
  private listed: (TrackedBuffer | undefined)[] = [];
  /** Those that it had not, or that were learnt of in another way since. */
  private readonly others = new PlacedList<'otherPlace', TrackedBuffer>(
    'otherPlace',
  );

  constructor(private readonly options: KnownBuffersOptions) {}

  get size(): number {
    return this.bufferCount;
  }

  buffer(inode: bigint): DmaBuf | undefined {
    return this.find(inodeKey(inode))?.buffer;
  }

  /** Whether there is a buffer under a number. */
  isKnown(key: InodeKey): boolean {
    return this.byInode.get(key)?.buffer !== undefined;
  }

  // -- references ------------------------------------------------------------

  /** What is known under a number, if anything. */
  find(key: InodeKey): TrackedBuffer | undefined {
    return this.byInode.get(key);
  }

  /** The same; nothing, where nothing was. */
  at(key: InodeKey, inode?: bigint): TrackedBuffer {
    let tracked = this.byInode.get(key);
    if (tracked === undefined) {
      tracked = new TrackedBuffer(inode ?? BigInt(key));
      this.byInode.set(key, tracked);
    }
    return tracked;
  }

  /** Its references are other ones than before. */
  noteReferences(tracked: TrackedBuffer): void {
    if (tracked.buffer === undefined) {
      this.dropEmpty(tracked);
      return;
    }
    this.touch(tracked);
    this.noteCount(tracked);
  }

  private touch(tracked: TrackedBuffer): void {
    if (!tracked.isTouched) {
      tracked.isTouched = true;
      this.touched.push(tracked);
    }
    this.unheld.put(tracked, refsOf(tracked) === 0);
  }

  /** Whether the references of a buffer are as they were settled. */
  private noteCount(tracked: TrackedBuffer): void {
    const rest = unexplainedRefs(tracked);
    const {buffer, kernelRefs, refsAtCount} = tracked;
    this.open.put(tracked, rest !== undefined && rest !== (kernelRefs ?? 0));
    this.unexplained.put(tracked, rest !== undefined && rest > 0);
    const isSettled = rest === kernelRefs && refsAtCount === refsOf(tracked);
    this.loose.put(tracked, buffer !== undefined && !isSettled);
  }

  /** Nothing is known under a number without a buffer and a reference. */
  private dropEmpty(tracked: TrackedBuffer): void {
    if (tracked.buffer === undefined && refsOf(tracked) === 0) {
      this.byInode.delete(inodeKey(tracked.inode));
    }
  }

  // -- the kernel's list -----------------------------------------------------

  /**
   * Takes the kernel's list in. A listed inode that stands for a buffer of
   * another size or exporter than before is a new buffer.
   *
   * @returns how many buffers share an inode with one before them in the list;
   *     only the first is followed
   */
  applyList(list: Iterable<BufferFacts>): number {
    this.lists++;
    let collisions = 0;
    const before = this.listed;
    const listed: TrackedBuffer[] = [];
    /** Place in the list before of who comes next if all is as it was. */
    let next = 0;
    for (const facts of list) {
      const expected = before[next];
      let known =
        expected?.listFacts === facts
          ? expected
          : this.byInode.get(inodeKey(facts.inode));
      if (known?.buffer !== undefined && known.list === this.lists) {
        collisions++;
        continue;
      }
      if (known?.buffer === undefined || !this.isAsListed(known, facts)) {
        this.learn(facts, true);
        known = this.at(inodeKey(facts.inode));
      }
      if (before[known.listPlace] === known) next = known.listPlace + 1;
      known.listPlace = listed.length;
      listed.push(known);
    }
    const {lists, others} = this;
    for (const tracked of others.list()) {
      if (tracked.list === lists) others.put(tracked, false);
    }
    for (const tracked of before) {
      if (tracked === undefined || tracked.list === lists) continue;
      if (tracked.buffer !== undefined) others.put(tracked, true);
    }
    this.listed = listed;
    return collisions;
  }

  /** The list tells of a buffer what it told before, and so it is known. */
  private isAsListed(known: TrackedBuffer, facts: BufferFacts): boolean {
    if (known.listFacts !== facts) return false;
    known.list = this.lists;
    known.refsAtCount = refsOf(known);
    return true;
  }

  /** Right after a list: buffers that are not in it. */
  unlisted(): readonly TrackedBuffer[] {
    return this.others.list();
  }

  /** The kernel has let these go, and all that was lost before. */
  release(gone: readonly TrackedBuffer[]): void {
    for (const tracked of gone) this.forget(tracked, 'released');
    for (const [inode, {generation}] of this.lost) {
      this.generations.remember(inode, generation + 1);
    }
    this.lost.clear();
  }

  /**
   * To be called once the processes were read after a list with counts. What
   * no process explains is the kernel's own, if all processes were read;
   * otherwise it may yet turn out to be theirs.
   */
  settleCounts(allWereRead: boolean): void {
    for (const tracked of this.loose.list()) {
      if (tracked.list !== this.lists) continue;
      tracked.refsAtCount = refsOf(tracked);
      const rest = unexplainedRefs(tracked);
      if (allWereRead || rest === undefined || rest === 0) {
        tracked.kernelRefs = rest;
      }
      this.noteCount(tracked);
    }
  }

  /** Buffers with other references than were settled, in the last list. */
  unsettled(): readonly TrackedBuffer[] {
    return this.open.list();
  }

  /** The same, and those whose count is not known while it was settled. */
  *unlikeSettled(): Generator<TrackedBuffer> {
    for (const tracked of this.byInode.values()) {
      if (tracked.buffer === undefined) continue;
      if (unexplainedRefs(tracked) !== tracked.kernelRefs) yield tracked;
    }
  }

  /** Whether there is a buffer with references that no process explains. */
  hasUnexplained(): boolean {
    return this.unexplained.size > 0;
  }

  // -- what is told of a buffer ----------------------------------------------

  /** Takes in what a process's fdinfo, stat or maps tell of a buffer. */
  learn(facts: BufferFacts, listed = false): void {
    const key = inodeKey(facts.inode);
    const known = this.byInode.get(key);
    if (known?.buffer === undefined || isOther(known.buffer, facts)) {
      // The list's word counts: another live buffer may share the inode.
      if (known?.listed !== true || listed) {
        this.begin(known ?? this.at(key, facts.inode), facts, listed);
      }
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
    if (facts.fileCount !== undefined) known.refsAtCount = refsOf(known);
    if (tellsMore(buffer, facts, name)) {
      this.show(known, {
        inode: buffer.inode,
        generation: buffer.generation,
        sizeBytes: facts.sizeBytes ?? buffer.sizeBytes,
        exporter: facts.exporter ?? buffer.exporter,
        name,
        fileCount: facts.fileCount ?? buffer.fileCount,
      });
    }
    this.noteName(known);
  }

  /** Puts what is known of a buffer now in the place of what was. */
  private show(tracked: TrackedBuffer, buffer: DmaBuf): void {
    const before = tracked.buffer?.sizeBytes;
    const {sizeBytes} = buffer;
    tracked.buffer = buffer;
    this.noteChange(tracked);
    let holding = tracked.first;
    for (; holding !== undefined; holding = holding.next) {
      if (before !== sizeBytes) {
        addSize(holding.process, before, -1);
        addSize(holding.process, sizeBytes, 1);
      }
      noteHolding(holding);
    }
    this.noteCount(tracked);
  }

  private noteChange(tracked: TrackedBuffer): void {
    if (tracked.isChanged) return;
    tracked.isChanged = true;
    this.changed.push(tracked);
  }

  private noteName(tracked: TrackedBuffer): void {
    const name = tracked.buffer?.name;
    this.nameless.put(
      tracked,
      !tracked.nameAsked && (name === undefined || name.doubtful),
    );
    this.doubtful.put(tracked, tracked.listName?.doubtful ?? true);
  }

  /** A buffer that was not known; another one of the inode is gone. */
  private begin(
    tracked: TrackedBuffer,
    facts: BufferFacts,
    listed: boolean,
  ): void {
    const {inode} = facts;
    if (tracked.buffer !== undefined) {
      this.forget(tracked, 'replaced');
      // Without references it was dropped just now.
      this.byInode.set(inodeKey(inode), tracked);
    }
    const generation = this.generationOf(facts);
    tracked.list = listed ? this.lists : -1;
    tracked.listFacts = listed ? facts : undefined;
    tracked.listName = listed ? facts.name : undefined;
    tracked.listed = listed;
    tracked.refsAtCount = refsOf(tracked);
    this.others.put(tracked, !listed && this.options.hasList);
    this.bufferCount++;
    this.show(tracked, {
      inode,
      generation,
      sizeBytes: facts.sizeBytes,
      exporter: facts.exporter,
      name: facts.name,
      fileCount: facts.fileCount,
    });
    this.touch(tracked);
    tracked.nameAge = ++this.lastAge;
    this.noteName(tracked);
    this.generations.see(inode);
    this.lost.delete(inode);
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
   * Drops buffers that are gone: neither in the kernel's list nor held, or,
   * between two readings of the list, held by no process any more when nothing
   * but processes held them. Counts of references that changed since they were
   * read are unknown again.
   */
  retire(listIsFresh: boolean, thereIsAList: boolean): void {
    // The others are as they were when they were looked at last.
    const {touched} = this;
    for (const tracked of touched) {
      this.retireOne(tracked, listIsFresh, thereIsAList);
    }
    for (const tracked of this.unheld.list()) {
      if (tracked.isTouched) continue;
      this.retireOne(tracked, listIsFresh, thereIsAList);
    }
    for (const tracked of touched) tracked.isTouched = false;
    touched.length = 0;
  }

  private retireOne(
    tracked: TrackedBuffer,
    listIsFresh: boolean,
    thereIsAList: boolean,
  ): void {
    const {buffer, kernelRefs, listed, refsAtCount} = tracked;
    if (buffer === undefined) return;
    const refs = refsOf(tracked);
    const onlyProcesses =
      !thereIsAList || (kernelRefs !== undefined && kernelRefs <= 0);
    if (refs === 0 && !(listed && (listIsFresh || !onlyProcesses))) {
      this.forget(tracked, 'unseen');
      return;
    }
    if (listIsFresh || buffer.fileCount === undefined) return;
    if (refs === refsAtCount) return;
    tracked.listFacts = undefined;
    this.show(tracked, {...buffer, fileCount: undefined});
  }

  private forget(tracked: TrackedBuffer, farewell: Farewell): void {
    const {buffer} = tracked;
    if (buffer === undefined) return;
    tracked.buffer = undefined;
    tracked.listed = false;
    tracked.listFacts = undefined;
    tracked.listName = undefined;
    tracked.kernelRefs = undefined;
    tracked.nameAsked = false;
    this.bufferCount--;
    if (this.listed[tracked.listPlace] === tracked) {
      this.listed[tracked.listPlace] = undefined;
    }
    this.noteChange(tracked);
    this.unheld.put(tracked, false);
    this.nameless.put(tracked, false);
    this.doubtful.put(tracked, false);
    this.others.put(tracked, false);
    this.noteCount(tracked);
    let holding = tracked.first;
    for (; holding !== undefined; holding = holding.next) {
      addSize(holding.process, buffer.sizeBytes, -1);
      addSize(holding.process, undefined, 1);
      noteHolding(holding);
    }
    this.dropEmpty(tracked);
    this.rememberGeneration(buffer, farewell);
  }

  private rememberGeneration(buffer: DmaBuf, farewell: Farewell): void {
    const {inode, generation} = buffer;
    const {uniqueInodes, hasList} = this.options;
    if (farewell === 'replaced') {
      this.generations.remember(inode, generation + 1);
    } else if (uniqueInodes) {
      // Should it come back, it is the same.
      if (generation > 0) this.generations.remember(inode, generation);
    } else if (farewell === 'released' || !hasList) {
      this.generations.remember(inode, generation + 1);
    } else {
      this.lost.set(inode, buffer);
    }
  }

  // -- names -----------------------------------------------------------------

  /**
   * Buffers whose name fdinfo has to tell and was not asked for yet: all that
   * have none, and at most `limit` of those whose name is in doubt. They count
   * as asked from now on.
   */
  takeDoubtfulNames(limit: number): TrackedBuffer[] {
    const taken: TrackedBuffer[] = [];
    let doubtful = 0;
    for (const tracked of this.nameless.list()) {
      if (tracked.buffer?.name !== undefined && ++doubtful > limit) continue;
      if (tracked.fds === 0) continue;
      tracked.nameAsked = true;
      tracked.nameAge = ++this.lastAge;
      this.nameless.put(tracked, false);
      taken.push(tracked);
    }
    return taken;
  }

  /**
   * Of the buffers whose name the list does not tell for sure, the `limit`
   * that were asked about longest ago: somebody may have renamed them.
   */
  takeNamesToAskAgain(limit: number): TrackedBuffer[] {
    const taken = this.doubtful
      .list()
      .sort((a, b) => a.nameAge - b.nameAge)
      .slice(0, limit);
    for (const tracked of taken) tracked.nameAge = ++this.lastAge;
    return taken;
  }

  // -- snapshot --------------------------------------------------------------

  /** All buffers, by inode; what is as it was shown last is the same object. */
  snapshot(): ReadonlyMap<bigint, DmaBuf> {
    const {changed} = this;
    this.shown = this.shown.with((set) => {
      for (const tracked of changed) {
        tracked.isChanged = false;
        const {buffer} = tracked;
        if (buffer === tracked.shown) continue;
        tracked.shown = buffer;
        set(tracked.inode, buffer);
      }
    });
    changed.length = 0;
    return this.shown;
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
