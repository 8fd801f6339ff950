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
 */
export interface TrackedBuffer {
  readonly inode: bigint;
  /** Undefined while nothing told that what is referred to is a buffer. */
  buffer: DmaBuf | undefined;
  /** fds and mappings in all processes. */
  fds: number;
  maps: number;
  /** The first of the processes' holdings, linked in no order. */
  first: TrackedHolding | undefined;
  /** Number of the last list that had it, and what that told. */
  list: number;
  listFacts: BufferFacts | undefined;
  /** Where it stood in that list. */
  listPlace: number;
  /** As the list printed it last; undefined: no list told. */
  listName: BufferName | undefined;
  /** In the kernel's list when it was last read. */
  listed: boolean;
  /** References by processes when fileCount was read. */
  refsAtCount: number;
  /** fileCount − refsAtCount: held by nobody that can be seen. */
  kernelRefs: number | undefined;
  /** fdinfo was asked for the name that the list leaves in doubt. */
  nameAsked: boolean;
  /** Higher, the later it was asked for its name, or found. */
  nameAge: number;
  /** As it was shown last. */
  shown: DmaBuf | undefined;
  /** In the lists of those names, see KnownBuffers. */
  isChanged: boolean;
  isTouched: boolean;
  /** The places in the lists of those names, see KnownBuffers. */
  unheldPlace: number;
  namelessPlace: number;
  doubtfulPlace: number;
  openPlace: number;
}

/** How one process holds one buffer. */
export interface TrackedHolding {
  readonly process: TrackedProcess;
  readonly key: InodeKey;
  readonly tracked: TrackedBuffer;
  fds: number;
  maps: number;
  /** Sum of the mappings' lengths. */
  mappedBytes: bigint;
  /** It has references, and its place among the buffer's holdings. */
  isHeld: boolean;
  next: TrackedHolding | undefined;
  previous: TrackedHolding | undefined;
  /** As it was shown last. */
  shown: Holding | undefined;
  /** It may not be as it was shown. */
  isChanged: boolean;
}

/** A number under which nothing is known yet. */
export function newTracked(inode: bigint): TrackedBuffer {
  return {
    inode,
    buffer: undefined,
    fds: 0,
    maps: 0,
    first: undefined,
    list: -1,
    listFacts: undefined,
    listPlace: -1,
    listName: undefined,
    listed: false,
    refsAtCount: 0,
    kernelRefs: undefined,
    nameAsked: false,
    nameAge: 0,
    shown: undefined,
    isChanged: false,
    isTouched: false,
    unheldPlace: -1,
    namelessPlace: -1,
    doubtfulPlace: -1,
    openPlace: -1,
  };
}

/** A holding without a reference yet. */
export function newHolding(
  process: TrackedProcess,
  key: InodeKey,
  tracked: TrackedBuffer,
): TrackedHolding {
  return {
    process,
    key,
    tracked,
    fds: 0,
    maps: 0,
    mappedBytes: 0n,
    isHeld: false,
    next: undefined,
    previous: undefined,
    shown: undefined,
    isChanged: false,
  };
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
