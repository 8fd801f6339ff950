// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  beginsDmabufDump,
  parseDmabufDump,
  renderDmabufList,
  renderDmabufProcesses,
  renderDmabufTable,
  type DmabufDump,
  type DmabufDumpBuffer,
  type DmabufDumpProcess,
} from '../../../src/core/formats/index.js';
import {rawFromBytes, type RawText} from '../../../src/core/model/index.js';

function fixture(name: string): RawText {
  const url = new URL(`../../fixtures/bugreport/${name}`, import.meta.url);
  return rawFromBytes(readFileSync(url));
}

/** `comm:pid inode(fds/maps)...`, sorted. */
function holders({processes}: DmabufDump): string[] {
  return [...processes.values()]
    .map(({comm, pid, holdings}) => {
      const held = [...holdings]
        .sort(([a], [b]) => Number(a - b))
        .map(
          ([inode, {fdRefs, mapRefs}]) =>
            `${inode}(${fdRefs ?? '?'}/${mapRefs ?? '?'})`,
        );
      return `${comm}:${pid} ${held.join(' ')}`;
    })
    .sort();
}

describe('what the real tool printed', () => {
  it('by processes: names who holds what', () => {
    const dump = parseDmabufDump(fixture('dmabuf_dump-15-default.txt'));
    expect(holders(dump).slice(0, 4)).toEqual([
      'lab-consumer:199 19(?/?) 20(?/?)',
      'lab-forkchild:210 9(?/?)',
      'lab-forker:208 9(?/?) 13(?/?)',
      'lab-importer:203 10(?/?)',
    ]);
    expect(dump.processes.size).toBe(8);
    expect(dump.buffers.get(19n)).toEqual({
      inode: 19n,
      sizeBytes: 1048576n,
      name: 'shared-a',
      exporter: undefined,
      holders: 2,
    });
    expect(dump.buffers.get(13n)?.name).toBeUndefined();
    expect([...dump.cut]).toEqual([]);
  });

  it('says that a kernel_rss of 0 was not read', () => {
    const dump = parseDmabufDump(fixture('dmabuf_dump-15-default.txt'));
    expect(dump.totals?.kernelRssBytes).toBeUndefined();
    expect(dump.totals?.totalBytes).toBeUndefined();
    expect(dump.totals?.userspacePssBytes).toBe(3884n * 1024n);
    expect(dump.problems).toEqual([
      'dmabuf_dump could not read the total of all buffers: its kernel_rss ' +
        'and its total are not known',
    ]);
  });

  it('hostile names come through as their bytes', () => {
    for (const file of ['default', 'csv']) {
      const {buffers} = parseDmabufDump(fixture(`dmabuf_dump-15-${file}.txt`));
      const names = [...buffers.values()].map(({name}) => name);
      expect(names).toContain('ctl\x01\x1b[31m');
      expect(names).toContain('cr\rhere');
      expect(names).toContain('tab\there');
      expect(names).toContain(`quote"'`);
      expect(names).toContain('bad\xff\xfeutf8');
      expect(names).toContain('two  spaces');
      expect(names).toContain('x (deleted)');
    }
  });

  it('raw and csv tell the same', () => {
    const raw = parseDmabufDump(fixture('dmabuf_dump-15-default.txt'));
    const csv = parseDmabufDump(fixture('dmabuf_dump-15-csv.txt'));
    expect(holders(csv)).toEqual(holders(raw));
    expect(csv.buffers).toEqual(raw.buffers);
    expect(csv.totals).toEqual(raw.totals);
    const table = parseDmabufDump(fixture('dmabuf_dump-15-a.txt'));
    const csvTable = parseDmabufDump(fixture('dmabuf_dump-15-a-csv.txt'));
    expect(holders(csvTable)).toEqual(holders(table));
    expect(csvTable.buffers).toEqual(table.buffers);
  });

  it('-a: by descriptors and mappings, as the puppets held them', () => {
    const dump = parseDmabufDump(fixture('dmabuf_dump-15-a.txt'));
    expect(dump.problems).toEqual([]);
    const lines = holders(dump);
    expect(lines).toContain('lab-forker:208 9(1/1) 13(0/3)');
    expect(lines).toContain(
      'lab-producer:200 2(1/0) 7(1/0) 12(1/0) 19(1/0) 21(3/0) 22(1/0)',
    );
  });

  it('-b of a kernel with sysfs: all buffers, to the byte', () => {
    const dump = parseDmabufDump(fixture('dmabuf_dump-15-sysfs.txt'));
    expect(dump.listed?.size).toBe(22);
    expect(dump.listTotal).toEqual({count: 22n, bytes: 4018176n});
    expect(dump.buffers.get(15n)?.exporter).toBe('drm');
    // Held by mappings alone: the list has the size, the mapping has not.
    expect(dump.buffers.get(7n)?.sizeBytes).toBe(45056n);
    expect(dump.totals?.kernelRssBytes).toBe(73728n);
    expect([...dump.cut]).toEqual([]);
    expect(dump.problems).toEqual([]);
  });

  it('-b without a list says so', () => {
    const dump = parseDmabufDump(fixture('dmabuf_dump-15-b.txt'));
    expect(dump.listed).toBeUndefined();
    expect(dump.problems).toEqual([
      'dmabuf_dump -b could not read the list of buffers',
    ]);
  });
});

