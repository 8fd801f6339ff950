// SPDX-License-Identifier: Apache-2.0
import type {CounterTrackAttrs} from '../../../../../../src/ui-plugin/api/components/tracks/counter_track';

export class CounterTrack {
  readonly rootTableName?: string;

  private constructor(readonly attrs: CounterTrackAttrs) {}

  render(): void {}

  static create(attrs: CounterTrackAttrs): CounterTrack {
    return new CounterTrack(attrs);
  }
}
