// SPDX-License-Identifier: Apache-2.0
import {
  account,
  type Accounting,
  type BufferAccount,
  type ProcessAccount,
  type Sum,
} from '../../../core/accounting/index.js';
import type {Coverage} from '../../../core/model/index.js';
import {oneLine} from '../output/terminal.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  UNKNOWN,
} from '../output/units.js';
import {describeSource, simulatedBanner} from '../source_notice.js';
import {renderTable, type Column} from '../output/table.js';
import {
  bySize,
  chosenBuffers,
  chosenProcesses,
  exporterKey,
  groupBuffers,
  holdersByBuffer,
  isUnknown,
  knownRefs,
  nameKey,
  processSums,
  type Dump,
} from './dump.js';
import {exporterLabel, nameLabel, processLabel} from './labels.js';

export type GroupBy = 'process' | 'buffer' | 'exporter' | 'name';

export interface DumpTextOptions {
  readonly by: GroupBy;
  /** Of the terminal; undefined: lines may be as long as they get. */
  readonly width: number | undefined;
  /** In place of the lines that say what was read, and when. */
  readonly heading?: readonly string[];
}

/** A dump for people. */
export function renderDumpText(dump: Dump, options: DumpTextOptions): string {
  const accounting = account(dump.snapshot);
  const lines = [
    ...(options.heading ?? heading(dump)),
    ...summary(dump, accounting),
    '',
    ...body(dump, accounting, options),
  ];
  return `${lines.join('\n')}\n`;
}

function body(
  dump: Dump,
  accounting: Accounting,
  {by, width}: DumpTextOptions,
): string[] {
  switch (by) {
    case 'process':
      return byProcess(dump, accounting, width);
    case 'buffer':
      return byBuffer(dump, accounting, width);
    case 'exporter':
      return byGroup(dump, accounting, width, 'EXPORTER', exporterKey, (a) =>
        exporterLabel(a.buffer.exporter),
      );
    case 'name':
      return byGroup(dump, accounting, width, 'NAME', nameKey, (a) =>
        nameLabel(a.buffer.name),
      );
  }
}

function heading({provenance, snapshot}: Dump): string[] {
  const {startNs, endNs} = snapshot;
  return [
    ...(provenance.simulated ? [simulatedBanner(undefined)] : []),
    describeSource(provenance),
    `At ${(Number(endNs) / 1e9).toFixed(3)} s after boot, read in ` +
      formatDuration(endNs - startNs),
  ];
}

function summary({snapshot, pids}: Dump, accounting: Accounting): string[] {
  const {coverage} = snapshot;
  const {total, held, kernelOnly, mappedOnly} = accounting;
  const isPartial = accounting.kernelOnlyIsUpperBound;
  const lines = [
    `Total:             ${describeSum(total, '')}`,
    `Held by processes: ${describeSum(held, isPartial ? 'at least ' : '')}`,
    `Kernel-only:       ${describeSum(kernelOnly, isPartial ? 'at most ' : '')}`,
    `Mapped-only:       ${describeSum(mappedOnly, isPartial ? 'at least ' : '')}`,
    ...describeCoverage(coverage),
  ];
  if (pids !== undefined) {
    lines.push(
      `Only ${pids.length === 1 ? 'pid' : 'pids'} ${pids.join(', ')}:`,
    );
  }
  return lines;
}

/** `1.2 GiB in 312 buffers`; `?` when nothing is known. */
function describeSum(sum: Sum | undefined, bound: string): string {
  if (sum === undefined) return UNKNOWN;
  const {bytes, buffers, unknownSizes} = sum;
  const count = `in ${plural(buffers, 'buffer')}`;
  if (isUnknown(sum)) return `${bound}${UNKNOWN} ${count}`;
  if (buffers === 0 && bound === 'at least ') return UNKNOWN;
  const rest = unknownSizes > 0 ? `, ${unknownSizes} of unknown size` : '';
  return `${bound}${formatBytes(bytes)} ${count}${rest}`;
}

