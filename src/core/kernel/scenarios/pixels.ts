// SPDX-License-Identifier: Apache-2.0

/** Bytes of an NV12 frame; hardware wants its height in macroblocks of 16. */
export function nv12(width: number, height: number): number {
  return (width * Math.ceil(height / 16) * 16 * 3) / 2;
}

/** Bytes of a frame in 8-bit RGBA. */
export function rgba(width: number, height: number): number {
  return width * height * 4;
}

/** The phone's panel. */
export const PANEL = {width: 1080, height: 2400} as const;

export const PANEL_RGBA = rgba(PANEL.width, PANEL.height);
