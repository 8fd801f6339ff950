// SPDX-License-Identifier: Apache-2.0

// Node has one of its own from 20.15 and 22.2 on, which is newer than what we
// ask for.
const TABLE = Uint32Array.from({length: 256}, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) {
    crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0xedb88320 : 0);
  }
  return crc;
});

/** The checksum of zip and gzip, of data that comes in pieces. */
export class Crc32 {
  private crc = 0xffffffff;

  update(data: Uint8Array): void {
    let {crc} = this;
    for (const byte of data) {
      crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] ?? 0);
    }
    this.crc = crc;
  }

  /** Of all up to here, 32 bits. */
  get value(): number {
    return (this.crc ^ 0xffffffff) >>> 0;
  }
}