function describeCoverage(coverage: Coverage): string[] {
  const {
    kernelList,
    fileCounts,
    processesSeen,
    processesUnreadable,
    processesVanished,
    inodeCollisions,
    problems,
  } = coverage;
  const list =
    kernelList === undefined
      ? 'no list of all buffers'
      : `all buffers from ${kernelList}`;
  const counts = fileCounts ? '' : ', kernel references unknown';
  const lines = [
    `Coverage:          ${plural(processesSeen, 'process', 'processes')}, ` +
      `${processesUnreadable} unreadable, ${processesVanished} vanished; ` +
      list +
      counts,
  ];
  if (coverage.holdersCut === true) {
    lines.push(
      '                   the list of holders is missing or cut: there may ' +
        'be more',
    );
  }
  if (inodeCollisions > 0) {
    lines.push(
      `                   ${plural(inodeCollisions, 'inode')} shared by two ` +
        'buffers each (kernels before 5.18)',
    );
  }
  for (const problem of problems) {
    lines.push(`                   problem: ${oneLine(problem)}`);
  }
  return lines;
}

const BUFFER_COLUMNS = {
  inode: {title: 'INODE', align: 'right'},
  size: {title: 'SIZE', align: 'right'},
  name: {title: 'NAME', shrinkTo: 8},
  exporter: {title: 'EXPORTER', shrinkTo: 6},
  fds: {title: 'FDS', align: 'right'},
  maps: {title: 'MAPS', align: 'right'},
  mapped: {title: 'MAPPED', align: 'right'},
  holders: {title: 'HOLDERS', align: 'right'},
  kernelRefs: {title: 'KERNEL REFS', align: 'right'},
} as const satisfies Record<string, Column>;

function byProcess(
  dump: Dump,
  accounting: Accounting,
  width: number | undefined,
): string[] {
  const lines: string[] = [];
  for (const process of chosenProcesses(dump, accounting)) {
    if (dump.pids === undefined && holdsNothing(process)) continue;
    lines.push(...processHeading(process));
    lines.push(...processTable(process, accounting, width), '');
  }
  return [...lines, ...kernelOnlyTable(dump, accounting, width)];
}

/** As far as is known, and all is known. */
function holdsNothing(account: ProcessAccount): boolean {
  const {readState, holdings, kernelRssBytes} = account.holdings;
  if (holdings.size > 0 || (kernelRssBytes ?? 0n) > 0n) return false;
  // Hundreds of unreadable processes of which nothing is known are a number
  // in the coverage line, not a screenful of question marks.
  return readState === 'complete' || kernelRssBytes === undefined;
}

function processHeading(process: ProcessAccount): string[] {
  const {holdings, unknownSizes} = process;
  const {rssBytes, pssBytes} = processSums(process);
  const {readState} = holdings;
  const bound = readState === 'complete' && unknownSizes > 0 ? '>=' : '';
  const rss = rssBytes === undefined ? UNKNOWN : bound + formatBytes(rssBytes);
  const pss = pssBytes === undefined ? UNKNOWN : bound + formatBytes(pssBytes);
  const state = readState === 'complete' ? '' : ` (${READ_STATES[readState]})`;
  const buffers =
    holdings.readState === 'unreadable' && holdings.holdings.size === 0
      ? `${UNKNOWN} buffers`
      : plural(holdings.holdings.size, 'buffer');
  return [
    `${holdings.process.pid} ${processLabel(holdings.process)}  RSS ${rss}  ` +
      `PSS ${pss}  ${buffers}${state}`,
  ];
}

const READ_STATES = {
  partial: 'only partly readable: there may be more',
  unreadable: "not readable: the sums are the kernel's",
} as const;

function processTable(
  {holdings}: ProcessAccount,
  accounting: Accounting,
  width: number | undefined,
): string[] {
  if (holdings.holdings.size === 0) return [];
  const rows = [...holdings.holdings.values()]
    .sort((a, b) => bySize(a.buffer, b.buffer))
    .map((holding) => {
      const {buffer} = holding;
      const {fdRefs, mapRefs, mappedBytes} = knownRefs(holdings, holding);
      const known = accounting.buffers.get(buffer.inode);
      return [
        formatCount(buffer.inode),
        formatBytes(buffer.sizeBytes),
        nameLabel(buffer.name),
        exporterLabel(buffer.exporter),
        formatCount(fdRefs),
        formatCount(mapRefs),
        formatBytes(mappedBytes),
        atLeast(known?.holders, accounting),
        atMost(known?.kernelRefs, accounting),
      ];
    });
  const c = BUFFER_COLUMNS;
  return renderTable(
    [
      c.inode,
      c.size,
      c.name,
      c.exporter,
      c.fds,
      c.maps,
      c.mapped,
      c.holders,
      c.kernelRefs,
    ],
    rows,
    {width, indent: 2},
  );
}

