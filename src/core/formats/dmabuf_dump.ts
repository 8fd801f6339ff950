// SPDX-License-Identifier: Apache-2.0
/**
 * What AOSP's `dmabuf_dump` prints (system/memory/libmeminfo, libdmabufinfo/
 * tools/dmabuf_dump.cpp), of Android 10 to 16, in each of its forms:
 *
 * without an option, each process with what it holds (since 2025 with a column
 * Exporter; -o csv has the same in quotes and commas):
 *
 *      lab-mapper:201
 *                   Name              Rss              Pss         nr_procs            Inode
 *                 map+fd             8 kB             8 kB                1               14
 *          PROCESS TOTAL             8 kB             8 kB
 *     ----------------------
 *     dmabuf total: 8 kB kernel_rss: 0 kB userspace_rss: 8 kB userspace_pss: 8 kB
 *
 * -a, buffers by processes, with fd(mapping) references in the cells (until
 * 2020 one number, and one column `Ref Counts`):
 *
 *         Dmabuf Inode |            Size |   Fd Ref Counts |  Map Ref Counts |      lab-mapper:201   |
 *                   14 |            8 kB |               1 |               1 |        1(     1) refs |
 *
 * -b, the kernel's list (sysfs, or since 2025 BPF), sizes in bytes:
 *
 *         Dmabuf Inode |     Size(bytes) |    Exporter Name                    |
 *                   14 |            8192 |           system
 *
 * What the text does not tell: names lose blanks at their ends and all from a
 * newline on; one that was never set, "", and that of a buffer held by mappings
 * alone are all `<unknown>`. Sizes of the first two forms are whole kB, and
 * where neither sysfs nor BPF could be read, that of a buffer held by mappings
 * alone is the first mapping's length. Names are not escaped, but hold no
 * newline, so that no line can be forged; numbers are looked for from the right.
 */
import type {RawText} from '../model/text.js';
import {quoteRaw} from './format_error.js';
import {detachedSlice} from './scan.js';

export interface DmabufDump {
  /** Forms of which at least a header was there. */
  readonly forms: ReadonlySet<DmabufDumpForm>;
  /** Holders, by pid. */
  readonly processes: ReadonlyMap<number, DmabufDumpProcess>;
  /** By inode; of all forms. */
  readonly buffers: ReadonlyMap<bigint, DmabufDumpBuffer>;
  /** Inodes of the kernel's list (-b); undefined without one. */
  readonly listed: ReadonlySet<bigint> | undefined;
  readonly totals: DmabufDumpTotals | undefined;
  /** The closing line of -b. */
  readonly listTotal:
    {readonly count: bigint; readonly bytes: bigint} | undefined;
  /** The tool looked and found no dma-buf, or could not look. */
  readonly foundNothing: boolean;
  /** Processes that the tool says it could not read. */
  readonly unreadable: number;
  /** Forms whose closing line is missing: they are cut. */
  readonly cut: ReadonlySet<DmabufDumpForm>;
  /** What was cut, garbled or contradicts itself; no raw text in it. */
  readonly problems: readonly string[];
}

export type DmabufDumpForm = 'processes' | 'table' | 'list';

export interface DmabufDumpProcess {
  readonly pid: number;
  /** /proc/PID/comm; undefined where the process was gone by then (`N/A`). */
  readonly comm: RawText | undefined;
  /** By inode. */
  readonly holdings: ReadonlyMap<bigint, DmabufDumpHolding>;
}

/** Undefined where only another form would tell. */
export interface DmabufDumpHolding {
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
}

export interface DmabufDumpBuffer {
  readonly inode: bigint;
  /** bytes; whole kB unless the kernel's list has it. */
  readonly sizeBytes: bigint;
  readonly name: RawText | undefined;
  readonly exporter: RawText | undefined;
  /** What the tool counts as its holders; undefined where it is not printed. */
  readonly holders: number | undefined;
}

/** The closing line of the form by processes, bytes (whole kB). */
export interface DmabufDumpTotals {
  /** Undefined where kernelRssBytes is. */
  readonly totalBytes: bigint | undefined;
  /** Of the total, what no process holds; undefined where it was not read. */
  readonly kernelRssBytes: bigint | undefined;
  /** Sum over the processes, shared buffers several times. */
  readonly userspaceRssBytes: bigint;
  readonly userspacePssBytes: bigint;
}

