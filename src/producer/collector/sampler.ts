// SPDX-License-Identifier: Apache-2.0
import type {Coverage, Snapshot} from '../../core/model/index.js';
import {BufferQuestions} from './buffer_questions.js';
import {hasUniqueInodes, type Capabilities} from './capabilities.js';
import {BootClock, parseClock, type ClockReading} from './clock.js';
import {DescriptorScan} from './descriptor_scan.js';
import {DeviceState} from './device_state.js';
import {KernelListReader, type ListReading} from './kernel_list.js';
import {MappingScan} from './mapping_scan.js';
import {
  DEFAULT_PACING,
  Pace,
  fullScanDue,
  type PacingOptions,
} from './pacing.js';
import {ProcessWatch} from './process_watch.js';
import type {CollectorSession} from './session.js';
import {ThreadTables} from './thread_tables.js';
import {holdersOf, type TrackedBuffer} from './tracked_buffer.js';
import type {TrackedProcess} from './tracked_process.js';
import {Work} from './work.js';

export interface SampleOptions {
  /** Read every process, whether or not it seems to have changed. */
  readonly full?: boolean;
  /**
   * Look for descriptor tables that threads keep for themselves even when
   * every reference is explained.
   */
  readonly threads?: boolean;
}

/** Names in doubt asked for in one sample. */
const NAMES_A_SAMPLE = 64;
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
  private readonly listReader: KernelListReader;
  private readonly listPace = new Pace();
  private readonly explainPace = new Pace();
  private readonly fullPace = new Pace();
  private sequence = 0;
  /** The sample in which the list was last read, and how long it was then. */
  private listSequence = 0;
  private listBytes = 0;
  private lastCpuNs: bigint | undefined;
  private lastEndNs: bigint | undefined;
  private readonly watch: ProcessWatch;
  private readonly questions: BufferQuestions;
  private readonly threads: ThreadTables;
  private readonly descriptors: DescriptorScan;
  private readonly mappings: MappingScan;

  constructor(
    private readonly session: CollectorSession,
    private readonly capabilities: Capabilities,
    private readonly pacing: PacingOptions = DEFAULT_PACING,
  ) {
    this.state = new DeviceState({
      uniqueInodes: hasUniqueInodes(capabilities),
      hasList: capabilities.kernelList !== undefined,
    });
    const {state} = this;
    this.listReader = new KernelListReader(session);
    this.watch = new ProcessWatch(state, capabilities, session.collectorPid);
    this.questions = new BufferQuestions(state);
    this.threads = new ThreadTables(state, capabilities, this.questions);
    this.descriptors = new DescriptorScan(
      state,
      capabilities,
      this.watch,
      this.questions,
      this.threads,
    );
    this.mappings = new MappingScan(state, this.watch);
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
    const reading = await this.readClock(new Work(this.sequence, this.session));
    return {realNs: reading.realBeforeNs, bootNs: this.toBoot(reading)};
  }

  /**
   * Takes one sample.
   *
   * @throws DeviceError when the device or the collector went away, or did
   *     not answer in time; what was sampled before stays right
   */
  async sample(options: SampleOptions = {}): Promise<Snapshot> {
    const work = new Work(this.sequence++, this.session);
    const start = await this.readClock(work);
    // A sample begins after the one before, whatever the clocks say.
    const nowNs = later(this.toBoot(start), this.lastEndNs);
    const full = (options.full ?? false) || this.isFullScanDue(nowNs);
    const names = options.full === true ? Infinity : NAMES_A_SAMPLE;
    if (work.sequence === 0) this.tellUncertainty(work);
    const list = await this.readList(work, nowNs, full);
    const suspects = await this.watch.findSuspects(work, nowNs);
    if (list !== undefined && !this.capabilities.fdCounts) {
      this.suspectHolders(nowNs, suspects);
    }
    if (full) {
      await this.scanAll(work, nowNs);
    } else {
      await this.scan(work, suspects, nowNs);
      await this.questions.askAboutBuffers(work, names);
      if (list !== undefined) await this.explain(work, nowNs);
    }
    await this.questions.askAboutBuffers(work, names);
    await this.threads.scan(work, nowNs, options.threads ?? false);
    await this.questions.askAboutBuffers(work, names);
    if (work.full) await this.questions.askAgain(work);
    if (list?.complete === true) this.state.buffers.settleCounts(work.full);
    this.state.buffers.retire(
      list?.complete === true,
      this.capabilities.kernelList !== undefined,
    );
    await this.watch.describe(work, nowNs);
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
    const answer = await work.request('clock');
    const reading = parseClock(answer.body);
    if (!this.clock.add(reading)) {
      work.problem("the device's REALTIME clock was set; BOOTTIME re-measured");
      await this.synchroniseClock();
      const again = await work.request('clock');
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
    const startNs = this.pacing.clockNs();
    const list = await this.listReader.read(kernelList, this.state.buffers);
    const costNs = this.pacing.clockNs() - startNs;
    this.listPace.note(nowNs, nowNs + costNs);
    this.listSequence = this.sequence;
    this.listBytes = list.bytes;
    work.bytes += list.bytes;
    for (const problem of list.problems) work.problem(problem);
    work.inodeCollisions = this.state.applyList(list.buffers, list.complete);
    return list;
  }

  /**
   * Before 6.2 nothing cheap tells which process changed. The list tells which
   * buffers did: their holders are suspects, and so are processes that were
   * seen changing lately.
   */
  private suspectHolders(nowNs: bigint, suspects: Set<number>): void {
    let changed = false;
    for (const tracked of this.state.buffers.unlikeSettled()) {
      changed = true;
      for (const {process} of holdersOf(tracked)) suspects.add(process.pid);
    }
    if (!changed) return;
    for (const {pid, changedNs} of this.state.processes.values()) {
      if (changedNs === undefined) continue;
      if (changedNs + ACTIVE_NS >= nowNs) suspects.add(pid);
    }
  }

  // -- scanning ------------------------------------------------------------

  private async scanAll(work: Work, nowNs: bigint): Promise<void> {
    work.full = true;
    this.questions.forgetStrangers();
    const everyone = [...this.state.processes.values()];
    await this.descriptors.read(work, everyone, nowNs, true);
    await this.mappings.read(work, everyone, nowNs, true);
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
    for (const tracked of suspects) tracked.closed.length = 0;
    await this.descriptors.read(work, suspects, nowNs, false);
    const unexplained = this.unexplainedHolders();
    const remapped = suspects.filter(
      (tracked) =>
        tracked.mappings === 'unread' ||
        lostAnFd(tracked) ||
        unexplained.has(tracked.pid) ||
        hasOtherRss(tracked),
    );
    await this.mappings.read(work, remapped, nowNs, false);
  }

  /** pids that hold a buffer whose references do not add up. */
  private unexplainedHolders(): Set<number> {
    const pids = new Set<number>();
    for (const tracked of this.state.buffers.unsettled()) {
      for (const {process} of holdersOf(tracked)) pids.add(process.pid);
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
    const unsettled = this.state.buffers.unsettled();
    if (unsettled.length === 0) return;
    if (this.explainPace.mayRun(nowNs, share)) {
      const holders = this.unreadHolders(work, unsettled);
      if (holders.length > 0) {
        const startNs = this.pacing.clockNs();
        await this.descriptors.read(work, holders, nowNs, false);
        await this.mappings.read(work, holders, nowNs, false);
        const costNs = this.pacing.clockNs() - startNs;
        this.explainPace.note(nowNs, nowNs + costNs);
      }
    }
    if (this.state.buffers.unsettled().length === 0) return;
    if (this.fullPace.mayRun(nowNs, share)) await this.scanAll(work, nowNs);
  }

  /** Holders whose mappings were not read for this sample. */
  private unreadHolders(
    work: Work,
    buffers: Iterable<TrackedBuffer>,
  ): TrackedProcess[] {
    const holders = new Set<TrackedProcess>();
    for (const tracked of buffers) {
      for (const {process} of holdersOf(tracked)) {
        if (!work.mapped.has(process.pid)) holders.add(process);
      }
    }
    return [...holders];
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
      buffers: this.state.buffers.snapshot(),
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

/** A buffer whose fd was closed may still be mapped. */
function lostAnFd({closed}: TrackedProcess): boolean {
  return closed.some(
    ({tracked, isHeld}) =>
      // Nothing maps what the kernel has released.
      !isHeld && tracked.buffer !== undefined,
  );
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
