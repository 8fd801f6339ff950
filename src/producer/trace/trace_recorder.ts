// SPDX-License-Identifier: Apache-2.0
import type {Accounting, Sum} from '../../core/accounting/index.js';
import type {
  Acquired,
  Changes,
  Released,
  Renamed,
} from '../../core/changes/index.js';
import {
  toDisplay,
  type DmaBuf,
  type Process,
  type Provenance,
  type RawText,
  type Snapshot,
} from '../../core/model/index.js';
import {BufferPieces, changedFields, someFields} from './buffer_pieces.js';
import {CounterSeries} from './counter_series.js';
import {
  attributesPacket,
  clockSnapshotPacket,
  extensionDescriptorPacket,
  provenancePacket,
  rootTrackPacket,
  samplesTrackPacket,
  sequenceStartPacket,
  type ClockReading,
} from './descriptors.js';
import {Lanes, type Lane} from './lanes.js';
import {
  onTrack,
  PacketWriter,
  sliceFields,
  type Fields,
  type ProcessRss,
} from './packet_writer.js';
import {ProcessTracks} from './process_tracks.js';
import {
  attribute,
  category,
  eventName,
  EXPORTER_PREFIX,
  FIRST_BUFFER_NAME_IID,
  renameTitle,
  SEQUENCE_ID,
  trackName,
  trackRank,
  trackUuid,
  UNKNOWN_EXPORTER,
} from './schema.js';

export type {ClockReading} from './descriptors.js';

export interface TraceEncoderOptions {
  readonly provenance: Provenance;
  /**
   * Write ProcessStats.dmabuf_rss_kb for the stock memory views. False where a
   * system trace of the same session records it itself.
   */
  readonly dmabufRssInProcessStats: boolean;
}

/** Names of lost counters on one sample, at most. */
const LOST_COUNTERS_NAMED = 16;

const DESCRIPTION = {
  total: 'All dma-bufs that the kernel lists, each once.',
  held: 'Held by at least one process that could be read, each buffer once.',
  kernelOnly:
    'Listed by the kernel and held by no process: drivers, or messages in ' +
    'flight.',
  kernelOnlyUpperBound:
    'Listed by the kernel and held by no process that could be read. Some ' +
    'could not, so part of this may be theirs.',
  mappedOnly: 'Held by mappings only: every descriptor is closed.',
  exporter: 'All known dma-bufs of one heap or driver, each once.',
};

/** A slice of the `Buffers` track that is open. */
interface Lifetime {
  readonly lane: Lane;
  readonly pieces: BufferPieces;
  readonly atBegin: DmaBuf;
}

/**
 * Turns samples into pieces of a Perfetto trace, to be written one after the
 * other: `header()` once, `sample()` each time, `finish()` at the end. A file
 * that ends after any of them is whole; one that was cut loses no more than
 * the sample it was cut in. Memory depends on what is alive, not on how long
 * the recording runs.
 *
 * Times: a sample is not an instant. Its slice on the `Samples` track lasts
 * from `startNs` to `endNs`; everything it saw is stamped with `endNs`, so that
 * nothing is shown before it happened. Stamps never run backwards.
 */
export class TraceEncoder {
  private readonly writer = new PacketWriter(SEQUENCE_ID);
  private readonly simulated: boolean;
  /** By inode: of two buffers with one inode the older is freed first. */
  private readonly lifetimes = new Map<bigint, Lifetime>();
  private readonly bufferLanes = new Lanes({
    name: trackName.buffers,
    parentUuid: trackUuid.root,
    rank: trackRank.buffers,
    laneUuid: trackUuid.buffersLane,
  });
  /** By pid. */
  private readonly processes = new Map<number, ProcessTracks>();
  private readonly total = rootCounter('total', 'bytes', DESCRIPTION.total);
  private readonly held = rootCounter('held', 'bytes', DESCRIPTION.held);
  private readonly kernelOnly = rootCounter(
    'kernelOnly',
    'bytes',
    DESCRIPTION.kernelOnly,
  );
  private readonly kernelOnlyUpperBound = rootCounter(
    'kernelOnlyUpperBound',
    'bytes',
    DESCRIPTION.kernelOnlyUpperBound,
  );
  private readonly mappedOnly = rootCounter(
    'mappedOnly',
    'bytes',
    DESCRIPTION.mappedOnly,
  );
  private readonly bufferCount = rootCounter(
    'bufferCount',
    'count',
    DESCRIPTION.total,
  );
  private readonly exporters = new Map<RawText | undefined, CounterSeries>();
  private readonly samplesTrack = onTrack(trackUuid.samples);
  private readonly sampleSlices = {
    full: sampleSlice(eventName.fullScan.iid),
    quick: sampleSlice(eventName.quickScan.iid),
  };

