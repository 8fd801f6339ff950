// SPDX-License-Identifier: Apache-2.0
import type * as ui from '../../../api/public/workspace';
import {uiClass} from '../../class_sources';
import {lazy} from '../../lazy';

export const TrackNode: typeof ui.TrackNode = lazy(() => uiClass('TrackNode'));