const KB = 1024n;
const UNKNOWN = '<unknown>';
const GONE = 'N/A';
const MOST_PROBLEMS = 20;
/** All lines but those of -a are shorter, by far. */
const LONGEST_LINE = 512;
/** Longest decimal number that can be meant: 64 bits. */
const N = '(\\d{1,20})';

const PROCESS_LINE = /^\s*([^]*):(\d{1,10})\s*$/;
const PROCESS_HEADER = /^ *Name +Rss +Pss +nr_procs +Inode( +Exporter)? *$/;
const PROCESS_ROW = new RegExp(`^([^]*) +${N} kB +${N} kB +${N} +${N} *$`);
const PROCESS_ROW_EXPORTER = new RegExp(
  `^([^]*) +${N} kB +${N} kB +${N} +${N}  ([^]*)$`,
);
const PROCESS_TOTAL = new RegExp(`^ *PROCESS TOTAL +${N} kB +${N} kB *$`);
const TOTALS = new RegExp(
  `^ *dmabuf total: ${N} kB kernel_rss: ${N} kB userspace_rss: ${N} kB ` +
    `userspace_pss: ${N} kB *$`,
);
const CSV_PROCESS_HEADER =
  /^"Name","Rss\(kB\)","Pss\(kB\)","nr_procs","Inode"(,"Exporter")?$/;
const CSV_PROCESS_ROW = new RegExp(
  `^"([^]*)",${N},${N},${N},${N}(?:,([^]*))?$`,
);
const CSV_TOTALS_HEADER =
  '"dmabuf total (kB)","kernel_rss (kB)","userspace_rss (kB)","userspace_pss (kB)"';
const CSV_FOUR = new RegExp(`^${N},${N},${N},${N}$`);
const TABLE_HEADER =
  /^ *Dmabuf Inode \| *Size \| *(?:(Ref Counts) \||Fd Ref Counts \| *Map Ref Counts \|)/;
const TABLE_ROW = new RegExp(`^ *${N} \\| *${N} kB \\| *${N} \\|`);
const TABLE_END = /^TOTALS +\d+ kB \|/;
const CSV_TABLE_HEADER =
  /^"Dmabuf Inode","Size\(kB\)","Fd Ref Counts","Map Ref Counts"/;
const CSV_TABLE_ROW = new RegExp(`^${N},${N},${N},${N}((?:,"[^"]*")*)$`);
const CSV_TABLE_END = /^"Total Size\(kB\)"/;
const LIST_HEADER = /^ *Dmabuf Inode \| *Size\(bytes\) \|/;
const LIST_ROW = new RegExp(`^ *${N} \\| *${N} \\| *([^]*?) *$`);
const CSV_LIST_HEADER = /^"Dmabuf Inode","Size\(bytes\)","Exporter Name"$/;
const CSV_LIST_ROW = new RegExp(`^${N},${N},"([^]*)"$`);
const EXPORTERS_HEADER = /^ *Exporter Name +\| *Total Count \|/;
const CSV_EXPORTERS_HEADER = /^"Exporter Name","Total Count",/;
const LIST_TOTAL = new RegExp(
  `^Total DMA-BUF count: ${N}, Total DMA-BUF size\\(bytes\\): ${N}`,
);
const CSV_LIST_TOTAL_HEADER =
  '"Total DMA-BUF count","Total DMA-BUF size(bytes)"';
const CSV_TWO = new RegExp(`^${N},${N}$`);
const UNREADABLE =
  /^(?:Failed to read (?:fdinfo|dmabuf (?:fd|map) references|maps)|Unable to read dmabuf info for)/;
const NO_LIST =
  /^Unable to read DMA-BUF (?:sysfs|bpf)? ?stats|^Unable to read /;

