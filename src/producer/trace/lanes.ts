// SPDX-License-Identifier: Apache-2.0
import {onTrack, type Fields, type PacketWriter} from './packet_writer.js';

/** A track that shows one slice at a time. */
export interface Lane {
  readonly index: number;
  readonly track: Fields;
}

/**
 * The lanes that make up one merged track. A lane is reused as soon as it is
 * free, the uppermost first, so that there are never more of them (nor of
 * their descriptors) than slices were open at one time.
 */
export class Lanes {
  /** Free lanes, the uppermost last. */
  private readonly free: Lane[] = [];
  private count = 0;

  constructor(
    private readonly track: {
      readonly name: string;
      readonly parentUuid: bigint;
      readonly rank: number | undefined;
      readonly laneUuid: (index: number) => bigint;
    },
  ) {}

  /** The uppermost free lane; a new one is described to the writer. */
  take(writer: PacketWriter): Lane {
    const reused = this.free.pop();
    if (reused !== undefined) return reused;
    const {name, parentUuid, rank, laneUuid} = this.track;
    const index = this.count++;
    const uuid = laneUuid(index);
    writer.lane({uuid, parentUuid, name, rank});
    return {index, track: onTrack(uuid)};
  }

  release(lane: Lane): void {
    const {free} = this;
    let low = 0;
    let high = free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((free[middle] as Lane).index > lane.index) low = middle + 1;
      else high = middle;
    }
    free.splice(low, 0, lane);
  }
}
