// SPDX-License-Identifier: Apache-2.0
import type {ColorScheme} from '../base/color_scheme';

/** One colour for one text; equal texts have equal colours. */
export function getColorForSlice(
  name: string,
  options?: {readonly stripTrailingDigits?: boolean},
): ColorScheme;
