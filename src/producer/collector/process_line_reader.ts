// SPDX-License-Identifier: Apache-2.0
import {detachedSlice} from '../../core/formats/scan.js';
import type {RawText} from '../../core/model/index.js';
import {
  mappingAt,
  pathStatAt,
  pidAt,
  processLineAt,
  type Mapping,
  type PathStat,
  type ProcessLine,
} from './sections.js';

/** What an answer's lines tell of one process. */
export interface ProcessItems<T> {
  readonly pid: number;
  /**
   * In the answer's order. The same array as in the answer before where the
   * lines are the same; else items of the same lines are the same objects.
   */
  readonly items: readonly T[];
}

/** What an answer tells. */
export interface ProcessReading<T> {
  /** In the answer's order, each once. */
  readonly processes: readonly ProcessItems<T>[];
  /** Those of them that have other lines than in the answer before. */
  readonly changed: readonly ProcessItems<T>[];
  /** The answer before was about the same processes. */
  readonly isSameSet: boolean;
  /** Lines that are not of the form. */
  readonly malformed: number;
}

/** The form of a step's lines. */
export interface ProcessLineForm<T> {
  /**
   * The line in [start, end); undefined when it is not of the form, `other`
   * when it is of no interest.
   */
  parse(body: RawText, start: number, end: number): T | 'other' | undefined;
  /** Where its `/proc/PID/` begins, if it is of the form. */
  pathAt(body: RawText, start: number): number;
}

/** `INODE SIZE /proc/PID/REST` of the step `counts`. */
export const PATH_STAT_FORM: ProcessLineForm<PathStat> = {
  parse: pathStatAt,
  pathAt: (body, start) => body.indexOf('/', start),
};

/** `/proc/PID/FILE:TEXT` of the step `grep`. */
export const PROCESS_LINE_FORM: ProcessLineForm<ProcessLine> = {
  parse: processLineAt,
  pathAt: (_body, start) => start,
};

/** `/proc/PID/maps:LINE` of the step `maps`. */
export const MAPPING_FORM: ProcessLineForm<Mapping> = {
  parse: mappingAt,
  pathAt: (_body, start) => start,
};

/** The lines about a process in the answer before. */
interface KnownLines<T> extends ProcessItems<T> {
  /** The lines one after the other, each with its newline. */
  readonly text: RawText;
  /** Where each of them begins in `text`, and where the last one ends. */
  readonly starts: readonly number[];
  /** What each of them was read as. */
  readonly parsed: readonly (T | 'other')[];
  /** Number of the last reading that had the process, and its place there. */
  reading: number;
  place: number;
}

/** In place of a number of a reading: no reading may use it again. */
const FORGOTTEN = Infinity;
/** Processes are compared by so many at a time, as most are as they were. */
const BLOCK = 32;
/** So many lines may have gone between two that are still there. */
const LOOK_AHEAD = 8;

/**
 * Reads the answers of one step, which have some lines for each process. Most
 * lines are as they were in the answer before: they are not read again.
 */
export class ProcessLineReader<T extends object> {
  private readonly known = new Map<number, KnownLines<T>>();
  private order: readonly KnownLines<T>[] = [];
  /** Texts of each BLOCK of them, one after the other. */
  private blocks: readonly RawText[] = [];
  private readings = 0;

  constructor(private readonly form: ProcessLineForm<T>) {}

  /** Drops what is known of a process that is gone. */
  forget(pid: number): void {
    const known = this.known.get(pid);
    if (known === undefined) return;
    known.reading = FORGOTTEN;
    this.known.delete(pid);
  }

  /** Drops what is known of all processes but these. */
  retain(pids: ReadonlySet<number>): void {
    if (this.known.size <= pids.size) return;
    for (const pid of this.known.keys()) if (!pids.has(pid)) this.forget(pid);
  }

