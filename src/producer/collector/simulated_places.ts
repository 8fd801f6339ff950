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
const CHUNK = 32;

/** What was printed of a text, for the same text and word. */
interface Picked {
  readonly text: RawText;
  readonly word: string;
  readonly lines: readonly RawText[];
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
  /** By descriptor; '' where there is nothing to print. */
  private fdLines: RawText[] = [];
  private fdChunks: RawText[] = [];
  private picked: Picked | undefined;

  constructor(
    private readonly vfs: NodeFs,
    readonly path: string,
  ) {}

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
    const changed =
      this.fdsChanges === undefined
        ? undefined
        : descriptors.changedSince(this.fdsChanges);
    const {fdLines, fdChunks} = this;
    const stale = new Set<number>();
    const note = (fd: number, file: OpenFile | undefined): void => {
      while (fdLines.length < fd) fdLines.push('');
      fdLines[fd] =
        file !== undefined && isTypeless(file) ? this.fdLine(fd, file) : '';
      stale.add(Math.floor(fd / CHUNK));
    };
    if (changed === undefined) {
      fdLines.length = fdChunks.length = 0;
      descriptors.each(note);
    } else {
      for (const fd of new Set(changed)) note(fd, descriptors.find(fd));
    }
    for (const chunk of stale) {
      const from = chunk * CHUNK;
      while (fdChunks.length < chunk) fdChunks.push('');
      fdChunks[chunk] = fdLines.slice(from, from + CHUNK).join('');
    }
    this.fdsChanges = changes;
  }

  /**
   * The same of what has a link like a dma-buf's.
   *
   * @throws KernelError
   */
  links(parts: RawText[]): void {
    this.descriptors().each((fd, file) => {
      if (file.path.startsWith('/dmabuf')) parts.push(this.fdLine(fd, file));
    });
  }

  /**
   * grep: the file's lines that hold a word, after the path and a colon.
   *
   * @param word '' for all lines
   * @throws KernelError
   */
  grep(word: string, parts: RawText[]): void {
    const node = this.node();
    if (node.kind === 'file' && node.lines !== undefined) {
      for (const line of node.lines()) {
        if (line.includes(word)) parts.push(this.path, ':', line);
      }
      return;
    }
    const text = node.kind === 'file' ? node.read() : this.vfs.read(this.path);
    const {picked} = this;
    if (text === '') return;
    if (picked?.word === word && picked.text === text) {
      parts.push(...picked.lines);
      return;
    }
    const lines: RawText[] = [];
    for (const line of text.split(AFTER_NEWLINE)) {
      if (!line.includes(word)) continue;
      const end = line.endsWith('\n') ? '' : '\n';
      lines.push([this.path, ':', line, end].join(''));
    }
    this.picked = {text, word, lines};
    parts.push(...lines);
  }

  private descriptors(): Descriptors {
    const node = this.node();
    if (node.kind !== 'directory' || node.descriptors === undefined) {
      throw new KernelError('ENOTDIR', `${this.path} has no descriptors`);
    }
    node.check?.();
    return node.descriptors;
  }

  /** Made by join, which makes one flat text. */
  private fdLine(fd: number, file: OpenFile): RawText {
    return [file.inode, this.path, '/', fd, '\n'].join('');
  }
}

/** As the script's find: no type bits, and a size. */
function isTypeless({kind, sizeBytes}: OpenFile): boolean {
  return (kind.mode & S_IFMT) === 0 && sizeBytes > 0;
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