describe('the generations', () => {
  it('2019: one number of references', () => {
    const dump = parseDmabufDump(
      [
        '    Dmabuf Inode |            Size |      Ref Counts |  surfaceflinger:612   |  composer@2.1-s:598   |',
        '           25319 |         9216 kB |               5 |                3 refs |                    -- |',
        '           25320 |         9216 kB |               4 |                1 refs |                2 refs |',
        '------------------------------------',
        'TOTALS                    18432 kB |             n/a |              18432 kB |               9216 kB |',
        '',
      ].join('\n'),
    );
    expect(dump.problems).toEqual([]);
    expect(holders(dump)).toEqual([
      'composer@2.1-s:598 25320(?/?)',
      'surfaceflinger:612 25319(?/?) 25320(?/?)',
    ]);
    expect(dump.buffers.get(25319n)?.sizeBytes).toBe(9216n * 1024n);
  });

  it('2025: with the exporter', () => {
    const dump = parseDmabufDump(
      [
        '  surfaceflinger:612  ',
        '                  Name              Rss              Pss         nr_procs            Inode               Exporter',
        '    FramebufferSurface          4512 kB          2256 kB                2                1                 system',
        '             <unknown>             4 kB             4 kB                1               82              qcom_hgsl',
        '         PROCESS TOTAL          4516 kB          2260 kB                 ',
        '----------------------',
        'composer-servic:598  ',
        '                  Name              Rss              Pss         nr_procs            Inode               Exporter',
        '    FramebufferSurface          4512 kB          2256 kB                2                1                 system',
        '         PROCESS TOTAL          4512 kB          2256 kB                 ',
        '----------------------',
        'dmabuf total: 4516 kB kernel_rss: 0 kB userspace_rss: 9028 kB userspace_pss: 4516 kB',
        ' ',
      ].join('\n'),
    );
    expect(dump.problems).toEqual([]);
    expect(dump.buffers.get(82n)).toMatchObject({
      exporter: 'qcom_hgsl',
      name: undefined,
    });
    expect(dump.totals?.kernelRssBytes).toBe(0n);
    expect(holders(dump)).toHaveLength(2);
  });

  it('found nothing is not that there is nothing', () => {
    const dump = parseDmabufDump('dmabuf info not found ¯\\_(ツ)_/¯\n');
    expect(dump.foundNothing).toBe(true);
    expect(dump.forms.size).toBe(0);
  });
});

describe('a name cannot forge', () => {
  it('columns: the real ones stand to the right', () => {
    const text = [
      '     evil:7    ',
      '                  Name              Rss              Pss         nr_procs            Inode',
      'x 4 kB 4 kB 1 99            64 kB            64 kB                1               14',
      '         PROCESS TOTAL            64 kB            64 kB                 ',
      '----------------------',
      'dmabuf total: 64 kB kernel_rss: 0 kB userspace_rss: 64 kB userspace_pss: 64 kB',
    ].join('\n');
    const {buffers} = parseDmabufDump(text);
    expect([...buffers.keys()]).toEqual([14n]);
    expect(buffers.get(14n)?.name).toBe('x 4 kB 4 kB 1 99');
  });

  it('the columns of -a: a name with bars and colons keeps its width', () => {
    const text =
      '    Dmabuf Inode |            Size |   Fd Ref Counts |  Map Ref Counts |' +
      '        a:1 |b:2:7     |            good:8     |\n' +
      '              14 |           64 kB |               1 |               0 |' +
      '        1(     0) refs |                    -- |\n';
    expect(holders(parseDmabufDump(text))).toEqual([
      'a:1 |b:2:7 14(1/0)',
      'good:8 ',
    ]);
  });
});

/** A comm, or a buffer's name, as the tool lets it through. */
const word = (max: number): fc.Arbitrary<string> =>
  fc
    .string({
      unit: fc.integer({min: 0, max: 255}).map((c) => String.fromCharCode(c)),
      minLength: 1,
      maxLength: max,
    })
    .map((text) => text.replaceAll(/[\n]/g, '_').trim())
    .filter(
      (text) => !['', '<unknown>', 'N/A', 'PROCESS TOTAL'].includes(text),
    );

interface Made {
  readonly dump: Pick<DmabufDump, 'processes' | 'buffers' | 'listed'>;
}