  read(body: RawText): ProcessReading<T> {
    const reading = ++this.readings;
    const before = this.order;
    const found = new Places(this.known, reading);
    let builder: LinesBuilder<T> | undefined;
    let malformed = 0;
    /** Index in `before` of who comes next if all is as it was. */
    let expected = 0;
    for (let at = 0; at < body.length;) {
      const block = this.blockFrom(expected, reading);
      if (block !== undefined) {
        if (body.slice(at, at + block.length) === block) {
          const end = Math.min(expected + BLOCK, before.length);
          for (; expected < end; expected++) {
            const known = before[expected];
            if (known !== undefined) found.addKnown(known);
          }
          builder = undefined;
          at += block.length;
          continue;
        }
      }
      const known = before[expected];
      if (known !== undefined && known.reading < reading) {
        const {text} = known;
        // Two slices are compared at once, and none of them is copied.
        if (body.slice(at, at + text.length) === text) {
          found.addKnown(known);
          builder = undefined;
          expected++;
          at += text.length;
          continue;
        }
      }
      let end = body.indexOf('\n', at);
      if (end === -1) end = body.length;
      if (end > at) {
        // Of a line that is of another form it is some number, and not used.
        const pid = pidAt(body, this.form.pathAt(body, at));
        if (builder?.pid !== pid) builder = found.builderOf(pid);
        if (!builder.add(body, at, end, this.form)) malformed++;
        else expected = found.add(builder) ?? expected;
      }
      at = end + 1;
    }
    const {processes, changed} = found.finish();
    this.order = processes;
    this.blocks = this.blocksOf(processes, before);
    const isSameSet = !found.hasNewcomer && processes.length === before.length;
    return {processes, changed, isSameSet, malformed};
  }

  /** The block that begins with that place, if none of it was met yet. */
  private blockFrom(place: number, reading: number): RawText | undefined {
    if (place % BLOCK !== 0) return undefined;
    const block = this.blocks[place / BLOCK];
    if (block === undefined) return undefined;
    const end = Math.min(place + BLOCK, this.order.length);
    for (let i = place; i < end; i++) {
      if ((this.order[i]?.reading ?? reading) >= reading) return undefined;
    }
    return block;
  }

  private blocksOf(
    processes: readonly KnownLines<T>[],
    before: readonly KnownLines<T>[],
  ): RawText[] {
    const blocks: RawText[] = [];
    for (let from = 0; from < processes.length; from += BLOCK) {
      const to = Math.min(from + BLOCK, processes.length);
      let isSame = to === Math.min(from + BLOCK, before.length);
      for (let i = from; i < to && isSame; i++) {
        isSame = processes[i] === before[i];
      }
      const known = isSame ? this.blocks[from / BLOCK] : undefined;
      if (known !== undefined) {
        blocks.push(known);
        continue;
      }
      const texts: RawText[] = [];
      for (let i = from; i < to; i++) texts.push(processes[i]?.text ?? '');
      blocks.push(texts.join(''));
    }
    return blocks;
  }
}

/** The processes that a reading has found so far, in order. */
class Places<T extends object> {
  private readonly places: (KnownLines<T> | LinesBuilder<T>)[] = [];
  /** One of them was not in the answer before. */
  hasNewcomer = false;
  /** Those that are not known. */
  private readonly unknown = new Map<number, LinesBuilder<T>>();

  constructor(
    private readonly known: Map<number, KnownLines<T>>,
    private readonly reading: number,
  ) {}

  /** A process all of whose known lines were met. */
  addKnown(known: KnownLines<T>): void {
    known.reading = this.reading;
    known.place = this.places.length;
    this.places.push(known);
  }

  builderOf(pid: number): LinesBuilder<T> {
    const known = this.known.get(pid);
    if (known?.reading !== this.reading) {
      return this.unknown.get(pid) ?? new LinesBuilder(pid, known);
    }
    const place = this.places[known.place];
    if (place instanceof LinesBuilder) return place;
    const builder = new LinesBuilder(pid, known, known.parsed.length);
    builder.isPlaced = true;
    this.places[known.place] = builder;
    return builder;
  }

  /**
   * Gives a process that a line was added to its place.
   *
   * @returns where the one after it was in the reading before
   */
  add(builder: LinesBuilder<T>): number | undefined {
    if (builder.isPlaced) return undefined;
    builder.isPlaced = true;
    const {known, pid} = builder;
    const isFollowed = known?.reading === this.reading - 1;
    if (!isFollowed) this.hasNewcomer = true;
    const next = isFollowed ? known.place + 1 : undefined;
    if (known === undefined) {
      this.unknown.set(pid, builder);
    } else {
      known.reading = this.reading;
      known.place = this.places.length;
    }
    this.places.push(builder);
    return next;
  }

