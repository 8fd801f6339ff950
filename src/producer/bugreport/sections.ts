// SPDX-License-Identifier: Apache-2.0
// Finds what tells of dma-bufs in the text of a bug report, line by line: by
// the commands and files that dumpstate and its vendor parts name, and by what
// the lines look like where nobody names anything (a saved `dmabuf_dump`).
import {
  beginsDmabufDump,
  beginsIonHeap,
  kernelReleaseOf,
  readAlarmClock,
  readDumpstateLine,
  readHeaderField,
  readProperty,
  uptimeOf,
  type AlarmClock,
  type DumpstateLine,
} from '../../core/formats/index.js';
import type {RawText} from '../../core/model/index.js';

export type SectionKind = 'dmabuf_dump' | 'bufinfo' | 'ion' | 'meminfo';

/** A part of the report that tells of dma-bufs. */
export interface Section {
  readonly kind: SectionKind;
  /** Nobody named it; it looks like one. */
  readonly isByLooks: boolean;
  /** `Dmabuf dump`; of a service, its name; empty where nobody named it. */
  readonly title: RawText;
  readonly text: RawText;
  /** 1-based, of the first line of the text. */
  readonly line: number;
  /**
   * The latest local time that stands before it in the report, ms since 1970
   * as if it were UTC.
   */
  readonly afterLocalMs: number | undefined;
  /** How long it took, where the report tells; of a service, when it ended. */
  readonly durationMs: number | undefined;
  readonly endLocalMs: number | undefined;
  /** Why it is not whole; undefined when it is. */
  readonly damage: SectionDamage | undefined;
}

export interface SectionDamage {
  readonly why: 'timed-out' | 'failed' | 'missing' | 'cut' | 'too-long';
  /** What the report says of it; raw. */
  readonly text: RawText | undefined;
}

/** What the report says of itself. Undefined where it does not. */
export interface ReportHeader {
  /** The report's beginning: local time as of Section.afterLocalMs. */
  readonly localMs: number | undefined;
  readonly build: RawText | undefined;
  readonly fingerprint: RawText | undefined;
  readonly sdk: RawText | undefined;
  readonly kernelRelease: RawText | undefined;
  /** Whole minutes, ms. */
  readonly uptimeMs: number | undefined;
  readonly model: RawText | undefined;
  readonly serial: RawText | undefined;
  readonly timezone: RawText | undefined;
}

export interface ReportText {
  readonly header: ReportHeader;
  readonly sections: readonly Section[];
  readonly alarmClock: AlarmClock | undefined;
  /** The latest time in it, as of Section.afterLocalMs. */
  readonly latestLocalMs: number | undefined;
  /** It began as dumpstate's reports do. */
  readonly isDumpstate: boolean;
  /** `== dumpstate: done` was there. */
  readonly isDone: boolean;
  readonly lines: number;
}

/** More of one section than this is left out, and said to be. */
const MOST_SECTION_CHARS = 64 << 20;
/** Sections of all kinds together; a forged report may have any number. */
const MOST_CHARS = 256 << 20;
const MOST_SECTIONS = 1000;

const PROPERTIES_TITLE = 'SYSTEM PROPERTIES';
const PROPERTIES: Readonly<Record<string, 'model' | 'serial' | 'timezone'>> = {
  'ro.product.model': 'model',
  'ro.serialno': 'serial',
  'ro.boot.serialno': 'serial',
  'persist.sys.timezone': 'timezone',
};

type Writable<T> = {-readonly [K in keyof T]: T[K]};

interface Open {
  kind: SectionKind | undefined;
  readonly title: RawText;
  /** False: of no service and no section. */
  readonly isNamed: boolean;
  /** The kind is a guess by the lines. */
  isByLooks: boolean;
  line: number;
  chars: number;
  pieces: RawText[];
  damage: SectionDamage | undefined;
  readonly afterLocalMs: number | undefined;
}

/** Takes the lines of a report one by one. */
export class SectionFinder {
  private readonly header: Writable<ReportHeader> = {
    localMs: undefined,
    build: undefined,
    fingerprint: undefined,
    sdk: undefined,
    kernelRelease: undefined,
    uptimeMs: undefined,
    model: undefined,
    serial: undefined,
    timezone: undefined,
  };
  private readonly sections: Section[] = [];
  private alarmClock: AlarmClock | undefined;
  private isDumpstate = false;
  private isDone = false;
  private lines = 0;
  private chars = 0;
  private latestLocalMs: number | undefined;
  private isInHeader = false;
  private before: RawText = '';
  private open: Open;

  constructor() {
    this.open = this.begin('', false, undefined);
  }

  line(line: RawText): void {
    this.lines++;
    const divider = readDumpstateLine(line);
    if (divider !== undefined) this.divide(divider, line);
    else this.content(line);
    this.before = line;
  }

  end(): ReportText {
    // Vendors' parts and saved outputs end without a mark.
    const isCut = this.isDumpstate && !this.isDone;
    this.close(isCut ? {why: 'cut', text: undefined} : undefined);
    const {header, sections, alarmClock, latestLocalMs} = this;
    const {isDumpstate, isDone, lines} = this;
    return {
      header,
      sections,
      alarmClock,
      latestLocalMs,
      isDumpstate,
      isDone,
      lines,
    };
  }

