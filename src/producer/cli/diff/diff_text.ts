// SPDX-License-Identifier: Apache-2.0
import type {
  GroupChange,
  Growth,
  HeldBuffer,
  ProcessChange,
  ProcessSide,
  SumChange,
} from '../../../core/changes/index.js';
import type {Sum} from '../../../core/accounting/index.js';
import type {DmaBuf, Process} from '../../../core/model/index.js';
import {isUnknown} from '../dump/dump.js';
import {exporterLabel, nameLabel, processLabel, UNSET} from '../dump/labels.js';
import {renderTable, type Column} from '../output/table.js';
import {oneLine} from '../output/terminal.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatGrowth,
  plural,
  UNKNOWN,
} from '../output/units.js';
import {describeSource, simulatedBanner} from '../source_notice.js';
import {
  COMPARED,
  isSimulated,
  limitsOfState,
  type Diff,
  type DiffBy,
} from './diff.js';
import type {LabelledState} from './state.js';

export interface DiffTextOptions {
  /** Only that table; undefined: all of them. */
  readonly by: DiffBy | undefined;
  /** Rows of each table. */
  readonly top: number;
  /** Of the terminal; undefined: lines may be as long as they get. */
  readonly width: number | undefined;
}

/** A diff for people. */
export function renderDiffText(diff: Diff, options: DiffTextOptions): string {
  const {by} = options;
  const lines = [
    ...heading(diff),
    ...totals(diff, options),
    ...(by === undefined || by === 'process' ? byProcess(diff, options) : []),
    ...(by === undefined || by === 'name' ? byName(diff, options) : []),
    ...(by === undefined || by === 'exporter' ? byExporter(diff, options) : []),
    ...(by === undefined || by === 'buffer' ? byBuffer(diff, options) : []),
  ];
  return `${lines.join('\n')}\n`;
}

function heading(diff: Diff): string[] {
  const {before, after, kinship} = diff;
  return [
    ...(isSimulated(diff) ? [simulatedBanner(undefined)] : []),
    ...stateLines('Before: ', before),
    ...stateLines('After:  ', after),
    `${COMPARED[kinship.reason]}${apart(kinship.apartNs)}: ` +
      (kinship.comparability.identity === 'buffers'
        ? 'each buffer is followed by its inode.'
        : 'inodes and pids of one mean nothing in the other, so what is ' +
          'compared is what processes, names and exporters add up to.'),
  ];
}

function apart(ns: bigint | undefined): string {
  if (ns === undefined) return '';
  return ns < 0n
    ? `, the second ${formatDuration(-ns)} OLDER than the first`
    : `, ${formatDuration(ns)} apart`;
}

function stateLines(title: string, state: LabelledState): string[] {
  const indent = ' '.repeat(title.length);
  return [
    `${title}${oneLine(state.label)}: ${describeSource(state.provenance)}`,
    ...timeLine(state).map((line) => indent + line),
    ...limitsOfState(state).map((limit) => indent + oneLine(limit)),
  ];
}

function timeLine({
  snapshot,
  realOffsetNs,
  recordedNs,
  isTimed,
}: LabelledState): string[] {
  if (!isTimed) return [];
  const {endNs} = snapshot;
  const at = `at ${(Number(endNs) / 1e9).toFixed(3)} s after boot`;
  const recorded =
    recordedNs === undefined
      ? ''
      : `, ${formatDuration(recordedNs)} after the first sample`;
  return [at + recorded + wallClock(endNs, realOffsetNs)];
}

function wallClock(bootNs: bigint, realOffsetNs: bigint | undefined): string {
  if (realOffsetNs === undefined) return '';
  const date = new Date(Number((bootNs + realOffsetNs) / 1_000_000n));
  // A device may claim any time.
  return Number.isNaN(date.getTime()) ? '' : ` (${date.toISOString()})`;
}

const RIGHT = {align: 'right'} as const;
const CHANGE: readonly Column[] = [
  {title: 'BEFORE', ...RIGHT},
  {title: 'AFTER', ...RIGHT},
  {title: 'CHANGE', ...RIGHT},
];

function totals({difference}: Diff, {width}: DiffTextOptions): string[] {
  const {total, held, kernelOnly, holdersKnown} = difference;
  const {before, after} = holdersKnown;
  const bounds = (bound: string): [string, string] => [
    before ? '' : bound,
    after ? '' : bound,
  ];
  return [
    '',
    ...renderTable(
      [{title: ''}, ...CHANGE, {title: 'BUFFERS', ...RIGHT}],
      [
        ['Total', ...changeCells(total), countCell(total)],
        [
          'Held by processes',
          ...changeCells(held, bounds('>=')),
          countCell(held),
        ],
        [
          'Kernel-only',
          ...changeCells(kernelOnly, bounds('<=')),
          countCell(kernelOnly),
        ],
      ],
      {width},
    ),
  ];
}

