// SPDX-License-Identifier: Apache-2.0
import {
  FormatError,
  parseDmabufRss,
  parseFdinfo,
  parseProcStat,
} from '../../core/formats/index.js';
import {detachedSlice} from '../../core/formats/scan.js';
import {
  toDisplay,
  type Coverage,
  type Snapshot,
} from '../../core/model/index.js';
import {hasUniqueInodes, type Capabilities} from './capabilities.js';
import {BootClock, parseClock, TICK_NS, type ClockReading} from './clock.js';
import {
  DeviceState,
  MAIN_TABLE,
  type BufferFacts,
  type FdTable,
  type MapRefs,
  type TrackedProcess,
} from './device_state.js';
import {
  FdPathReader,
  type FdLine,
  type FdTableChange,
  type FdTableLines,
} from './fd_path_reader.js';
import {readKernelList, type ListReading} from './kernel_list.js';
import {
  DEFAULT_PACING,
  Pace,
  fullScanDue,
  type PacingOptions,
} from './pacing.js';
import {
  MAPPING_FORM,
  PATH_STAT_FORM,
  PROCESS_LINE_FORM,
  ProcessLineReader,
} from './process_line_reader.js';
import {
  parseFdPaths,
  parsePathStats,
  parseSlurp,
  parseWalkErrors,
  type FdPath,
  type Mapping,
  type PathStat,
  type ProcessLine,
} from './sections.js';
import type {Answer, CollectorSession} from './session.js';

export interface SampleOptions {
  /** Read every process, whether or not it seems to have changed. */
  readonly full?: boolean;
  /**
   * Look for descriptor tables that threads keep for themselves even when
   * every reference is explained.
   */
  readonly threads?: boolean;
}

/** Paths or pids of one request line. */
const ARGUMENTS_A_REQUEST = 200;
const NO_MAPS: ReadonlyMap<bigint, MapRefs> = new Map();
/** Names in doubt asked for in one sample. */
const NAMES_A_SAMPLE = 64;
/** Names asked for again in one full scan, where the list does not tell them. */
const NAMES_A_FULL_SCAN = 512;
/** Threads' own tables are looked for at most so often, ns. */
const THREADS_EVERY_NS = 20_000_000_000n;
/**
 * Threads whose tables are read in one sample before 6.2, where nothing tells
 * which of them have one of their own; and when they were asked for.
 */
const THREADS_A_SAMPLE = 200;
const THREADS_AT_MOST = 10_000;
/** A process may still get its name for so long after its start. */
const YOUNG_NS = 5_000_000_000n;
/** A process that changed is a suspect for so long on kernels before 6.2. */
const ACTIVE_NS = 3_000_000_000n;

/**
 * Takes samples of a device: cheap looks for change first (the kernel's list,
 * the number of fds of each process, dmabuf_rss), then only what must be
 * scanned, and everything from time to time.
 */
export class Sampler {
  readonly clock = new BootClock();
  private readonly state: DeviceState;
  private readonly listPace = new Pace();
  private readonly explainPace = new Pace();
  private readonly fullPace = new Pace();
  private sequence = 0;
  /** The sample in which the list was last read, and how long it was then. */
  private listSequence = 0;
  private listBytes = 0;
  private lastCpuNs: bigint | undefined;
  private lastEndNs: bigint | undefined;
  private lastThreadsNs: bigint | undefined;
  /** Where the next look for threads' tables goes on, before 6.2. */
  private nextThread = 0;
  private typedWalk: 'untried' | 'works' | 'fails' = 'untried';
  private readonly activeUntil = new Map<number, bigint>();
  /** Not dma-bufs, although they have a size and no type. */
  private readonly strangers = new Set<bigint>();
  // Most of what is read is as it was read before: it is not taken in anew.
  private readonly fdReader = new FdPathReader();
  private readonly mapReader = new ProcessLineReader(MAPPING_FORM);
  private readonly countReader = new ProcessLineReader(PATH_STAT_FORM);
  private readonly sumReaders = {
    dmabuf_rss: new ProcessLineReader(PROCESS_LINE_FORM),
    dmabuf_pss: new ProcessLineReader(PROCESS_LINE_FORM),
  };
  private readonly readers = [
    this.fdReader,
    this.mapReader,
    this.countReader,
    this.sumReaders.dmabuf_rss,
    this.sumReaders.dmabuf_pss,
  ];
  /** The lines that a table in the state was made of, each of them in it. */
  private readonly madeOf = new WeakMap<FdTable, readonly FdLine[]>();
  private readonly mapSums = new WeakMap<
    readonly Mapping[],
    ReadonlyMap<bigint, MapRefs>
  >();
  private readonly learnt = new WeakSet<readonly Mapping[]>();
  private readonly sums = new WeakMap<ProcessLine, bigint>();

  constructor(
    private readonly session: CollectorSession,
    private readonly capabilities: Capabilities,
    private readonly pacing: PacingOptions = DEFAULT_PACING,
  ) {
    this.state = new DeviceState({
      uniqueInodes: hasUniqueInodes(capabilities),
      hasList: capabilities.kernelList !== undefined,
    });
  }

  /**
   * Reads REALTIME against BOOTTIME until they are known to within 1 ms.
   *
   * @throws DeviceError as CollectorSession.request
   */
  async synchroniseClock(): Promise<void> {
    for (let tries = 0; tries < 10 && !this.clock.isSynchronised; tries++) {
      const answer = await this.session.request('tick');
      this.clock.addTicks(answer.body);
    }
    const {body} = await this.session.request('clock');
    this.lastCpuNs ??= parseClock(body).cpuNs;
  }