  private previous: Snapshot | undefined;
  private stampNs = 0n;
  private samples = 0;
  private nameIid = FIRST_BUFFER_NAME_IID;
  private readonly nextNameIid = (): number => this.nameIid++;
  /** Sticky: what bounds from above once does so for the rest. */
  private isUpperBound = false;
  private wasListed = false;
  private rssChanges: ProcessRss[] = [];
  private lostCounters: string[] = [];

  constructor(private readonly options: TraceEncoderOptions) {
    this.simulated = options.provenance.simulated;
  }

  /**
   * What a file begins with: clocks, our extension, where the data comes from,
   * and the tracks that are always there.
   */
  header(clock: ClockReading): Uint8Array {
    const {writer, options} = this;
    writer.framed(clockSnapshotPacket(clock));
    // By this one a reader knows our sequence, so it stands before the rest.
    writer.framed(rootTrackPacket(options.provenance));
    writer.framed(extensionDescriptorPacket());
    writer.framed(sequenceStartPacket(clock.bootNs));
    writer.framed(provenancePacket(options.provenance));
    writer.framed(samplesTrackPacket());
    return writer.take();
  }

  /**
   * One sample.
   *
   * @param changes what is different from the sample before.
   * @param accounting what the snapshot adds up to.
   */
  sample(
    snapshot: Snapshot,
    changes: Changes,
    accounting: Accounting,
  ): Uint8Array {
    const previousStampNs = this.stampNs;
    this.stampNs = max(snapshot.endNs, previousStampNs);
    this.rssChanges = [];
    this.lostCounters = [];
    this.writer.stamp(this.stampNs);

    // Ends before begins: a lane, or a pid, may get a new owner.
    for (const released of changes.released) {
      this.endHolding(released, snapshot);
    }
    for (const buffer of changes.freed) this.endLifetime(buffer, snapshot);
    for (const process of changes.exited) this.endProcess(process);
    this.writeProcessStats();

    for (const renamed of changes.renamed) this.rename(renamed);
    for (const buffer of changes.allocated) {
      this.beginLifetime(buffer, accounting);
    }
    for (const acquired of changes.acquired) {
      this.beginHolding(acquired, accounting);
    }
    this.countRoot(accounting);
    this.countExporters(accounting);
    this.countProcesses(accounting);
    this.writeProcessStats();

    // Last, so that a reader knows by it that it has all of the sample.
    this.writeSample(snapshot, accounting, previousStampNs);
    this.previous = snapshot;
    this.samples++;
    return this.writer.take();
  }

  /**
   * The end of a recording. Slices stay open: what they show was still held.
   *
   * @param ended how it ended, e.g. "finished" or "device went away".
   */
  finish(ended = 'finished'): Uint8Array {
    this.writer.framed(
      attributesPacket({
        [attribute.ended]: ended,
        [attribute.samples]: this.samples,
      }),
    );
    return this.writer.take();
  }

  private beginLifetime(buffer: DmaBuf, accounting: Accounting): void {
    const {inode} = buffer;
    if (this.lifetimes.has(inode)) return;
    const {writer} = this;
    const pieces = new BufferPieces(buffer, this.simulated, this.nextNameIid);
    const lane = this.bufferLanes.take(writer);
    this.lifetimes.set(inode, {lane, pieces, atBegin: buffer});
    const account = accounting.buffers.get(inode);
    const {previous} = this;
    writer.begin(
      lane.track,
      pieces.lifetime,
      pieces.fields,
      {
        pid: undefined,
        fdRefs: account?.fdRefs,
        mapRefs: account?.mapRefs,
        mappedBytes: undefined,
        kernelRefs: account?.kernelRefs,
        holders: account?.holders,
        beganUnseen:
          previous === undefined || !seesAllBuffers(previous)
            ? true
            : undefined,
      },
      pieces.takeInterned(),
    );
  }

  private endLifetime(buffer: DmaBuf, snapshot: Snapshot): void {
    const lifetime = this.lifetimeOf(buffer);
    if (lifetime === undefined) return;
    this.lifetimes.delete(buffer.inode);
    const {lane, atBegin} = lifetime;
    const changed = someFields({
      ...changedFields(atBegin, buffer),
      ...(seesAllBuffers(snapshot) ? {} : {endedUnseen: true}),
    });
    this.writer.end(lane.track, changed);
    this.bufferLanes.release(lane);
  }

