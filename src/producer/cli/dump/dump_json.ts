// SPDX-License-Identifier: Apache-2.0
// The format `perfetto-dmabuf.dump`, written and read. docs/dump.schema.json
// is its JSON Schema. Rules:
//  - What is not known is left out; it is never 0, "" or null.
//  - Sizes, inodes, times and other 64-bit numbers are decimal digits in a
//    string, for JSON numbers end at 2^53. Counts are numbers. A PSS is a
//    number because it has a fraction.
//  - Sizes are bytes, of whole buffers. Times are ns of the device's BOOTTIME.
//  - Text that a process chose is decoded as UTF-8, invalid bytes as U+FFFD;
//    the bytes are beside it in hexadecimal: `nameHex` always, `commHex`,
//    `cmdlineHex` and `exporterHex` only where the text is not exact.
//  - `nameState` tells `unset` (never named) and `unknown` (not told) from
//    `set`, where `name` may well be "".
//  - Whatever adds up from the rest (RSS, PSS, holders, totals) is there for
//    the reader's convenience; parseDump takes no notice of it.
//  - Processes by pid, buffers and holdings by inode.
import {
  account,
  type Accounting,
  type BufferAccount,
  type ProcessAccount,
  type Sum,
} from '../../../core/accounting/index.js';
import {
  toDisplay,
  toRaw,
  UNSET_NAME,
  type BufferName,
  type Coverage,
  type DmaBuf,
  type Holding,
  type ProcessHoldings,
  type Provenance,
  type RawText,
  type SampleCost,
} from '../../../core/model/index.js';
import {toHex} from '../output/hex.js';
import {renderJson} from '../output/json.js';
import {
  chosenBuffers,
  chosenProcesses,
  compareBigint,
  isUnknown,
  knownRefs,
  processSums,
  type Dump,
} from './dump.js';
import {JsonShapeError, JsonValue, type JsonObject} from './json_value.js';

export const DUMP_FORMAT = 'perfetto-dmabuf.dump';
/** Grows when a reader of the older one would misread it. */
export const DUMP_VERSION = 1;

/** A dump that cannot be read; the message says what is wrong with it. */
export class DumpFormatError extends Error {
  override readonly name = 'DumpFormatError';
}

/** A dump as JSON. */
export function renderDumpJson(dump: Dump): string {
  const {provenance, snapshot, realOffsetNs, pids} = dump;
  const accounting = account(snapshot);
  const processes = chosenProcesses(dump, accounting).sort(
    (a, b) => a.holdings.process.pid - b.holdings.process.pid,
  );
  const buffers = chosenBuffers(dump, accounting).sort((a, b) =>
    compareBigint(a.buffer.inode, b.buffer.inode),
  );
  return renderJson({
    format: DUMP_FORMAT,
    version: DUMP_VERSION,
    provenance,
    time: {
      startNs: String(snapshot.startNs),
      endNs: String(snapshot.endNs),
      realOffsetNs: text(realOffsetNs),
    },
    pids,
    coverage: snapshot.coverage,
    cost: {
      ...snapshot.cost,
      deviceCpuNs: text(snapshot.cost.deviceCpuNs),
    },
    totals: totals(accounting),
    processes: processes.map(processOut),
    buffers: buffers.map(bufferOut),
  });
}

function totals(accounting: Accounting): object {
  const {total, held, kernelOnly, mappedOnly} = accounting;
  // None seen where not all could be read is not none.
  const seen = (sum: Sum): Sum | undefined =>
    accounting.kernelOnlyIsUpperBound && sum.buffers === 0 ? undefined : sum;
  return {
    total: sumOut(total),
    held: sumOut(seen(held)),
    kernelOnly: sumOut(kernelOnly),
    /** Part of kernelOnly may be held by processes that could not be read. */
    kernelOnlyIsUpperBound: accounting.kernelOnlyIsUpperBound,
    mappedOnly: sumOut(mappedOnly === undefined ? undefined : seen(mappedOnly)),
    byExporter: [...accounting.byExporter].map(([exporter, sum]) => ({
      ...rawOut('exporter', exporter),
      ...sumOut(sum),
    })),
    byName: [...accounting.byName].map(([name, sum]) => ({
      ...rawOut('name', name),
      ...sumOut(sum),
    })),
  };
}

export function sumOut(sum: Sum | undefined): object | undefined {
  if (sum === undefined) return undefined;
  const {bytes, buffers, unknownSizes} = sum;
  return {
    bytes: isUnknown(sum) ? undefined : String(bytes),
    buffers,
    unknownSizes,
  };
}