  /**
   * The device's clocks at one moment, as well as the readings so far tell.
   *
   * @throws DeviceError as CollectorSession.request
   */
  async now(): Promise<{readonly bootNs: bigint; readonly realNs: bigint}> {
    const reading = await this.readClock(new Work(this.sequence));
    return {realNs: reading.realBeforeNs, bootNs: this.toBoot(reading)};
  }

  /**
   * Takes one sample.
   *
   * @throws DeviceError when the device or the collector went away, or did
   *     not answer in time; what was sampled before stays right
   */
  async sample(options: SampleOptions = {}): Promise<Snapshot> {
    const work = new Work(this.sequence++);
    const start = await this.readClock(work);
    // A sample begins after the one before, whatever the clocks say.
    const nowNs = later(this.toBoot(start), this.lastEndNs);
    const full = (options.full ?? false) || this.isFullScanDue(nowNs);
    const names = options.full === true ? Infinity : NAMES_A_SAMPLE;
    if (work.sequence === 0) this.tellUncertainty(work);
    const list = await this.readList(work, nowNs, full);
    const suspects = await this.findSuspects(work, nowNs, list);
    if (full) {
      await this.scanAll(work, nowNs);
    } else {
      await this.scan(work, suspects, nowNs);
      await this.askAboutBuffers(work, names);
      if (list !== undefined) await this.explain(work, nowNs);
    }
    await this.askAboutBuffers(work, names);
    await this.scanThreads(work, nowNs, options.threads ?? false);
    await this.askAboutBuffers(work, names);
    if (work.full) await this.askAgain(work);
    if (list?.complete === true) this.state.settleCounts(work.full);
    this.state.retire(
      list?.complete === true,
      this.capabilities.kernelList !== undefined,
    );
    await this.readDescriptions(work, nowNs);
    const end = await this.readClock(work);
    const endNs = later(this.toBoot(end), nowNs);
    if (work.full) this.fullPace.note(nowNs, endNs);
    this.lastEndNs = endNs;
    return this.snapshot(work, nowNs, endNs, end);
  }

  // -- time ------------------------------------------------------------------

  private tellUncertainty(work: Work): void {
    if (this.clock.isSynchronised) return;
    const width = this.clock.uncertaintyNs;
    const known =
      width === undefined ? '10' : `${Number(width / 1000n) / 1000}`;
    work.problem(`the device's BOOTTIME is known to within ${known} ms only`);
  }

  private async readClock(work: Work): Promise<ClockReading> {
    const answer = await work.ask(this.session.request('clock'));
    const reading = parseClock(answer.body);
    if (!this.clock.add(reading)) {
      work.problem("the device's REALTIME clock was set; BOOTTIME re-measured");
      await this.synchroniseClock();
      const again = await work.ask(this.session.request('clock'));
      const settled = parseClock(again.body);
      this.clock.add(settled);
      return settled;
    }
    return reading;
  }

  private toBoot(reading: ClockReading): bigint {
    return this.clock.toBoot(reading);
  }

  private isFullScanDue(nowNs: bigint): boolean {
    return (
      fullScanDue(this.fullPace, nowNs, this.pacing) || !this.canSeeChange()
    );
  }

  /** Without any sign of change, every sample has to look everywhere. */
  private canSeeChange(): boolean {
    const {fdCounts, dmabufRss, kernelList} = this.capabilities;
    return fdCounts || dmabufRss === 'yes' || kernelList !== undefined;
  }

  // -- looking for change --------------------------------------------------

  private async readList(
    work: Work,
    nowNs: bigint,
    full: boolean,
  ): Promise<ListReading | undefined> {
    const {kernelList, fdCounts, dmabufRss} = this.capabilities;
    if (kernelList === undefined) return undefined;
    // The only sign of change there is may take a larger share.
    const {listShare, searchShare, listBytesASample} = this.pacing;
    const isOnlySign = !fdCounts && dmabufRss !== 'yes';
    const share = isOnlySign ? searchShare : listShare;
    if (!full && !this.listPace.mayRun(nowNs, share)) return undefined;
    const samples = this.sequence - this.listSequence;
    if (!full && !isOnlySign && samples * listBytesASample < this.listBytes) {
      return undefined;
    }
    const startNs = process.hrtime.bigint();
    const list = await readKernelList(this.session, kernelList, this.state);
    const costNs = process.hrtime.bigint() - startNs;
    this.listPace.note(nowNs, nowNs + costNs);
    this.listSequence = this.sequence;
    this.listBytes = list.bytes;
    work.bytes += list.bytes;
    for (const problem of list.problems) work.problem(problem);
    work.inodeCollisions = list.inodeCollisions;
    if (list.complete) this.state.applyList(list.buffers);
    else for (const facts of list.buffers) this.state.learn(facts, true);
    return list;
  }

  /** Processes that may hold other dma-bufs than when they were last read. */
  private async findSuspects(
    work: Work,
    nowNs: bigint,
    list: ListReading | undefined,
  ): Promise<Set<number>> {
    const [counts, rss, pss] = await Promise.all([
      work.ask(this.session.request('counts')),
      this.askKernel(work, 'dmabuf_rss'),
      this.askKernel(work, 'dmabuf_pss'),
    ]);
    const suspects = await this.updateProcesses(work, counts, nowNs);
    this.applyKernelSums(rss, pss, suspects);
    if (list !== undefined && !this.capabilities.fdCounts) {
      this.suspectHolders(nowNs, suspects);
    }
    return suspects;
  }

