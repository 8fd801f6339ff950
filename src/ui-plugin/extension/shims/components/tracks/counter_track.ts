// SPDX-License-Identifier: Apache-2.0
import type * as ui from '../../../../api/components/tracks/counter_track';
import {uiClass} from '../../../class_sources';
import {lazy} from '../../../lazy';

export const CounterTrack: typeof ui.CounterTrack = lazy(() =>
  uiClass('CounterTrack'),
);
