// SPDX-License-Identifier: Apache-2.0
import type {
  GroupChange,
  Growth,
  ProcessChange,
  SumChange,
} from '../../../core/changes/index.js';
import {
  processName,
  type BufferName,
  type DmaBuf,
  type Process,
  type RawText,
} from '../../../core/model/index.js';
import {isUnknown} from '../dump/dump.js';
import {renderCsv, type CsvCell, type CsvText} from '../output/csv.js';
import {toHex} from '../output/hex.js';
import {escapeRaw} from '../output/terminal.js';
import {isSimulated, type Diff, type DiffBy} from './diff.js';

const GROWTH_TITLES = ['growth_bytes', 'may_be_more', 'may_be_less'];
const SUM_TITLES = [
  'bytes_before',
  'bytes_after',
  ...GROWTH_TITLES,
  'buffers_before',
  'buffers_after',
];
const NAME_TITLES = ['name', 'name_hex', 'name_state'];

/**
 * A diff for spreadsheets: a row for each process, name or exporter of which
 * anything changed, or for each buffer and what became of it. An empty cell is
 * what is not known.
 */
export function renderDiffCsv(diff: Diff, by: DiffBy): string {
  switch (by) {
    case 'process':
      return byProcess(diff);
    case 'name':
      return byGroup(diff, NAME_TITLES, diff.difference.names, (group) =>
        group.key === undefined && !group.isUnset
          ? nameCells(undefined)
          : nameCells({raw: group.key, doubtful: false}),
      );
    case 'exporter':
      return byGroup(diff, ['exporter'], diff.difference.exporters, (group) => [
        textCell(group.key),
      ]);
    case 'buffer':
      return byBuffer(diff);
  }
}

function byProcess(diff: Diff): string {
  return renderCsv(
    [
      'process',
      'pids_before',
      'pids_after',
      'rss_before',
      'rss_after',
      ...GROWTH_TITLES,
      'pss_before',
      'pss_after',
      'buffers_before',
      'buffers_after',
      'acquired',
      'released',
      'simulated',
    ],
    diff.difference.processes.map((change) => [
      textCell(nameOf(change)),
      pidsCell(change.before.processes),
      pidsCell(change.after.processes),
      change.before.rssBytes,
      change.after.rssBytes,
      ...growthCells(change.growth),
      change.before.pssBytes,
      change.after.pssBytes,
      change.before.buffers,
      change.after.buffers,
      change.acquired?.length,
      change.released?.length,
      isSimulated(diff),
    ]),
  );
}

function nameOf({before, after}: ProcessChange): RawText | undefined {
  const [process] = [...after.processes, ...before.processes];
  return process === undefined ? undefined : processName(process);
}

function byGroup(
  diff: Diff,
  titles: readonly string[],
  groups: readonly GroupChange[],
  cellsOf: (group: GroupChange) => CsvCell[],
): string {
  return renderCsv(
    [...titles, ...SUM_TITLES, 'came', 'went', 'scope', 'simulated'],
    groups.map((group) => [
      ...cellsOf(group),
      ...sumCells(group),
      group.came,
      group.went,
      diff.difference.scope,
      isSimulated(diff),
    ]),
  );
}

function sumCells({before, after, growth}: SumChange): CsvCell[] {
  return [
    before === undefined || isUnknown(before) ? undefined : before.bytes,
    after === undefined || isUnknown(after) ? undefined : after.bytes,
    ...growthCells(growth),
    before?.buffers,
    after?.buffers,
  ];
}

function growthCells(growth: Growth | undefined): CsvCell[] {
  return growth === undefined
    ? [undefined, undefined, undefined]
    : [growth.bytes, growth.mayBeMore, growth.mayBeLess];
}

/** What became of a buffer. */
interface Fate {
  readonly change: string;
  readonly buffer: DmaBuf;
  readonly nameBefore?: BufferName | undefined;
  readonly acquiredBy?: readonly Process[];
  readonly releasedBy?: readonly Process[];
  /** Of the later state; of the earlier where it is not in that. */
  readonly holders?: readonly Process[];
}

function byBuffer(diff: Diff): string {
  return renderCsv(
    [
      'change',
      'inode',
      'size',
      ...NAME_TITLES,
      'exporter',
      ...NAME_TITLES.map((title) => `${title}_before`),
      'acquired_by_pids',
      'released_by_pids',
      'holder_pids',
      'simulated',
    ],
    fates(diff).map((fate) => [
      fate.change,
      fate.buffer.inode,
      fate.buffer.sizeBytes,
      ...nameCells(fate.buffer.name),
      textCell(fate.buffer.exporter),
      ...('nameBefore' in fate
        ? nameCells(fate.nameBefore)
        : NAME_TITLES.map(() => undefined)),
      pidsCell(fate.acquiredBy),
      pidsCell(fate.releasedBy),
      pidsCell(fate.holders),
      isSimulated(diff),
    ]),
  );
}

function fates({difference}: Diff): Fate[] {
  const {buffers} = difference;
  if (buffers === undefined) return [];
  const {renamed, changedHands} = buffers;
  return [
    ...(['allocated', 'freed', 'appeared', 'vanished'] as const).flatMap(
      (change) => buffers[change].map((held) => ({change, ...held})),
    ),
    ...changedHands.map((hands) => ({change: 'changed hands', ...hands})),
    ...renamed.map(({buffer, before}) => ({
      change: 'renamed',
      buffer,
      nameBefore: before,
    })),
  ];
}

function pidsCell(processes: readonly Process[] | undefined): CsvCell {
  return processes?.map(({pid}) => pid).join(' ');
}

function nameCells(name: BufferName | undefined): CsvCell[] {
  return [
    textCell(name?.raw),
    name?.raw === undefined ? undefined : toHex(name.raw),
    name === undefined ? 'unknown' : name.raw === undefined ? 'unset' : 'set',
  ];
}

function textCell(raw: RawText | undefined): CsvText | undefined {
  return raw === undefined ? undefined : {text: escapeRaw(raw)};
}
