// SPDX-License-Identifier: Apache-2.0
import type {IonHeap, MeminfoGraphics} from '../../../core/formats/index.js';
import {toDisplay, type Snapshot} from '../../../core/model/index.js';
import type {BugReport} from '../../bugreport/index.js';
import type {Dump} from '../dump/dump.js';
import {renderDumpJson} from '../dump/dump_json.js';
import {renderDumpText, type GroupBy} from '../dump/dump_text.js';
import {renderJson} from '../output/json.js';
import {renderTable} from '../output/table.js';
import {escapeRaw, oneLine} from '../output/terminal.js';
import {formatBytes, UNKNOWN} from '../output/units.js';

export interface BugReportTextOptions {
  readonly by: GroupBy;
  /** Of the terminal; undefined: lines may be as long as they get. */
  readonly width: number | undefined;
  readonly pids: readonly number[] | undefined;
}

/** Whether there is a single number about dma-bufs in it. */
export function hasAnything(report: BugReport): boolean {
  const {snapshot, graphics, ionHeaps} = report;
  return (
    snapshot !== undefined || graphics !== undefined || ionHeaps.length > 0
  );
}

/** The state as `dump` has it; one of which nothing is known where none is. */
export function toDump(
  report: BugReport,
  pids: readonly number[] | undefined,
): Dump {
  const {provenance, snapshot, time} = report;
  return {
    provenance,
    snapshot: snapshot ?? unknownState(report),
    realOffsetNs:
      time.realNs !== undefined && time.isBootKnown
        ? time.realNs - time.bootNs
        : undefined,
    pids,
  };
}

function unknownState({time, problems}: BugReport): Snapshot {
  return {
    startNs: time.bootNs,
    endNs: time.bootNs,
    sequence: 0,
    buffers: new Map(),
    processes: new Map(),
    coverage: {
      kernelList: undefined,
      fileCounts: false,
      processesSeen: 0,
      processesUnreadable: 0,
      processesVanished: 0,
      holdersCut: true,
      inodeCollisions: 0,
      problems,
    },
    cost: {
      deviceCpuNs: undefined,
      bytes: 0,
      fullScan: true,
      processesScanned: 0,
    },
  };
}

/** A report for people. */
export function renderBugReportText(
  report: BugReport,
  {by, width, pids}: BugReportTextOptions,
): string {
  const state =
    report.snapshot === undefined
      ? [
          ...heading(report),
          'It names no buffer.',
          ...report.problems.map((problem) => `problem: ${oneLine(problem)}`),
        ]
      : [
          renderDumpText(toDump(report, pids), {
            by,
            width,
            heading: heading(report),
          }).trimEnd(),
        ];
  return `${[
    ...state,
    ...graphicsLines(report.graphics),
    ...report.ionHeaps.flatMap((heap) => ionLines(heap, width)),
    ...sectionLines(report),
    ...absentLines(report),
  ].join('\n')}\n`;
}

function heading({provenance, header, time}: BugReport): string[] {
  const {kernelRelease} = provenance;
  const build = header.build === undefined ? UNKNOWN : escapeRaw(header.build);
  return [
    `Bug report of ${oneLine(provenance.device)}, ` +
      `kernel ${oneLine(kernelRelease ?? UNKNOWN)}, build ${build}`,
    when(time),
  ];
}

function when({realNs, bootNs, isBootKnown}: BugReport['time']): string {
  if (realNs === undefined) return 'At an unknown time';
  const utc = new Date(Number(realNs / 1_000_000n))
    .toISOString()
    .replace('T', ' ')
    .slice(0, 19);
  return isBootKnown
    ? `At ${utc} UTC, ${(Number(bootNs) / 1e9).toFixed(3)} s after boot`
    : `At ${utc} UTC`;
}

type Row = readonly [
  label: string,
  total: keyof MeminfoGraphics,
  parts: readonly (readonly [keyof MeminfoGraphics, string])[],
];

const GRAPHICS: readonly Row[] = [
  [
    'DMA-BUF',
    'dmabuf',
    [
      ['dmabufMapped', 'mapped'],
      ['dmabufUnmapped', 'unmapped'],
    ],
  ],
  ['DMA-BUF heaps', 'dmabufHeaps', []],
  ['DMA-BUF heaps, pools', 'dmabufHeapsPool', []],
  [
    'ION',
    'ion',
    [
      ['ionMapped', 'mapped'],
      ['ionUnmapped', 'unmapped'],
      ['ionPools', 'pools'],
    ],
  ],
  [
    'GPU',
    'gpu',
    [
      ['gpuDmabuf', 'dma-buf'],
      ['gpuPrivate', 'private'],
    ],
  ],
];