function processOut(known: ProcessAccount): object {
  const {holdings} = known;
  const {process, readState, kernelRssBytes, kernelPssBytes} = holdings;
  const {rssBytes, pssBytes} = processSums(known);
  return {
    pid: process.pid,
    startTicks: text(process.startTicks),
    ...rawOut('comm', process.comm),
    ...rawOut('cmdline', process.cmdline),
    readState,
    rssBytes: text(rssBytes),
    pssBytes,
    unknownSizes: known.unknownSizes,
    kernelRssBytes: text(kernelRssBytes),
    kernelPssBytes: text(kernelPssBytes),
    asOfNs: String(holdings.asOfNs),
    holdings: [...holdings.holdings.values()]
      .sort((a, b) => compareBigint(a.buffer.inode, b.buffer.inode))
      .map((holding) => holdingOut(holdings, holding)),
  };
}

function holdingOut(process: ProcessHoldings, holding: Holding): object {
  const {fdRefs, mapRefs, mappedBytes} = knownRefs(process, holding);
  return {
    inode: String(holding.buffer.inode),
    fdRefs,
    mapRefs,
    mappedBytes: text(mappedBytes),
  };
}

function bufferOut(known: BufferAccount): object {
  const {buffer, holders, fdRefs, mapRefs, kernelRefs, mappedOnly} = known;
  return {
    inode: String(buffer.inode),
    generation: buffer.generation,
    sizeBytes: text(buffer.sizeBytes),
    ...nameOut(buffer.name),
    ...rawOut('exporter', buffer.exporter),
    fileCount: text(buffer.fileCount),
    holders,
    fdRefs,
    mapRefs,
    kernelRefs: text(kernelRefs),
    mappedOnly,
    refsKnown: buffer.refsKnown,
  };
}

export function nameOut(name: BufferName | undefined): object {
  if (name === undefined) return {nameState: 'unknown'};
  const doubtful = {nameDoubtful: name.doubtful};
  return name.raw === undefined
    ? {nameState: 'unset', ...doubtful}
    : {
        nameState: 'set',
        name: toDisplay(name.raw),
        nameHex: toHex(name.raw),
        ...doubtful,
      };
}

export function rawOut(key: string, raw: RawText | undefined): object {
  if (raw === undefined) return {};
  const display = toDisplay(raw);
  return {
    [key]: display,
    ...(toRaw(display) === raw ? {} : {[`${key}Hex`]: toHex(raw)}),
  };
}

function text(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

/**
 * Reads what renderDumpJson wrote. Members that are not known are passed over.
 *
 * @throws DumpFormatError when it is something else, of a later version, or
 *     contradicts itself
 */
export function parseDump(json: string): Dump {
  try {
    return dumpIn(new JsonValue(JSON.parse(json), 'dump').object());
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new DumpFormatError(`not JSON (${error.message})`, {cause: error});
    }
    if (error instanceof JsonShapeError) {
      throw new DumpFormatError(error.message, {cause: error});
    }
    throw error;
  }
}

function dumpIn(dump: JsonObject): Dump {
  checkVersion(dump);
  const time = dump.get('time').object();
  const buffers = buffersIn(dump.get('buffers'));
  return {
    provenance: provenanceIn(dump.get('provenance').object()),
    realOffsetNs: time.find('realOffsetNs')?.signedBigint(),
    pids: dump
      .find('pids')
      ?.array()
      .map((pid) => pid.count()),
    snapshot: {
      startNs: time.get('startNs').bigint(),
      endNs: time.get('endNs').bigint(),
      sequence: 0,
      buffers,
      processes: processesIn(dump.get('processes'), buffers),
      coverage: coverageIn(dump.get('coverage').object()),
      cost: costIn(dump.get('cost').object()),
    },
  };
}

function checkVersion(dump: JsonObject): void {
  const format = dump.find('format');
  if (format?.string() !== DUMP_FORMAT) {
    throw new DumpFormatError(
      `no dump: write one with 'perfetto-dmabuf dump --format json'`,
    );
  }
  const version = dump.get('version').count();
  if (version > DUMP_VERSION) {
    throw new DumpFormatError(
      `of version ${version}, known here is ${DUMP_VERSION}: update ` +
        'perfetto-dmabuf',
    );
  }
}

function provenanceIn(provenance: JsonObject): Provenance {
  return {
    simulated: provenance.get('simulated').boolean(),
    source: provenance.get('source').string(),
    device: provenance.get('device').string(),
    kernelRelease: provenance.find('kernelRelease')?.string(),
    buildFingerprint: provenance.find('buildFingerprint')?.string(),
    bootId: provenance.find('bootId')?.string(),
    uid: provenance.find('uid')?.count(),
    toolVersion: provenance.get('toolVersion').string(),
  };
}