  private async askKernel(
    work: Work,
    file: 'dmabuf_rss' | 'dmabuf_pss',
  ): Promise<Map<number, bigint>> {
    const sums = new Map<number, bigint>();
    const {dmabufRss, dmabufPss, fds} = this.capabilities;
    const wanted =
      file === 'dmabuf_rss'
        ? dmabufRss === 'yes'
        : // Where the holdings are read, the PSS is counted from them.
          dmabufPss === 'yes' && fds !== 'yes';
    if (!wanted) return sums;
    const answer = await work.ask(
      this.session.request('grep', `/proc/[0-9]*/${file}`),
    );
    const {processes, malformed} = this.sumReaders[file].read(answer.body);
    work.malformed(malformed, file);
    for (const {pid, items} of processes) {
      for (const line of items) {
        const bytes = this.sumOf(work, line, file);
        if (bytes !== undefined) sums.set(pid, bytes);
      }
    }
    return sums;
  }

  private sumOf(
    work: Work,
    line: ProcessLine,
    file: 'dmabuf_rss' | 'dmabuf_pss',
  ): bigint | undefined {
    const known = this.sums.get(line);
    if (known !== undefined) return known;
    try {
      const bytes = parseDmabufRss(`${line.text}\n`, file);
      if (bytes !== undefined) this.sums.set(line, bytes);
      return bytes;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      work.problem(error.message);
      return undefined;
    }
  }

  private applyKernelSums(
    rss: ReadonlyMap<number, bigint>,
    pss: ReadonlyMap<number, bigint>,
    suspects: Set<number>,
  ): void {
    for (const [pid, tracked] of this.state.processes) {
      const bytes = rss.get(pid);
      if (bytes !== undefined && bytes !== tracked.kernelRssBytes) {
        suspects.add(pid);
      }
      if (
        bytes !== tracked.kernelRssBytes ||
        pss.get(pid) !== tracked.kernelPssBytes
      ) {
        tracked.kernelRssBytes = bytes;
        tracked.kernelPssBytes = pss.get(pid);
        tracked.stale = true;
      }
    }
  }

  /** Adds and removes processes; those that are new or changed are suspects. */
  private async updateProcesses(
    work: Work,
    counts: Answer,
    nowNs: bigint,
  ): Promise<Set<number>> {
    const suspects = new Set<number>();
    const listed = new Set<number>();
    const unseen: PathStat[] = [];
    // The shell lists the processes before it starts anything of its own.
    for (const pid of parseWalkErrors(counts.errors ?? '').vanished) {
      work.vanished.add(pid);
    }
    const {processes, malformed} = this.countReader.read(counts.body);
    work.malformed(malformed, 'fd counts');
    for (const stat of processes.flatMap(({items}) => items)) {
      listed.add(stat.pid);
      if (stat.pid === this.session.collectorPid) continue;
      const tracked = this.state.processes.get(stat.pid);
      if (tracked === undefined || tracked.procInode !== stat.inode) {
        unseen.push(stat);
      } else if (tracked.fdCount !== stat.size) {
        tracked.fdCount = stat.size;
        suspects.add(stat.pid);
      }
    }
    if (listed.has(this.session.collectorPid)) {
      for (const pid of [...this.state.processes.keys()]) {
        if (!listed.has(pid)) this.removeProcess(pid);
      }
      for (const reader of this.readers) reader.retain(listed);
    } else if (counts.damage === undefined) {
      // The shell that asked is not in it: it is not the whole list.
      work.problem('fd counts: the list of processes is cut');
    }
    for (const pid of await this.startProcesses(work, unseen, nowNs)) {
      suspects.add(pid);
    }
    return suspects;
  }

  /**
   * Reads who new pids are. What ended meanwhile is counted, passed over are
   * the collector's own children, of which every step starts some.
   */
  private async startProcesses(
    work: Work,
    unseen: readonly PathStat[],
    nowNs: bigint,
  ): Promise<number[]> {
    const started: number[] = [];
    const {files: stats} = await this.slurp(
      work,
      unseen.map(({pid}) => `/proc/${pid}/stat`),
    );
    for (const {pid, inode, size} of unseen) {
      const text = stats.get(`/proc/${pid}/stat`);
      if (text === undefined) {
        work.vanished.add(pid);
        continue;
      }
      try {
        const stat = parseProcStat(text);
        if (stat.ppid === this.session.collectorPid) continue;
        const known = this.state.processes.get(pid);
        if (known?.process.startTicks === stat.startTicks) {
          // The kernel dropped the directory's inode, not the process.
          known.procInode = inode;
          continue;
        }
        const tracked = this.state.startProcess(pid, inode, nowNs);
        tracked.fdCount = size;
        this.state.describeProcess(tracked, {
          startTicks: stat.startTicks,
          comm: detached(stat.comm),
        });
        started.push(pid);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        work.problem(error.message);
      }
    }
    return started;
  }

  private removeProcess(pid: number): void {
    this.state.removeProcess(pid);
    this.activeUntil.delete(pid);
    for (const reader of this.readers) reader.forget(pid);
  }

  /**
   * Before 6.2 nothing cheap tells which process changed. The list tells which
   * buffers did: their holders are suspects, and so are processes that were
   * seen changing lately.
   */
  private suspectHolders(nowNs: bigint, suspects: Set<number>): void {
    let changed = false;
    for (const {inode} of this.state.allBuffers()) {
      const settled = this.state.settledKernelRefs(inode);
      if (this.state.unexplained(inode) === settled) continue;
      changed = true;
      for (const pid of this.state.holders(inode)) suspects.add(pid);
    }
    if (!changed) return;
    for (const [pid, untilNs] of this.activeUntil) {
      if (untilNs >= nowNs) suspects.add(pid);
      else this.activeUntil.delete(pid);
    }
  }

