// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  BUFINFO_RFC_V1,
  bufinfoDialect,
  dmaBufPathName,
  parseBufinfo,
  parseFdinfo,
  parseMaps,
  renderBufinfo,
  renderFence,
  settleNames,
  type BufinfoDialect,
  type BufinfoFence,
  type BufinfoObject,
} from '../../../src/core/formats/index.js';
import type {BufferName} from '../../../src/core/model/dma_buf.js';
import {
  damaged,
  dmaBufName,
  exporter,
  rawText,
  uint32,
  uint64,
} from './arbitraries.js';
import {
  KERNELS,
  capture,
  fdinfos,
  kernelRelease,
  madeHoldings,
  madeNames,
} from './captures.js';

const UNKNOWN = {raw: undefined, doubtful: true};
const UNSET = {raw: undefined, doubtful: false};

function sure(raw: string): BufferName {
  return {raw, doubtful: false};
}

/** One unnamed buffer of a 6.12. */
function object(fields: Partial<BufinfoObject> = {}): BufinfoObject {
  return {
    sizeBytes: 4096n,
    flags: 2,
    mode: 0x80007,
    fileCount: 1n,
    exporter: 'system',
    inode: 7n,
    name: UNKNOWN,
    attachments: [],
    fences: [],
    lockError: false,
    ...fields,
  };
}

const V5_10 = bufinfoDialect('5.10');
const V6_12 = bufinfoDialect('6.12');
const V7_3 = bufinfoDialect('7.3');