/** True when a line can only be the beginning of a dmabuf_dump. */
export function beginsDmabufDump(line: RawText): boolean {
  return (
    PROCESS_HEADER.test(line) ||
    CSV_PROCESS_HEADER.test(line) ||
    TABLE_HEADER.test(line) ||
    CSV_TABLE_HEADER.test(line) ||
    LIST_HEADER.test(line) ||
    CSV_LIST_HEADER.test(line)
  );
}

/**
 * Takes any text: whatever is not of the format ends up in `problems`, and what
 * could be read is kept. Several forms one after the other are put together.
 * Linear in the text's length.
 */
export function parseDmabufDump(text: RawText): DmabufDump {
  const parser = new DmabufDumpParser();
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const crlf = end > start && text[end - 1] === '\r' ? 1 : 0;
    parser.line(text.slice(start, end - crlf));
    start = end + 1;
  }
  return parser.end();
}

type State =
  | 'outside'
  | 'process'
  | 'csv-process'
  | 'csv-totals'
  | 'table'
  | 'csv-table'
  | 'list'
  | 'csv-list'
  | 'exporters'
  | 'csv-list-total';

interface KnownProcess {
  readonly pid: number;
  readonly comm: RawText | undefined;
  readonly holdings: Map<bigint, DmabufDumpHolding>;
}

interface Fact {
  readonly sizeBytes: bigint;
  readonly name?: RawText | undefined;
  readonly exporter?: RawText | undefined;
  readonly holders?: number | undefined;
}

class DmabufDumpParser {
  private readonly forms = new Set<DmabufDumpForm>();
  private readonly ended = new Set<DmabufDumpForm>();
  private readonly processes = new Map<number, KnownProcess>();
  private readonly buffers = new Map<bigint, DmabufDumpBuffer>();
  private readonly problems: string[] = [];
  private listed: Set<bigint> | undefined;
  private listTotal: DmabufDump['listTotal'];
  private totals: DmabufDumpTotals | undefined;
  private foundNothing = false;
  private unreadable = 0;
  private isKernelRssKnown = true;
  private strays = 0;
  private firstStray: RawText | undefined;

  private state: State = 'outside';
  private before: RawText = '';
  private process: KnownProcess | undefined;
  /** The process whose closing line has not come yet. */
  private isProcessOpen = false;
  private hasExporter = false;
  private columns: readonly KnownProcess[] = [];
  private hasOneCount = false;

  line(line: RawText): void {
    if (line.length > LONGEST_LINE && !this.isTableLine(line)) {
      this.stray(line);
      return;
    }
    if (!this.header(line) && !this.row(line)) this.other(line);
    if (line.trim() !== '') this.before = line.slice(0, LONGEST_LINE);
  }

  private isTableLine(line: RawText): boolean {
    return (
      this.state === 'table' ||
      this.state === 'csv-table' ||
      TABLE_HEADER.test(line) ||
      CSV_TABLE_HEADER.test(line)
    );
  }

  end(): DmabufDump {
    if (this.strays > 0) {
      this.report(
        `${this.strays} line(s) of dmabuf_dump are not of its format, the ` +
          `first is ${quoteRaw(this.firstStray ?? '')}`,
      );
    }
    const cut = new Set(
      [...this.forms].filter((form) => !this.ended.has(form)),
    );
    for (const form of cut) {
      this.report(`dmabuf_dump is cut: ${CLOSING[form]} is missing`);
    }
    this.check();
    return {
      forms: this.forms,
      processes: this.processes,
      buffers: this.buffers,
      listed: this.listed,
      totals: this.totals,
      listTotal: this.listTotal,
      foundNothing: this.foundNothing,
      unreadable: this.unreadable,
      cut,
      problems: this.problems,
    };
  }

