// SPDX-License-Identifier: Apache-2.0
import {
  FormatError,
  parseDmabufRss,
  parseProcStat,
} from '../../core/formats/index.js';
import {detachedSlice} from '../../core/formats/scan.js';
import type {Capabilities} from './capabilities.js';
import {TICK_NS} from './clock.js';
import type {DeviceState} from './device_state.js';
import {
  PATH_STAT_FORM,
  PROCESS_LINE_FORM,
  ProcessLineReader,
  type ProcessItems,
} from './process_line_reader.js';
import {parseWalkErrors, type PathStat, type ProcessLine} from './sections.js';
import type {Answer} from './session.js';
import type {TrackedProcess} from './tracked_process.js';
import type {Work} from './work.js';

/** A process may still get its name for so long after its start. */
const YOUNG_NS = 5_000_000_000n;

/** Something that remembers what it read of each process. */
interface Reader {
  forget(pid: number): void;
  retain(pids: ReadonlySet<number>): void;
}

/** What a file with the kernel's own sums told. */
interface SumsReading {
  /** pids of those that are other than before. */
  readonly changed: readonly number[];
  /** It was about the same processes as before. */
  readonly isSameSet: boolean;
}

const NO_SUMS: SumsReading = {changed: [], isSameSet: true};

/** The kernel's own sums, of one file of all processes. */
class KernelSums {
  readonly reader = new ProcessLineReader(PROCESS_LINE_FORM);
  /** By pid, of those that could be read. */
  readonly bytes = new Map<number, bigint>();
  /** All lines of the last answer could be read. */
  private isReadable = true;

  constructor(private readonly file: 'dmabuf_rss' | 'dmabuf_pss') {}

  /** @throws DeviceError as CollectorSession.request */
  async read(work: Work): Promise<SumsReading> {
    const answer = await work.request('grep', `/proc/[0-9]*/${this.file}`);
    const reading = this.reader.read(answer.body);
    work.malformed(reading.malformed, this.file);
    // What cannot be read is said each time.
    const isSameSet = reading.isSameSet && this.isReadable;
    this.isReadable = true;
    if (!isSameSet) this.bytes.clear();
    const changed = isSameSet ? reading.changed : reading.processes;
    for (const {pid, items} of changed) {
      this.bytes.delete(pid);
      for (const line of items) {
        const bytes = this.parse(work, line);
        if (bytes !== undefined) this.bytes.set(pid, bytes);
      }
    }
    return {changed: changed.map(({pid}) => pid), isSameSet};
  }

  private parse(work: Work, line: ProcessLine): bigint | undefined {
    try {
      return parseDmabufRss(`${line.text}\n`, this.file);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      work.problem(error.message);
      this.isReadable = false;
      return undefined;
    }
  }
}

/**
 * Follows which processes there are, by what is cheap to ask: the number of
 * descriptors of each, and the kernel's own sums.
 */
export class ProcessWatch {
  private readonly countReader = new ProcessLineReader(PATH_STAT_FORM);
  private readonly rss = new KernelSums('dmabuf_rss');
  private readonly pss = new KernelSums('dmabuf_pss');
  private readonly readers: Reader[] = [
    this.countReader,
    this.rss.reader,
    this.pss.reader,
  ];
  /**
   * All processes of the last answer are followed: of one about the same
   * processes only the changes count.
   */
  private isSettled = false;

  constructor(
    private readonly state: DeviceState,
    private readonly capabilities: Capabilities,
    private readonly collectorPid: number,
  ) {}

  /** Names a reader that has to forget processes that are gone. */
  readsWith(reader: Reader): void {
    this.readers.push(reader);
  }

  /** Processes that may hold other dma-bufs than when they were last read. */
  async findSuspects(work: Work, nowNs: bigint): Promise<Set<number>> {
    const {dmabufRss, dmabufPss, fds} = this.capabilities;
    const hasRss = dmabufRss === 'yes';
    // Where the holdings are read, the PSS is counted from them.
    const hasPss = dmabufPss === 'yes' && fds !== 'yes';
    const [counts, rss, pss] = await Promise.all([
      work.request('counts'),
      hasRss ? this.rss.read(work) : NO_SUMS,
      hasPss ? this.pss.read(work) : NO_SUMS,
    ]);
    const {suspects, isSameSet} = await this.updateProcesses(
      work,
      counts,
      nowNs,
    );
    const {processes} = this.state;
    const changed =
      isSameSet && rss.isSameSet && pss.isSameSet
        ? new Set([...rss.changed, ...pss.changed])
        : processes.keys();
    for (const pid of changed) {
      const tracked = processes.get(pid);
      if (tracked !== undefined) this.applyKernelSums(tracked, suspects);
    }
    return suspects;
  }