describe.each(KERNELS)('bufinfo of %s', (kernel) => {
  const dialect = bufinfoDialect(kernelRelease(kernel));
  const scene = parseBufinfo(capture(kernel, 'bufinfo.txt'));
  const named = parseBufinfo(capture(kernel, 'names.bufinfo.txt'));

  it.each(['bufinfo.txt', 'bufinfo-2.txt', 'names.bufinfo.txt'])(
    '%s is rendered as the kernel printed it',
    (file) => {
      const text = capture(kernel, file);
      const bufinfo = parseBufinfo(text);
      expect(bufinfo.problems).toEqual([]);
      expect(bufinfo.total?.objects).toBe(bufinfo.objects.length);
      expect(renderBufinfo(bufinfo.objects, dialect)).toBe(text);
    },
  );

  it('tells the columns', () => {
    const columns = ['size', 'flags', 'mode', 'count', 'exp_name', 'ino'];
    if (kernel !== '5.10') columns.push('name');
    expect(scene.columns).toEqual(columns);
  });

  it('tells the size and the name of every buffer that was made', () => {
    const found = new Map(scene.objects.map((each) => [each.inode, each]));
    // On 5.10 a mapping by vgem holds vgem's file, not the dma-buf.
    const made = madeHoldings(kernel).filter(
      ({fd, held}) => kernel !== '5.10' || fd >= 0 || !held.includes('map'),
    );
    expect(new Set(found.keys())).toEqual(
      new Set(made.map(({inode}) => inode)),
    );
    for (const {inode, sizeBytes, name} of made) {
      expect(found.get(inode)?.sizeBytes).toBe(sizeBytes);
      expect(found.get(inode)?.name).toEqual(
        name === undefined ? UNKNOWN : sure(name),
      );
    }
  });

  it('counts all references', () => {
    const counts = new Map(
      scene.objects.map(({name, fileCount}) => [name.raw, fileCount]),
    );
    expect(counts.get('dup3')).toBe(3n);
    expect(counts.get('shared-a')).toBe(2n);
    expect(counts.get('in-flight-scm')).toBe(1n);
    expect(counts.get('shared-b-sender-closed')).toBe(1n);
    if (kernel === '5.10') return;
    // Two processes, each by an fd and a mapping.
    expect(counts.get('fork-inherited')).toBe(4n);
    expect(counts.get('vma-split')).toBe(3n);
  });

  it('tells fences and attached devices', () => {
    const by = (name: string): BufinfoObject | undefined =>
      scene.objects.find((each) => each.name.raw === name);
    expect(by('fenced')?.fences).toEqual([
      {
        '5.10': 'Shared fence: vgem unbound unsignalled',
        '6.1': 'read fence:vgem unbound seq 1 unsignalled',
        '6.1lab': 'read fence:vgem unbound seq 1 unsignalled',
        '6.12': 'read fence:vgem unbound seq 1 unsignalled',
        '7.3': 'read fence:1:1 unbound vgem unsignalled',
      }[kernel],
    ]);
    // vgem imports no buffer of its own: 5.10 and 6.1 have nothing else.
    const imported = kernel !== '5.10' && kernel !== '6.1';
    expect(by('renamed-attached')?.attachments).toEqual(
      imported ? ['vgem'] : [],
    );
  });

  it('tells every name that was set', () => {
    const found = new Map(named.objects.map((each) => [each.inode, each]));
    for (const {inode, name} of madeNames(kernel)) {
      if (inode === undefined) continue;
      const unsure = name === undefined || (kernel === '5.10' && name === '');
      expect(found.get(inode)?.sizeBytes).toBe(4096n);
      expect(found.get(inode)?.fileCount).toBe(1n);
      expect(found.get(inode)?.name, `inode ${inode}`).toEqual(
        unsure ? UNKNOWN : sure(name),
      );
    }
  });

  it('has its doubtful names settled by fdinfo and maps', () => {
    const names = new Map<bigint, BufferName>();
    const links = fdinfos(kernel, 'names');
    for (const {fd, inode} of madeNames(kernel)) {
      const name = parseFdinfo(links.get(fd) ?? '').dmaBuf?.name;
      if (inode !== undefined && name !== undefined) names.set(inode, name);
    }
    const settled = new Map(
      settleNames(named, names).objects.map((each) => [each.inode, each.name]),
    );
    for (const {inode, name} of madeNames(kernel)) {
      if (inode === undefined) continue;
      expect(settled.get(inode)).toEqual({raw: name, doubtful: false});
    }
    for (const {inode, path} of parseMaps(capture(kernel, 'mapper.maps.txt'))) {
      const name = dmaBufPathName(path, {escaped: true});
      if (name !== undefined) names.set(inode, name);
    }
    const made = new Map(
      madeHoldings(kernel).map((each) => [each.inode, each.name]),
    );
    for (const each of settleNames(scene, names).objects) {
      if (names.has(each.inode)) {
        expect(each.name).toEqual({raw: made.get(each.inode), doubtful: false});
      }
    }
  });

  it('keeps the buffers above any cut, and says that it is cut', () => {
    const text = capture(kernel, 'names.bufinfo.txt');
    const whole = named.objects;
    for (let length = 0; length < text.length; length++) {
      const {objects, problems, total} = parseBufinfo(text.slice(0, length));
      expect(total).toBeUndefined();
      expect(problems.length).toBeGreaterThan(0);
      // Those further up were compared at shorter cuts.
      const last = objects.at(-1);
      const made = whole[objects.length - 1];
      expect(objects.at(-2)).toEqual(
        objects.length > 1 ? whole[objects.length - 2] : undefined,
      );
      if (last === undefined) continue;
      expect(made?.inode).toBe(last.inode);
      expect(made?.sizeBytes).toBe(last.sizeBytes);
      expect(made?.fileCount).toBe(last.fileCount);
      if (!last.name.doubtful) expect(last).toEqual(made);
    }
  });
});

