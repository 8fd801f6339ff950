// SPDX-License-Identifier: Apache-2.0
import type {
  BufferName,
  DmaBuf,
  Holding,
  InodeKey,
  RawText,
} from '../../core/model/index.js';
import type {TrackedProcess} from './tracked_process.js';

/** What a source tells of a buffer; undefined where it does not. */
export interface BufferFacts {
  readonly inode: bigint;
  readonly sizeBytes?: bigint | undefined;
  readonly exporter?: RawText | undefined;
  readonly name?: BufferName | undefined;
  readonly fileCount?: bigint | undefined;
}

/**
 * What is known under one inode number: the buffer, and who refers to it. It
 * is looked up once; whoever refers to the buffer has the object.
 *
 * A class: where most of what a literal makes lives long, V8 makes all that
 * follows among the old objects, where each keeps what it refers to.
 */
export class TrackedBuffer {
  /** Undefined while nothing told that what is referred to is a buffer. */
  buffer: DmaBuf | undefined = undefined;
  /** fds and mappings in all processes. */
  fds = 0;
  maps = 0;
  /** The first of the processes' holdings, linked in no order. */
  first: TrackedHolding | undefined = undefined;
  /** Number of the last list that had it. */
  list = -1;
  /** What that told; undefined: not all of it is as it was told. */
  listFacts: BufferFacts | undefined = undefined;
  /** Where it stood in that list. */
  listPlace = -1;
  /** As the list printed it last; undefined: no list told. */
  listName: BufferName | undefined = undefined;
  /** In the kernel's list when it was last read. */
  listed = false;
  /** References by processes when fileCount was read. */
  refsAtCount = 0;
  /** fileCount − refsAtCount: held by nobody that can be seen. */
  kernelRefs: number | undefined = undefined;
  /** fdinfo was asked for the name that the list leaves in doubt. */
  nameAsked = false;
  /** Higher, the later it was asked for its name, or found. */
  nameAge = 0;
  /** As it was shown last. */
  shown: DmaBuf | undefined = undefined;
  /** In the lists of those names, see KnownBuffers. */
  isChanged = false;
  isTouched = false;
  /** The places in the lists of those names, see KnownBuffers. */
  unheldPlace = -1;
  namelessPlace = -1;
  doubtfulPlace = -1;
  openPlace = -1;
  unexplainedPlace = -1;
  loosePlace = -1;
  otherPlace = -1;

  constructor(readonly inode: bigint) {}
}

/** How one process holds one buffer. */
export class TrackedHolding {
  fds = 0;
  maps = 0;
  /** Sum of the mappings' lengths. */
  mappedBytes = 0n;
  /** It has references, and its place among the buffer's holdings. */
  isHeld = false;
  next: TrackedHolding | undefined = undefined;
  previous: TrackedHolding | undefined = undefined;
  /** As it was shown last. */
  shown: Holding | undefined = undefined;
  /** It may not be as it was shown. */
  isChanged = false;

  constructor(
    readonly process: TrackedProcess,
    readonly key: InodeKey,
    readonly tracked: TrackedBuffer,
  ) {}
}

/** References by processes. */
export function refsOf({fds, maps}: TrackedBuffer): number {
  return fds + maps;
}

/** fileCount minus what processes explain; undefined when not known. */
export function unexplainedRefs(tracked: TrackedBuffer): number | undefined {
  const count = tracked.buffer?.fileCount;
  return count === undefined ? undefined : Number(count) - refsOf(tracked);
}

/** The holdings of the processes that hold a buffer. */
export function* holdersOf({
  first,
}: TrackedBuffer): Generator<TrackedHolding, undefined> {
  for (let each = first; each !== undefined; each = each.next) yield each;
}

/** A process holds the buffer from now on. */
export function addHolding(holding: TrackedHolding): void {
  const {tracked} = holding;
  const {first} = tracked;
  holding.isHeld = true;
  holding.next = first;
  if (first !== undefined) first.previous = holding;
  tracked.first = holding;
}

/** A process does not hold the buffer any more. */
export function removeHolding(holding: TrackedHolding): void {
  const {tracked, next, previous} = holding;
  if (previous === undefined) tracked.first = next;
  else previous.next = next;
  if (next !== undefined) next.previous = previous;
  holding.next = holding.previous = undefined;
  holding.isHeld = false;
}

/** Notes that a holding may not be as it was shown. */
export function noteHolding(holding: TrackedHolding): void {
  if (holding.isChanged) return;
  holding.isChanged = true;
  holding.process.changed.push(holding);
  holding.process.stale = true;
}
