// SPDX-License-Identifier: Apache-2.0
import type m from 'mithril';
import type {ColorScheme} from '../../base/color_scheme';
import type {TrackEventDetailsPanel} from '../../public/details_panel';
import type {Trace} from '../../public/trace';
import type {TrackRenderer} from '../../public/track';
import type {DatasetSchema, SourceDataset} from '../../trace_processor/dataset';

export type RowSchema = {
  readonly id?: number;
  readonly ts: bigint;
  readonly dur?: bigint | null;
  readonly depth?: number;
  readonly layer?: number;
} & DatasetSchema;

export interface SliceTrackAttrs<T extends RowSchema> {
  readonly trace: Trace;
  readonly uri: string;
  readonly dataset: SourceDataset<T>;
  /** Of which the ids are: `slice` makes flows and selection by id work. */
  readonly rootTableName?: string;
  colorizer?(row: T): ColorScheme;
  sliceName?(row: T): string;
  tooltip?(slice: {readonly row: T}): m.Children;
  detailsPanel?(row: T): TrackEventDetailsPanel;
}

export class SliceTrack<T extends RowSchema> implements TrackRenderer {
  readonly rootTableName?: string;
  render(context: object): void;
  static create<T extends RowSchema>(attrs: SliceTrackAttrs<T>): SliceTrack<T>;
}