  private divide(divider: DumpstateLine, line: RawText): void {
    switch (divider.kind) {
      case 'report':
        this.isDumpstate = true;
        this.isInHeader = this.header.localMs === undefined;
        this.header.localMs ??= divider.localMs;
        this.latestLocalMs ??= divider.localMs;
        return;
      case 'done':
        this.close(undefined);
        this.isDone = true;
        return;
      case 'section':
        this.isInHeader = false;
        // The end of the section before is missing where it was killed.
        this.close(undefined);
        this.open = this.begin(
          divider.title,
          true,
          kindOf(divider.title, divider.source),
        );
        return;
      case 'section-end':
        this.close(undefined, divider.durationMs);
        return;
      case 'service':
        this.close(undefined);
        this.open = this.begin(
          divider.name,
          true,
          divider.name === 'meminfo' ? 'meminfo' : undefined,
        );
        return;
      case 'service-end': {
        const {durationMs, localMs} = divider;
        this.close(undefined, durationMs, localMs);
        if (localMs !== undefined) {
          this.latestLocalMs = Math.max(localMs, this.latestLocalMs ?? localMs);
        }
        return;
      }
      case 'failure':
        this.open.damage ??= {why: divider.why, text: line.slice(0, 300)};
        return;
    }
  }

  private content(line: RawText): void {
    if (this.isInHeader) this.readHeader(line);
    // Elsewhere, whoever is dumped could say such things.
    const {title} = this.open;
    if (line.startsWith('[')) {
      if (title === '' || title === PROPERTIES_TITLE) this.readProperty(line);
    } else if (title === '' || title === 'alarm') {
      this.alarmClock ??= readAlarmClock(line);
    }
    if (this.open.kind === undefined || this.open.isByLooks) {
      const kind = kindByLooks(line);
      if (kind !== undefined && kind !== this.open.kind)
        this.beginByLooks(kind);
    }
    if (this.open.kind !== undefined) this.keep(line);
  }

  private beginByLooks(kind: SectionKind): void {
    const {title, isNamed, kind: former} = this.open;
    if (former !== undefined) {
      this.close(undefined);
      this.open = this.begin(title, isNamed, undefined);
    }
    const {open} = this;
    open.kind = kind;
    open.isByLooks = true;
    open.line = this.lines;
    // The line before may name the process, or the heap, that it is about.
    if (
      kind !== 'bufinfo' &&
      this.before.trim() !== '' &&
      readDumpstateLine(this.before) === undefined
    ) {
      this.keep(this.before);
    }
  }

  private keep(line: RawText): void {
    const {open} = this;
    if (
      open.chars + line.length > MOST_SECTION_CHARS ||
      this.chars + line.length > MOST_CHARS
    ) {
      open.damage ??= {why: 'too-long', text: undefined};
      return;
    }
    open.chars += line.length + 1;
    this.chars += line.length + 1;
    open.pieces.push(`${line}\n`);
  }

  private begin(
    title: RawText,
    isNamed: boolean,
    kind: SectionKind | undefined,
  ): Open {
    return {
      kind,
      title,
      isNamed,
      isByLooks: false,
      line: this.lines + 1,
      chars: 0,
      pieces: [],
      damage: undefined,
      afterLocalMs: this.latestLocalMs,
    };
  }

  private close(
    damage: SectionDamage | undefined,
    durationMs?: number,
    endLocalMs?: number,
  ): void {
    const {open} = this;
    this.open = this.begin('', false, undefined);
    if (open.kind === undefined || this.sections.length >= MOST_SECTIONS) {
      return;
    }
    this.sections.push({
      kind: open.kind,
      isByLooks: open.isByLooks,
      title: open.title,
      text: open.pieces.join(''),
      line: open.line,
      afterLocalMs: open.afterLocalMs,
      durationMs,
      endLocalMs,
      damage: open.damage ?? damage,
    });
  }

  private readHeader(line: RawText): void {
    const field = readHeaderField(line);
    const {header} = this;
    switch (field?.name) {
      case 'Build':
        header.build ??= field.value;
        break;
      case 'Build fingerprint':
        header.fingerprint ??= field.value;
        break;
      case 'Android SDK version':
        header.sdk ??= field.value;
        break;
      case 'Kernel':
        header.kernelRelease ??= kernelReleaseOf(field.value);
        break;
      case 'Uptime':
        header.uptimeMs ??= uptimeOf(field.value);
        break;
    }
  }

  private readProperty(line: RawText): void {
    const property = readProperty(line);
    const key = PROPERTIES[property?.name ?? ''];
    if (property === undefined || key === undefined) return;
    if (property.value !== '') this.header[key] ??= property.value;
  }
}

/** By the command, or the file, that the section shows. */
function kindOf(title: RawText, source: RawText): SectionKind | undefined {
  if (/\bdmabuf_dump\b/.test(source)) return 'dmabuf_dump';
  if (/\/dma_?buf\/bufinfo\b/.test(source)) return 'bufinfo';
  if (/\/ion\b/.test(source) || /^ion\b.*heap/i.test(title)) return 'ion';
  if (/^dumpsys(?: -t \d+)? meminfo\b/.test(source)) return 'meminfo';
  return undefined;
}

function kindByLooks(line: RawText): SectionKind | undefined {
  // One of these words is in each of the heads that begin them.
  if (line.startsWith('Dma-buf Objects:')) return 'bufinfo';
  if (
    /(?:Name|Dmabuf Inode)/.test(line.slice(0, 40)) &&
    beginsDmabufDump(line.slice(0, 300))
  ) {
    return 'dmabuf_dump';
  }
  if (line.startsWith('Applications Memory Usage (in Kilobytes)')) {
    return 'meminfo';
  }
  return /^ *client/.test(line.slice(0, 30)) && beginsIonHeap(line)
    ? 'ion'
    : undefined;
}