function changeCells(
  {before, after, growth}: SumChange,
  [boundBefore, boundAfter]: readonly [string, string] = ['', ''],
): string[] {
  return [
    sumCell(before, boundBefore),
    sumCell(after, boundAfter),
    growthCell(growth),
  ];
}

function sumCell(sum: Sum | undefined, bound: string): string {
  if (sum === undefined || isUnknown(sum)) return UNKNOWN;
  const least = bound === '' && sum.unknownSizes > 0 ? '>=' : bound;
  return least + formatBytes(sum.bytes);
}

function growthCell(growth: Growth | undefined): string {
  if (growth === undefined) return UNKNOWN;
  const {bytes, mayBeMore, mayBeLess} = growth;
  if (mayBeMore && mayBeLess) return UNKNOWN;
  const bound = mayBeMore ? '>=' : mayBeLess ? '<=' : '';
  return bound + formatGrowth(bytes);
}

function countCell({before, after}: SumChange): string {
  return arrow(before?.buffers, after?.buffers);
}

function arrow(before: number | undefined, after: number | undefined): string {
  return `${formatCount(before)} -> ${formatCount(after)}`;
}

/** A titled table that is cut to its first rows; nothing when it has none. */
function section<T>(
  title: string,
  items: readonly T[],
  columns: readonly Column[],
  cellsOf: (item: T) => string[],
  {top, width}: DiffTextOptions,
): string[] {
  if (items.length === 0) return [];
  const rest = items.length - top;
  return [
    '',
    title,
    ...renderTable(columns, items.slice(0, top).map(cellsOf), {
      width,
      indent: 2,
    }),
    ...(rest > 0 ? [`  ... and ${rest} more, see --top`] : []),
  ];
}

function byProcess({difference}: Diff, options: DiffTextOptions): string[] {
  const {processes, comparability} = difference;
  if (processes.length === 0) return nothing('held by a process', options);
  const rss = (change: ProcessChange): string[] => [
    formatBytes(change.before.rssBytes),
    formatBytes(change.after.rssBytes),
    growthCell(change.growth),
  ];
  const buffers = ({before, after}: ProcessChange): string =>
    arrow(before.buffers, after.buffers);
  if (comparability.identity === 'sums') {
    return section(
      'By process name (RSS)',
      processes,
      [
        {title: 'PROCESS', shrinkTo: 12},
        {title: 'PROCESSES', ...RIGHT},
        ...CHANGE,
        {title: 'HOLDINGS', ...RIGHT},
      ],
      (change) => [
        processCell(change),
        arrow(countOf(change.before), countOf(change.after)),
        ...rss(change),
        buffers(change),
      ],
      options,
    );
  }
  return section(
    'By process (RSS)',
    processes,
    [
      {title: 'PID', ...RIGHT},
      {title: 'PROCESS', shrinkTo: 12},
      ...CHANGE,
      {title: 'BUFFERS', ...RIGHT},
      {title: 'ACQUIRED', ...RIGHT},
      {title: 'RELEASED', ...RIGHT},
    ],
    (change) => [
      formatCount(oneOf(change)?.pid),
      processCell(change),
      ...rss(change),
      buffers(change),
      formatCount(change.acquired?.length),
      formatCount(change.released?.length),
    ],
    options,
  );
}

/** None where the state cannot tell which processes there were. */
function countOf({processes, rssBytes}: ProcessSide): number | undefined {
  return processes.length === 0 && rssBytes === undefined
    ? undefined
    : processes.length;
}

function oneOf({before, after}: ProcessChange): Process | undefined {
  return after.processes[0] ?? before.processes[0];
}

function processCell(change: ProcessChange): string {
  const process = oneOf(change);
  return process === undefined ? UNKNOWN : processLabel(process);
}

function nothing(what: string, {by}: DiffTextOptions): string[] {
  return by === undefined ? [] : ['', `Nothing changed in what is ${what}.`];
}

function byName(diff: Diff, options: DiffTextOptions): string[] {
  return groups('name', diff, diff.difference.names, options, (group) =>
    group.key === undefined
      ? group.isUnset
        ? UNSET
        : UNKNOWN
      : nameLabel({raw: group.key, doubtful: false}),
  );
}