function graphicsLines(graphics: MeminfoGraphics | undefined): string[] {
  if (graphics === undefined) return [];
  const rows = GRAPHICS.filter(([, total]) => graphics[total] !== undefined);
  return [
    '',
    'dumpsys meminfo',
    ...renderTable(
      [
        {title: 'WHAT'},
        {title: 'SIZE', align: 'right'},
        {title: 'OF WHICH', shrinkTo: 12},
      ],
      rows.map(([label, total, parts]) => [
        label,
        formatBytes(graphics[total]),
        parts
          .filter(([key]) => graphics[key] !== undefined)
          .map(([key, part]) => `${formatBytes(graphics[key])} ${part}`)
          .join(', '),
      ]),
      {indent: 2},
    ),
  ];
}

function ionLines(heap: IonHeap, width: number | undefined): string[] {
  const {name, clients, orphaned, totalBytes, totalOrphanedBytes} = heap;
  const rows = [
    ...clients.map((client) => ({...client, what: 'client'})),
    ...orphaned.map((client) => ({...client, what: 'no client left'})),
  ];
  return [
    '',
    `ION heap ${name === undefined ? UNKNOWN : escapeRaw(name)}: ` +
      `${formatBytes(totalBytes)}, of which without a client ` +
      formatBytes(totalOrphanedBytes),
    ...(rows.length === 0
      ? []
      : renderTable(
          [
            {title: 'PID', align: 'right'},
            {title: 'NAME', shrinkTo: 8},
            {title: 'SIZE', align: 'right'},
            {title: 'WHAT'},
          ],
          rows.map(({pid, name: client, bytes, what}) => [
            String(pid),
            escapeRaw(client),
            formatBytes(bytes),
            what,
          ]),
          {width, indent: 2},
        )),
  ];
}

function sectionLines({sections}: BugReport): string[] {
  if (sections.length === 0) return [];
  return [
    '',
    'Read from',
    ...sections.map(({title, kind, file, line, damage}) => {
      const name = title === '' ? kind : oneLine(title);
      const state = damage === undefined ? '' : ` (${damage.why})`;
      return `  ${name}: ${oneLine(file)}, line ${line}${state}`;
    }),
  ];
}

function absentLines({absent, traces}: BugReport): string[] {
  return [
    ...(traces.length === 0
      ? []
      : [
          '',
          'Traces in it',
          ...traces.map(
            ({entry, sizeBytes}) =>
              `  ${escapeRaw(entry)}, ${formatBytes(sizeBytes)}`,
          ),
        ]),
    ...(absent.length === 0
      ? []
      : ['', 'Not in this report', ...absent.map((what) => `  ${what}`)]),
  ];
}

/**
 * A dump (docs/dump.schema.json) with what else the report tells in its member
 * `bugReport`.
 */
export function renderBugReportJson(
  report: BugReport,
  pids: readonly number[] | undefined,
): string {
  const dump = JSON.parse(renderDumpJson(toDump(report, pids))) as object;
  const {graphics, ionHeaps, totals, sections, absent, traces, time} = report;
  return renderJson({
    ...dump,
    bugReport: {
      hasBuffers: report.snapshot !== undefined,
      realNs: text(time.realNs),
      sinceBootIsKnown: time.isBootKnown,
      graphicsBytes: graphics,
      ionHeaps: ionHeaps.map((heap) => ({
        name: heap.name === undefined ? undefined : toDisplay(heap.name),
        totalBytes: text(heap.totalBytes),
        totalOrphanedBytes: text(heap.totalOrphanedBytes),
        clients: heap.clients.map(clientOut),
        orphaned: heap.orphaned.map(clientOut),
      })),
      dmabufDumpTotals:
        totals === undefined
          ? undefined
          : {
              totalBytes: text(totals.totalBytes),
              kernelRssBytes: text(totals.kernelRssBytes),
              userspaceRssBytes: text(totals.userspaceRssBytes),
              userspacePssBytes: text(totals.userspacePssBytes),
            },
      sections: sections.map(({kind, title, file, line, damage}) => ({
        kind,
        title,
        file,
        line,
        damage: damage?.why,
      })),
      absent,
      traces: traces.map(({entry, sizeBytes}) => ({
        entry: toDisplay(entry),
        sizeBytes,
      })),
    },
  });
}

function clientOut(client: IonHeap['clients'][number]): object {
  const {name, pid, bytes} = client;
  return {name: toDisplay(name), pid, bytes: String(bytes)};
}

function text(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
