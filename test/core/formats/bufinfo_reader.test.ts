// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  BUFINFO_RFC_V1,
  BufinfoReader,
  bufinfoDialect,
  parseBufinfo,
  renderBufinfo,
  type BufinfoDialect,
  type BufinfoObject,
} from '../../../src/core/formats/index.js';
import {damaged, dmaBufName, exporter, uint64} from './arbitraries.js';

const V6_12 = bufinfoDialect('6.12');

function object(
  inode: number | bigint,
  fields: Partial<BufinfoObject> = {},
): BufinfoObject {
  return {
    sizeBytes: 4096n,
    flags: 2,
    mode: 0x80007,
    fileCount: 1n,
    exporter: 'system',
    inode: BigInt(inode),
    name: {raw: `name ${inode}`, doubtful: false},
    attachments: [],
    fences: [],
    lockError: false,
    ...fields,
  };
}

function range(from: number, to: number): number[] {
  return Array.from({length: from - to + 1}, (_, i) => from - i);
}

function listed(
  inodes: readonly number[],
  others: ReadonlyMap<number, Partial<BufinfoObject>> = new Map(),
): string {
  const objects = inodes.map((inode) => object(inode, others.get(inode)));
  return renderBufinfo(objects, V6_12);
}

/** Inodes of the buffers that are the same objects in both readings. */
function kept(
  before: readonly BufinfoObject[],
  after: readonly BufinfoObject[],
): number[] {
  const old = new Set(before);
  return after.filter((o) => old.has(o)).map(({inode}) => Number(inode));
}

describe('BufinfoReader', () => {
  it('gives the same objects for the buffers that are unchanged', () => {
    const reader = new BufinfoReader();
    const before = reader.read(listed(range(300, 1)));
    const gone = new Set([280, ...range(200, 150), 1]);
    const text = listed(
      range(310, 1).filter((inode) => !gone.has(inode)),
      new Map([
        [100, {fileCount: 2n}],
        [50, {name: {raw: 'renamed', doubtful: false}}],
        [40, {attachments: ['isp']}],
      ]),
    );
    const after = reader.read(text);
    expect(after).toEqual(parseBufinfo(text));
    const changed = new Set([...gone, 100, 50, 40]);
    expect(kept(before.objects, after.objects)).toEqual(
      range(300, 1).filter((inode) => !changed.has(inode)),
    );
  });

  it('finds buffers again in another order', () => {
    const reader = new BufinfoReader();
    const before = reader.read(listed(range(100, 1)));
    const after = reader.read(listed([...range(50, 1), ...range(100, 51)]));
    expect(kept(before.objects, after.objects)).toHaveLength(100);
  });

  it('does not keep a buffer that has a fence now', () => {
    const reader = new BufinfoReader();
    reader.read(listed([2, 1]));
    const fences = ['write fence:drv tl seq 1 unsignalled'];
    const {objects} = reader.read(listed([2, 1], new Map([[2, {fences}]])));
    expect(objects[0]?.fences).toEqual(fences);
    expect(reader.read(listed([2, 1])).objects[0]?.fences).toEqual([]);
  });

  it('reads <none> by the header of the text', () => {
    const reader = new BufinfoReader();
    const text = renderBufinfo(
      [object(1, {name: {raw: '<none>', doubtful: false}})],
      bufinfoDialect('5.10'),
    );
    expect(reader.read(text).objects[0]?.name.raw).toBe('<none>');
    const newer = text.replace('ino     \n', 'ino     \tname\n');
    expect(newer).not.toBe(text);
    expect(reader.read(newer)).toEqual(parseBufinfo(newer));
    expect(reader.read(newer).objects[0]?.name.raw).toBe(undefined);
  });

  it('reads a list that is cut in a known buffer as cut', () => {
    const reader = new BufinfoReader();
    const text = listed(range(20, 1));
    reader.read(text);
    for (let length = 0; length < text.length; length += 7) {
      const cut = text.slice(0, length);
      expect(reader.read(cut)).toEqual(parseBufinfo(cut));
      expect(reader.read(text)).toEqual(parseBufinfo(text));
    }
  });

  it('always reads what is read without memory', () => {
    const any: fc.Arbitrary<BufinfoObject> = fc.record({
      sizeBytes: fc.constantFrom(4096n, 8192n, 2n ** 53n),
      flags: fc.constantFrom(0, 2),
      mode: fc.constant(0x80007),
      fileCount: fc.constantFrom(1n, 2n),
      exporter: fc.oneof(fc.constant('system'), exporter),
      inode: fc.oneof(fc.bigInt({min: 0n, max: 9n}), uint64),
      name: dmaBufName.map((raw) => ({raw, doubtful: false})),
      attachments: fc.constantFrom([], [], ['isp']),
      fences: fc.constantFrom([], [], ['read fence:a b seq 1 signalled']),
      lockError: fc.constantFrom(false, false, true),
    });
    const dialect: fc.Arbitrary<BufinfoDialect> = fc.constantFrom(
      ...['5.3', '5.10', '6.12', '7.0'].map(bufinfoDialect),
      BUFINFO_RFC_V1,
    );
    /** Each list has most of its buffers from the same few. */
    const lists = fc
      .tuple(fc.array(any, {minLength: 1, maxLength: 12}), dialect)
      .chain(([pool, form]) => {
        const text = fc
          .array(fc.nat(pool.length - 1), {maxLength: 16})
          .map((picks) =>
            renderBufinfo(
              picks.flatMap((i) => pool[i] ?? []),
              form,
            ),
          );
        return fc.array(
          fc.oneof(
            {weight: 3, arbitrary: text},
            {weight: 1, arbitrary: damaged(text)},
          ),
          {maxLength: 5},
        );
      });
    fc.assert(
      fc.property(lists, lists, (some, others) => {
        const reader = new BufinfoReader();
        for (const text of [...some, ...others]) {
          expect(reader.read(text)).toEqual(parseBufinfo(text));
        }
      }),
      {numRuns: 400},
    );
  });
});