function byExporter(diff: Diff, options: DiffTextOptions): string[] {
  return groups('exporter', diff, diff.difference.exporters, options, (group) =>
    exporterLabel(group.key),
  );
}

function groups(
  what: 'name' | 'exporter',
  {difference}: Diff,
  changes: readonly GroupChange[],
  options: DiffTextOptions,
  labelOf: (group: GroupChange) => string,
): string[] {
  if (changes.length === 0) return nothing(`of each ${what}`, options);
  const {scope, comparability, holdersKnown} = difference;
  const isOne = comparability.identity === 'buffers';
  const isBound = scope === 'held';
  const bounds: [string, string] = [
    isBound && !holdersKnown.before ? '>=' : '',
    isBound && !holdersKnown.after ? '>=' : '',
  ];
  return section(
    `By ${what}${isBound ? ' (held by processes)' : ''}`,
    changes,
    [
      {title: what.toUpperCase(), shrinkTo: 12},
      ...CHANGE,
      {title: 'BUFFERS', ...RIGHT},
      ...(isOne
        ? [
            {title: 'CAME', ...RIGHT},
            {title: 'WENT', ...RIGHT},
          ]
        : []),
    ],
    (group) => [
      labelOf(group),
      ...changeCells(group, bounds),
      countCell(group),
      ...(isOne ? [String(group.came), String(group.went)] : []),
    ],
    options,
  );
}

const BUFFER: readonly Column[] = [
  {title: 'INODE', ...RIGHT},
  {title: 'SIZE', ...RIGHT},
  {title: 'NAME', shrinkTo: 8},
  {title: 'EXPORTER', shrinkTo: 6},
];

function byBuffer(diff: Diff, options: DiffTextOptions): string[] {
  const {buffers} = diff.difference;
  if (buffers === undefined) {
    return options.by === undefined
      ? []
      : ['', 'Buffers cannot be followed from one to the other.'];
  }
  const {allocated, freed, appeared, vanished, changedHands, renamed} = buffers;
  const lines = [
    ...held('Allocated', 'HELD BY', allocated, options),
    ...held('Freed', 'WAS HELD BY', freed, options),
    ...held(
      'Seen only after (allocated since, or not seen before)',
      'HELD BY',
      appeared,
      options,
    ),
    ...held(
      'Seen only before (freed since, or not seen any more)',
      'WAS HELD BY',
      vanished,
      options,
    ),
    ...section(
      titled('Changed hands', changedHands),
      changedHands,
      [
        ...BUFFER,
        {title: 'ACQUIRED BY', shrinkTo: 8},
        {title: 'RELEASED BY', shrinkTo: 8},
        {title: 'HELD BY', shrinkTo: 8},
      ],
      (change) => [
        ...bufferCells(change.buffer),
        holdersCell(change.acquiredBy),
        holdersCell(change.releasedBy),
        holdersCell(change.holders),
      ],
      options,
    ),
    ...section(
      titled('Renamed', renamed),
      renamed,
      [...BUFFER, {title: 'WAS', shrinkTo: 8}],
      (change) => [...bufferCells(change.buffer), nameLabel(change.before)],
      options,
    ),
  ];
  return lines.length > 0
    ? lines
    : ['', `${plural(buffers.kept, 'buffer')}, the same before and after.`];
}

function held(
  title: string,
  holders: string,
  items: readonly HeldBuffer[],
  options: DiffTextOptions,
): string[] {
  return section(
    titled(title, items),
    items,
    [...BUFFER, {title: holders, shrinkTo: 8}],
    (item) => [...bufferCells(item.buffer), holdersCell(item.holders)],
    options,
  );
}

/** `Allocated: 3 buffers, 12.0 MiB`. */
function titled(
  title: string,
  items: readonly {readonly buffer: DmaBuf}[],
): string {
  const unknown = items.filter(({buffer}) => buffer.sizeBytes === undefined);
  const bytes = items.reduce(
    (sum, {buffer}) => sum + (buffer.sizeBytes ?? 0n),
    0n,
  );
  const bound = unknown.length === 0 ? '' : '>=';
  return `${title}: ${plural(items.length, 'buffer')}, ${bound}${formatBytes(bytes)}`;
}

function bufferCells(buffer: DmaBuf): string[] {
  return [
    formatCount(buffer.inode),
    formatBytes(buffer.sizeBytes),
    nameLabel(buffer.name),
    exporterLabel(buffer.exporter),
  ];
}

function holdersCell(holders: readonly Process[]): string {
  if (holders.length === 0) return '-';
  return holders
    .map((process) => `${process.pid} ${processLabel(process)}`)
    .join(', ');
}