describe('bufinfo', () => {
  it('tells that the kernel is too old where it prints no inodes', () => {
    const text =
      '\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\n' +
      '00004096\t00000002\t00080007\t00000001\tdrm\n' +
      '\tAttached Devices:\nTotal 0 devices attached\n\n' +
      '\nTotal 1 objects, 4096 bytes\n';
    const {objects, problems} = parseBufinfo(text);
    expect(objects).toEqual([]);
    expect(problems[0]).toContain('older than 5.3');
  });

  it('reads the form as first posted, without a field for the name', () => {
    const unnamed = object({
      name: UNSET,
      fences: ['Exclusive fence: a b signalled'],
      attachments: ['gpu', 'display'],
    });
    const objects = [unnamed, {...unnamed, fences: [], inode: 9n}];
    const text = renderBufinfo(objects, BUFINFO_RFC_V1);
    expect(text).toContain('\t00000007\n\tExclusive');
    expect(parseBufinfo(text)).toMatchObject({objects, problems: []});
  });

  it('counts the buffers that a 5.3 could not lock', () => {
    const text = renderBufinfo(
      [object({name: sure('a')}), object({lockError: true}), object()],
      bufinfoDialect('5.3'),
    );
    expect(text).toContain('\n\tERROR locking buffer object: skipping\n');
    const {objects, lockErrors, problems, total} = parseBufinfo(text);
    expect(objects).toHaveLength(2);
    expect(total?.objects).toBe(2);
    expect(lockErrors).toBe(1);
    expect(problems).toEqual([
      'the kernel could not lock 1 buffers and left them out of bufinfo',
    ]);
  });

  it.each([
    ['5.10', 'Exclusive fence: drm_sched gfx_0 unsignalled'],
    ['5.17', 'Exclusive fence:drm_sched gfx_0 seq 58 unsignalled'],
    ['6.12', 'write fence:drm_sched gfx_0 seq 58 unsignalled'],
    ['7.3', 'write fence:9:58 gfx_0 drm_sched unsignalled'],
  ])('reads the fences of %s', (version, line) => {
    const fence: BufinfoFence = {
      usage: 'write',
      driver: 'drm_sched',
      timeline: 'gfx_0',
      context: 9n,
      seqno: 58n,
      signalled: false,
    };
    const dialect = bufinfoDialect(version);
    expect(renderFence(fence, dialect)).toBe(line);
    const done = renderFence({...fence, signalled: true}, dialect);
    const fenced = object({name: sure('a\nb'), fences: [line, done, line]});
    const text = renderBufinfo([fenced], dialect);
    expect(parseBufinfo(text)).toMatchObject({objects: [fenced], problems: []});
  });

  it('reads a signalled fence of 7.3, which has no names', () => {
    const signalled = parseBufinfo(capture('7.3', 'names.bufinfo.txt'));
    const fenced = signalled.objects.find((each) => each.name.raw === 'fenced');
    expect(fenced?.fences).toEqual(['read fence:9:1   signalled']);
  });

  it('takes lines of fences of a form not known here for fences', () => {
    const fences = ['some new fence of driver gpu0, 12 waiting for it'];
    const text = renderBufinfo([object({name: sure('cam'), fences})], V7_3);
    const [found] = parseBufinfo(text).objects;
    expect(found?.fences).toEqual(fences);
    expect(found?.name).toEqual({raw: 'cam', doubtful: true});
  });

  it('doubts a name that may end above or below a forged fence', () => {
    const forged = 'a\n\tread fence:1:1   signalled';
    expect(forged.length).toBeLessThanOrEqual(31);
    const text = renderBufinfo([object({name: sure(forged)})], V7_3);
    const [found] = parseBufinfo(text).objects;
    expect(found?.name).toEqual({raw: 'a', doubtful: true});
    const names = new Map([[7n, sure(forged)]]);
    const [settled] = settleNames(parseBufinfo(text), names).objects;
    expect(settled?.name).toEqual(sure(forged));
  });

  it.each([
    'a\nTotal 0 devices attached\n\n',
    '\n\tAttached Devices:\n\tgpu',
    '\n\tAttached Devices:\nx',
    '\n\nTotal 1 objects, 4096 bytes\n',
    '\n\tERROR locking buffer object',
    '\n00004096\t00000002\t00080007\t00',
    'Dma-buf Objects:\nsize    \t',
  ])('is not fooled by the name %j', (name) => {
    expect(name.length).toBeLessThanOrEqual(31);
    const objects = [
      object({name: sure('first'), inode: 8n}),
      object({name: sure(name), attachments: ['gpu', 'display']}),
      object({name: sure(name), inode: 9n}),
      object({name: sure('last'), inode: 10n, sizeBytes: 8192n}),
    ];
    const bufinfo = parseBufinfo(renderBufinfo(objects, V6_12));
    expect(bufinfo).toMatchObject({objects, problems: []});
  });

  // 31 bytes do not hold a whole line; a kernel with longer names would.
  const line = '00001000\t00000002\t00080007\t00000001\tsystem\t00000666\tevil';

  it('shows by its total that a forged line is a name', () => {
    const objects = [
      object({name: sure('first'), inode: 8n}),
      object({name: sure(`x\n${line}`), attachments: ['gpu']}),
      object({name: sure('last'), inode: 10n}),
    ];
    const bufinfo = parseBufinfo(renderBufinfo(objects, V6_12));
    const forged = {raw: `x\n${line}`, doubtful: true};
    expect(bufinfo.objects).toEqual([
      objects[0],
      {...objects[1], name: forged},
      objects[2],
    ]);
    expect(bufinfo.problems).toHaveLength(1);
    expect(bufinfo.problems[0]).toContain('1 names in bufinfo forge');
  });

  it('finds the buffer below lost text, and doubts the name above', () => {
    const objects = [8n, 7n, 6n].map((inode) =>
      object({inode, name: sure(`name of ${inode}`), attachments: ['gpu']}),
    );
    const text = renderBufinfo(objects, V6_12);
    const from = text.indexOf('of 8');
    const to = text.indexOf('\n00004096', from);
    const bufinfo = parseBufinfo(text.slice(0, from) + text.slice(to));
    expect(bufinfo.objects).toEqual([
      {
        ...objects[0],
        name: {raw: 'name ', doubtful: true},
        attachments: [],
      },
      objects[1],
      objects[2],
    ]);
    expect(bufinfo.problems[0]).toContain('text was lost in 1 places');
  });

  it('says when the total does not agree', () => {
    const text = renderBufinfo([object(), object()], V6_12);
    const wrong = text.replace('Total 2 objects', 'Total 3 objects');
    expect(parseBufinfo(wrong).problems).toEqual([
      'bufinfo says 3 buffers with 8192 bytes, but lists 2 with 8192',
    ]);
  });

  it('is read in linear time when every line is hostile', () => {
    // Quadratic reading would take minutes: the test would time out.
    const count = 40_000;
    for (const each of [
      `${line}\n`,
      'Total 1 devices attached\n\n',
      '\tAttached Devices:\n\tTotal 7 devices attached\n',
      '\t\n',
      '1',
      '\n',
      `${line}\n\tAttached Devices:\nTotal 9 devices attached\n\n`,
    ]) {
      const text = renderBufinfo([], V6_12).slice(0, -40);
      const {problems} = parseBufinfo(
        `${text}\n${line}\n${each.repeat(count)}`,
      );
      expect(problems.length).toBeGreaterThan(0);
    }
  });
});

