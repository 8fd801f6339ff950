// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  FormatError,
  MAPS_PATH_COLUMN_32,
  dmaBufPathName,
  isSharedInodeDmaBuf,
  parseMaps,
  parseMapsLine,
  parseSmaps,
  renderDmaBufPath,
  renderMapsLine,
  renderSmapsEntry,
  type MapsEntry,
  type SmapsEntry,
  tellsNoName,
} from '../../../src/core/formats/index.js';
import {damaged, dmaBufName, rawLine, rawText, uint64} from './arbitraries.js';
import {KERNELS, ROLES, capture, madeHoldings, madeNames} from './captures.js';

describe.each(KERNELS)('maps of %s', (kernel) => {
  it('is rendered as the kernel printed it', () => {
    for (const role of ROLES) {
      const text = capture(kernel, `${role}.maps.txt`);
      expect(
        parseMaps(text)
          .map((entry) => renderMapsLine(entry))
          .join(''),
      ).toBe(text);
    }
  });

  it('smaps is rendered as the kernel printed it', () => {
    const text = capture(kernel, 'mapper.smaps.txt');
    const entries = [...parseSmaps(text)];
    expect(entries.map(({vma}) => vma)).toEqual(
      parseMaps(capture(kernel, 'mapper.maps.txt')),
    );
    expect(entries.map((entry) => renderSmapsEntry(entry)).join('')).toBe(text);
  });

  it('tells the names of link targets', () => {
    const text = capture(kernel, 'names.find-printf.txt');
    const targets = new Map<number, string>();
    for (const [, fd, target] of text.matchAll(
      /^\/proc\/\d+\/fd\/(\d+)\|([^|]*)\|\n/gm,
    )) {
      targets.set(Number(fd), target ?? '');
    }
    for (const {fd, name} of madeNames(kernel)) {
      const target = targets.get(fd) ?? '';
      expect(dmaBufPathName(target, {escaped: false}), `fd ${fd}`).toEqual(
        name === undefined || name === ''
          ? {raw: undefined, doubtful: true}
          : {raw: name, doubtful: false},
      );
    }
  });
});

describe.each(KERNELS.filter((kernel) => kernel !== '5.10'))(
  'mappings of %s',
  (kernel) => {
    it.each(['mapper', 'forker', 'forkchild'])(
      'tells what %s mapped',
      (role) => {
        const made = madeHoldings(kernel).filter(
          ({comm, held}) => comm === `lab-${role}` && held.includes('map'),
        );
        const entries = parseMaps(capture(kernel, `${role}.maps.txt`), {
          dmaBufsOnly: true,
        });
        expect(new Set(entries.map(({inode}) => inode))).toEqual(
          new Set(made.map(({inode}) => inode)),
        );
        for (const {inode, held, name, sizeBytes} of made) {
          const vmas = entries.filter((entry) => entry.inode === inode);
          const mapped = vmas.reduce(
            (sum, {start, end}) => sum + end - start,
            0n,
          );
          if (held === 'map-partial-x2') {
            expect(vmas).toHaveLength(2);
            expect(mapped).toBe(12288n);
          } else {
            expect(vmas).toHaveLength(held.endsWith('3-vmas') ? 3 : 1);
            expect(mapped).toBe(sizeBytes);
          }
          for (const {path} of vmas) {
            const found = dmaBufPathName(path, {escaped: true});
            expect(found?.raw).toBe(name);
            expect(found?.doubtful).toBe(
              name === undefined || name.includes('\n'),
            );
          }
        }
      },
    );
  },
);

describe('maps of 5.10', () => {
  it('shows no dma-buf: vgem maps its own file', () => {
    const text = capture('5.10', 'mapper.maps.txt');
    expect(text).toContain('/drm mm object (deleted)');
    expect(parseMaps(text, {dmaBufsOnly: true})).toEqual([]);
  });
});