  private header(line: RawText): boolean {
    const raw = PROCESS_HEADER.exec(line);
    const process = raw ?? CSV_PROCESS_HEADER.exec(line);
    if (process !== null) {
      this.hasExporter = process[1] !== undefined;
      this.beginProcess(raw === null ? 'csv-process' : 'process');
      return true;
    }
    const table = TABLE_HEADER.exec(line);
    if (table !== null) {
      this.begin('table', 'table');
      this.hasOneCount = table[1] !== undefined;
      // comm has at most 15 bytes, so that its column is exactly 16 wide.
      const column = /([^]{16}):(\d{1,10}) *\|/y;
      this.readColumns(line, table[0].length, column);
      return true;
    }
    const csvTable = CSV_TABLE_HEADER.exec(line);
    if (csvTable !== null) {
      this.begin('csv-table', 'table');
      this.hasOneCount = false;
      const column = /,"([^]{0,15}?):(\d{1,10})"(?=,|$)/y;
      this.readColumns(line, csvTable[0].length, column);
      return true;
    }
    if (LIST_HEADER.test(line) || CSV_LIST_HEADER.test(line)) {
      this.begin(line.startsWith('"') ? 'csv-list' : 'list', 'list');
      this.listed ??= new Set();
      return true;
    }
    if (EXPORTERS_HEADER.test(line) || CSV_EXPORTERS_HEADER.test(line)) {
      // Their sums follow from the list.
      this.state = 'exporters';
      return true;
    }
    if (line === CSV_TOTALS_HEADER) {
      this.state = 'csv-totals';
      return true;
    }
    if (line === CSV_LIST_TOTAL_HEADER) {
      this.state = 'csv-list-total';
      return true;
    }
    return false;
  }

  private begin(state: State, form: DmabufDumpForm): void {
    this.state = state;
    this.forms.add(form);
    this.ended.delete(form);
  }

  private beginProcess(state: State): void {
    this.begin(state, 'processes');
    const match = PROCESS_LINE.exec(this.before);
    const pid = match === null ? undefined : toPid(match[2]);
    if (match === null || pid === undefined) {
      this.process = undefined;
      this.report('dmabuf_dump lists buffers without saying of which process');
      return;
    }
    this.isProcessOpen = true;
    this.process = this.processOf(pid, match[1] ?? '');
  }

  private readColumns(line: RawText, start: number, column: RegExp): void {
    const columns: KnownProcess[] = [];
    column.lastIndex = start;
    for (let match; (match = column.exec(line)) !== null;) {
      const pid = toPid(match[2]);
      if (pid === undefined) break;
      columns.push(this.processOf(pid, match[1] ?? ''));
      start = column.lastIndex;
    }
    if (start < line.length && line.slice(start).trim() !== '') {
      this.report('the header of dmabuf_dump -a is garbled or cut');
    }
    this.columns = columns;
  }

  private processOf(pid: number, text: RawText): KnownProcess {
    let process = this.processes.get(pid);
    if (process === undefined) {
      const comm = text.trim();
      process = {
        pid,
        comm: comm === '' || comm === GONE ? undefined : detach(comm),
        holdings: new Map(),
      };
      this.processes.set(pid, process);
    }
    return process;
  }

  private row(line: RawText): boolean {
    switch (this.state) {
      case 'process':
        return this.processRow(line) || this.processTotal(line);
      case 'csv-process':
        return this.csvProcessRow(line);
      case 'csv-totals':
        return this.readTotals(CSV_FOUR.exec(line));
      case 'table':
        return this.tableRow(line);
      case 'csv-table':
        return this.csvTableRow(line);
      case 'list':
        return this.listRow(LIST_ROW.exec(line));
      case 'csv-list':
        return this.listRow(CSV_LIST_ROW.exec(line));
      case 'csv-list-total':
        return this.readListTotal(CSV_TWO.exec(line));
      case 'exporters':
        return /\||^".*",\d+,\d+$/.test(line);
      case 'outside':
        return false;
    }
  }

  private processRow(line: RawText): boolean {
    const row = this.hasExporter ? PROCESS_ROW_EXPORTER : PROCESS_ROW;
    const match = row.exec(line.trimStart());
    if (match === null) return false;
    const [, name = '', size = '', , holders = '', inode = '', exporter] =
      match;
    this.hold(name.trim(), size, holders, inode, exporter?.trim());
    return true;
  }

  private processTotal(line: RawText): boolean {
    if (!PROCESS_TOTAL.test(line)) return false;
    this.isProcessOpen = false;
    return true;
  }