  private lifetimeOf(buffer: DmaBuf): Lifetime | undefined {
    const lifetime = this.lifetimes.get(buffer.inode);
    return lifetime?.atBegin.generation === buffer.generation
      ? lifetime
      : undefined;
  }

  private beginHolding(acquired: Acquired, accounting: Accounting): void {
    const {process, holding} = acquired;
    const {buffer} = holding;
    this.beginLifetime(buffer, accounting);
    const lifetime = this.lifetimeOf(buffer);
    if (lifetime === undefined) return;
    lifetime.pieces.update(buffer);
    const account = accounting.buffers.get(buffer.inode);
    this.tracksOf(process).begin(
      this.writer,
      lifetime.pieces,
      holding,
      account,
      !this.couldSee(process),
    );
  }

  private endHolding({process, holding}: Released, snapshot: Snapshot): void {
    const now = snapshot.processes.get(process.pid);
    const isUnseen =
      now !== undefined &&
      now.process.startTicks === process.startTicks &&
      now.readState !== 'complete';
    this.processes.get(process.pid)?.end(this.writer, holding, isUnseen);
  }

  /** True unless the process was there before and could not be read. */
  private couldSee(process: Process): boolean {
    const {previous} = this;
    if (previous === undefined) return false;
    const before = previous.processes.get(process.pid);
    return (
      before === undefined ||
      before.process.startTicks !== process.startTicks ||
      before.readState === 'complete'
    );
  }

  private endProcess(process: Process): void {
    const tracks = this.processes.get(process.pid);
    if (tracks === undefined) return;
    this.processes.delete(process.pid);
    // Gone, so it holds nothing: a known zero, unless it was never counted.
    if (tracks.pss.begun) tracks.pss.update(this.writer, 0);
    if (tracks.rss.begun) this.countRss(tracks, 0n);
  }

  private rename({before, after}: Renamed): void {
    const lifetime = this.lifetimeOf(after);
    if (lifetime === undefined) return;
    const {writer} = this;
    const {lane, pieces} = lifetime;
    pieces.update(after);
    const name = after.name?.raw;
    if (name === undefined || before.name?.raw === name) return;
    const slice = sliceFields({
      categoryIid: category.rename.iid,
      name: renameTitle(toDisplay(name)),
      correlationId: pieces.key,
    });
    const interned = pieces.takeInterned();
    writer.instant(lane.track, slice, pieces.fields, undefined, interned);
    for (const tracks of this.processes.values()) {
      tracks.instant(writer, pieces, slice);
    }
  }

  private tracksOf(process: Process): ProcessTracks {
    let tracks = this.processes.get(process.pid);
    if (tracks === undefined) {
      tracks = new ProcessTracks(process, this.simulated);
      this.processes.set(process.pid, tracks);
    }
    tracks.describe(this.writer, process, this.stampNs);
    return tracks;
  }

  private countRoot(accounting: Accounting): void {
    const {total, held, kernelOnly, mappedOnly} = accounting;
    const isPartial = accounting.kernelOnlyIsUpperBound;
    if (isPartial && kernelOnly !== undefined) this.isUpperBound = true;
    const kernelOnlySeries = this.isUpperBound
      ? this.kernelOnlyUpperBound
      : this.kernelOnly;
    this.count(this.total, knownBytes(total));
    this.count(this.held, lowerBound(this.held, held, isPartial));
    this.count(kernelOnlySeries, knownBytes(kernelOnly));
    this.count(
      this.mappedOnly,
      lowerBound(this.mappedOnly, mappedOnly, isPartial),
    );
    this.count(this.bufferCount, total?.buffers);
  }

  private countExporters(accounting: Accounting): void {
    const {byExporter, total} = accounting;
    const isListed = total !== undefined;
    // With the list gone, the sums would miss what no process holds.
    const isLost = this.wasListed && !isListed;
    this.wasListed ||= isListed;
    for (const exporter of byExporter.keys()) {
      if (isLost || this.exporters.has(exporter)) continue;
      this.exporters.set(
        exporter,
        exporterCounter(exporter, this.exporters.size),
      );
    }
    for (const [exporter, series] of this.exporters) {
      const sum = byExporter.get(exporter);
      const bytes = sum === undefined ? 0n : knownBytes(sum);
      this.count(series, isLost ? undefined : bytes);
    }
  }

  private countProcesses(accounting: Accounting): void {
    const {processes, writer} = this;
    for (const [pid, account] of accounting.processes) {
      const {holdings, rssBytes, pssBytes} = account;
      let tracks = processes.get(pid);
      if (tracks === undefined) {
        const holdsNothing = holdings.holdings.size === 0;
        if (holdsNothing && (rssBytes ?? 0n) === 0n) continue;
        tracks = this.tracksOf(holdings.process);
      } else {
        tracks.describe(writer, holdings.process, this.stampNs);
      }
      this.count(tracks.pss, pssBytes, pid);
      this.countRss(tracks, rssBytes);
    }
  }

