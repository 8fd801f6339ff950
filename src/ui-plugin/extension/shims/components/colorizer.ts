// SPDX-License-Identifier: Apache-2.0
import type * as ui from '../../../api/components/colorizer';
import {uiClass} from '../../class_sources';

export const getColorForSlice: typeof ui.getColorForSlice = (name, options) =>
  uiClass('getColorForSlice')(name, options);