  private csvProcessRow(line: RawText): boolean {
    if (line === 'PROCESS TOTAL' || line.startsWith('"Rss total(kB)"')) {
      return true;
    }
    if (this.before.startsWith('"Rss total(kB)"') && CSV_TWO.test(line)) {
      this.isProcessOpen = false;
      this.state = 'outside';
      return true;
    }
    const match = CSV_PROCESS_ROW.exec(line);
    if (match === null) return false;
    const [, name = '', size = '', , holders = '', inode = '', exporter] =
      match;
    this.hold(name, size, holders, inode, exporter);
    return true;
  }

  private hold(
    name: RawText,
    sizeKb: string,
    holders: string,
    inodeText: string,
    exporter: RawText | undefined,
  ): void {
    const inode = BigInt(inodeText);
    this.learn(inode, {
      sizeBytes: BigInt(sizeKb) * KB,
      name: known(name),
      exporter: exporter === undefined ? undefined : known(exporter),
      holders: Number(holders),
    });
    const holdings = this.process?.holdings;
    if (holdings !== undefined && !holdings.has(inode)) {
      holdings.set(inode, {fdRefs: undefined, mapRefs: undefined});
    }
  }

  private tableRow(line: RawText): boolean {
    if (TABLE_END.test(line)) {
      this.ended.add('table');
      this.state = 'outside';
      return true;
    }
    const match = TABLE_ROW.exec(line);
    if (match === null) return false;
    const [head, inodeText = '', sizeKb = ''] = match;
    const cells = line.slice(head.length).split('|');
    if (!this.hasOneCount) cells.shift();
    // What follows the last bar.
    cells.pop();
    this.readCells(BigInt(inodeText), BigInt(sizeKb) * KB, cells);
    return true;
  }

  private csvTableRow(line: RawText): boolean {
    if (CSV_TABLE_END.test(line)) {
      this.ended.add('table');
      return true;
    }
    if (this.ended.has('table') && /^[\d,]+$/.test(line)) {
      this.state = 'outside';
      return true;
    }
    const match = CSV_TABLE_ROW.exec(line);
    if (match === null) return false;
    const [, inode = '', sizeKb = '', , , rest = ''] = match;
    const cells = rest === '' ? [] : rest.slice(1).split(',');
    this.readCells(
      BigInt(inode),
      BigInt(sizeKb) * KB,
      cells.map((cell) => cell.replaceAll('"', '')),
    );
    return true;
  }

  private readCells(
    inode: bigint,
    sizeBytes: bigint,
    cells: readonly string[],
  ): void {
    this.learn(inode, {sizeBytes});
    if (cells.length !== this.columns.length) {
      this.report('a row of dmabuf_dump -a is cut, or its header is ambiguous');
      return;
    }
    for (const [i, cell] of cells.entries()) {
      const match = /^ *(\d{1,9})(?:\( *(\d{1,9})\))? refs *$/.exec(cell);
      if (match === null) continue;
      // The older form has descriptors and mappings in one number.
      const isSum = match[2] === undefined;
      this.columns[i]?.holdings.set(inode, {
        fdRefs: isSum ? undefined : Number(match[1]),
        mapRefs: isSum ? undefined : Number(match[2]),
      });
    }
  }

  private listRow(match: RegExpExecArray | null): boolean {
    if (match === null) return false;
    const [, inodeText = '', bytes = '', text = ''] = match;
    const inode = BigInt(inodeText);
    // Android 12 had more columns to the right.
    const exporter = (text.split(' |')[0] ?? '').trim();
    this.listed?.add(inode);
    this.learn(
      inode,
      {sizeBytes: BigInt(bytes), exporter: known(exporter)},
      true,
    );
    return true;
  }

  private readTotals(match: RegExpExecArray | null): boolean {
    if (match === null) return false;
    const [total, kernelRss, rss, pss] = match
      .slice(1, 5)
      .map((kb) => BigInt(kb) * KB);
    this.totals = {
      totalBytes: this.isKernelRssKnown ? total : undefined,
      kernelRssBytes: this.isKernelRssKnown ? kernelRss : undefined,
      userspaceRssBytes: rss ?? 0n,
      userspacePssBytes: pss ?? 0n,
    };
    this.state = 'outside';
    this.ended.add('processes');
    if (this.isProcessOpen) {
      this.report('lines of the last process in dmabuf_dump are missing');
    }
    return true;
  }

