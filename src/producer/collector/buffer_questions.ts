// SPDX-License-Identifier: Apache-2.0
import {FormatError, parseFdinfo} from '../../core/formats/index.js';
import {TextPool} from '../../core/formats/text_pool.js';
import {inodeKey, type InodeKey} from '../../core/model/index.js';
import type {FdRef} from './descriptor_table.js';
import type {DeviceState} from './device_state.js';
import {parsePathStats} from './sections.js';
import type {BufferFacts, TrackedBuffer} from './tracked_buffer.js';
import type {Work} from './work.js';

/** Names asked for again in one full scan, where the list does not tell them. */
const NAMES_A_FULL_SCAN = 512;

/** A descriptor through which an inode can be asked about. */
interface FdPlace {
  readonly inode: InodeKey;
  readonly pid: number;
  /** `fd`, or `task/TID/fd`. */
  readonly table: string;
  readonly fd: number;
}

/** Descriptors of a table that were not in it before. */
export interface NewRefs {
  readonly pid: number;
  /** `fd`, or `task/TID/fd`. */
  readonly table: string;
  readonly refs: readonly FdRef[];
}

/**
 * Asks about buffers of which the state does not know enough: what an inode
 * is, its name where that is in doubt, its size where only a mapping shows it.
 */
export class BufferQuestions {
  /** Not dma-bufs, although they have a size and no type. */
  private readonly strangers = new Set<InodeKey>();
  private readonly pool = new TextPool();

  constructor(private readonly state: DeviceState) {}

  /** Strangers' inodes may be dma-bufs' by now. */
  forgetStrangers(): void {
    this.strangers.clear();
  }

  /** Names in doubt, and buffers that only a mapping shows. */
  async askAboutBuffers(work: Work, names: number): Promise<void> {
    for (const {inode, name} of work.mappings)
      this.state.buffers.learn({inode, name});
    await this.askMapFiles(work);
    work.mappings = [];
    await this.askNames(work, this.state.buffers.takeDoubtfulNames(names));
  }

  /** Names that may have changed without a sign of it in the list. */
  askAgain(work: Work): Promise<void> {
    const {buffers} = this.state;
    return this.askNames(work, buffers.takeNamesToAskAgain(NAMES_A_FULL_SCAN));
  }

  private async askNames(
    work: Work,
    wanted: readonly TrackedBuffer[],
  ): Promise<void> {
    const stats: FdPlace[] = [];
    for (const tracked of wanted) {
      const fd = this.state.anyFd(tracked);
      if (fd !== undefined) stats.push(fd);
    }
    await this.askFdinfo(work, stats);
  }

  /** The full size of a buffer that is mapped, perhaps only in part. */
  private async askMapFiles(work: Work): Promise<void> {
    const ranges = new Map<bigint, string>();
    for (const {inode, pid, range} of work.mappings) {
      if (this.state.buffers.buffer(inode)?.sizeBytes !== undefined) continue;
      ranges.set(inode, `${pid}/${range}`);
    }
    if (ranges.size === 0) return;
    const answers = await work.inParts('mapfiles', [...ranges.values()]);
    for (const {body} of answers) {
      for (const {inode, size} of work.lines(
        parsePathStats(body),
        'mapfiles',
      )) {
        if (ranges.has(inode))
          this.state.buffers.learn({inode, sizeBytes: size});
      }
    }
  }

  /** Asks about inodes of fds that nothing told of so far, once. */
  async askWhatIsNew(work: Work, tables: Iterable<NewRefs>): Promise<void> {
    const {buffers} = this.state;
    const inQuestion = new Map<InodeKey, FdPlace>();
    for (const {pid, table, refs} of tables) {
      for (const {fd, inode} of refs) {
        if (buffers.isKnown(inode)) continue;
        if (this.strangers.has(inode)) continue;
        inQuestion.set(inode, {inode, pid, table, fd});
      }
    }
    await this.askFdinfo(work, [...inQuestion.values()]);
  }

  /** Learns what fdinfo tells of fds; what is no dma-buf becomes a stranger. */
  private async askFdinfo(
    work: Work,
    stats: readonly FdPlace[],
  ): Promise<void> {
    const paths = stats.map(
      ({pid, table, fd}) => `/proc/${pid}/${table}info/${fd}`,
    );
    const {files} = await work.slurp(paths);
    const unsure: {stat: FdPlace; facts: BufferFacts}[] = [];
    for (const [i, stat] of stats.entries()) {
      const text = files.get(paths[i] ?? '');
      if (text === undefined) continue;
      try {
        const {dmaBuf, inode} = parseFdinfo(text, this.pool);
        if (dmaBuf === undefined) {
          this.strangers.add(stat.inode);
          continue;
        }
        const {sizeBytes, exporter, name} = dmaBuf;
        const told = inode ?? BigInt(stat.inode);
        const facts = {inode: told, sizeBytes, exporter, name};
        if (inode === undefined) unsure.push({stat, facts});
        else if (inodeKey(inode) === stat.inode) {
          this.state.buffers.learn(facts);
        }
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
    told: readonly {stat: FdPlace; facts: BufferFacts}[],
  ): Promise<void> {
    const path = ({pid, table, fd}: FdPlace): string =>
      `/proc/${pid}/${table}/${fd}`;
    const answers = await work.inParts(
      'stat',
      told.map(({stat}) => path(stat)),
    );
    const now = new Map<string, bigint>();
    for (const {body} of answers) {
      for (const stat of work.lines(parsePathStats(body), 'stat')) {
        now.set(`/proc/${stat.pid}/${stat.rest}`, stat.inode);
      }
    }
    for (const {stat, facts} of told) {
      if (now.get(path(stat)) === facts.inode) this.state.buffers.learn(facts);
    }
  }
}
