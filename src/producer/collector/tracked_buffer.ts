// SPDX-License-Identifier: Apache-2.0
import type {
  BufferName,
  DmaBuf,
  Holding,
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
  /** Of the processes that hold it, in no order. */
  readonly holdings: TrackedHolding[];
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
  kernelRefs: bigint | undefined;
  /** fdinfo was asked for the name that the list leaves in doubt. */
  nameAsked: boolean;
  /** In the sets of that name, see KnownBuffers. */
  isTouched: boolean;
  isUnheld: boolean;
  isNameless: boolean;
  isOpen: boolean;
}

/** How one process holds one buffer. */
export interface TrackedHolding {
  readonly process: TrackedProcess;
  tracked: TrackedBuffer;
  fds: number;
  maps: number;
  /** Sum of the mappings' lengths. */
  mappedBytes: bigint;
  /** Place in the buffer's holdings; -1: without references, in none. */
  place: number;
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
    holdings: [],
    list: -1,
    listFacts: undefined,
    listPlace: -1,
    listName: undefined,
    listed: false,
    refsAtCount: 0,
    kernelRefs: undefined,
    nameAsked: false,
    isTouched: false,
    isUnheld: false,
    isNameless: false,
    isOpen: false,
  };
}

/** References by processes. */
export function refsOf({fds, maps}: TrackedBuffer): number {
  return fds + maps;
}

/** fileCount minus what processes explain; undefined when not known. */
export function unexplainedRefs(tracked: TrackedBuffer): bigint | undefined {
  const count = tracked.buffer?.fileCount;
  return count === undefined ? undefined : count - BigInt(refsOf(tracked));
}

/** A process holds the buffer from now on. */
export function addHolding(holding: TrackedHolding): void {
  const {holdings} = holding.tracked;
  holding.place = holdings.length;
  holdings.push(holding);
}

/** A process does not hold the buffer any more. */
export function removeHolding(holding: TrackedHolding): void {
  const {holdings} = holding.tracked;
  const last = holdings.pop();
  if (last !== undefined && last !== holding) {
    last.place = holding.place;
    holdings[holding.place] = last;
  }
  holding.place = -1;
}

/** Notes that a holding may not be as it was shown. */
export function noteHolding(holding: TrackedHolding): void {
  if (holding.isChanged) return;
  holding.isChanged = true;
  holding.process.changed.push(holding);
  holding.process.stale = true;
}
