// SPDX-License-Identifier: Apache-2.0
import type * as ui from '../../../../api/components/tracks/slice_track';
import {uiClass} from '../../../class_sources';
import {lazy} from '../../../lazy';

export const SliceTrack: typeof ui.SliceTrack = lazy(() =>
  uiClass('SliceTrack'),
);