describe('a line of maps', () => {
  it('has offsets beyond 32 bits and a path from column 73 on', () => {
    const line =
      '7fc772bb0000-7fc772bc0000 rw-s 10000e000 00:0e 10' +
      '                        /dmabuf:maponly-vgem';
    expect(parseMapsLine(line)).toEqual({
      start: 0x7fc772bb0000n,
      end: 0x7fc772bc0000n,
      perms: 'rw-s',
      offset: 0x10000e000n,
      devMajor: 0,
      devMinor: 14,
      inode: 10n,
      path: '/dmabuf:maponly-vgem',
    });
  });

  it('may have no path', () => {
    expect(
      parseMapsLine('004c1000-004c7000 rw-p 00000000 00:00 0 \n').path,
    ).toBe('');
  });

  it('keeps blanks and colons of the name', () => {
    const line =
      'ffffb8070000-ffffbc040000 rw-s 00030000 00:0b 5    /dmabuf:a  b: \n';
    expect(parseMapsLine(line).path).toBe('/dmabuf:a  b: ');
  });

  it('has the path in column 49 on 32-bit kernels', () => {
    const line =
      'b6f00000-b6f01000 rw-s 00000000 00:0b 9          /dmabuf:cam\n';
    expect(line.indexOf('/')).toBe(MAPS_PATH_COLUMN_32);
    expect(renderMapsLine(parseMapsLine(line), MAPS_PATH_COLUMN_32)).toBe(line);
  });

  it.each([
    '',
    '\n',
    'cat: /proc/1/maps: Permission denied',
    '7fc772bb0000-7fc772bc0000 rw-s 10000e000 00:0e 1',
    '7fc772bb0000-7fc772bc0000 rw-s 10000e000 00:0e',
    '7fc772bb0000-7fc772bc00',
    '7fc772bb0000-7fc772bc0000 rw-s 10000e000 00:0e 123456789012345678901 ',
  ])('is refused when it is %j', (line) => {
    expect(() => parseMapsLine(line)).toThrow(FormatError);
  });

  it('is named by its number when it is wrong', () => {
    const good = '004c1000-004c7000 rw-p 00000000 00:00 0 \n';
    expect(() => parseMaps(`${good}${good}nonsense\n`)).toThrow(
      '/proc/PID/maps, line 3: no line of a mapping: "nonsense"',
    );
    expect(() => parseMaps(good + good.slice(0, -1))).toThrow(
      '/proc/PID/maps, line 2: the text ends',
    );
  });
});

describe('the path of a dma-buf', () => {
  const maps = {escaped: true};
  const link = {escaped: false};

  it('is doubtful where \\012 may be a newline or those four letters', () => {
    const name = {raw: 'a\nb', doubtful: true};
    expect(dmaBufPathName('/dmabuf:a\\012b', maps)).toEqual(name);
    const raw = {raw: 'a\\012b', doubtful: false};
    expect(dmaBufPathName('/dmabuf:a\\012b', link)).toEqual(raw);
  });

  it('cannot tell unset from empty', () => {
    const unknown = {raw: undefined, doubtful: true};
    expect(dmaBufPathName('/dmabuf:', maps)).toEqual(unknown);
    expect(dmaBufPathName('/dmabuf:', link)).toEqual(unknown);
    expect(dmaBufPathName('/dmabuf (deleted)', link)).toEqual(unknown);
  });

  it('is not in the one path that the first patch gave all buffers', () => {
    expect(tellsNoName('/dmabuf (deleted)')).toBe(true);
    expect(tellsNoName('/dmabuf:')).toBe(false);
    expect(tellsNoName('/dmabuf:x (deleted)')).toBe(false);
  });

  it('keeps what looks like marks of the kernel', () => {
    for (const raw of ['x (deleted)', '/dmabuf:fake', '<none>', ' ']) {
      const name = {raw, doubtful: false};
      expect(dmaBufPathName(`/dmabuf:${raw}`, maps)).toEqual(name);
    }
  });

  it('is none of another file', () => {
    for (const path of [
      '',
      '/dmabuf',
      '/dmabufx:a',
      '/data/dmabuf:a',
      '[heap]',
    ]) {
      expect(dmaBufPathName(path, link)).toBeUndefined();
    }
  });

  it('is the same for all before 5.3', () => {
    expect(isSharedInodeDmaBuf('anon_inode:dmabuf')).toBe(true);
    expect(isSharedInodeDmaBuf('/dmabuf:anon_inode:dmabuf')).toBe(false);
    expect(dmaBufPathName('anon_inode:dmabuf', link)).toBeUndefined();
    const line = '7f00-7f01 rw-s 00000000 00:0b 9591   anon_inode:dmabuf\n';
    expect(parseMaps(line, {dmaBufsOnly: true})).toHaveLength(1);
  });

  it('comes back as it was rendered, but for unset, empty and \\012', () => {
    fc.assert(
      fc.property(dmaBufName, fc.boolean(), (raw, escaped) => {
        const name = {raw, doubtful: false};
        const path = renderDmaBufPath(name, {escaped});
        expect(path.includes('\n')).toBe(!escaped && raw.includes('\n'));
        const found = dmaBufPathName(path, {escaped});
        if (raw === '') expect(found).toEqual({raw: undefined, doubtful: true});
        else if (!found?.doubtful) expect(found).toEqual(name);
        else if (!raw.includes('\\012')) expect(found.raw).toBe(raw);
      }),
    );
  });
});

