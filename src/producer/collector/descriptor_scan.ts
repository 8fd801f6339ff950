// SPDX-License-Identifier: Apache-2.0
import {toDisplay} from '../../core/model/index.js';
import type {BufferQuestions, NewRefs} from './buffer_questions.js';
import type {Capabilities} from './capabilities.js';
import type {DeviceState} from './device_state.js';
import {
  FdPathReader,
  type FdTableChange,
  type FdTableReading,
} from './fd_path_reader.js';
import type {ProcessWatch} from './process_watch.js';
import type {Answer} from './session.js';
import type {ThreadTables} from './thread_tables.js';
import {MAIN_TABLE, type TrackedProcess} from './tracked_process.js';
import {WalkOutcome, type WalkState} from './walk_outcome.js';
import type {Work} from './work.js';

/** Reads the descriptor tables of processes into the state. */
export class DescriptorScan {
  // Most of what is read is as it was read before: it is not taken in anew.
  private readonly reader = new FdPathReader();
  private typedWalk: 'untried' | 'works' | 'fails' = 'untried';

  constructor(
    private readonly state: DeviceState,
    private readonly capabilities: Capabilities,
    private readonly watch: ProcessWatch,
    private readonly questions: BufferQuestions,
    private readonly threads: ThreadTables,
  ) {
    watch.readsWith(this.reader);
  }

  async read(
    work: Work,
    targets: readonly TrackedProcess[],
    nowNs: bigint,
    everyone: boolean,
  ): Promise<void> {
    const step = this.typedWalk === 'fails' ? 'links' : 'fds';
    const answers = await work.walk(step, targets, everyone);
    let read = this.readTables(work, answers, step);
    if (this.typedWalk === 'untried') {
      if (read.size > 0) this.typedWalk = 'works';
      else if (everyone) {
        read = await this.checkTypedWalk(work, targets, answers);
      }
    }
    await this.questions.askWhatIsNew(work, this.newRefs(read.values()));
    const outcome = new WalkOutcome(answers);
    for (const tracked of targets) {
      const {pid} = tracked;
      const table = read.get(pid);
      if (outcome.isGone(pid)) {
        work.vanished.add(pid);
        this.watch.remove(pid);
        continue;
      }
      const state = outcome.stateOf(pid, table !== undefined);
      if (state === undefined) continue;
      setState(tracked, state);
      if (this.updateMainTable(tracked, table)) {
        tracked.changedNs = nowNs;
      }
      tracked.asOfNs = nowNs;
      work.scanned.add(pid);
    }
    for (const line of outcome.otherErrors()) {
      work.problem(`${step}: ${toDisplay(line)}`);
    }
    await this.threads.readAgain(work, targets);
  }

  /** Main descriptor tables by pid, of those that have any fd in question. */
  private readTables(
    work: Work,
    answers: readonly Answer[],
    step: string,
  ): Map<number, FdTableReading> {
    const read = new Map<number, FdTableReading>();
    for (const {body} of answers) {
      const {tables, malformed} = this.reader.read(body);
      work.malformed(malformed, step);
      for (const each of tables) {
        if (each.table === MAIN_TABLE) read.set(each.pid, each);
      }
    }
    return read;
  }

  /** What of the tables is not in those of the state. */
  private *newRefs(tables: Iterable<FdTableReading>): Generator<NewRefs> {
    for (const each of tables) {
      const {pid, table} = each;
      const refs = this.changeSince(each)?.added ?? each.refs();
      if (refs.length > 0) yield {pid, table, refs};
    }
  }

  /** What changed, where the table is as the reading before made it. */
  private changeSince({
    pid,
    table,
    change,
  }: FdTableReading): FdTableChange | undefined {
    const now = this.state.processes.get(pid)?.tables.get(table);
    if (now?.reading === undefined || change === undefined) return undefined;
    const {version, gone} = now.reading;
    if (version !== change.since) return undefined;
    if (gone.length === 0) return change;
    const removed = new Set(change.removed.map(({fd}) => fd));
    return gone.every((fd) => removed.has(fd)) ? change : undefined;
  }

  /** @returns whether it is another table now */
  private updateMainTable(
    tracked: TrackedProcess,
    read: FdTableReading | undefined,
  ): boolean {
    const {state} = this;
    if (read === undefined) {
      return state.setTable(tracked, MAIN_TABLE, new Map());
    }
    const change = this.changeSince(read);
    let changed: boolean;
    let isWhole: boolean;
    if (change === undefined) {
      const refs = read.refs();
      const fds = state.dmaBufsOf(refs);
      changed = state.setTable(tracked, MAIN_TABLE, fds);
      isWhole = fds.size === refs.length;
    } else {
      const added = change.added.filter(({inode}) =>
        state.buffers.isKnown(inode),
      );
      changed = state.changeTable(tracked, MAIN_TABLE, change.removed, added);
      isWhole = added.length === change.added.length;
    }
    const now = tracked.tables.get(MAIN_TABLE);
    // What is no dma-buf yet may turn out to be one: compare all next time.
    if (now !== undefined) {
      now.reading = isWhole ? {version: read.version, gone: []} : undefined;
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
  ): Promise<Map<number, FdTableReading>> {
    if (this.capabilities.kernelList !== undefined) {
      if (this.state.buffers.size === 0) return new Map();
    }
    const links = await work.walk('links', targets, true);
    const read = this.readTables(work, links, 'links');
    // Where there is no list, once is enough: it costs as much as the walk.
    if (this.capabilities.kernelList === undefined) this.typedWalk = 'works';
    if (read.size === 0) return read;
    this.typedWalk = 'fails';
    answers.splice(0, answers.length, ...links);
    return read;
  }
}

function setState(tracked: TrackedProcess, fds: WalkState): void {
  if (fds === 'as before' || tracked.fds === fds) return;
  tracked.fds = fds;
  tracked.stale = true;
}