describe('settling names', () => {
  const bufinfo = (
    name: BufferName,
    dialect: BufinfoDialect,
  ): ReturnType<typeof parseBufinfo> =>
    parseBufinfo(renderBufinfo([object({name})], dialect));
  const settled = (
    name: BufferName,
    dialect: BufinfoDialect,
    other: BufferName,
  ): BufferName | undefined =>
    settleNames(bufinfo(name, dialect), new Map([[7n, other]])).objects[0]
      ?.name;

  it('tells unset from <none> and "" by a path without a name', () => {
    // <none> in bufinfo and an empty path: neither "<none>" nor "".
    expect(settled(UNSET, V6_12, UNKNOWN)).toEqual(UNSET);
    expect(settled(sure('<none>'), V6_12, sure('<none>'))).toEqual(
      sure('<none>'),
    );
    // 5.10 has an empty field for both, and so has the path.
    expect(settled(UNSET, V5_10, UNKNOWN)).toEqual(UNKNOWN);
    expect(settled(sure(''), V5_10, sure(''))).toEqual(sure(''));
  });

  it('leaves a name alone that is sure', () => {
    expect(settled(sure('a'), V6_12, sure('b'))).toEqual(sure('a'));
  });

  it('is sure where two doubtful sources agree', () => {
    // bufinfo: one newline, or more and a fence; maps: one, or \\012.
    const fenced = object({
      name: sure('\n'),
      fences: ['read fence:1:1   signalled'],
    });
    const bufinfo = parseBufinfo(renderBufinfo([fenced], V7_3));
    const doubtful = {raw: '\n', doubtful: true};
    expect(bufinfo.objects[0]?.name).toEqual(doubtful);
    const path = dmaBufPathName('/dmabuf:\\012', {escaped: true});
    expect(path).toEqual(doubtful);
    const names = new Map([[7n, doubtful]]);
    expect(settleNames(bufinfo, names).objects).toEqual([fenced]);
  });

  it('does not name buffers that share an inode', () => {
    const both = [object(), object()];
    const text = renderBufinfo(both, V5_10);
    const names = new Map([[7n, sure('of one of them')]]);
    for (const {name} of settleNames(parseBufinfo(text), names).objects) {
      expect(name).toEqual(UNKNOWN);
    }
  });
});