const entry: fc.Arbitrary<MapsEntry> = fc.record({
  start: uint64,
  end: uint64,
  perms: fc.constantFrom('rw-s', 'r--p', '---p', 'rwxs'),
  offset: uint64,
  devMajor: fc.integer({min: 0, max: 0xfff}),
  devMinor: fc.integer({min: 0, max: 0xfffff}),
  inode: uint64,
  path: fc.oneof(
    fc.constantFrom('', '[heap]', 'anon_inode:dmabuf'),
    rawLine(60).map((path) => `/${path}`),
    dmaBufName.map((raw) =>
      renderDmaBufPath({raw, doubtful: false}, {escaped: true}),
    ),
  ),
});

describe('any maps', () => {
  it('comes back as it was rendered', () => {
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const text = entries.map((each) => renderMapsLine(each)).join('');
        expect(parseMaps(text)).toEqual(entries);
        expect(parseMaps(text, {dmaBufsOnly: true})).toEqual(
          entries.filter(
            ({path}) =>
              isSharedInodeDmaBuf(path) ||
              dmaBufPathName(path, {escaped: true}) !== undefined,
          ),
        );
      }),
    );
  });

  const smapsEntry: fc.Arbitrary<SmapsEntry> = fc.record({
    vma: entry,
    kB: fc
      .uniqueArray(
        fc.tuple(
          fc.constantFrom('Size', 'Rss', 'Pss', 'Private_Hugetlb', 'SwapPss'),
          uint64,
        ),
        {selector: ([key]) => key},
      )
      .map((pairs) => new Map(pairs)),
    other: fc
      .uniqueArray(
        fc.tuple(
          fc.constantFrom('VmFlags', 'THPeligible', 'Name'),
          rawLine(40),
        ),
        {selector: ([key]) => key},
      )
      .map((pairs) => new Map(pairs)),
  });

  it('smaps comes back as it was rendered', () => {
    fc.assert(
      fc.property(fc.array(smapsEntry), (entries) => {
        const text = entries.map((each) => renderSmapsEntry(each)).join('');
        // A line of another kind that reads like one in kB is one.
        fc.pre(!/^(VmFlags|THPeligible|Name): +\d+ kB$/m.test(text));
        expect([...parseSmaps(text)]).toEqual(entries);
      }),
    );
  });

  it('throws nothing but FormatError on damaged or random text', () => {
    const maps = fc
      .array(entry)
      .map((entries) => entries.map((each) => renderMapsLine(each)).join(''));
    const smaps = fc
      .array(smapsEntry)
      .map((entries) => entries.map((each) => renderSmapsEntry(each)).join(''));
    const text = fc.oneof(damaged(maps), damaged(smaps), rawText(300));
    fc.assert(
      fc.property(text, fc.boolean(), (value, dmaBufsOnly) => {
        for (const parse of [
          () => parseMaps(value, {dmaBufsOnly}),
          () => parseMapsLine(value),
          () => [...parseSmaps(value)],
        ]) {
          try {
            parse();
          } catch (error) {
            expect(error).toBeInstanceOf(FormatError);
          }
        }
      }),
      {numRuns: 500},
    );
  });
});