const made: fc.Arbitrary<Made> = fc
  .record({
    buffers: fc.uniqueArray(
      fc.record({
        inode: fc.bigInt(1n, 1n << 40n),
        pages: fc.bigInt(1n, 1n << 22n),
        name: fc.option(word(31), {nil: undefined}),
        exporter: fc.constantFrom('system', 'qcom,system', 'drm'),
      }),
      {selector: ({inode}) => inode, minLength: 1, maxLength: 8},
    ),
    processes: fc.uniqueArray(
      fc.record({
        pid: fc.integer({min: 1, max: 4_194_304}),
        comm: word(15),
        held: fc.array(fc.nat(), {minLength: 1, maxLength: 6}),
        refs: fc.tuple(fc.nat({max: 900}), fc.nat({max: 900})),
      }),
      {selector: ({pid}) => pid, minLength: 1, maxLength: 6},
    ),
  })
  .map(({buffers, processes}) => {
    const known = new Map<bigint, DmabufDumpBuffer>();
    for (const {inode, pages, name, exporter} of buffers) {
      const sizeBytes = pages * 4096n;
      known.set(inode, {inode, sizeBytes, name, exporter, holders: undefined});
    }
    const inodes = [...known.keys()];
    const holding = new Map<number, DmabufDumpProcess>();
    for (const {pid, comm, held, refs} of processes) {
      const [fdRefs, mapRefs] = refs[0] + refs[1] === 0 ? [1, 0] : refs;
      const holdings = new Map(
        held.map((i) => [inodes[i % inodes.length] ?? 0n, {fdRefs, mapRefs}]),
      );
      holding.set(pid, {pid, comm, holdings});
    }
    return {
      dump: {processes: holding, buffers: known, listed: new Set(inodes)},
    };
  });

const style = fc.constantFrom(
  {generation: 2019, csv: false} as const,
  {generation: 2020, csv: false} as const,
  {generation: 2025, csv: false} as const,
  {generation: 2025, csv: true} as const,
);

function inodesByPid({processes}: Pick<DmabufDump, 'processes'>): string[] {
  return [...processes.values()]
    .map(
      ({pid, comm, holdings}) =>
        `${pid} ${comm} ${[...holdings.keys()].sort().join()}`,
    )
    .sort();
}

describe('any state', () => {
  it('printed by processes is read back', () => {
    fc.assert(
      fc.property(made, style, ({dump}, how) => {
        const back = parseDmabufDump(renderDmabufProcesses(dump, how));
        expect(back.problems).toEqual([]);
        expect([...back.cut]).toEqual([]);
        expect(inodesByPid(back)).toEqual(inodesByPid(dump));
        for (const {inode, sizeBytes, name} of back.buffers.values()) {
          expect(sizeBytes).toBe(dump.buffers.get(inode)?.sizeBytes);
          expect(name).toBe(dump.buffers.get(inode)?.name);
        }
      }),
    );
  });

  it('printed by -a is read back with its counts', () => {
    fc.assert(
      fc.property(made, style, ({dump}, how) => {
        const back = parseDmabufDump(renderDmabufTable(dump, how));
        expect(back.problems).toEqual([]);
        expect(inodesByPid(back)).toEqual(inodesByPid(dump));
        if (how.generation === 2019) return;
        for (const [pid, {holdings}] of dump.processes) {
          expect(back.processes.get(pid)?.holdings).toEqual(holdings);
        }
      }),
    );
  });

  it('printed by -b is read back, to the byte', () => {
    fc.assert(
      fc.property(made, fc.boolean(), ({dump}, csv) => {
        const back = parseDmabufDump(renderDmabufList(dump, {csv}));
        expect(back.problems).toEqual([]);
        expect(back.listed).toEqual(dump.listed);
        for (const [inode, {sizeBytes, exporter}] of dump.buffers) {
          expect(back.buffers.get(inode)).toMatchObject({sizeBytes, exporter});
        }
      }),
    );
  });

  it('cut before its last line is known to be cut', () => {
    fc.assert(
      fc.property(
        made,
        fc.double({min: 0, max: 1, noNaN: true}),
        ({dump}, at) => {
          const text = renderDmabufProcesses(dump, {
            generation: 2020,
            csv: false,
          });
          const end = text.indexOf('dmabuf total:');
          const cut = parseDmabufDump(text.slice(0, Math.floor(end * at)));
          for (const form of cut.forms) expect(cut.cut).toContain(form);
          if (cut.forms.size > 0) expect(cut.problems).not.toEqual([]);
        },
      ),
    );
  });

  it('any bytes at all are survived', () => {
    fc.assert(
      fc.property(
        fc.string({unit: fc.constantFrom(...'0123 :|"k(B)\t\n-DNamRsP')}),
        (text) => {
          parseDmabufDump(text);
          for (const line of text.split('\n')) beginsDmabufDump(line);
        },
      ),
    );
  });

  it('a line of blanks costs no more than its length', () => {
    const header =
      '                  Name              Rss              Pss         nr_procs            Inode\n';
    const text = `a:1\n${header}${' '.repeat(300_000)}x\n${'1 '.repeat(100_000)}\n`;
    const dump = parseDmabufDump(text);
    expect(dump.problems.join()).toContain('not of its format');
  });
});
