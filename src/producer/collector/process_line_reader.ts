// SPDX-License-Identifier: Apache-2.0
import {detachedSlice} from '../../core/formats/scan.js';
import type {RawText} from '../../core/model/index.js';
import {
  eachLine,
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
  readonly texts: readonly RawText[];
  /** What each of them was read as. */
  readonly parsed: readonly (T | 'other')[];
}

/** So many lines may have gone between two that are still there. */
const LOOK_AHEAD = 8;

/**
 * Reads the answers of one step, which have some lines for each process. Most
 * lines are as they were in the answer before: they are not read again.
 */
export class ProcessLineReader<T extends object> {
  private readonly known = new Map<number, KnownLines<T>>();

  constructor(private readonly form: ProcessLineForm<T>) {}

  /** Drops what is known of a process that is gone. */
  forget(pid: number): void {
    this.known.delete(pid);
  }

  /** Drops what is known of all processes but these. */
  retain(pids: ReadonlySet<number>): void {
    if (this.known.size <= pids.size) return;
    for (const pid of this.known.keys()) {
      if (!pids.has(pid)) this.known.delete(pid);
    }
  }

  /** @returns processes in the answer's order, each once */
  read(body: RawText): {
    readonly processes: ProcessItems<T>[];
    readonly malformed: number;
  } {
    const {form} = this;
    const read = new Map<number, LinesBuilder<T>>();
    let builder: LinesBuilder<T> | undefined;
    const malformed = eachLine(body, (start, end) => {
      // Of a line that is of another form it is some number, and not used.
      const pid = pidAt(body, form.pathAt(body, start));
      if (builder?.pid !== pid) {
        builder = read.get(pid) ?? new LinesBuilder(pid, this.known.get(pid));
      }
      if (!builder.add(body, start, end, form)) return false;
      if (!read.has(pid)) read.set(pid, builder);
      return true;
    });
    const processes: ProcessItems<T>[] = [];
    for (const [pid, builder] of read) {
      const lines = builder.finish();
      this.known.set(pid, lines);
      processes.push(lines);
    }
    return {processes, malformed};
  }
}

/** Compares a process's lines with those of the answer before. */
class LinesBuilder<T extends object> {
  /** Undefined while all lines so far are the first `next` known ones. */
  private texts: RawText[] | undefined;
  private parsed: (T | 'other')[] = [];
  /** The first known line that was not met yet. */
  private next = 0;

  constructor(
    readonly pid: number,
    private readonly known: KnownLines<T> | undefined,
  ) {}

  /** False when the line is not of the form. */
  add(
    body: RawText,
    start: number,
    end: number,
    form: ProcessLineForm<T>,
  ): boolean {
    const {known} = this;
    const at = known === undefined ? -1 : this.find(known, body, start, end);
    const text = known?.texts[at];
    const parsed = known?.parsed[at];
    if (text !== undefined && parsed !== undefined) {
      if (at !== this.next) this.branch();
      this.texts?.push(text);
      if (this.texts !== undefined) this.parsed.push(parsed);
      this.next = at + 1;
      return true;
    }
    const made = form.parse(body, start, end);
    if (made === undefined) return false;
    this.branch().push(detachedSlice(body, start, end));
    this.parsed.push(made);
    return true;
  }

  /** Index of the known line of that text; -1 when there is none. */
  private find(
    {texts}: KnownLines<T>,
    body: RawText,
    start: number,
    end: number,
  ): number {
    const last = Math.min(this.next + LOOK_AHEAD, texts.length);
    for (let i = this.next; i < last; i++) {
      if (isText(texts[i] ?? '', body, start, end)) return i;
    }
    return -1;
  }

  /** From here on the lines are others than the known ones. */
  private branch(): RawText[] {
    if (this.texts === undefined) {
      this.texts = this.known?.texts.slice(0, this.next) ?? [];
      this.parsed = this.known?.parsed.slice(0, this.next) ?? [];
    }
    return this.texts;
  }

  finish(): KnownLines<T> {
    const {pid, known} = this;
    if (this.texts === undefined && known?.texts.length === this.next) {
      return known;
    }
    const texts = this.branch();
    const items = this.parsed.filter((item) => item !== 'other');
    return {pid, items, texts, parsed: this.parsed};
  }
}

/** Whether [start, end) of the body is that text. */
function isText(
  text: RawText,
  body: RawText,
  start: number,
  end: number,
): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (body.charCodeAt(start + i) !== text.charCodeAt(i)) return false;
  }
  return true;
}