  private readListTotal(match: RegExpExecArray | null): boolean {
    if (match === null) return false;
    this.listTotal = {
      count: BigInt(match[1] ?? 0),
      bytes: BigInt(match[2] ?? 0),
    };
    this.ended.add('list');
    this.state = 'outside';
    return true;
  }

  private other(line: RawText): void {
    if (/^[\s-]*$/.test(line) || /^-{5,} DMA-BUF [\w -]+ -{3,}$/.test(line)) {
      return;
    }
    if (this.readTotals(TOTALS.exec(line))) return;
    if (this.readListTotal(LIST_TOTAL.exec(line))) return;
    if (line.startsWith('dmabuf info not found')) {
      this.foundNothing = true;
    } else if (UNREADABLE.test(line)) {
      this.unreadable++;
    } else if (line.startsWith('Warning: Could not get total exported')) {
      this.isKernelRssKnown = false;
      this.report(
        'dmabuf_dump could not read the total of all buffers: its kernel_rss ' +
          'and its total are not known',
      );
    } else if (NO_LIST.test(line) || line.includes('Unable to access')) {
      this.report('dmabuf_dump -b could not read the list of buffers');
    } else if (line.startsWith('debugfs entry for dmabuf not available')) {
      if (line.endsWith('skipping')) {
        this.report('dmabuf_dump gave up: there was no debugfs for it to read');
      }
    } else if (
      line !== '\tTOTALS' &&
      (this.state.endsWith('table') || !PROCESS_LINE.test(line))
    ) {
      this.stray(line);
    }
  }

  private stray(line: RawText): void {
    this.strays++;
    this.firstStray ??= detach(line.slice(0, 80));
  }

  private learn(inode: bigint, fact: Fact, isExact = false): void {
    const before = this.buffers.get(inode);
    const {sizeBytes, name, exporter, holders} = fact;
    const isBetter = isExact || before === undefined;
    this.buffers.set(inode, {
      inode,
      sizeBytes: isBetter ? sizeBytes : before.sizeBytes,
      name: before?.name ?? name,
      exporter: before?.exporter ?? exporter,
      holders: before?.holders ?? holders,
    });
  }

  /** What the tool counted must be there. */
  private check(): void {
    const {listTotal, listed} = this;
    if (listTotal !== undefined && listed !== undefined) {
      if (listTotal.count !== BigInt(listed.size)) {
        this.report(
          `dmabuf_dump -b counts ${listTotal.count} buffers and lists ` +
            `${listed.size}: lines are missing`,
        );
      }
    }
    if (!this.forms.has('processes')) return;
    const seen = new Map<bigint, number>();
    for (const {holdings} of this.processes.values()) {
      for (const inode of holdings.keys()) {
        seen.set(inode, (seen.get(inode) ?? 0) + 1);
      }
    }
    let missing = 0;
    for (const {inode, holders} of this.buffers.values()) {
      if (holders !== undefined && (seen.get(inode) ?? 0) < holders) missing++;
    }
    if (missing > 0) {
      this.report(
        `${missing} buffer(s) have more holders than dmabuf_dump lists: ` +
          'processes are missing',
      );
    }
  }

  private report(problem: string): void {
    if (this.problems.length >= MOST_PROBLEMS) return;
    if (!this.problems.includes(problem)) this.problems.push(problem);
  }
}

const CLOSING: Readonly<Record<DmabufDumpForm, string>> = {
  processes: 'the line "dmabuf total:"',
  table: 'the line "TOTALS" of -a',
  list: 'the line "Total DMA-BUF count:" of -b',
};

function known(text: RawText): RawText | undefined {
  return text === UNKNOWN || text === '' ? undefined : detach(text);
}

function detach(text: RawText): RawText {
  return detachedSlice(text, 0, text.length);
}

/** The kernel's PID_MAX_LIMIT. */
const HIGHEST_PID = 4_194_304;

function toPid(text: string | undefined): number | undefined {
  const pid = Number(text);
  return pid >= 1 && pid <= HIGHEST_PID ? pid : undefined;
}