  finish(): {
    readonly processes: KnownLines<T>[];
    readonly changed: readonly KnownLines<T>[];
  } {
    const {places} = this;
    const finished: KnownLines<T>[] = [];
    const changed: KnownLines<T>[] = [];
    for (let i = 0; i < places.length; i++) {
      const place = places[i];
      if (place === undefined) continue;
      if (!(place instanceof LinesBuilder)) {
        finished.push(place);
        continue;
      }
      const lines = place.finish(this.reading, i);
      finished.push(lines);
      if (lines === place.known) continue;
      this.known.set(lines.pid, lines);
      changed.push(lines);
    }
    return {processes: finished, changed};
  }
}

/** Compares a process's lines with those of the answer before. */
class LinesBuilder<T extends object> {
  /** Undefined while all lines so far are the first `next` known ones. */
  private parsed: (T | 'other')[] | undefined;
  /** As in {@link KnownLines}, of the lines so far. */
  private readonly starts: number[] = [0];
  private length = 0;
  /** Texts of the lines before those that the body has from `from` to `to`. */
  private before: RawText = '';
  private body: RawText = '';
  private from = 0;
  private to = 0;
  /** It has its place among the processes of the reading. */
  isPlaced = false;

  constructor(
    readonly pid: number,
    readonly known: KnownLines<T> | undefined,
    /** The first known line that was not met yet. */
    private next = 0,
  ) {
    if (known === undefined || next === 0) return;
    this.before = known.text;
    this.length = known.text.length;
    this.starts = [...known.starts];
  }

  /** False when the line is not of the form. */
  add(
    body: RawText,
    start: number,
    end: number,
    form: ProcessLineForm<T>,
  ): boolean {
    const {known} = this;
    const at = known === undefined ? -1 : this.find(known, body, start, end);
    const parsed = known?.parsed[at];
    if (parsed !== undefined) {
      if (at !== this.next) this.branch();
      this.parsed?.push(parsed);
      this.next = at + 1;
    } else {
      const made = form.parse(body, start, end);
      if (made === undefined) return false;
      this.branch().push(made);
    }
    this.take(body, start, end);
    return true;
  }

  /** Notes where a line is; mostly it follows the one before. */
  private take(body: RawText, start: number, end: number): void {
    if (this.body !== body || this.to !== start) {
      this.before = this.text();
      this.body = body;
      this.from = start;
    }
    this.to = end + 1;
    this.length += this.to - start;
    this.starts.push(this.length);
  }

  /** Of the lines so far. The last line of a body may lack its newline. */
  private text(): RawText {
    const {before, body, from, to} = this;
    const text = detachedSlice(body, from, to);
    const end = to > body.length ? '\n' : '';
    return before === '' && end === '' ? text : [before, text, end].join('');
  }

  /** Index of the known line of that text; -1 when there is none. */
  private find(
    {text, starts}: KnownLines<T>,
    body: RawText,
    start: number,
    end: number,
  ): number {
    const last = Math.min(this.next + LOOK_AHEAD, starts.length - 1);
    let line: RawText | undefined;
    for (let i = this.next; i < last; i++) {
      const from = starts[i] ?? 0;
      const to = (starts[i + 1] ?? 0) - 1;
      if (to - from !== end - start) continue;
      line ??= body.slice(start, end);
      if (text.slice(from, to) === line) return i;
    }
    return -1;
  }

  /** From here on the lines are others than the known ones. */
  private branch(): (T | 'other')[] {
    this.parsed ??= this.known?.parsed.slice(0, this.next) ?? [];
    return this.parsed;
  }

  finish(reading: number, place: number): KnownLines<T> {
    const {pid, known, starts} = this;
    if (this.parsed === undefined && known?.parsed.length === this.next) {
      return known;
    }
    const parsed = this.branch();
    const items = parsed.filter((item) => item !== 'other');
    return {pid, items, text: this.text(), starts, parsed, reading, place};
  }
}
