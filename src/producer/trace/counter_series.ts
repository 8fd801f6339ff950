// SPDX-License-Identifier: Apache-2.0
import {counterTrackPacket, type CounterTrack} from './descriptors.js';
import {onTrack, type Fields, type PacketWriter} from './packet_writer.js';

export type Outcome =
  /** A value was written. */
  | 'written'
  /** As before, nothing written. */
  | 'same'
  /** Known before and not now: the track goes on showing the last value. */
  | 'lost';

/**
 * A counter that is written only when it changes. Its track comes into being
 * with the first known value; unknown is never written as zero.
 */
export class CounterSeries {
  private described: Fields | undefined;
  private last: bigint | number | undefined;

  constructor(private readonly track: CounterTrack) {}

  get name(): string {
    return this.track.name;
  }

  /** True once a value was written. */
  get begun(): boolean {
    return this.described !== undefined;
  }

  update(writer: PacketWriter, value: bigint | number | undefined): Outcome {
    const {last} = this;
    if (value === last) return 'same';
    this.last = value;
    if (value === undefined) return 'lost';
    if (this.described === undefined) {
      writer.framed(counterTrackPacket(this.track));
      this.described = onTrack(this.track.uuid);
    }
    writer.counter(this.described, value);
    return 'written';
  }
}
