// SPDX-License-Identifier: Apache-2.0
import {
  account,
  type Accounting,
  type BufferAccount,
  type ProcessAccount,
} from '../../../core/accounting/index.js';
import {
  processName,
  type BufferName,
  type Holding,
  type RawText,
} from '../../../core/model/index.js';
import {renderCsv, type CsvCell, type CsvText} from '../output/csv.js';
import {toHex} from '../output/hex.js';
import {escapeRaw} from '../output/terminal.js';
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
import type {GroupBy} from './dump_text.js';

/**
 * A dump for spreadsheets: bytes as plain numbers, an empty cell for what is
 * not known, text escaped as in the other formats with its bytes beside it.
 *
 * By process: a row for each buffer that a process holds; one without a buffer
 * for a process of which only sums are known; one without a process for a
 * buffer that none holds. Else a row for each buffer, exporter or name.
 */
export function renderDumpCsv(dump: Dump, by: GroupBy): string {
  const accounting = account(dump.snapshot);
  switch (by) {
    case 'process':
      return byProcess(dump, accounting);
    case 'buffer':
      return byBuffer(dump, accounting);
    case 'exporter':
      return byGroup(dump, accounting, ['exporter'], exporterKey, (known) => [
        textCell(known.buffer.exporter),
      ]);
    case 'name':
      return byGroup(dump, accounting, NAME_TITLES, nameKey, (known) =>
        nameCells(known.buffer.name),
      );
  }
}

const NAME_TITLES = ['name', 'name_hex', 'name_state', 'name_doubtful'];
const BUFFER_TITLES = [
  'inode',
  'generation',
  'size_bytes',
  ...NAME_TITLES,
  'exporter',
];

function byProcess(dump: Dump, accounting: Accounting): string {
  const {simulated} = dump.provenance;
  const titles = [
    'pid',
    'start_ticks',
    'process',
    'read_state',
    'rss_bytes',
    'pss_bytes',
    ...BUFFER_TITLES,
    'fd_refs',
    'map_refs',
    'mapped_bytes',
    'holders',
    'kernel_refs',
    'simulated',
  ];
  const rows: CsvCell[][] = [];
  for (const process of chosenProcesses(dump, accounting)) {
    const cells = processCells(process);
    const held = [...process.holdings.holdings.values()].sort((a, b) =>
      bySize(a.buffer, b.buffer),
    );
    for (const holding of held) {
      rows.push([
        ...cells,
        ...holdingCells(process, holding, accounting),
        simulated,
      ]);
    }
    if (held.length === 0 && tellsSomething(process)) {
      rows.push([...cells, ...emptyCells(BUFFER_TITLES.length + 5), simulated]);
    }
  }
  for (const known of chosenBuffers(dump, accounting)) {
    if (known.holders > 0) continue;
    rows.push([
      ...emptyCells(6),
      ...bufferCells(known),
      ...emptyCells(3),
      holdersCell(known.holders, accounting),
      known.kernelRefs,
      simulated,
    ]);
  }
  return renderCsv(titles, rows);
}

/** That it holds nothing is told by its absence; the rest is not. */
function tellsSomething({holdings}: ProcessAccount): boolean {
  return (
    holdings.readState !== 'complete' || (holdings.kernelRssBytes ?? 0n) > 0n
  );
}

function processCells(known: ProcessAccount): CsvCell[] {
  const {process, readState} = known.holdings;
  const {rssBytes, pssBytes} = processSums(known);
  return [
    process.pid,
    process.startTicks,
    textCell(processName(process)),
    readState,
    rssBytes,
    pssBytes,
  ];
}

function holdingCells(
  process: ProcessAccount,
  holding: Holding,
  accounting: Accounting,
): CsvCell[] {
  const known = accounting.buffers.get(holding.buffer.inode);
  const {fdRefs, mapRefs, mappedBytes} = knownRefs(process.holdings, holding);
  return [
    ...(known === undefined
      ? emptyCells(BUFFER_TITLES.length)
      : bufferCells(known)),
    fdRefs,
    mapRefs,
    mappedBytes,
    known === undefined ? undefined : holdersCell(known.holders, accounting),
    known?.kernelRefs,
  ];
}

/** None seen where not all could be read is not none. */
function holdersCell(
  holders: number | undefined,
  {kernelOnlyIsUpperBound}: Accounting,
): CsvCell {
  return holders === 0 && kernelOnlyIsUpperBound ? undefined : holders;
}

function bufferCells({buffer}: BufferAccount): CsvCell[] {
  return [
    buffer.inode,
    buffer.generation,
    buffer.sizeBytes,
    ...nameCells(buffer.name),
    textCell(buffer.exporter),
  ];
}

function byBuffer(dump: Dump, accounting: Accounting): string {
  const holders = holdersByBuffer(dump.snapshot);
  return renderCsv(
    [
      ...BUFFER_TITLES,
      'fd_refs',
      'map_refs',
      'holders',
      'kernel_refs',
      'mapped_only',
      'holder_pids',
      'simulated',
    ],
    chosenBuffers(dump, accounting).map((known) => [
      ...bufferCells(known),
      holdersCell(known.fdRefs, accounting),
      holdersCell(known.mapRefs, accounting),
      holdersCell(known.holders, accounting),
      known.kernelRefs,
      known.mappedOnly,
      (holders.get(known.buffer.inode) ?? [])
        .map(({process}) => process.pid)
        .join(' '),
      dump.provenance.simulated,
    ]),
  );
}

function byGroup(
  dump: Dump,
  accounting: Accounting,
  titles: readonly string[],
  keyOf: (known: BufferAccount) => string,
  cellsOf: (known: BufferAccount) => CsvCell[],
): string {
  const groups = groupBuffers(
    chosenBuffers(dump, accounting),
    keyOf,
    holdersByBuffer(dump.snapshot),
  );
  return renderCsv(
    [
      ...titles,
      'bytes',
      'buffers',
      'unknown_sizes',
      'kernel_only_bytes',
      'holders',
      'simulated',
    ],
    groups.map(({members, sum, kernelOnly, holders}) => {
      const [first] = members;
      return [
        ...(first === undefined ? [] : cellsOf(first)),
        isUnknown(sum) ? undefined : sum.bytes,
        sum.buffers,
        sum.unknownSizes,
        accounting.kernelOnly === undefined || isUnknown(kernelOnly)
          ? undefined
          : kernelOnly.bytes,
        holdersCell(holders, accounting),
        dump.provenance.simulated,
      ];
    }),
  );
}

function nameCells(name: BufferName | undefined): CsvCell[] {
  return [
    textCell(name?.raw),
    name?.raw === undefined ? undefined : toHex(name.raw),
    name === undefined ? 'unknown' : name.raw === undefined ? 'unset' : 'set',
    name?.doubtful,
  ];
}

function textCell(raw: RawText | undefined): CsvText | undefined {
  return raw === undefined ? undefined : {text: escapeRaw(raw)};
}

function emptyCells(count: number): CsvCell[] {
  return Array.from({length: count}, () => undefined);
}
