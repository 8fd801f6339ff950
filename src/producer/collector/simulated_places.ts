// SPDX-License-Identifier: Apache-2.0
import {
  KernelError,
  type Descriptors,
  type NodeFs,
  type OpenFile,
  type SimulatedKernel,
  type VfsNode,
} from '../../core/kernel/index.js';
import type {RawText} from '../../core/model/index.js';

const S_IFMT = 0o170000;
const AFTER_NEWLINE = /(?<=\n)/;
/** Lines of descriptors are put together by so many, as most stay. */
const CHUNK = 16;
/** So many lines may have gone between two that are still there. */
const LOOK_AHEAD = 8;

/** What was printed of a file that has not changed since. */
interface Grepped {
  /** Undefined where nothing tells. */
  readonly changes: number | undefined;
  readonly word: string;
  readonly printed: RawText;
}

/** What was printed of each of its lines; '' where the word is not in it. */
interface PickedLines {
  readonly lines: readonly RawText[];
  readonly word: string;
  readonly printed: readonly RawText[];
}

/**
 * A path in the simulated /proc, and what commands print about it. The path is
 * looked up once: a place is good for as long as the kernel has its process.
 * What was printed is kept for as long as it would be printed again.
 */
export class Place {
  private found: VfsNode | undefined;
  private inode: bigint | undefined;
  private statSize = 0;
  private statLine: RawText | undefined;
  private fdsChanges: number | undefined;
  private fdChunks: RawText[] = [];
  private grepped: Grepped | undefined;
  private pickedLines: PickedLines | undefined;
  private readonly fdPath: string;

  constructor(
    private readonly vfs: NodeFs,
    readonly path: string,
  ) {
    this.fdPath = [path, '/'].join('');
  }

  /** What follows the last slash. */
  get name(): string {
    return this.path.slice(this.path.lastIndexOf('/') + 1);
  }

  /** @throws KernelError when there is nothing at the path */
  node(): VfsNode {
    this.found ??= this.vfs.lookup(this.path);
    return this.found;
  }

  /**
   * `stat -c '%i %s %n'`, with -L of a link.
   *
   * @throws KernelError
   */
  stat(): RawText {
    const node = this.node();
    if (node.kind !== 'directory') {
      const {ino, size} = this.vfs.stat(this.path);
      return `${ino} ${size} ${this.path}\n`;
    }
    const size = node.size?.() ?? 0;
    if (this.statLine === undefined || this.statSize !== size) {
      this.inode ??= this.vfs.stat(this.path).ino;
      this.statSize = size;
      this.statLine = [this.inode, ' ', size, ' ', this.path, '\n'].join('');
    }
    return this.statLine;
  }

  /**
   * The script's find in a directory of descriptors: `INODEPATH` of what has a
   * size and no type.
   *
   * @param parts what is printed is added to them, in pieces
   * @throws KernelError
   */
  fds(parts: RawText[]): void {
    const descriptors = this.descriptors();
    const changes = descriptors.changes();
    if (changes !== this.fdsChanges) this.updateFds(descriptors, changes);
    for (const chunk of this.fdChunks) if (chunk !== '') parts.push(chunk);
  }

  private updateFds(descriptors: Descriptors, changes: number): void {
    const {fdChunks} = this;
    const changed =
      this.fdsChanges === undefined
        ? undefined
        : descriptors.changedSince(this.fdsChanges);
    this.fdsChanges = changes;
    if (changed === undefined) {
      fdChunks.length = 0;
      for (let chunk = 0; chunk * CHUNK < descriptors.end(); chunk++) {
        fdChunks.push(this.fdChunk(descriptors, chunk));
      }
      return;
    }
    const stale = new Set<number>();
    for (const fd of changed) stale.add(Math.floor(fd / CHUNK));
    for (const chunk of stale) {
      while (fdChunks.length < chunk) fdChunks.push('');
      fdChunks[chunk] = this.fdChunk(descriptors, chunk);
    }
  }

  /** The lines of CHUNK descriptors. */
  private fdChunk(descriptors: Descriptors, chunk: number): RawText {
    const from = chunk * CHUNK;
    return this.fdLines(descriptors, from, from + CHUNK, isTypeless);
  }