  // -- scanning ------------------------------------------------------------

  private async scanAll(work: Work, nowNs: bigint): Promise<void> {
    work.full = true;
    this.strangers.clear();
    const everyone = [...this.state.processes.values()];
    await this.readFds(work, everyone, nowNs, true);
    await this.readMaps(work, everyone, nowNs, true);
  }

  private async scan(
    work: Work,
    pids: ReadonlySet<number>,
    nowNs: bigint,
  ): Promise<void> {
    const suspects = [...pids].flatMap((pid) => {
      const tracked = this.state.processes.get(pid);
      // Who refused is asked again by the next full scan only.
      return tracked === undefined || tracked.fds === 'refused'
        ? []
        : [tracked];
    });
    if (suspects.length === 0) return;
    for (const {closed} of suspects) closed.clear();
    await this.readFds(work, suspects, nowNs, false);
    const unexplained = this.unexplainedHolders();
    const remapped = suspects.filter(
      (tracked) =>
        tracked.mappings === 'unread' ||
        this.lostAnFd(tracked) ||
        unexplained.has(tracked.pid) ||
        hasOtherRss(tracked),
    );
    await this.readMaps(work, remapped, nowNs, false);
  }

  /** A buffer whose fd was closed may still be mapped. */
  private lostAnFd({closed, fdRefs, maps}: TrackedProcess): boolean {
    for (const inode of closed) {
      if (fdRefs.has(inode) || maps.has(inode)) continue;
      // Nothing maps what the kernel has released.
      if (this.state.buffer(inode) !== undefined) return true;
    }
    return false;
  }

  /** pids that hold a buffer whose references do not add up. */
  private unexplainedHolders(): Set<number> {
    const pids = new Set<number>();
    for (const inode of this.state.unsettled()) {
      for (const pid of this.state.holders(inode)) pids.add(pid);
    }
    return pids;
  }

  /**
   * A fresh list shows references that no scanned process explains: asks the
   * buffers' holders, then looks everywhere, as far as the time for such
   * searches allows. What stays open is looked into with the next list.
   */
  private async explain(work: Work, nowNs: bigint): Promise<void> {
    const share = this.pacing.searchShare;
    const unsettled = this.state.unsettled();
    if (unsettled.size === 0) return;
    if (this.explainPace.mayRun(nowNs, share)) {
      const holders = this.unreadHolders(work, unsettled);
      if (holders.length > 0) {
        const startNs = process.hrtime.bigint();
        await this.readFds(work, holders, nowNs, false);
        await this.readMaps(work, holders, nowNs, false);
        const costNs = process.hrtime.bigint() - startNs;
        this.explainPace.note(nowNs, nowNs + costNs);
      }
    }
    if (this.state.unsettled().size === 0) return;
    if (this.fullPace.mayRun(nowNs, share)) await this.scanAll(work, nowNs);
  }

  /** Holders whose mappings were not read for this sample. */
  private unreadHolders(
    work: Work,
    inodes: Iterable<bigint>,
  ): TrackedProcess[] {
    const holders = new Map<number, TrackedProcess>();
    for (const inode of inodes) {
      for (const pid of this.state.holders(inode)) {
        const tracked = this.state.processes.get(pid);
        if (tracked === undefined || work.mapped.has(pid)) continue;
        holders.set(pid, tracked);
      }
    }
    return [...holders.values()];
  }

  private async readFds(
    work: Work,
    targets: readonly TrackedProcess[],
    nowNs: bigint,
    everyone: boolean,
  ): Promise<void> {
    const step = this.typedWalk === 'fails' ? 'links' : 'fds';
    const answers = await this.walk(work, step, targets, everyone);
    let read = this.readTables(work, answers, step);
    if (this.typedWalk === 'untried') {
      if (read.size > 0) this.typedWalk = 'works';
      else if (everyone) {
        read = await this.checkTypedWalk(work, targets, answers);
      }
    }
    await this.askWhatIsNew(work, read.values());
    const errors = answers.map(({errors}) => parseWalkErrors(errors ?? ''));
    const whole = answers.every(({damage}) => damage === undefined);
    for (const tracked of targets) {
      const {pid} = tracked;
      const table = read.get(pid);
      if (errors.some(({vanished}) => vanished.has(pid))) {
        work.vanished.add(pid);
        this.removeProcess(pid);
        continue;
      }
      if (errors.some(({refused}) => refused.has(pid))) {
        this.setFdsState(tracked, 'refused');
      } else if (whole) {
        this.setFdsState(tracked, 'read');
      } else if (table === undefined) {
        continue;
      }
      if (this.updateMainTable(tracked, table)) {
        this.activeUntil.set(pid, nowNs + ACTIVE_NS);
      }
      tracked.asOfNs = nowNs;
      work.scanned.add(pid);
    }
    for (const {other} of errors) {
      for (const line of other) work.problem(`${step}: ${toDisplay(line)}`);
    }
    await this.readPrivateTables(work, targets);
  }

  /** Main descriptor tables by pid, of those that have any fd in question. */
  private readTables(
    work: Work,
    answers: readonly Answer[],
    step: string,
  ): Map<number, FdTableLines> {
    const read = new Map<number, FdTableLines>();
    for (const {body} of answers) {
      const {tables, malformed} = this.fdReader.read(body);
      work.malformed(malformed, step);
      for (const each of tables) {
        if (each.table === MAIN_TABLE) read.set(each.pid, each);
      }
    }
    return read;
  }

