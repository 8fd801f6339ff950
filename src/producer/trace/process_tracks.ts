// SPDX-License-Identifier: Apache-2.0
import type {BufferAccount} from '../../core/accounting/index.js';
import {
  processKey,
  processName,
  toDisplay,
  type Holding,
  type Process,
} from '../../core/model/index.js';
import {changedFields, someFields, type BufferPieces} from './buffer_pieces.js';
import {CounterSeries} from './counter_series.js';
import {processTrackPacket} from './descriptors.js';
import {Lanes, type Lane} from './lanes.js';
import type {DmaBufFields, Fields, PacketWriter} from './packet_writer.js';
import {NS_PER_TICK, trackName, trackUuid} from './schema.js';

/** A slice that is open. */
interface OpenHolding {
  readonly lane: Lane;
  readonly atBegin: Holding;
}

/** The tracks of one process: two counters and the buffers it holds. */
export class ProcessTracks {
  readonly pss: CounterSeries;
  readonly rss: CounterSeries;
  private readonly uuid: bigint;
  private readonly lanes: Lanes;
  /** By inode: of two buffers with one inode the older is let go first. */
  private readonly open = new Map<bigint, OpenHolding>();
  private described: Process | undefined;

  constructor(
    readonly process: Process,
    private readonly simulated: boolean,
  ) {
    const key = processKey(process);
    this.uuid = trackUuid.process(key);
    this.pss = this.counter(key, trackName.pss);
    this.rss = this.counter(key, trackName.rss);
    this.lanes = new Lanes({
      name: trackName.processBuffers,
      parentUuid: this.uuid,
      rank: undefined,
      laneUuid: (index) => trackUuid.processLane(key, index),
    });
  }

  private counter(key: string, name: string): CounterSeries {
    return new CounterSeries({
      uuid: trackUuid.processCounter(key, name),
      parentUuid: this.uuid,
      name,
      unit: 'bytes',
      shareKey: 'dma-buf',
    });
  }

  /** Says who the process is; again when it was renamed (exec, zygote). */
  describe(writer: PacketWriter, process: Process, timestampNs: bigint): void {
    const {described} = this;
    if (process === described) return;
    this.described = process;
    const {startTicks, comm, cmdline} = process;
    const isKnown =
      described !== undefined &&
      comm === described.comm &&
      cmdline === described.cmdline;
    if (isKnown) return;
    writer.framed(
      processTrackPacket({
        uuid: this.uuid,
        pid: process.pid,
        name: toDisplay(processName(process)),
        startNs:
          startTicks === undefined ? undefined : startTicks * NS_PER_TICK,
        simulated: this.simulated,
        timestampNs,
      }),
    );
  }

  begin(
    writer: PacketWriter,
    pieces: BufferPieces,
    holding: Holding,
    account: BufferAccount | undefined,
    beganUnseen: boolean,
  ): void {
    const {inode, refsKnown} = holding.buffer;
    if (this.open.has(inode)) return;
    const isCounted = refsKnown !== 'holders';
    const lane = this.lanes.take(writer);
    this.open.set(inode, {lane, atBegin: holding});
    writer.begin(
      lane.track,
      pieces.holding,
      pieces.fields,
      {
        pid: this.process.pid,
        fdRefs: isCounted ? holding.fdRefs : undefined,
        mapRefs: isCounted ? holding.mapRefs : undefined,
        mappedBytes: refsKnown === undefined ? holding.mappedBytes : undefined,
        kernelRefs: account?.kernelRefs,
        holders: account?.holders,
        beganUnseen: beganUnseen || undefined,
      },
      pieces.takeInterned(),
    );
  }

  /**
   * @param last the holding as it was last seen.
   * @param isUnseen it ended because it could not be seen any more.
   */
  end(writer: PacketWriter, last: Holding, isUnseen: boolean): void {
    const slice = this.open.get(last.buffer.inode);
    if (slice === undefined || !isSameBuffer(slice.atBegin, last)) return;
    this.open.delete(last.buffer.inode);
    const {lane, atBegin} = slice;
    writer.end(lane.track, whatChanged(atBegin, last, isUnseen));
    this.lanes.release(lane);
  }

  /** Marks something on the slice of a buffer, if it is open here. */
  instant(writer: PacketWriter, pieces: BufferPieces, slice: Fields): void {
    const open = this.open.get(pieces.buffer.inode);
    if (open === undefined) return;
    writer.instant(
      open.lane.track,
      slice,
      pieces.fields,
      this.process.pid,
      pieces.takeInterned(),
    );
  }
}

function isSameBuffer(a: Holding, b: Holding): boolean {
  return a.buffer.generation === b.buffer.generation;
}

/** What the end of a slice has to say; undefined when nothing. */
function whatChanged(
  atBegin: Holding,
  last: Holding,
  isUnseen: boolean,
): DmaBufFields | undefined {
  const isSame =
    atBegin.buffer === last.buffer &&
    atBegin.fdRefs === last.fdRefs &&
    atBegin.mapRefs === last.mapRefs &&
    atBegin.mappedBytes === last.mappedBytes;
  if (isSame && !isUnseen) return undefined;
  const changed = <T>(before: T, after: T): T | undefined =>
    before === after ? undefined : after;
  return someFields({
    ...changedFields(atBegin.buffer, last.buffer),
    fdRefs: changed(atBegin.fdRefs, last.fdRefs),
    mapRefs: changed(atBegin.mapRefs, last.mapRefs),
    mappedBytes: changed(atBegin.mappedBytes, last.mappedBytes),
    endedUnseen: isUnseen || undefined,
  });
}