/** Of what could be read; holders that could not are not in it. */
function atLeast(
  count: number | undefined,
  {kernelOnlyIsUpperBound}: Accounting,
): string {
  if (!kernelOnlyIsUpperBound) return formatCount(count);
  return count === undefined || count === 0 ? UNKNOWN : `>=${count}`;
}

/** Some of it may be explained by processes that could not be read. */
function atMost(
  count: bigint | undefined,
  {kernelOnlyIsUpperBound}: Accounting,
): string {
  const isBound = kernelOnlyIsUpperBound && count !== undefined && count > 0n;
  return isBound ? `<=${count}` : formatCount(count);
}

function kernelOnlyTable(
  dump: Dump,
  accounting: Accounting,
  width: number | undefined,
): string[] {
  if (dump.pids !== undefined) return [];
  const buffers = chosenBuffers(dump, accounting).filter(
    ({holders}) => holders === 0,
  );
  if (buffers.length === 0) return [];
  const c = BUFFER_COLUMNS;
  return [
    accounting.kernelOnlyIsUpperBound
      ? 'Held by no process that could be read'
      : 'Held by no process (kernel-only)',
    ...renderTable(
      [c.inode, c.size, c.name, c.exporter, c.kernelRefs],
      buffers.map(({buffer, kernelRefs}) => [
        formatCount(buffer.inode),
        formatBytes(buffer.sizeBytes),
        nameLabel(buffer.name),
        exporterLabel(buffer.exporter),
        atMost(kernelRefs, accounting),
      ]),
      {width, indent: 2},
    ),
  ];
}

function byBuffer(
  dump: Dump,
  accounting: Accounting,
  width: number | undefined,
): string[] {
  const holders = holdersByBuffer(dump.snapshot);
  const c = BUFFER_COLUMNS;
  return renderTable(
    [
      c.inode,
      c.size,
      c.name,
      c.exporter,
      c.fds,
      c.maps,
      c.kernelRefs,
      c.holders,
      {title: 'HELD BY', shrinkTo: 8},
    ],
    chosenBuffers(dump, accounting).map((known) => [
      ...bufferCells(known, accounting),
      (holders.get(known.buffer.inode) ?? [])
        .map(({process}) => `${process.pid} ${processLabel(process)}`)
        .join(', '),
    ]),
    {width},
  );
}

function bufferCells(known: BufferAccount, accounting: Accounting): string[] {
  const {buffer} = known;
  return [
    formatCount(buffer.inode),
    formatBytes(buffer.sizeBytes),
    nameLabel(buffer.name),
    exporterLabel(buffer.exporter),
    atLeast(known.fdRefs, accounting),
    atLeast(known.mapRefs, accounting),
    atMost(known.kernelRefs, accounting),
    atLeast(known.holders, accounting),
  ];
}

function byGroup(
  dump: Dump,
  accounting: Accounting,
  width: number | undefined,
  title: string,
  keyOf: (account: BufferAccount) => string,
  labelOf: (account: BufferAccount) => string,
): string[] {
  const groups = groupBuffers(
    chosenBuffers(dump, accounting),
    keyOf,
    holdersByBuffer(dump.snapshot),
  );
  return renderTable(
    [
      {title, shrinkTo: 12},
      {title: 'SIZE', align: 'right'},
      {title: 'BUFFERS', align: 'right'},
      {title: 'HELD BY NONE', align: 'right'},
      {title: 'HOLDERS', align: 'right'},
    ],
    groups.map(({members, sum, kernelOnly, holders}) => {
      const [first] = members;
      return [
        first === undefined ? UNKNOWN : labelOf(first),
        formatSum(sum),
        formatCount(sum.buffers),
        accounting.kernelOnly === undefined ? UNKNOWN : formatSum(kernelOnly),
        atLeast(holders, accounting),
      ];
    }),
    {width},
  );
}

function formatSum(sum: Sum): string {
  if (isUnknown(sum)) return UNKNOWN;
  return (sum.unknownSizes > 0 ? '>=' : '') + formatBytes(sum.bytes);
}
