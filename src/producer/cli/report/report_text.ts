// SPDX-License-Identifier: Apache-2.0
import type {
  BufferRow,
  CounterSummary,
  GrowthRow,
  HolderRow,
  LeakCandidate,
  LeakReason,
  ProcessRef,
  Recording,
  Report,
} from '../../trace/index.js';
import {renderTable, type Column} from '../output/table.js';
import {escapeText, oneLine} from '../output/terminal.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatGrowth,
  plural,
  UNKNOWN,
} from '../output/units.js';
import {describeSource, simulatedBanner} from '../source_notice.js';

export interface ReportTextOptions {
  /** Rows of each table. */
  readonly top: number;
  /** Of the terminal; undefined: lines may be as long as they get. */
  readonly width: number | undefined;
}

/** A report for people. Times are since the first sample. */
export function renderReportText(
  recording: Recording,
  report: Report,
  options: ReportTextOptions,
): string {
  const lines = [
    ...heading(recording, report),
    ...sampling(recording, report),
    ...totals(report, options),
    ...topHolders(report, options),
    ...buffers('Biggest buffers', report.biggestBuffers, options),
    ...growth('Growth by process', 'PROCESS', report.growthByProcess, options),
    ...growth('Growth by name', 'NAME', report.growthByName, options),
    ...growth(
      'Growth by exporter',
      'EXPORTER',
      report.growthByExporter,
      options,
    ),
    ...leaks(report.leakCandidates, options),
    ...buffers(heldAtEndTitle(report.heldAtEnd), report.heldAtEnd, options),
  ];
  return `${lines.join('\n')}\n`;
}

function heading(recording: Recording, {durationNs}: Report): string[] {
  const {provenance, clock, ended} = recording;
  const began =
    clock === undefined
      ? ''
      : `, begun ${new Date(Number(clock.realNs / 1_000_000n)).toISOString()}`;
  return [
    ...(provenance.simulated ? [simulatedBanner(undefined)] : []),
    describeSource(provenance),
    `${formatDuration(durationNs)} from first to last sample${began}, ` +
      (ended === undefined ? 'cut short' : oneLine(ended)),
  ];
}

function sampling({samples}: Recording, {durationNs}: Report): string[] {
  const {count} = samples;
  const perSample = (total: number | bigint | undefined): number | undefined =>
    total === undefined || count === 0 ? undefined : Number(total) / count;
  const every =
    count > 1 ? formatDuration(Number(durationNs) / (count - 1)) : UNKNOWN;
  const lists =
    samples.kernelLists.length > 0
      ? `all buffers from ${samples.kernelLists.map(escapeText).join(', ')}`
      : 'no list of all buffers';
  const without =
    samples.kernelLists.length > 0 && samples.withoutKernelList > 0
      ? ` (not in ${plural(samples.withoutKernelList, 'sample')})`
      : '';
  const lines = [
    `Samples:  ${count}, one every ${every}, longest gap ` +
      `${formatDuration(samples.longestGapNs)}; ${samples.fullScans} full ` +
      `scans, ${samples.missing} missing`,
    `Cost:     device CPU ${formatDuration(perSample(samples.deviceCpuNs))} ` +
      `and ${formatBytes(perSample(samples.bytes))} a sample`,
    `Coverage: at worst ` +
      `${plural(samples.mostUnreadable, 'process', 'processes')} unreadable, ` +
      `${samples.mostVanished} vanished; ${lists}${without}`,
  ];
  if (samples.mostInodeCollisions > 0) {
    lines.push(
      `          ${plural(samples.mostInodeCollisions, 'inode')} shared by ` +
        'two buffers each',
    );
  }
  for (const [problem, times] of samples.problems) {
    lines.push(
      `          problem in ${plural(times, 'sample')}: ${oneLine(problem)}`,
    );
  }
  return lines;
}

function totals(report: Report, {top, width}: ReportTextOptions): string[] {
  const kernelOnly = report.kernelOnlyIsUpperBound
    ? 'Kernel-only (at most)'
    : 'Kernel-only';
  const rows: [string, CounterSummary | undefined][] = [
    ['Total', report.total],
    ['Held by processes', report.held],
    [kernelOnly, report.kernelOnly],
    ['Mapped-only', report.mappedOnly],
    ...[...report.exporters]
      .sort(([, a], [, b]) => b.peak - a.peak)
      .slice(0, top)
      .map(([name, summary]): [string, CounterSummary] => [
        `Exporter ${escapeText(name)}`,
        summary,
      ]),
  ];
  return section(
    'Memory',
    [{title: '', shrinkTo: 12}, ...SUMMARY_COLUMNS],
    [
      ...rows.map(([name, summary]) => [
        name,
        ...summaryCells(summary, formatBytes),
      ]),
      ['Buffers', ...summaryCells(report.bufferCount, formatCount)],
    ],
    width,
  );
}

const SUMMARY_COLUMNS: readonly Column[] = [
  {title: 'FIRST', align: 'right'},
  {title: 'PEAK', align: 'right'},
  {title: 'AT', align: 'right'},
  {title: 'LAST', align: 'right'},
];

function summaryCells(
  summary: CounterSummary | undefined,
  format: (value: number) => string,
): string[] {
  if (summary === undefined) return [UNKNOWN, UNKNOWN, '', UNKNOWN];
  const {first, firstNs, peak, peakNs, last} = summary;
  return [
    format(first),
    format(peak),
    `+${formatDuration(peakNs - firstNs)}`,
    format(last),
  ];
}

/**
 * Undefined where a process had memory and none of its buffers could be seen:
 * only the kernel's sums told of it.
 */
