// SPDX-License-Identifier: Apache-2.0
// One state out of what the sections of a report tell. They were taken one
// after the other, seconds apart: a buffer that only one of them has is kept.
import {
  parseBufinfo,
  parseDmabufDump,
  type Bufinfo,
  type DmabufDump,
  type DmabufDumpTotals,
} from '../../core/formats/index.js';
import type {
  BufferName,
  Coverage,
  DmaBuf,
  Holding,
  ProcessHoldings,
  RawText,
  Snapshot,
} from '../../core/model/index.js';
import type {Section} from './sections.js';

/** Sizes and inodes from here on are no kernel's; 8 TiB, and 64 bits. */
const TOO_BIG_BYTES = 1n << 43n;
const TOO_BIG_INODE = 1n << 64n;

export interface ReportState {
  readonly snapshot: Snapshot;
  /** What dmabuf_dump sums up itself. */
  readonly totals: DmabufDumpTotals | undefined;
}

/**
 * Undefined where no section tells of a buffer or of their absence.
 *
 * @param time when, on the device's BOOTTIME, and how long it took.
 * @param problems of the report, to which the sections' own are added.
 */
export function stateOf(
  sections: readonly Section[],
  {bootNs, durationNs}: {readonly bootNs: bigint; readonly durationNs: bigint},
  problems: readonly string[],
): ReportState | undefined {
  const dumps = textsOf(sections, 'dmabuf_dump').map(parseDmabufDump);
  // dumpstate puts a blank line behind a file.
  const lists = textsOf(sections, 'bufinfo').map((text) =>
    parseBufinfo(withoutBlankEnd(text)),
  );
  const useful = dumps.filter(({forms}) => forms.size > 0);
  const bufinfo = lists.find(({columns}) => columns.includes('ino'));
  const allProblems = [
    ...problems,
    ...dumps.flatMap((dump) => dump.problems),
    ...lists.flatMap((list) => list.problems),
  ];
  if (dumps.some(({foundNothing}) => foundNothing) && useful.length === 0) {
    allProblems.push('dmabuf_dump found no dma-buf, or could read none');
  }
  const holdersCut = !hasAllHolders(useful, sections);
  if (useful.length === 0 && bufinfo === undefined) return undefined;
  const buffers = mergeBuffers(useful, bufinfo, holderCounts(useful));
  const doubted = doubtNumbers(buffers);
  if (doubted > 0) {
    allProblems.push(
      `the sizes or inodes of ${doubted} buffer(s) are no kernel's, and are ` +
        'not taken over',
    );
  }
  const processes = mergeProcesses(useful, buffers, bootNs + durationNs);
  return {
    snapshot: {
      startNs: bootNs,
      endNs: bootNs + durationNs,
      sequence: 0,
      buffers,
      processes,
      coverage: {
        kernelList: kernelListOf(useful, bufinfo),
        fileCounts: bufinfo !== undefined,
        processesSeen: processes.size,
        processesUnreadable: useful.reduce(
          (sum, {unreadable}) => sum + unreadable,
          0,
        ),
        processesVanished: 0,
        ...(holdersCut ? {holdersCut: true} : {}),
        inodeCollisions: 0,
        problems: [...new Set(allProblems)],
      },
      cost: {
        deviceCpuNs: undefined,
        bytes: sections.reduce((sum, {text}) => sum + text.length, 0),
        fullScan: true,
        processesScanned: processes.size,
      },
    },
    totals: useful.find(({totals}) => totals !== undefined)?.totals,
  };
}

/** The texts of a kind; those that only look like it where nothing else is. */
function textsOf(
  sections: readonly Section[],
  kind: Section['kind'],
): RawText[] {
  const all = sections.filter((section) => section.kind === kind);
  const named = all.filter(({isByLooks}) => !isByLooks);
  return (named.length > 0 ? named : all).map(({text}) => text);
}

function withoutBlankEnd(text: RawText): RawText {
  let end = text.length;
  while (end > 1 && text[end - 1] === '\n' && text[end - 2] === '\n') end--;
  return text.slice(0, end);
}

function hasAllHolders(
  dumps: readonly DmabufDump[],
  sections: readonly Section[],
): boolean {
  const isWhole = dumps.some(({forms, cut}) =>
    (['processes', 'table'] as const).some(
      (form) => forms.has(form) && !cut.has(form),
    ),
  );
  return (
    isWhole &&
    !sections.some(
      ({kind, damage, text}) =>
        kind === 'dmabuf_dump' && damage !== undefined && text !== '',
    )
  );
}

function kernelListOf(
  dumps: readonly DmabufDump[],
  bufinfo: Bufinfo | undefined,
): Coverage['kernelList'] {
  // A list that was cut is none: its sum would pass for the total.
  const {objects, total} = bufinfo ?? {};
  if (objects !== undefined && total?.objects === objects.length) {
    return 'bufinfo';
  }
  return dumps.some(({listed, cut}) => listed !== undefined && !cut.has('list'))
    ? 'dmabuf_dump'
    : undefined;
}