describe('the form of a version', () => {
  it.each([
    ['5.3', false, true, 'exclusive'],
    ['5.10.0-46-amd64', false, false, 'exclusive'],
    ['5.15.149-android13', false, false, 'exclusive'],
    ['5.19', true, false, 'usage-seq'],
    ['6.12.95+deb12-amd64', true, false, 'usage-seq'],
    ['7.3.4', true, false, 'usage-context'],
    ['10.0', true, false, 'usage-context'],
    ['mainline', true, false, 'usage-context'],
  ])('%s', (version, nameColumn, lockErrors, fences) => {
    expect(bufinfoDialect(version)).toEqual({
      nameColumn,
      nameField: true,
      lockErrors,
      fences,
    });
  });
});

const dialect = fc
  .constantFrom('5.3', '5.10', '5.17', '6.1', '6.12', '7.3')
  .map(bufinfoDialect);

const fence: fc.Arbitrary<BufinfoFence> = fc.record({
  usage: fc.constantFrom('kernel', 'write', 'read', 'bookkeep'),
  driver: exporter,
  timeline: exporter,
  context: uint64,
  seqno: uint64,
  signalled: fc.boolean(),
});

const anyObject = fc.record({
  // Their sum is a number of 64 bits too.
  sizeBytes: fc.bigInt({min: 0n, max: 2n ** 60n}),
  flags: uint32,
  mode: uint32,
  fileCount: uint64,
  exporter,
  inode: uint64,
  name: fc.option(dmaBufName, {nil: undefined}),
  attachments: fc.array(exporter, {maxLength: 3}),
  fences: fc.array(fence, {maxLength: 3}),
});

const anyBufinfo = fc
  .tuple(fc.array(anyObject, {maxLength: 8}), dialect)
  .map(([objects, form]) => ({
    form,
    objects: objects.map((each): BufinfoObject => ({
      ...each,
      name: {raw: each.name, doubtful: false},
      fences: each.fences.map((each) => renderFence(each, form)),
      lockError: false,
    })),
  }));

describe('any bufinfo', () => {
  it('comes back as it was rendered, or as a doubtful name', () => {
    fc.assert(
      fc.property(anyBufinfo, ({objects, form}) => {
        const bufinfo = parseBufinfo(renderBufinfo(objects, form));
        expect(bufinfo.problems).toEqual([]);
        expect(bufinfo.objects).toHaveLength(objects.length);
        bufinfo.objects.forEach((found, i) => {
          const made = objects[i];
          if (!found.name.doubtful) expect(found).toEqual(made);
          const {name, fences, ...sure} = found;
          expect(made).toMatchObject(sure);
          // Doubtful names are those that others look like too.
          if (name.doubtful && name.raw === undefined) {
            const unset = form.nameColumn ? '<none>' : '';
            const raw = made?.name.raw ?? unset;
            // Alone, or above a forged fence.
            expect(`${raw}\n`.startsWith(`${unset}\n`)).toBe(true);
          } else if (name.doubtful) {
            // The shortest of the names that it may be.
            expect(made?.name.raw?.startsWith(name.raw ?? '')).toBe(true);
            expect(
              fences.slice(fences.length - (made?.fences.length ?? 0)),
            ).toEqual(made?.fences);
          }
        });
      }),
      {numRuns: 500},
    );
  });

  it('is never thrown at, and keeps to the lines that are there', () => {
    const text = anyBufinfo.map(({objects, form}) =>
      renderBufinfo(objects, form),
    );
    fc.assert(
      fc.property(fc.oneof(damaged(text), rawText(400)), (value) => {
        const {objects, problems, total} = parseBufinfo(value);
        if (total === undefined) expect(problems).not.toEqual([]);
        for (const {inode} of objects) expect(value).toContain(String(inode));
      }),
      {numRuns: 1000},
    );
  });
});