export interface DmabufDumpStyle {
  /**
   * 2019: one column of references in -a. 2020: two. 2025: the exporter beside
   * each buffer.
   */
  readonly generation: 2019 | 2020 | 2025;
  /** -o csv, which the first two do not have. */
  readonly csv: boolean;
}

type Rendered = Pick<DmabufDump, 'processes' | 'buffers' | 'listed'>;

/** What the tool prints without an option. */
export function renderDmabufProcesses(
  dump: Rendered,
  {generation, csv}: DmabufDumpStyle,
): RawText {
  const {processes, buffers} = dump;
  const holders = countHolders(dump);
  const hasExporter = generation === 2025;
  const sums = {rss: 0n, pss: 0n};
  let text = '';
  for (const {pid, comm = GONE, holdings} of processes.values()) {
    if (holdings.size === 0) continue;
    text += csv
      ? `\t${comm}:${pid}\n"Name","Rss(kB)","Pss(kB)","nr_procs","Inode"`
      : `${comm.padStart(16)}:${String(pid).padEnd(5)}\n` +
        columns('Name', 'Rss', 'Pss', 'nr_procs', 'Inode');
    if (hasExporter) text += csv ? ',"Exporter"' : ` ${pad('Exporter', 22)}`;
    text += '\n';
    let rss = 0n;
    let pss = 0n;
    for (const inode of holdings.keys()) {
      const {sizeBytes = 0n, name, exporter} = buffers.get(inode) ?? {};
      const count = holders.get(inode) ?? 1;
      const share = sizeBytes / BigInt(count);
      rss += sizeBytes;
      pss += share;
      const label = name ?? UNKNOWN;
      text += csv
        ? `"${label}",${sizeBytes / KB},${share / KB},${count},${inode}`
        : `${pad(label, 22)} ${kb(sizeBytes)} ${kb(share)} ${pad(count, 16)} ${pad(inode, 16)}`;
      if (hasExporter) {
        text += csv
          ? `,${exporter ?? UNKNOWN}`
          : `  ${pad(exporter ?? UNKNOWN, 22)}`;
      }
      text += '\n';
    }
    text += csv
      ? `\nPROCESS TOTAL\n"Rss total(kB)","Pss total(kB)"\n${rss / KB},${pss / KB}\n`
      : `${pad('PROCESS TOTAL', 22)} ${kb(rss)} ${kb(pss)} ${pad('', 16)}\n`;
    text += '----------------------\n';
    sums.rss += rss;
    sums.pss += pss;
  }
  let total = 0n;
  let kernel = 0n;
  for (const {inode, sizeBytes} of buffers.values()) {
    total += sizeBytes;
    if (!holders.has(inode)) kernel += sizeBytes;
  }
  const numbers = [total, kernel, sums.rss, sums.pss].map((sum) => sum / KB);
  if (csv) return `${text}\tTOTALS\n${CSV_TOTALS_HEADER}\n${numbers.join()}\n`;
  return (
    `${text}dmabuf total: ${numbers[0]} kB kernel_rss: ${numbers[1]} kB ` +
    `userspace_rss: ${numbers[2]} kB userspace_pss: ${numbers[3]} kB\n `
  );
}