  /** The lines of the descriptors [from, to) that lead to such files. */
  private fdLines(
    descriptors: Descriptors,
    from: number,
    to: number,
    isSuch: (file: OpenFile) => boolean,
  ): RawText {
    const parts: (RawText | number | bigint)[] = [];
    for (let fd = from; fd < to; fd++) {
      const file = descriptors.find(fd);
      if (file !== undefined && isSuch(file)) {
        parts.push(file.inode, this.fdPath, fd, '\n');
      }
    }
    // Made by join, which makes one flat text.
    return parts.join('');
  }

  /**
   * The same of what has a link like a dma-buf's.
   *
   * @throws KernelError
   */
  links(parts: RawText[]): void {
    const descriptors = this.descriptors();
    const end = descriptors.end();
    parts.push(this.fdLines(descriptors, 0, end, isNamedDmaBuf));
  }

  /**
   * grep: the file's lines that hold a word, after the path and a colon.
   *
   * @param word '' for all lines
   * @throws KernelError
   */
  grep(word: string): RawText {
    const node = this.node();
    if (node.kind !== 'file') return this.pick(this.vfs.read(this.path), word);
    const changes = node.changes?.();
    const {grepped} = this;
    if (grepped?.word === word) {
      if (changes !== undefined && changes === grepped.changes) {
        return grepped.printed;
      }
    }
    const printed =
      node.lines === undefined
        ? this.pick(node.read(), word)
        : this.pickLines(node.lines(), word);
    this.grepped = {changes, word, printed};
    return printed;
  }

  private pick(text: RawText, word: string): RawText {
    const parts: RawText[] = [];
    for (const line of text === '' ? [] : text.split(AFTER_NEWLINE)) {
      if (!line.includes(word)) continue;
      parts.push(this.path, ':', line);
      if (!line.endsWith('\n')) parts.push('\n');
    }
    return parts.join('');
  }

  private pickLines(lines: readonly RawText[], word: string): RawText {
    const known = this.pickedLines;
    const before = known?.word === word ? known : undefined;
    const printed: RawText[] = [];
    /** The first line of before that was not met yet. */
    let next = 0;
    for (const line of lines) {
      const at = before === undefined ? -1 : find(before.lines, line, next);
      if (at >= 0) next = at + 1;
      printed.push(before?.printed[at] ?? this.printed(line, word));
    }
    this.pickedLines = {lines, word, printed};
    return printed.join('');
  }

  private printed(line: RawText, word: string): RawText {
    return line.includes(word) ? [this.path, ':', line].join('') : '';
  }

  private descriptors(): Descriptors {
    const node = this.node();
    if (node.kind !== 'directory' || node.descriptors === undefined) {
      throw new KernelError('ENOTDIR', `${this.path} has no descriptors`);
    }
    node.check?.();
    return node.descriptors;
  }
}

/** Index of a line among the next ones; -1 when it is not there. */
function find(lines: readonly RawText[], line: RawText, next: number): number {
  const end = Math.min(next + LOOK_AHEAD, lines.length);
  for (let i = next; i < end; i++) if (lines[i] === line) return i;
  return -1;
}

/** As the script's find: no type bits, and a size. */
function isTypeless({kind, sizeBytes}: OpenFile): boolean {
  return (kind.mode & S_IFMT) === 0 && sizeBytes > 0;
}

/** Has a link like a dma-buf's. */
function isNamedDmaBuf({path}: OpenFile): boolean {
  return path.startsWith('/dmabuf');
}

/** So many places' texts are put together, as most stay. */
const PLACES_A_BLOCK = 32;

/** What one command prints about many places, one after the other. */
export class Listing {
  private places: readonly Place[] | undefined;
  private readonly printed: RawText[] = [];
  private readonly blocks: RawText[] = [];
  /** Whose activity each place follows; undefined: not all follow one. */
  private pids: readonly number[] | undefined;
  /** By place, what that was when it was printed. */
  private readonly seen: (number | undefined)[] = [];