  private countRss(tracks: ProcessTracks, rssBytes: bigint | undefined): void {
    const {pid} = tracks.process;
    const outcome = this.count(tracks.rss, rssBytes, pid);
    if (outcome === 'written' && rssBytes !== undefined) {
      this.rssChanges.push({pid, rssBytes});
    }
  }

  private count(
    series: CounterSeries,
    value: bigint | number | undefined,
    pid?: number,
  ): string {
    const outcome = series.update(this.writer, value);
    if (outcome === 'lost') {
      const owner = pid === undefined ? '' : ` of pid ${pid}`;
      this.lostCounters.push(series.name + owner);
    }
    return outcome;
  }

  private writeProcessStats(): void {
    if (this.options.dmabufRssInProcessStats) {
      this.writer.processStats(this.rssChanges);
    }
    this.rssChanges = [];
  }

  private writeSample(
    snapshot: Snapshot,
    accounting: Accounting,
    previousStampNs: bigint,
  ): void {
    const {writer, stampNs, lostCounters} = this;
    const {coverage, cost} = snapshot;
    const beginNs = min(max(snapshot.startNs, previousStampNs), stampNs);
    const slices = this.sampleSlices;
    writer.stamp(beginNs);
    writer.sampleBegin(
      this.samplesTrack,
      cost.fullScan ? slices.full : slices.quick,
      {
        sequence: snapshot.sequence,
        fullScan: cost.fullScan,
        deviceCpuNs: cost.deviceCpuNs,
        wallNs: max(snapshot.endNs - snapshot.startNs, 0n),
        bytes: cost.bytes,
        processesSeen: coverage.processesSeen,
        processesScanned: cost.processesScanned,
        processesUnreadable: coverage.processesUnreadable,
        processesVanished: coverage.processesVanished,
        kernelList: coverage.kernelList,
        fileCounts: coverage.fileCounts,
        inodeCollisions: coverage.inodeCollisions,
        kernelOnlyIsUpperBound: accounting.kernelOnlyIsUpperBound,
        unknownSizes: (accounting.total ?? accounting.held).unknownSizes,
        lostCounter: lostCounters.slice(0, LOST_COUNTERS_NAMED),
        countersLost: lostCounters.length,
        problem: coverage.problems,
      },
    );
    writer.stamp(stampNs);
    writer.end(this.samplesTrack);
  }
}

function rootCounter(
  which: Exclude<keyof typeof trackRank, 'firstExporter' | 'buffers'> &
    keyof typeof trackName,
  unit: 'bytes' | 'count',
  description: string,
): CounterSeries {
  const name = trackName[which];
  return new CounterSeries({
    uuid: trackUuid.counter(name),
    parentUuid: trackUuid.root,
    name,
    unit,
    rank: trackRank[which],
    description,
  });
}

function exporterCounter(
  exporter: RawText | undefined,
  index: number,
): CounterSeries {
  const text = exporter === undefined ? UNKNOWN_EXPORTER : toDisplay(exporter);
  return new CounterSeries({
    uuid: trackUuid.counter(EXPORTER_PREFIX + (exporter ?? '\0')),
    parentUuid: trackUuid.root,
    name: EXPORTER_PREFIX + text,
    unit: 'bytes',
    rank: trackRank.firstExporter + index,
    description: DESCRIPTION.exporter,
  });
}

function sampleSlice(nameIid: number): Fields {
  return sliceFields({categoryIid: category.sample.iid, nameIid});
}

/**
 * What is held at least. Where not all processes could be read, a zero says
 * nothing, so none is written before something was seen.
 */
function lowerBound(
  series: CounterSeries,
  sum: Sum | undefined,
  isPartial: boolean,
): bigint | undefined {
  if (isPartial && sum?.buffers === 0 && !series.begun) return undefined;
  return knownBytes(sum);
}

/** True when a buffer that is not in the snapshot does not exist. */
function seesAllBuffers({coverage}: Snapshot): boolean {
  return (
    coverage.kernelList !== undefined || coverage.processesUnreadable === 0
  );
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** Bytes of a sum; undefined when no size in it is known. */
function knownBytes(sum: Sum | undefined): bigint | undefined {
  if (sum === undefined) return undefined;
  const isUnknown = sum.buffers > 0 && sum.unknownSizes === sum.buffers;
  return isUnknown ? undefined : sum.bytes;
}
