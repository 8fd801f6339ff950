// SPDX-License-Identifier: Apache-2.0
import type {InodeKey} from '../../core/model/index.js';
import type {BufferQuestions, NewRefs} from './buffer_questions.js';
import type {Capabilities} from './capabilities.js';
import type {DeviceState} from './device_state.js';
import {FdPathReader} from './fd_path_reader.js';
import {parsePathStats} from './sections.js';
import type {Answer} from './session.js';
import {
  MAIN_TABLE,
  type FdTable,
  type TrackedProcess,
} from './tracked_process.js';
import type {Work} from './work.js';

/** Threads' own tables are looked for at most so often, ns. */
const THREADS_EVERY_NS = 20_000_000_000n;
/**
 * Threads whose tables are read in one sample before 6.2, where nothing tells
 * which of them have one of their own; and when they were asked for.
 */
const THREADS_A_SAMPLE = 200;
const THREADS_AT_MOST = 10_000;

/**
 * Finds and reads descriptor tables that threads keep for themselves (after
 * unshare(CLONE_FILES)): /proc/PID/fd does not show them.
 */
export class ThreadTables {
  private lastNs: bigint | undefined;
  /** Where the next look goes on, before 6.2. */
  private nextThread = 0;

  constructor(
    private readonly state: DeviceState,
    private readonly capabilities: Capabilities,
    private readonly questions: BufferQuestions,
  ) {}

  async scan(work: Work, nowNs: bigint, wanted: boolean): Promise<void> {
    if (!wanted) {
      if (!work.full || !this.hasUnexplained()) return;
      const last = this.lastNs;
      if (last !== undefined && nowNs - last < THREADS_EVERY_NS) return;
    }
    this.lastNs = nowNs;
    const counts = await work.request('tables');
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
  async readAgain(
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
    const answers = await work.inParts('tablefds', threads);
    if (answers.some(({damage}) => damage !== undefined)) return;
    const tables = this.readRefs(work, answers);
    await this.questions.askWhatIsNew(work, tables.values());
    const looks = new Set<string>();
    for (const thread of threads) {
      const [pid, tid] = thread.split('/');
      const tracked = this.state.processes.get(Number(pid));
      if (tracked === undefined) continue;
      const table = `task/${tid ?? ''}/fd`;
      const fds = this.state.dmaBufsOf(
        tables.get(`${tracked.pid}/${table}`)?.refs ?? [],
      );
      const size = candidates?.get(thread);
      const content = contentOf(fds);
      const look = `${pid ?? ''} ${size ?? ''} ${content}`;
      const isMain = content === contentOf(mainTable(tracked));
      const isShared =
        candidates !== undefined &&
        (looks.has(look) || (size === undefined && isMain));
      this.state.setTable(tracked, table, isShared ? new Map() : fds);
      looks.add(look);
    }
  }

  /** What the answers tell, by `PID/TABLE`. */
  private readRefs(
    work: Work,
    answers: readonly Answer[],
  ): Map<string, NewRefs> {
    const read = new Map<string, NewRefs>();
    for (const {body} of answers) {
      const {tables, malformed} = new FdPathReader().read(body);
      work.malformed(malformed, 'tablefds');
      for (const each of tables) {
        const {pid, table} = each;
        read.set(`${pid}/${table}`, {pid, table, refs: each.refs()});
      }
    }
    return read;
  }

  private hasUnexplained(): boolean {
    if (this.capabilities.kernelList !== 'bufinfo') return true;
    return this.state.buffers.hasUnexplained();
  }
}

function mainTable({tables}: TrackedProcess): FdTable {
  const fds = new Map<number, InodeKey>();
  tables.get(MAIN_TABLE)?.forEach(({key}, fd) => fds.set(fd, key));
  return fds;
}

/** A table's dma-bufs as a text, the same for equal tables. */
function contentOf(fds: FdTable): string {
  return [...fds]
    .map(([fd, inode]) => `${fd}=${inode}`)
    .sort()
    .join();
}