  /** Asks fdinfo about inodes that nothing told of so far. */
  private async askWhatIsNew(
    work: Work,
    tables: Iterable<FdTableLines>,
  ): Promise<void> {
    const inQuestion = new Map<bigint, FdPath>();
    for (const table of tables) {
      const change = this.changeSince(table);
      for (const line of change?.added ?? table.lines) {
        if (this.isInQuestion(line.inode)) inQuestion.set(line.inode, line);
      }
    }
    await this.askFdinfo(work, [...inQuestion.values()]);
  }

  private isInQuestion(inode: bigint): boolean {
    return this.state.buffer(inode) === undefined && !this.strangers.has(inode);
  }

  /** What changed, where the table is still as the lines before made it. */
  private changeSince({
    pid,
    table,
    change,
  }: FdTableLines): FdTableChange | undefined {
    const now = this.state.processes.get(pid)?.tables.get(table);
    if (now === undefined || change === undefined) return undefined;
    return this.madeOf.get(now) === change.since ? change : undefined;
  }

  /** @returns whether it is another table now */
  private updateMainTable(
    tracked: TrackedProcess,
    read: FdTableLines | undefined,
  ): boolean {
    const {state} = this;
    if (read === undefined) {
      return state.setTable(tracked, MAIN_TABLE, new Map());
    }
    const {lines} = read;
    const change = this.changeSince(read);
    const isDmaBuf = ({inode}: FdLine): boolean =>
      state.buffer(inode) !== undefined;
    let changed: boolean;
    let isWhole: boolean;
    if (change === undefined) {
      const fds = new Map<number, bigint>();
      for (const line of lines) {
        if (isDmaBuf(line)) fds.set(line.fd, line.inode);
      }
      changed = state.setTable(tracked, MAIN_TABLE, fds);
      isWhole = fds.size === lines.length;
    } else {
      const added = change.added.filter(isDmaBuf);
      changed = state.changeTable(tracked, MAIN_TABLE, change.removed, added);
      isWhole = added.length === change.added.length;
    }
    const now = tracked.tables.get(MAIN_TABLE);
    if (now !== undefined) {
      // What is no dma-buf yet may turn out to be one: compare all next time.
      if (isWhole) this.madeOf.set(now, lines);
      else this.madeOf.delete(now);
    }
    return changed;
  }

  /**
   * The walk by type found nothing at all. Should this kernel give dma-bufs a
   * type, matching the links' texts finds them.
   */
  private async checkTypedWalk(
    work: Work,
    targets: readonly TrackedProcess[],
    answers: Answer[],
  ): Promise<Map<number, FdTableLines>> {
    if (this.capabilities.kernelList !== undefined) {
      if (this.state.bufferCount === 0) return new Map();
    }
    const links = await this.walk(work, 'links', targets, true);
    const read = this.readTables(work, links, 'links');
    // Where there is no list, once is enough: it costs as much as the walk.
    if (this.capabilities.kernelList === undefined) this.typedWalk = 'works';
    if (read.size === 0) return read;
    this.typedWalk = 'fails';
    answers.splice(0, answers.length, ...links);
    return read;
  }

  private setFdsState(tracked: TrackedProcess, fds: 'read' | 'refused'): void {
    if (tracked.fds === fds) return;
    tracked.fds = fds;
    tracked.stale = true;
  }

  private setMapsState(
    tracked: TrackedProcess,
    mappings: 'read' | 'refused',
  ): void {
    if (tracked.mappings === mappings) return;
    tracked.mappings = mappings;
    tracked.stale = true;
  }

  /**
   * pid → table → fd → inode, of those that are dma-bufs. An inode that the
   * kernel's list has is one; any other is asked for its fdinfo
   * once.
   */
  private async toTables(
    work: Work,
    stats: readonly FdPath[],
  ): Promise<Map<number, Map<string, Map<number, bigint>>>> {
    const inQuestion = new Map<bigint, FdPath>();
    for (const stat of stats) {
      if (this.isInQuestion(stat.inode)) inQuestion.set(stat.inode, stat);
    }
    await this.askFdinfo(work, [...inQuestion.values()]);
    const processes = new Map<number, Map<string, Map<number, bigint>>>();
    for (const stat of stats) {
      if (this.state.buffer(stat.inode) === undefined) continue;
      const slash = stat.rest.lastIndexOf('/');
      const table = detached(stat.rest.slice(0, slash));
      let tables = processes.get(stat.pid);
      if (tables === undefined) processes.set(stat.pid, (tables = new Map()));
      let fds = tables.get(table);
      if (fds === undefined) tables.set(table, (fds = new Map()));
      fds.set(Number(stat.rest.slice(slash + 1)), stat.inode);
    }
    return processes;
  }

  /** Learns what fdinfo tells of fds; what is no dma-buf becomes a stranger. */
  private async askFdinfo(work: Work, stats: readonly FdPath[]): Promise<void> {
    const paths = stats.map(
      ({pid, rest}) => `/proc/${pid}/${fdinfoPath(rest)}`,
    );
    const {files} = await this.slurp(work, paths);
    const unsure: {stat: FdPath; facts: BufferFacts}[] = [];
    for (const [i, stat] of stats.entries()) {
      const text = files.get(paths[i] ?? '');
      if (text === undefined) continue;
      try {
        const {dmaBuf, inode} = parseFdinfo(text);
        if (dmaBuf === undefined) {
          this.strangers.add(stat.inode);
          continue;
        }
        const {sizeBytes, exporter, name} = dmaBuf;
        const facts = {inode: stat.inode, sizeBytes, exporter, name};
        if (inode === stat.inode) this.state.learn(facts);
        else if (inode === undefined) unsure.push({stat, facts});
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        work.problem(error.message);
      }
    }
    await this.learnIfUnchanged(work, unsure);
  }

