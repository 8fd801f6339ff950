// SPDX-License-Identifier: Apache-2.0
export interface Color {
  readonly cssString: string;
}

export interface ColorScheme {
  readonly base: Color;
  readonly variant: Color;
  readonly disabled: Color;
  readonly textBase: Color;
  readonly textVariant: Color;
  readonly textDisabled: Color;
}
