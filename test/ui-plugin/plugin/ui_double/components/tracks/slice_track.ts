// SPDX-License-Identifier: Apache-2.0
import type {
  RowSchema,
  SliceTrackAttrs,
} from '../../../../../../src/ui-plugin/api/components/tracks/slice_track';

export class SliceTrack<T extends RowSchema> {
  readonly rootTableName?: string;

  private constructor(readonly attrs: SliceTrackAttrs<T>) {
    this.rootTableName = attrs.rootTableName;
  }

  render(): void {}

  static create<T extends RowSchema>(attrs: SliceTrackAttrs<T>): SliceTrack<T> {
    return new SliceTrack(attrs);
  }
}