  /**
   * Before 5.14 fdinfo does not tell its inode: what it says is of the buffer
   * that was asked about if its fd still is one for it.
   */
  private async learnIfUnchanged(
    work: Work,
    told: readonly {stat: FdPath; facts: BufferFacts}[],
  ): Promise<void> {
    const path = ({pid, rest}: FdPath): string => `/proc/${pid}/${rest}`;
    const answers = await this.inParts(
      work,
      'stat',
      told.map(({stat}) => path(stat)),
    );
    const now = new Map<string, bigint>();
    for (const {body} of answers) {
      for (const stat of work.lines(parsePathStats(body), 'stat')) {
        now.set(path(stat), stat.inode);
      }
    }
    for (const {stat, facts} of told) {
      if (now.get(path(stat)) === stat.inode) this.state.learn(facts);
    }
  }

  private async readMaps(
    work: Work,
    targets: readonly TrackedProcess[],
    nowNs: bigint,
    everyone: boolean,
  ): Promise<void> {
    if (targets.length === 0) return;
    const answers = await this.walk(work, 'maps', targets, everyone);
    const errors = answers.map(({errors}) => parseWalkErrors(errors ?? ''));
    const whole = answers.every(({damage}) => damage === undefined);
    const byPid = new Map<number, readonly Mapping[]>();
    for (const {body} of answers) {
      const {processes, malformed} = this.mapReader.read(body);
      work.malformed(malformed, 'maps');
      for (const {pid, items} of processes) byPid.set(pid, items);
    }
    for (const tracked of targets) {
      const {pid} = tracked;
      if (!this.state.processes.has(pid)) continue;
      if (errors.some(({vanished}) => vanished.has(pid))) {
        work.vanished.add(pid);
        this.removeProcess(pid);
        continue;
      }
      const mappings = byPid.get(pid);
      if (errors.some(({refused}) => refused.has(pid))) {
        this.setMapsState(tracked, 'refused');
      } else if (whole) {
        this.setMapsState(tracked, 'read');
      } else if (mappings === undefined) {
        continue;
      }
      this.state.setMaps(tracked, this.sumOfMappings(mappings));
      tracked.asOfNs = nowNs;
      work.scanned.add(pid);
      work.mapped.add(pid);
    }
    for (const mappings of byPid.values()) {
      // Those that are as before were learnt from then.
      if (!everyone && this.learnt.has(mappings)) continue;
      this.learnt.add(mappings);
      for (const mapping of mappings) work.mappings.push(mapping);
    }
  }

  private sumOfMappings(
    mappings: readonly Mapping[] | undefined,
  ): ReadonlyMap<bigint, MapRefs> {
    if (mappings === undefined) return NO_MAPS;
    let sum = this.mapSums.get(mappings);
    if (sum === undefined) {
      sum = sumMappings(mappings);
      this.mapSums.set(mappings, sum);
    }
    return sum;
  }

  /** Asks a step about some processes, or about all in one command. */
  private async walk(
    work: Work,
    step: string,
    targets: readonly TrackedProcess[],
    everyone: boolean,
  ): Promise<Answer[]> {
    if (everyone) return [await work.ask(this.session.request(step))];
    return this.inParts(
      work,
      step,
      targets.map(({pid}) => pid),
    );
  }

  // -- threads with descriptor tables of their own ---------------------------

  private async scanThreads(
    work: Work,
    nowNs: bigint,
    wanted: boolean,
  ): Promise<void> {
    if (!wanted) {
      if (!work.full || !this.hasUnexplained()) return;
      const last = this.lastThreadsNs;
      if (last !== undefined && nowNs - last < THREADS_EVERY_NS) return;
    }
    this.lastThreadsNs = nowNs;
    const counts = await work.ask(this.session.request('tables'));
    if (counts.damage !== undefined) return;
    const known = [...this.privateTables(this.state.processes.values())];
    const threads = this.candidates(counts);
    await this.readThreadTables(
      work,
      known.filter((thread) => !threads.has(thread)),
    );
    const most = wanted ? THREADS_AT_MOST : THREADS_A_SAMPLE;
    await this.readThreadTables(work, this.someThreads(threads, most), threads);
  }

  /**
   * Threads that may have a table of their own, with the number of fds in it
   * where that alone tells that it is.
   */
  private candidates(counts: Answer): Map<string, bigint | undefined> {
    const {items} = parsePathStats(counts.body);
    const main = new Map<number, bigint>();
    for (const {pid, rest, size} of items) {
      if (rest === `task/${pid}/fd`) main.set(pid, size);
    }
    const {fdCounts} = this.capabilities;
    const threads = new Map<string, bigint | undefined>();
    for (const {pid, rest, size} of items) {
      const tid = /^task\/(\d+)\/fd$/.exec(rest)?.[1];
      if (tid === undefined || Number(tid) === pid) continue;
      if (this.state.processes.get(pid)?.fds !== 'read') continue;
      // Before 6.2 the size tells nothing: every thread has to be looked at.
      if (fdCounts && size === main.get(pid)) continue;
      threads.set(`${pid}/${tid}`, fdCounts ? size : undefined);
    }
    return threads;
  }