  private applyKernelSums(
    tracked: TrackedProcess,
    suspects: Set<number>,
  ): void {
    const rss = this.rss.bytes.get(tracked.pid);
    const pss = this.pss.bytes.get(tracked.pid);
    if (rss !== undefined && rss !== tracked.kernelRssBytes) {
      suspects.add(tracked.pid);
    }
    if (rss === tracked.kernelRssBytes && pss === tracked.kernelPssBytes) {
      return;
    }
    tracked.kernelRssBytes = rss;
    tracked.kernelPssBytes = pss;
    tracked.stale = true;
  }

  /**
   * Adds and removes processes; those that are new or changed are suspects.
   *
   * @returns whether there are the same processes as before, too
   */
  private async updateProcesses(
    work: Work,
    counts: Answer,
    nowNs: bigint,
  ): Promise<{suspects: Set<number>; isSameSet: boolean}> {
    // The shell lists the processes before it starts anything of its own.
    for (const pid of parseWalkErrors(counts.errors ?? '').vanished) {
      work.vanished.add(pid);
    }
    const reading = this.countReader.read(counts.body);
    work.malformed(reading.malformed, 'fd counts');
    const isSameSet = reading.isSameSet && this.isSettled;
    const {processes, changed} = reading;
    const suspects = new Set<number>();
    const unseen: PathStat[] = [];
    for (const {items} of isSameSet ? changed : processes) {
      for (const stat of items) {
        if (stat.pid === this.collectorPid) continue;
        const tracked = this.state.processes.get(stat.pid);
        if (tracked === undefined || tracked.procInode !== stat.inode) {
          unseen.push(stat);
        } else if (tracked.fdCount !== stat.size) {
          tracked.fdCount = stat.size;
          suspects.add(stat.pid);
        }
      }
    }
    const isWhole = isSameSet || this.removeUnlisted(work, counts, processes);
    this.isSettled = isWhole && unseen.length === 0;
    for (const pid of await this.startProcesses(work, unseen, nowNs)) {
      suspects.add(pid);
    }
    return {suspects, isSameSet};
  }

  /**
   * Who is not in the list of processes is gone.
   *
   * @returns false when it is not the whole list
   */
  private removeUnlisted(
    work: Work,
    counts: Answer,
    processes: readonly ProcessItems<PathStat>[],
  ): boolean {
    const listed = new Set<number>();
    for (const {pid, items} of processes) if (items.length > 0) listed.add(pid);
    if (!listed.has(this.collectorPid)) {
      // The shell that asked is not in it.
      if (counts.damage === undefined) {
        work.problem('fd counts: the list of processes is cut');
      }
      return false;
    }
    for (const pid of [...this.state.processes.keys()]) {
      if (!listed.has(pid)) this.remove(pid);
    }
    for (const reader of this.readers) reader.retain(listed);
    return true;
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
    const {files: stats} = await work.slurp(
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
        if (stat.ppid === this.collectorPid) continue;
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

  /** A process is gone, with all that it held. */
  remove(pid: number): void {
    this.isSettled = false;
    this.state.removeProcess(pid);
    for (const reader of this.readers) reader.forget(pid);
  }

  /**
   * Command lines of processes that hold something. Android gives an app its
   * name some time after its process has started: young ones are asked again.
   */
  async describe(work: Work, nowNs: bigint): Promise<void> {
    const wanted: TrackedProcess[] = [];
    for (const tracked of this.state.processes.values()) {
      const {startTicks, cmdline} = tracked.process;
      if (cmdline !== undefined && !work.full) continue;
      const holds = tracked.tables.size > 0 || tracked.maps.size > 0;
      const heavy = (tracked.kernelRssBytes ?? 0n) > 0n;
      if (!holds && !heavy) continue;
      const ageNs = nowNs - (startTicks ?? 0n) * TICK_NS;
      if (cmdline === undefined || ageNs < YOUNG_NS) wanted.push(tracked);
    }
    const {files, whole} = await work.slurp(
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
}

/** A copy: a part of a string keeps the whole alive. */
function detached(text: string): string {
  return detachedSlice(text, 0, text.length);
}