/** What -a prints; all counts must be known. */
export function renderDmabufTable(
  dump: Rendered,
  {generation, csv}: DmabufDumpStyle,
): RawText {
  const processes = [...dump.processes.values()];
  const oneCount = generation === 2019;
  const refs = (key: 'fdRefs' | 'mapRefs', inode: bigint): number =>
    processes.filter(({holdings}) => (holdings.get(inode)?.[key] ?? 0) > 0)
      .length;
  let text = csv
    ? '"Dmabuf Inode","Size(kB)","Fd Ref Counts","Map Ref Counts"'
    : '    Dmabuf Inode |            Size |' +
      (oneCount
        ? '      Ref Counts |'
        : '   Fd Ref Counts |  Map Ref Counts |');
  for (const {pid, comm = GONE} of processes) {
    text += csv
      ? `,"${comm}:${pid}"`
      : `${comm.padStart(16)}:${String(pid).padEnd(5)} |`;
  }
  text += '\n';
  let total = 0n;
  for (const {inode, sizeBytes} of dump.buffers.values()) {
    total += sizeBytes / KB;
    const fds = refs('fdRefs', inode);
    const maps = refs('mapRefs', inode);
    text += csv
      ? `${inode},${sizeBytes / KB},${fds},${maps}`
      : `${pad(inode, 16)} |${kb(sizeBytes)} |${pad(oneCount ? fds + maps : fds, 16)} |` +
        (oneCount ? '' : `${pad(maps, 16)} |`);
    for (const {holdings} of processes) {
      const {fdRefs = 0, mapRefs = 0} = holdings.get(inode) ?? {};
      if (fdRefs + mapRefs === 0) text += csv ? ',""' : `${pad('--', 22)} |`;
      else if (csv) text += `,"${fdRefs}(${mapRefs}) refs"`;
      else if (oneCount) text += `${pad(fdRefs + mapRefs, 17)} refs |`;
      else text += `${pad(fdRefs, 9)}(${pad(mapRefs, 6)}) refs |`;
    }
    text += '\n';
  }
  if (csv) return `${text}"Total Size(kB)",\n${total}\n`;
  return (
    `${text}------------------------------------\n` +
    `${'TOTALS'.padEnd(16)}  ${pad(total, 13)} kB |${pad('n/a', 16)} |` +
    `${oneCount ? '' : `${pad('n/a', 16)} |`}\n`
  );
}

/** What -b prints. */
export function renderDmabufList(
  {buffers, listed = new Set()}: Rendered,
  {csv}: Pick<DmabufDumpStyle, 'csv'>,
): RawText {
  const rule = (title: string): string =>
    `\n\n----------------------- DMA-BUF ${title} -----------------------\n`;
  let rows = '';
  let bytes = 0n;
  const sums = new Map<RawText, {count: number; bytes: bigint}>();
  for (const inode of listed) {
    const {sizeBytes = 0n, exporter = ''} = buffers.get(inode) ?? {};
    rows += csv
      ? `${inode},${sizeBytes},"${exporter}"\n`
      : `${pad(inode, 16)} |${pad(sizeBytes, 16)} | ${pad(exporter, 16)} \n`;
    bytes += sizeBytes;
    const sum = sums.get(exporter) ?? {count: 0, bytes: 0n};
    sums.set(exporter, {count: sum.count + 1, bytes: sum.bytes + sizeBytes});
  }
  let exporters = '';
  for (const [exporter, sum] of sums) {
    exporters += csv
      ? `"${exporter}",${sum.count},${sum.bytes}\n`
      : `${pad(exporter, 32)} | ${pad(sum.count, 12)}| ${sum.bytes}\n`;
  }
  const heads = csv
    ? [
        '"Dmabuf Inode","Size(bytes)","Exporter Name"\n',
        '"Exporter Name","Total Count","Total Size(bytes)"\n',
      ]
    : [
        '    Dmabuf Inode |     Size(bytes) |    Exporter Name                    |\n',
        '      Exporter Name              | Total Count |     Total Size(bytes)   |\n',
      ];
  const end = csv
    ? `${CSV_LIST_TOTAL_HEADER}\n${listed.size},${bytes}\n`
    : `Total DMA-BUF count: ${listed.size}, Total DMA-BUF size(bytes): ${bytes}\n`;
  return (
    `${rule('per-buffer stats')}${heads[0]}${rows}` +
    `${rule('exporter stats')}${heads[1]}${exporters}` +
    `${rule('total stats')}${end}`
  );
}

function countHolders({processes}: Rendered): Map<bigint, number> {
  const holders = new Map<bigint, number>();
  for (const {holdings} of processes.values()) {
    for (const inode of holdings.keys()) {
      holders.set(inode, (holders.get(inode) ?? 0) + 1);
    }
  }
  return holders;
}

function columns(first: string, ...rest: readonly string[]): string {
  return [pad(first, 22), ...rest.map((title) => pad(title, 16))].join(' ');
}

function pad(value: string | number | bigint, width: number): string {
  return String(value).padStart(width);
}

function kb(bytes: bigint): string {
  return `${pad(bytes / KB, 13)} kB`;
}