  /** As many of the threads as may be read now; the others come next time. */
  private someThreads(
    threads: ReadonlyMap<string, unknown>,
    most: number,
  ): string[] {
    const all = [...threads.keys()];
    if (all.length <= most) return all;
    const start = this.nextThread % all.length;
    this.nextThread = start + most;
    return [...all, ...all].slice(start, start + most);
  }

  /** Tables found earlier are read again with their process. */
  private async readPrivateTables(
    work: Work,
    targets: readonly TrackedProcess[],
  ): Promise<void> {
    await this.readThreadTables(work, [...this.privateTables(targets)]);
  }

  private *privateTables(targets: Iterable<TrackedProcess>): Generator<string> {
    for (const {pid, tables} of targets) {
      for (const table of tables.keys()) {
        const tid = /^task\/(\d+)\/fd$/.exec(table)?.[1];
        if (tid !== undefined) yield `${pid}/${tid}`;
      }
    }
  }

  /**
   * Reads threads' tables. Of candidates, with their sizes where these tell
   * anything, those that nothing tells apart share a table.
   */
  private async readThreadTables(
    work: Work,
    threads: readonly string[],
    candidates?: ReadonlyMap<string, bigint | undefined>,
  ): Promise<void> {
    if (threads.length === 0) return;
    const answers = await this.inParts(work, 'tablefds', threads);
    if (answers.some(({damage}) => damage !== undefined)) return;
    const stats = answers.flatMap(({body}) =>
      work.lines(parseFdPaths(body), 'tablefds'),
    );
    const tables = await this.toTables(work, stats);
    const looks = new Set<string>();
    for (const thread of threads) {
      const [pid, tid] = thread.split('/');
      const tracked = this.state.processes.get(Number(pid));
      if (tracked === undefined) continue;
      const table = `task/${tid ?? ''}/fd`;
      const fds = tables.get(tracked.pid)?.get(table) ?? new Map();
      const size = candidates?.get(thread);
      const content = contentOf(fds);
      const look = `${pid ?? ''} ${size ?? ''} ${content}`;
      const isMain = content === contentOf(tracked.tables.get(MAIN_TABLE));
      const isShared =
        candidates !== undefined &&
        (looks.has(look) || (size === undefined && isMain));
      this.state.setTable(tracked, table, isShared ? new Map() : fds);
      looks.add(look);
    }
  }

  private hasUnexplained(): boolean {
    if (this.capabilities.kernelList !== 'bufinfo') return true;
    for (const {inode} of this.state.allBuffers()) {
      if ((this.state.unexplained(inode) ?? 0n) > 0n) return true;
    }
    return false;
  }

  // -- asking about buffers and processes -------------------------------------

  /** Names in doubt, and buffers that only a mapping shows. */
  private async askAboutBuffers(work: Work, names: number): Promise<void> {
    for (const {inode, name} of work.mappings) this.state.learn({inode, name});
    await this.askMapFiles(work);
    work.mappings = [];
    await this.askNames(work, this.state.takeDoubtfulNames(names));
  }

  /** Names that may have changed without a sign of it in the list. */
  private askAgain(work: Work): Promise<void> {
    const inodes = this.state.takeNamesToAskAgain(NAMES_A_FULL_SCAN);
    return this.askNames(work, inodes);
  }

  private async askNames(work: Work, inodes: readonly bigint[]): Promise<void> {
    const stats: FdPath[] = [];
    for (const inode of inodes) {
      const fd = this.state.anyFd(inode);
      if (fd === undefined) continue;
      stats.push({inode, pid: fd.pid, rest: fd.path});
    }
    await this.askFdinfo(work, stats);
  }

  /** The full size of a buffer that is mapped, perhaps only in part. */
  private async askMapFiles(work: Work): Promise<void> {
    const ranges = new Map<bigint, string>();
    for (const {inode, pid, range} of work.mappings) {
      if (this.state.buffer(inode)?.sizeBytes !== undefined) continue;
      ranges.set(inode, `${pid}/${range}`);
    }
    if (ranges.size === 0) return;
    const answers = await this.inParts(work, 'mapfiles', [...ranges.values()]);
    for (const {body} of answers) {
      for (const {inode, size} of work.lines(
        parsePathStats(body),
        'mapfiles',
      )) {
        if (ranges.has(inode)) this.state.learn({inode, sizeBytes: size});
      }
    }
  }

  /**
   * Command lines of processes that hold something. Android gives an app its
   * name some time after its process has started: young ones are asked again.
   */
  private async readDescriptions(work: Work, nowNs: bigint): Promise<void> {
    const wanted: TrackedProcess[] = [];
    for (const tracked of this.state.processes.values()) {
      const holds = tracked.tables.size > 0 || tracked.maps.size > 0;
      const heavy = (tracked.kernelRssBytes ?? 0n) > 0n;
      if (!holds && !heavy) continue;
      const {startTicks, cmdline} = tracked.process;
      const ageNs = nowNs - (startTicks ?? 0n) * TICK_NS;
      if (cmdline === undefined || (work.full && ageNs < YOUNG_NS)) {
        wanted.push(tracked);
      }
    }
    const {files, whole} = await this.slurp(
      work,
      wanted.flatMap(({pid}) => [`/proc/${pid}/cmdline`, `/proc/${pid}/comm`]),
    );
    for (const tracked of wanted) {
      const comm = files.get(`/proc/${tracked.pid}/comm`)?.replace(/\n$/, '');
      const text = files.get(`/proc/${tracked.pid}/cmdline`);
      // An empty one is left out; so is all of a process that has ended.
      if (comm === undefined && (text === undefined || !whole)) continue;
      const [cmdline] = (text ?? '').split(/[\0\n]/, 1);
      this.state.describeProcess(tracked, {
        cmdline: detached(cmdline ?? ''),
        ...(comm === undefined ? {} : {comm: detached(comm)}),
      });
    }
  }

