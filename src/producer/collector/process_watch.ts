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

/**
 * Follows which processes there are, by what is cheap to ask: the number of
 * descriptors of each, and the kernel's own sums.
 */
export class ProcessWatch {
  private readonly countReader = new ProcessLineReader(PATH_STAT_FORM);
  private readonly sumReaders = {
    dmabuf_rss: new ProcessLineReader(PROCESS_LINE_FORM),
    dmabuf_pss: new ProcessLineReader(PROCESS_LINE_FORM),
  };
  private readonly sums = new WeakMap<ProcessLine, bigint>();
  private readonly readers: Reader[] = [
    this.countReader,
    this.sumReaders.dmabuf_rss,
    this.sumReaders.dmabuf_pss,
  ];

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
    const [counts, rss, pss] = await Promise.all([
      work.request('counts'),
      this.askKernel(work, 'dmabuf_rss'),
      this.askKernel(work, 'dmabuf_pss'),
    ]);
    const suspects = await this.updateProcesses(work, counts, nowNs);
    this.applyKernelSums(rss, pss, suspects);
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
    const answer = await work.request('grep', `/proc/[0-9]*/${file}`);
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
      if (stat.pid === this.collectorPid) continue;
      const tracked = this.state.processes.get(stat.pid);
      if (tracked === undefined || tracked.procInode !== stat.inode) {
        unseen.push(stat);
      } else if (tracked.fdCount !== stat.size) {
        tracked.fdCount = stat.size;
        suspects.add(stat.pid);
      }
    }
    if (listed.has(this.collectorPid)) {
      for (const pid of [...this.state.processes.keys()]) {
        if (!listed.has(pid)) this.remove(pid);
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
      const holds = tracked.tables.size > 0 || tracked.maps.size > 0;
      const heavy = (tracked.kernelRssBytes ?? 0n) > 0n;
      if (!holds && !heavy) continue;
      const {startTicks, cmdline} = tracked.process;
      const ageNs = nowNs - (startTicks ?? 0n) * TICK_NS;
      if (cmdline === undefined || (work.full && ageNs < YOUNG_NS)) {
        wanted.push(tracked);
      }
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
