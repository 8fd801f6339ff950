// SPDX-License-Identifier: Apache-2.0
import type {
  Color,
  ColorScheme,
} from '../../../../../src/ui-plugin/api/base/color_scheme';

/** The text itself stands for its colour, so that tests can tell them apart. */
export function getColorForSlice(
  name: string,
  {stripTrailingDigits = true}: {stripTrailingDigits?: boolean} = {},
): ColorScheme {
  const cssString = stripTrailingDigits ? name.replace(/( )?\d+/g, '') : name;
  const color: Color = {cssString};
  return {
    base: color,
    variant: color,
    disabled: color,
    textBase: color,
    textVariant: color,
    textDisabled: color,
  };
}