  /** Files by path; not whole when some answer was damaged. */
  private async slurp(
    work: Work,
    paths: readonly string[],
  ): Promise<{files: Map<string, string>; whole: boolean}> {
    const files = new Map<string, string>();
    let whole = true;
    for (const {body, damage} of await this.inParts(work, 'slurp', paths)) {
      if (damage !== undefined) whole = false;
      for (const [path, text] of parseSlurp(body)) files.set(path, text);
    }
    return {files, whole};
  }

  /** The same step with its arguments spread over as many lines as needed. */
  private inParts(
    work: Work,
    step: string,
    args: readonly (string | number)[],
  ): Promise<Answer[]> {
    const answers: Promise<Answer>[] = [];
    for (let i = 0; i < args.length; i += ARGUMENTS_A_REQUEST) {
      const part = args.slice(i, i + ARGUMENTS_A_REQUEST);
      answers.push(work.ask(this.session.request(step, ...part)));
    }
    return Promise.all(answers);
  }

  // -- the result --------------------------------------------------------------

  private snapshot(
    work: Work,
    startNs: bigint,
    endNs: bigint,
    end: ClockReading,
  ): Snapshot {
    const deviceCpuNs =
      end.cpuNs === undefined || this.lastCpuNs === undefined
        ? end.cpuNs
        : end.cpuNs - this.lastCpuNs;
    this.lastCpuNs = end.cpuNs;
    return {
      startNs,
      endNs,
      sequence: work.sequence,
      buffers: this.state.snapshotBuffers(),
      processes: this.state.snapshotProcesses(),
      coverage: this.coverage(work),
      cost: {
        deviceCpuNs,
        bytes: work.bytes,
        fullScan: work.full,
        processesScanned: work.scanned.size,
      },
    };
  }

  private coverage(work: Work): Coverage {
    let unreadable = 0;
    for (const {fds, mappings} of this.state.processes.values()) {
      if (fds === 'refused' || mappings === 'refused') unreadable++;
    }
    return {
      kernelList: this.capabilities.kernelList,
      fileCounts: this.capabilities.kernelList === 'bufinfo',
      processesSeen: this.state.processes.size,
      processesUnreadable: unreadable,
      processesVanished: work.vanished.size,
      inodeCollisions: work.inodeCollisions,
      problems: work.problems,
    };
  }
}

/** What one sample did and met. */
class Work {
  bytes = 0;
  full = false;
  inodeCollisions = 0;
  mappings: Mapping[] = [];
  /** pids of which fds or maps were read; those of which maps were. */
  readonly scanned = new Set<number>();
  readonly mapped = new Set<number>();
  readonly vanished = new Set<number>();
  readonly problems: string[] = [];

  constructor(readonly sequence: number) {}

  /** Waits for an answer and notes its size and damage. */
  async ask(pending: Promise<Answer>): Promise<Answer> {
    const answer = await pending;
    this.bytes += answer.bytes;
    if (answer.damage !== undefined) {
      this.problem(`${answer.step}: ${answer.damage}`);
    }
    if (answer.strayBytes > 0) {
      this.problem(`${answer.strayBytes} bytes belong to no answer`);
    }
    return answer;
  }

  /** The lines of a list, noting those that could not be read. */
  lines<T>(
    lines: {readonly items: T[]; readonly malformed: number},
    what: string,
  ): T[] {
    this.malformed(lines.malformed, what);
    return lines.items;
  }

  malformed(count: number, what: string): void {
    if (count > 0) this.problem(`${what}: ${count} lines could not be read`);
  }

  problem(text: string): void {
    if (this.problems.length < 20) this.problems.push(text);
  }
}

/** `fd/7` → `fdinfo/7`, `task/12/fd/7` → `task/12/fdinfo/7`. */
function fdinfoPath(rest: string): string {
  return rest.replace(/(^|\/)fd\/(\d+)$/, '$1fdinfo/$2');
}

function sumMappings(mappings: readonly Mapping[]): Map<bigint, MapRefs> {
  const sums = new Map<bigint, MapRefs>();
  for (const {inode, lengthBytes} of mappings) {
    const sum = sums.get(inode);
    sums.set(inode, {
      refs: (sum?.refs ?? 0) + 1,
      bytes: (sum?.bytes ?? 0n) + lengthBytes,
    });
  }
  return sums;
}

/** A table's dma-bufs as a text, the same for equal tables. */
function contentOf(fds: ReadonlyMap<number, bigint> | undefined): string {
  return [...(fds ?? [])]
    .map(([fd, inode]) => `${fd}=${inode}`)
    .sort()
    .join();
}

/** The kernel's dmabuf_rss is not what the known holdings add up to. */
function hasOtherRss(tracked: TrackedProcess): boolean {
  const {kernelRssBytes, heldBytes, unknownSizes} = tracked;
  if (kernelRssBytes === undefined) return false;
  return unknownSizes > 0 || heldBytes !== kernelRssBytes;
}

function later(timeNs: bigint, earlierNs: bigint | undefined): bigint {
  return earlierNs === undefined || timeNs > earlierNs ? timeNs : earlierNs;
}

/** A copy: a part of a string keeps the whole alive. */
function detached(text: string): string {
  return detachedSlice(text, 0, text.length);
}
