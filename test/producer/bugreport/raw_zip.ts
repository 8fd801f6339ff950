// SPDX-License-Identifier: Apache-2.0
// Zips that no library would write.
import {writeFileSync} from 'node:fs';
import {crc32} from './crc32.js';

export interface RawMember {
  /** One character for each byte. */
  readonly name: string;
  readonly data: Buffer;
  /** What stands in the file in place of `data`. */
  readonly packed?: Buffer;
  readonly flags?: number;
  /** 0: stored. */
  readonly method?: number;
  readonly declaredBytes?: number;
}

/** Writes a zip that says of its members whatever it is told to. */
export function rawZip(
  path: string,
  members: readonly RawMember[],
  comment = '',
): string {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const {name, data, packed = data, flags = 0, method = 0} = member;
    const nameBytes = Buffer.from(name, 'latin1');
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(member.declaredBytes ?? data.length, 18);
    common.writeUInt16LE(nameBytes.length, 22);
    const local = Buffer.concat([
      Buffer.from('PK\x03\x04', 'latin1'),
      common,
      nameBytes,
      packed,
    ]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(
      Buffer.from('PK\x01\x02\x14\x00', 'latin1'),
      common,
      tail,
      nameBytes,
    );
    pieces.push(local);
    offset += local.length;
  }
  const entries = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  const tail = Buffer.from(comment, 'latin1');
  writeFileSync(path, Buffer.concat([...pieces, entries, end, tail]));
  return path;
}
