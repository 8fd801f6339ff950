// SPDX-License-Identifier: Apache-2.0
/** As the slices themselves are named: name, else exporter, and inode. */
export function bufferTitle(buffer: {
  readonly name: string | null | undefined;
  readonly exporter: string | null | undefined;
  readonly inode: bigint;
}): string {
  const {name, exporter, inode} = buffer;
  const label = name !== '' ? (name ?? exporter) : exporter;
  return `${label ?? 'dma-buf'} ${inode}`;
}