export function knownBuffersAtEnd({
  rss,
  pss,
  buffersAtEnd,
}: HolderRow): number | undefined {
  const hadMemory = ((rss ?? pss)?.last ?? 0) > 0;
  return buffersAtEnd === 0 && hadMemory ? undefined : buffersAtEnd;
}

function topHolders(report: Report, {top, width}: ReportTextOptions): string[] {
  return section(
    'Top holders',
    [
      {title: 'PID', align: 'right'},
      {title: 'PROCESS', shrinkTo: 12},
      {title: 'PSS PEAK', align: 'right'},
      {title: 'PSS LAST', align: 'right'},
      {title: 'RSS PEAK', align: 'right'},
      {title: 'RSS LAST', align: 'right'},
      {title: 'BUFFERS AT END', align: 'right'},
    ],
    report.topHolders.slice(0, top).map((row) => {
      const {pid, process, rss, pss} = row;
      return [
        formatCount(pid),
        escapeText(process),
        formatBytes(pss?.peak),
        formatBytes(pss?.last),
        formatBytes(rss?.peak),
        formatBytes(rss?.last),
        formatCount(knownBuffersAtEnd(row)),
      ];
    }),
    width,
    report.topHolders.length - top,
  );
}

function buffers(
  title: string,
  rows: readonly BufferRow[],
  {top, width}: ReportTextOptions,
): string[] {
  return section(
    title,
    [
      {title: 'INODE', align: 'right'},
      {title: 'SIZE', align: 'right'},
      {title: 'NAME', shrinkTo: 12},
      {title: 'EXPORTER', shrinkTo: 8},
      {title: 'FROM', align: 'right'},
      {title: 'TO', align: 'right'},
      {title: 'HELD BY', shrinkTo: 16},
    ],
    rows
      .slice(0, top)
      .map((row) => [
        formatCount(row.inode),
        formatBytes(row.sizeBytes),
        escapeText(row.name),
        escapeText(row.exporter),
        row.beganUnseen ? 'before' : `+${formatDuration(row.beginNs)}`,
        row.endNs === undefined ? 'end' : `+${formatDuration(row.endNs)}`,
        holderList(row.holders),
      ]),
    width,
    rows.length - top,
  );
}

function heldAtEndTitle(rows: readonly BufferRow[]): string {
  if (rows.length === 0) return 'Still there at the end';
  const known = rows.flatMap(({sizeBytes}) => sizeBytes ?? []);
  const bytes = known.reduce((sum, size) => sum + size, 0n);
  const unknown = rows.length - known.length;
  return (
    `Still there at the end: ${plural(rows.length, 'buffer')}, ` +
    (known.length === 0 ? UNKNOWN : formatBytes(bytes)) +
    (unknown > 0 ? ` (${unknown} of unknown size)` : '')
  );
}

function holderList(holders: readonly ProcessRef[]): string {
  if (holders.length === 0) return '-';
  return holders
    .map(({pid, process}) => `${pid} ${escapeText(process)}`)
    .join(', ');
}

function growth(
  title: string,
  keyTitle: string,
  rows: readonly GrowthRow[],
  {top, width}: ReportTextOptions,
): string[] {
  const grown = rows.filter(
    ({firstBytes, lastBytes, firstBuffers, lastBuffers}) =>
      lastBytes > firstBytes || lastBuffers > firstBuffers,
  );
  return section(
    title,
    [
      {title: keyTitle, shrinkTo: 12},
      {title: 'FIRST', align: 'right'},
      {title: 'LAST', align: 'right'},
      {title: 'GROWTH', align: 'right'},
      {title: 'BUFFERS', align: 'right'},
    ],
    grown
      .slice(0, top)
      .map(({key, firstBytes, lastBytes, firstBuffers, lastBuffers}) => [
        escapeText(key),
        formatBytes(firstBytes),
        formatBytes(lastBytes),
        formatGrowth(lastBytes - firstBytes),
        `${firstBuffers} -> ${lastBuffers}`,
      ]),
    width,
    grown.length - top,
  );
}

const REASONS: Readonly<Record<LeakReason, string>> = {
  outlived: 'others of its kind were freed long before they were as old',
  accumulating: 'more and more, none of them ever freed',
  'kernel-only': 'no process holds it any more',
};

function leaks(
  candidates: readonly LeakCandidate[],
  {top, width}: ReportTextOptions,
): string[] {
  return section(
    'Made in the recording and perhaps leaked',
    [
      {title: 'NAME', shrinkTo: 12},
      {title: 'EXPORTER', shrinkTo: 8},
      {title: 'BUFFERS', align: 'right'},
      {title: 'SIZE', align: 'right'},
      {title: 'OLDEST', align: 'right'},
      {title: 'HELD BY', shrinkTo: 16},
      {title: 'WHY', shrinkTo: 16},
    ],
    candidates
      .slice(0, top)
      .map(({name, exporter, reason, buffers: count, bytes, ...rest}) => [
        escapeText(name),
        escapeText(exporter),
        formatCount(count),
        formatBytes(bytes),
        formatDuration(rest.oldestNs),
        holderList(rest.holders),
        REASONS[reason],
      ]),
    width,
    candidates.length - top,
  );
}

function section(
  title: string,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
  left = 0,
): string[] {
  if (rows.length === 0) return ['', `${title}: none`];
  return [
    '',
    title,
    ...renderTable(columns, rows, {width, indent: 2}),
    ...(left > 0
      ? [`  ... and ${left} more (--top ${rows.length + left})`]
      : []),
  ];
}