/** How much is known of each holding: the least that any of them has. */
function holderCounts(
  dumps: readonly DmabufDump[],
): ReadonlyMap<bigint, NonNullable<DmaBuf['refsKnown']>> {
  const known = new Map<bigint, NonNullable<DmaBuf['refsKnown']>>();
  for (const [inode, refs] of mergedHoldings(dumps).flatMap(({holdings}) => [
    ...holdings,
  ])) {
    const isCounted = refs.fdRefs !== undefined && refs.mapRefs !== undefined;
    if (!isCounted) known.set(inode, 'holders');
    else if (!known.has(inode)) known.set(inode, 'counts');
  }
  return known;
}

interface Refs {
  readonly fdRefs: number | undefined;
  readonly mapRefs: number | undefined;
}

interface MergedProcess {
  readonly pid: number;
  readonly comm: RawText | undefined;
  readonly holdings: Map<bigint, Refs>;
}

/** With -a, the counts; without, the holders alone. */
function mergedHoldings(dumps: readonly DmabufDump[]): MergedProcess[] {
  const processes = new Map<number, MergedProcess>();
  for (const dump of dumps) {
    for (const {pid, comm, holdings} of dump.processes.values()) {
      const before = processes.get(pid);
      const merged = {
        pid,
        comm: before?.comm ?? comm,
        holdings: before?.holdings ?? new Map<bigint, Refs>(),
      };
      processes.set(pid, merged);
      for (const [inode, refs] of holdings) {
        const earlier = merged.holdings.get(inode);
        merged.holdings.set(inode, {
          fdRefs: earlier?.fdRefs ?? refs.fdRefs,
          mapRefs: earlier?.mapRefs ?? refs.mapRefs,
        });
      }
    }
  }
  return [...processes.values()].sort((a, b) => a.pid - b.pid);
}

function mergeBuffers(
  dumps: readonly DmabufDump[],
  bufinfo: Bufinfo | undefined,
  refsKnown: ReadonlyMap<bigint, NonNullable<DmaBuf['refsKnown']>>,
): Map<bigint, DmaBuf> {
  const buffers = new Map<bigint, DmaBuf>();
  // The kernel's own list first: sizes to the byte, and names with blanks.
  for (const object of bufinfo?.objects ?? []) {
    const {inode, sizeBytes, exporter, name, fileCount} = object;
    buffers.set(inode, {
      inode,
      generation: 0,
      sizeBytes,
      exporter,
      name,
      fileCount,
      ...refsOf(inode, refsKnown),
    });
  }
  for (const dump of dumps) {
    for (const {inode, sizeBytes, name, exporter} of dump.buffers.values()) {
      const before = buffers.get(inode);
      const isListed = dump.listed?.has(inode) === true;
      buffers.set(inode, {
        inode,
        generation: 0,
        sizeBytes:
          before?.sizeBytes === undefined || (isListed && bufinfo === undefined)
            ? sizeBytes
            : before.sizeBytes,
        exporter: before?.exporter ?? exporter,
        name: before?.name ?? toName(name),
        fileCount: before?.fileCount,
        ...refsOf(inode, refsKnown),
      });
    }
  }
  return buffers;
}

/** Takes out what no device can have; gives how many there were. */
function doubtNumbers(buffers: Map<bigint, DmaBuf>): number {
  let doubted = 0;
  for (const [inode, buffer] of buffers) {
    if (inode >= TOO_BIG_INODE) buffers.delete(inode);
    else if ((buffer.sizeBytes ?? 0n) >= TOO_BIG_BYTES) {
      buffers.set(inode, {...buffer, sizeBytes: undefined});
    } else continue;
    doubted++;
  }
  return doubted;
}

function refsOf(
  inode: bigint,
  known: ReadonlyMap<bigint, NonNullable<DmaBuf['refsKnown']>>,
): Pick<DmaBuf, 'refsKnown'> {
  const refsKnown = known.get(inode);
  return refsKnown === undefined ? {} : {refsKnown};
}

/** `<unknown>` stands for a name that was never set, and for others. */
function toName(raw: RawText | undefined): BufferName | undefined {
  return raw === undefined ? undefined : {raw, doubtful: false};
}

function mergeProcesses(
  dumps: readonly DmabufDump[],
  buffers: ReadonlyMap<bigint, DmaBuf>,
  asOfNs: bigint,
): Map<number, ProcessHoldings> {
  const processes = new Map<number, ProcessHoldings>();
  for (const {pid, comm, holdings} of mergedHoldings(dumps)) {
    const held = new Map<bigint, Holding>();
    for (const [inode, {fdRefs, mapRefs}] of holdings) {
      const buffer = buffers.get(inode);
      if (buffer === undefined) continue;
      held.set(inode, {
        buffer,
        fdRefs: fdRefs ?? 0,
        mapRefs: mapRefs ?? 0,
        mappedBytes: 0n,
      });
    }
    processes.set(pid, {
      process: {pid, startTicks: undefined, comm, cmdline: undefined},
      readState: 'complete',
      holdings: held,
      kernelRssBytes: undefined,
      kernelPssBytes: undefined,
      asOfNs,
    });
  }
  return processes;
}