  /** @param activity of processes, see ProcessTable */
  constructor(
    private readonly activity: readonly (number | undefined)[],
    private readonly print: (place: Place) => RawText,
  ) {}

  /**
   * @returns in pieces
   * @throws KernelError as the first of the places does
   */
  of(places: readonly Place[]): readonly RawText[] {
    const {blocks} = this;
    const isKnown = this.places === places;
    // Until all of them are printed, nothing is known.
    this.places = undefined;
    if (!isKnown) this.pids = activePids(places);
    for (let from = 0; from < places.length; from += PLACES_A_BLOCK) {
      const to = Math.min(from + PLACES_A_BLOCK, places.length);
      if (!this.printBlock(places, from, to, isKnown)) continue;
      const text = this.printed.slice(from, to).join('');
      blocks[from / PLACES_A_BLOCK] = text;
    }
    blocks.length = Math.ceil(places.length / PLACES_A_BLOCK);
    this.places = places;
    return blocks;
  }

  /** @returns whether any of the places says something else now */
  private printBlock(
    places: readonly Place[],
    from: number,
    to: number,
    isKnown: boolean,
  ): boolean {
    const {printed, pids, seen, activity} = this;
    let isOther = !isKnown;
    for (let i = from; i < to; i++) {
      const now = pids === undefined ? undefined : activity[pids[i] ?? -1];
      if (isKnown && now !== undefined && seen[i] === now) continue;
      const place = places[i];
      if (place === undefined) continue;
      const text = this.print(place);
      seen[i] = now;
      if (printed[i] === text) continue;
      printed[i] = text;
      isOther = true;
    }
    return isOther;
  }
}

function activePids(places: readonly Place[]): number[] | undefined {
  const pids: number[] = [];
  for (const place of places) {
    const node = place.node();
    if (node.kind === 'link' || node.activePid === undefined) return undefined;
    pids.push(node.activePid);
  }
  return pids;
}

/** The places of all processes of a simulated kernel. */
export class ProcessPlaces {
  /** By pid, of the process that had the pid when they were made. */
  private readonly known = new Map<
    number,
    {readonly process: object; readonly places: Map<string, Place>}
  >();
  /** By what follows /proc/PID/: all, at that state of the process table. */
  private readonly everywhere = new Map<string, readonly Place[]>();
  private changes = -1;

  constructor(
    private readonly kernel: SimulatedKernel,
    private readonly vfs: NodeFs,
  ) {}

  /** `/proc/PID/REST`. */
  of(pid: string, rest: string): Place {
    const process = this.kernel.processes.find(Number(pid));
    if (process === undefined || `${process.pid}` !== pid) {
      return new Place(this.vfs, `/proc/${pid}/${rest}`);
    }
    let known = this.known.get(process.pid);
    if (known?.process !== process) {
      known = {process, places: new Map()};
      this.known.set(process.pid, known);
    }
    let place = known.places.get(rest);
    if (place === undefined) {
      place = new Place(this.vfs, ['/proc/', pid, '/', rest].join(''));
      known.places.set(rest, place);
    }
    return place;
  }

  /** Whether these are what {@link all} gives now. */
  areAll(places: readonly Place[]): boolean {
    for (const all of this.everywhere.values()) {
      if (all === places) return true;
    }
    return false;
  }

  /** The same of all processes, as a shell expands the pattern. */
  all(rest: string): readonly Place[] {
    const {processes} = this.kernel;
    if (this.changes !== processes.changes) {
      this.changes = processes.changes;
      this.everywhere.clear();
      for (const pid of this.known.keys()) {
        if (processes.find(pid) === undefined) this.known.delete(pid);
      }
    }
    let places = this.everywhere.get(rest);
    if (places === undefined) {
      places = processes
        .list()
        .map(({pid}) => `${pid}`)
        .sort()
        .map((pid) => this.of(pid, rest))
        .filter(isThere);
      if (places.length === 0) {
        places = [new Place(this.vfs, `/proc/[0-9]*/${rest}`)];
      }
      this.everywhere.set(rest, places);
    }
    return places;
  }
}

function isThere(place: Place): boolean {
  try {
    place.node();
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
