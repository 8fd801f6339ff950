// SPDX-License-Identifier: Apache-2.0
import type * as ui from '../../../api/trace_processor/dataset';
import {uiClass} from '../../class_sources';
import {lazy} from '../../lazy';

export const SourceDataset: typeof ui.SourceDataset = lazy(() =>
  uiClass('SourceDataset'),
);