function coverageIn(coverage: JsonObject): Coverage {
  return {
    kernelList: coverage
      .find('kernelList')
      ?.oneOf('bufinfo', 'bpf', 'sysfs', 'dmabuf_dump'),
    fileCounts: coverage.get('fileCounts').boolean(),
    processesSeen: coverage.get('processesSeen').count(),
    processesUnreadable: coverage.get('processesUnreadable').count(),
    processesVanished: coverage.get('processesVanished').count(),
    ...(coverage.find('holdersCut')?.boolean() === true
      ? {holdersCut: true}
      : {}),
    inodeCollisions: coverage.get('inodeCollisions').count(),
    problems: coverage
      .get('problems')
      .array()
      .map((problem) => problem.string()),
  };
}

function costIn(cost: JsonObject): SampleCost {
  return {
    deviceCpuNs: cost.find('deviceCpuNs')?.bigint(),
    bytes: cost.get('bytes').count(),
    fullScan: cost.get('fullScan').boolean(),
    processesScanned: cost.get('processesScanned').count(),
  };
}

function buffersIn(list: JsonValue): Map<bigint, DmaBuf> {
  const buffers = new Map<bigint, DmaBuf>();
  for (const item of list.array()) {
    const buffer = item.object();
    const inode = buffer.get('inode').bigint();
    if (buffers.has(inode)) {
      throw new DumpFormatError(`inode ${inode} is in it twice`);
    }
    buffers.set(inode, {
      inode,
      generation: buffer.get('generation').count(),
      sizeBytes: buffer.find('sizeBytes')?.bigint(),
      exporter: rawIn(buffer, 'exporter'),
      name: nameIn(buffer),
      fileCount: buffer.find('fileCount')?.bigint(),
      ...refsKnownIn(buffer),
    });
  }
  return buffers;
}

function refsKnownIn(buffer: JsonObject): Pick<DmaBuf, 'refsKnown'> {
  const refsKnown = buffer.find('refsKnown')?.oneOf('counts', 'holders');
  return refsKnown === undefined ? {} : {refsKnown};
}

function nameIn(buffer: JsonObject): BufferName | undefined {
  const state = buffer.get('nameState').oneOf('set', 'unset', 'unknown');
  if (state === 'unknown') return undefined;
  const doubtful = buffer.find('nameDoubtful')?.boolean() ?? false;
  return state === 'unset'
    ? {...UNSET_NAME, doubtful}
    : {raw: buffer.get('nameHex').hex(), doubtful};
}

function processesIn(
  list: JsonValue,
  buffers: ReadonlyMap<bigint, DmaBuf>,
): Map<number, ProcessHoldings> {
  const processes = new Map<number, ProcessHoldings>();
  for (const item of list.array()) {
    const process = item.object();
    const pid = process.get('pid').count();
    if (processes.has(pid)) {
      throw new DumpFormatError(`pid ${pid} is in it twice`);
    }
    processes.set(pid, {
      process: {
        pid,
        startTicks: process.find('startTicks')?.bigint(),
        comm: rawIn(process, 'comm'),
        cmdline: rawIn(process, 'cmdline'),
      },
      readState: process
        .get('readState')
        .oneOf('complete', 'partial', 'unreadable'),
      holdings: holdingsIn(pid, process.get('holdings'), buffers),
      kernelRssBytes: process.find('kernelRssBytes')?.bigint(),
      kernelPssBytes: process.find('kernelPssBytes')?.bigint(),
      asOfNs: process.get('asOfNs').bigint(),
    });
  }
  return processes;
}

function holdingsIn(
  pid: number,
  list: JsonValue,
  buffers: ReadonlyMap<bigint, DmaBuf>,
): Map<bigint, Holding> {
  const holdings = new Map<bigint, Holding>();
  for (const item of list.array()) {
    const holding = item.object();
    const inode = holding.get('inode').bigint();
    const buffer = buffers.get(inode);
    if (buffer === undefined) {
      throw new DumpFormatError(
        `pid ${pid} holds inode ${inode}, which is not among the buffers`,
      );
    }
    if (holdings.has(inode)) {
      throw new DumpFormatError(`pid ${pid} has inode ${inode} twice`);
    }
    holdings.set(inode, {
      buffer,
      fdRefs: holding.find('fdRefs')?.count() ?? 0,
      mapRefs: holding.find('mapRefs')?.count() ?? 0,
      mappedBytes: holding.find('mappedBytes')?.bigint() ?? 0n,
    });
  }
  return holdings;
}

function rawIn(from: JsonObject, key: string): RawText | undefined {
  const hex = from.find(`${key}Hex`);
  if (hex !== undefined) return hex.hex();
  const display = from.find(key)?.string();
  return display === undefined ? undefined : toRaw(display);
}
