// SPDX-License-Identifier: Apache-2.0
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {deflateRawSync} from 'node:zlib';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  BugReportError,
  readBugReport,
} from '../../../src/producer/bugreport/index.js';
import {reportTrace} from '../../../src/producer/bugreport/report_trace.js';
import {temporaryFolder} from '../trace/temporary.js';
import {
  ALARM,
  android10,
  android14,
  board10,
  bytesOf,
  command,
  DONE,
  ENTRY,
  fixture,
  header,
  MEMINFO,
  members,
  PROPERTIES,
  REPORT_BOOT_NS,
  REPORT_REAL_NS,
  service,
  writeZip,
} from './made_report.js';
import {rawZip} from './raw_zip.js';

const folder = temporaryFolder();
let files = 0;
const place = (name = 'report.zip'): string => {
  const path = join(folder, String(files++));
  mkdirSync(path);
  return join(path, name);
};

const zipped = (
  text: string,
  ...extra: Parameters<typeof members>[1] & object
) => writeZip(place(), members(text, extra));

function asText(text: string | Buffer): string {
  const path = place('report.txt');
  writeFileSync(path, typeof text === 'string' ? bytesOf(text) : text);
  return path;
}

const tool = (name: string): string =>
  fixture('bugreport', `dmabuf_dump-15-${name}.txt`).toString('latin1');

describe('a report of Android 14', () => {
  it('tells who holds what, at its own time', async () => {
    const report = await readBugReport(await zipped(android14()));
    const {snapshot, provenance, time} = report;
    expect(report.problems).toEqual([]);
    expect(snapshot?.coverage).toMatchObject({
      kernelList: 'dmabuf_dump',
      fileCounts: false,
      processesUnreadable: 0,
    });
    expect(snapshot?.coverage.holdersCut).toBeUndefined();
    expect(snapshot?.buffers.size).toBe(22);
    expect(snapshot?.buffers.get(7n)).toMatchObject({
      sizeBytes: 45056n,
      exporter: 'system',
      refsKnown: 'holders',
    });
    // In flight: on the kernel's list, held by no process.
    expect(snapshot?.buffers.get(3n)?.refsKnown).toBeUndefined();
    const producer = [...(snapshot?.processes.values() ?? [])].find(
      ({process}) => process.comm === 'lab-producer',
    );
    expect(producer?.holdings.size).toBeGreaterThan(3);
    expect(provenance).toMatchObject({
      source: 'bugreport',
      simulated: false,
      device: 'Pixel 6 (1A2B3C)',
      kernelRelease: '5.10.157-android13-4-00003-gf5b12',
    });
    expect(time.realNs).toBe(REPORT_REAL_NS);
    expect(time.bootNs).toBe(REPORT_BOOT_NS);
    expect(time.isBootKnown).toBe(true);
    expect(snapshot?.startNs).toBe(REPORT_BOOT_NS);
    expect(snapshot?.endNs).toBe(REPORT_BOOT_NS + 51_000_000n);
    expect(time.beganNs).toBe(REPORT_BOOT_NS);
    expect(time.endedNs).toBe(REPORT_BOOT_NS + 15_000_000_000n);
    expect(report.graphics?.dmabuf).toBe(817715 * 1024);
    expect(report.totals?.kernelRssBytes).toBe(73728n);
  });

  it('names what it does not contain', async () => {
    const {absent} = await readBugReport(await zipped(android14()));
    expect(absent).toEqual([
      'by how many descriptors and mappings a buffer is held',
      "references of drivers and messages in flight (the kernel's bufinfo)",
      'a system trace',
    ]);
  });

  it('zipped or not, it tells the same', async () => {
    const zip = await readBugReport(await zipped(android14()));
    const text = await readBugReport(asText(android14()));
    expect(text.snapshot).toEqual(zip.snapshot);
    const crlf = await readBugReport(
      asText(android14().replaceAll('\n', '\r\n')),
    );
    expect(crlf.snapshot?.buffers).toEqual(zip.snapshot?.buffers);
    expect(crlf.snapshot?.processes).toEqual(zip.snapshot?.processes);
  });

  it('finds the system traces in it', async () => {
    const {traces} = await readBugReport(
      await zipped(
        android14(),
        {
          name: 'FS/data/misc/perfetto-traces/bugreport/systrace.pftrace',
          data: Buffer.from('x'),
        },
        {
          name: 'FS/data/misc/perfetto-traces/other.txt',
          data: Buffer.from('x'),
        },
      ),
    );
    expect(traces).toEqual([
      {
        entry: 'FS/data/misc/perfetto-traces/bugreport/systrace.pftrace',
        sizeBytes: 1,
      },
    ]);
  });
});

describe('other generations', () => {
  it("Android 10: ION, and the kernel's own list from the vendor's part", async () => {
    const report = await readBugReport(
      await zipped(android10(), {
        name: 'dumpstate_board.txt',
        data: bytesOf(board10()),
      }),
    );
    expect(report.ionHeaps).toEqual([
      {
        name: 'system',
        clients: [{name: 'surfaceflinger', pid: 403, bytes: 16588800n}],
        orphaned: [],
        totalOrphanedBytes: 0n,
        totalBytes: 16588800n,
      },
    ]);
    expect(report.graphics?.ion).toBe(132124 * 1024);
    const {snapshot} = report;
    expect(snapshot?.coverage.kernelList).toBe('bufinfo');
    expect(snapshot?.coverage.fileCounts).toBe(true);
    // Nobody knows who holds them: it is not that nobody does.
    expect(snapshot?.coverage.holdersCut).toBe(true);
    expect(snapshot?.processes.size).toBe(0);
    expect(snapshot?.buffers.size).toBeGreaterThan(10);
    expect(report.absent[0]).toContain('who holds which buffer');
    expect(report.problems.join()).not.toContain('bufinfo');
    // Only the header's whole minutes tell the time since boot.
    expect(report.time.bootNs).toBe(171n * 60n * 1_000_000_000n);
    expect(report.problems.join()).toContain('to within 60 s');
  });

  it('with -a, the references are counted', async () => {
    const text =
      header() +
      command('Dmabuf table', 'dmabuf_dump -a', tool('a')) +
      command('Dmabuf dump', 'dmabuf_dump', tool('default')) +
      DONE;
    const {snapshot} = await readBugReport(asText(text));
    expect(snapshot?.buffers.get(9n)?.refsKnown).toBe('counts');
    const forker = snapshot?.processes.get(208);
    expect(forker?.holdings.get(13n)).toMatchObject({fdRefs: 0, mapRefs: 3});
    expect(snapshot?.buffers.get(9n)?.name?.raw).toBe('fork-inherited');
  });

  it.each(['default', 'csv', 'a', 'a-csv'])(
    'a saved dmabuf_dump (%s) without a report around it',
    async (form) => {
      const report = await readBugReport(asText(tool(form)));
      expect(report.snapshot?.processes.size).toBe(8);
      expect(report.time.realNs).toBeUndefined();
      expect(report.problems.join()).toContain('does not say when');
    },
  );

  it('a saved bufinfo, and both in one file', async () => {
    const bufinfo = fixture('6.12', 'bufinfo.txt').toString('latin1');
    const alone = await readBugReport(asText(bufinfo));
    expect(alone.snapshot?.coverage.kernelList).toBe('bufinfo');
    const both = await readBugReport(asText(tool('default') + bufinfo));
    expect(both.snapshot?.coverage.kernelList).toBe('bufinfo');
    expect(both.snapshot?.processes.size).toBe(8);
  });

  it('a report without anything about dma-bufs', async () => {
    const report = await readBugReport(asText(header() + DONE));
    expect(report.snapshot).toBeUndefined();
    expect(report.absent.length).toBeGreaterThan(2);
  });
});

describe('what was cut is said', () => {
  it('a time-out on the device', async () => {
    const whole = tool('default');
    const {snapshot, problems} = await readBugReport(
      asText(
        header() +
          '------ Dmabuf dump (dmabuf_dump) ------\n' +
          whole.slice(0, whole.indexOf('PROCESS TOTAL           136')) +
          "\n*** command 'dmabuf_dump' timed out after 10.012s (killing pid 12)\n" +
          "------ 10.020s was the duration of 'Dmabuf dump' ------\n" +
          DONE,
      ),
    );
    expect(snapshot?.coverage.holdersCut).toBe(true);
    expect(problems.join('\n')).toContain('"Dmabuf dump", ');
    expect(problems.join('\n')).toContain('timed out on the device');
    expect(problems.join('\n')).toContain('dmabuf_dump is cut');
  });

  it('the end of the report', async () => {
    const whole = android14();
    const at = whole.indexOf('lab-producer');
    const {snapshot, problems} = await readBugReport(
      asText(whole.slice(0, at)),
    );
    expect(snapshot?.coverage.holdersCut).toBe(true);
    expect(problems.join('\n')).toContain('ends before dumpstate was done');
    expect(problems.join('\n')).toContain('is cut, for the report ends in it');
  });

  it('a list that was cut is not taken for all there is', async () => {
    const whole = android14();
    const list = whole.indexOf('Dmabuf Inode |     Size(bytes)');
    const {snapshot, problems} = await readBugReport(
      asText(whole.slice(0, list + 500)),
    );
    expect(snapshot?.buffers.size).toBeGreaterThan(15);
    expect(snapshot?.coverage.kernelList).toBeUndefined();
    expect(problems.join('\n')).toContain('"Total DMA-BUF count:" of -b');
    const bufinfo = fixture('6.12', 'bufinfo.txt').toString('latin1');
    const cut = await readBugReport(asText(bufinfo.slice(0, 2000)));
    expect(cut.snapshot?.coverage.kernelList).toBeUndefined();
    expect(cut.snapshot?.buffers.size).toBeGreaterThan(5);
  });

  it('a tool that is not there, a file that is not there', async () => {
    const {problems} = await readBugReport(
      asText(
        header() +
          command(
            'Dmabuf dump',
            'dmabuf_dump',
            "*** command 'dmabuf_dump' failed: exit code 1\n",
          ) +
          DONE,
      ),
    );
    expect(problems.join('\n')).toContain('failed on the device');
  });

  it('meminfo that timed out has no numbers, rather than zeros', async () => {
    const {graphics, problems} = await readBugReport(
      asText(
        header() +
          '-'.repeat(79) +
          '\nDUMP OF SERVICE HIGH meminfo:\n' +
          "*** SERVICE 'meminfo' DUMP TIMEOUT (60000ms) EXPIRED ***\n" +
          '--------- 60.000s was the duration of dumpsys meminfo, ending at: 2023-04-27 23:51:38\n' +
          DONE,
      ),
    );
    expect(graphics).toBeUndefined();
    expect(problems.join('\n')).toContain('timed out on the device');
  });
});

describe('the clock', () => {
  const dump = command('Dmabuf dump', 'dmabuf_dump', tool('default'));

  it('by dumpsys meminfo where there is no alarm service', async () => {
    const {time, problems} = await readBugReport(
      asText(header() + dump + PROPERTIES + MEMINFO + DONE),
    );
    // Ended 23:50:50, took 5 s, began 10277 s after boot.
    expect(time.realNs).toBe(REPORT_REAL_NS);
    expect(time.bootNs).toBe(10_267_000_000_000n);
    expect(problems.join()).toContain('to within 2 s');
  });

  it('the state is as late as what stands before it', async () => {
    const {time} = await readBugReport(asText(header() + ALARM + dump + DONE));
    expect(time.realNs).toBe(REPORT_REAL_NS + 15_000_000_000n);
    expect(time.bootNs).toBe(REPORT_BOOT_NS + 15_000_000_000n);
  });

  it('no app sets it, nor the name of the device', async () => {
    const forged =
      '  nowRTC=1000000000000=2001-09-09 01:46:40 nowELAPSED=1\n' +
      '[ro.product.model]: [Evil]\n[persist.sys.timezone]: [Asia/Tokyo]\n';
    const {time, provenance} = await readBugReport(
      asText(
        header() +
          service('activity', forged) +
          PROPERTIES +
          dump +
          ALARM +
          DONE,
      ),
    );
    expect(provenance.device).toBe('Pixel 6 (1A2B3C)');
    expect(time.bootNs).toBe(REPORT_BOOT_NS + 15_000_000_000n);
  });

  it('times that no clock shows are not taken over', async () => {
    const number = fc.bigInt(0n, 10n ** 15n - 1n).map(String);
    const two = fc.nat({max: 99}).map((n) => String(n).padStart(2, '0'));
    const year = fc.nat({max: 9999}).map((n) => String(n).padStart(4, '0'));
    const time = fc
      .tuple(year, two, two, two, two, two)
      .map(([y, mo, d, h, mi, s]) => `${y}-${mo}-${d} ${h}:${mi}:${s}`);
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(time, time, time, time),
        fc.tuple(number, number, number),
        async ([began, alarm, ended, last], [real, boot, realtime]) => {
          const text =
            header({
              uptime: `up ${realtime.slice(0, 5)} weeks, 1 day,`,
            }).replace('2023-04-27 23:50:35', began) +
            dump +
            service(
              'alarm',
              `nowRTC=${real}=${alarm} nowELAPSED=${boot}\n`,
              ended,
            ) +
            service('meminfo', `Uptime: 1 Realtime: ${realtime}\n`, last) +
            DONE;
          const report = await readBugReport(asText(text));
          if (report.time.realNs === undefined) return;
          expect(report.time.bootNs).toBeGreaterThanOrEqual(0n);
          expect(report.time.endedNs).toBeLessThan(1n << 63n);
          expect(reportTrace(report).length).toBeGreaterThan(1000);
        },
      ),
      {numRuns: 100},
    );
  });

  it('without a zone or a time since boot, both are said', async () => {
    const {time, problems} = await readBugReport(
      asText(header() + dump + DONE),
    );
    expect(time.isBootKnown).toBe(false);
    expect(time.realNs).toBe(REPORT_REAL_NS + 7_200_000_000_000n);
    expect(problems.join()).toContain('time zone');
    expect(problems.join()).toContain('how long the device was up');
  });
});

describe('hostile and broken files', () => {
  it.each([
    ['missing', () => join(folder, 'nowhere.zip'), /no such file/],
    ['a folder', () => folder, /is a folder/],
    ['empty', () => asText(''), /is empty/],
    ['gzip', () => asText('\x1f\x8b\x08\0'), /gunzip/],
    [
      'UTF-16',
      () => asText(Buffer.from('\ufeff== dumpstate', 'utf16le')),
      /UTF-16/,
    ],
    ['a trace', () => asText('\n\x04\x08\x00\x10\x00'), /is a trace/],
    ['a cut zip', () => asText('PK\x03\x04 and no more'), /no zip, or is cut/],
  ])('%s', async (_name, make, message) => {
    await expect(readBugReport(make())).rejects.toThrow(message);
  });

  it('a zip that was cut', async () => {
    const path = await zipped(android14());
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length - 40));
    await expect(readBugReport(path)).rejects.toThrow(/no zip, or is cut/);
  });

  it('an entry that was garbled', async () => {
    const path = await zipped(android14());
    const bytes = readFileSync(path);
    const at = bytes.indexOf(ENTRY) + ENTRY.length + 200;
    bytes.fill(0xff, at, at + 50);
    writeFileSync(path, bytes);
    await expect(readBugReport(path)).rejects.toThrow(/is damaged/);
  });

  it('a zip of something else, and one around a report', async () => {
    const other = await writeZip(place(), [
      {name: 'a.txt', data: Buffer.from('x')},
    ]);
    await expect(readBugReport(other)).rejects.toThrow(/no bug report/);
    const around = await writeZip(place(), [
      {name: 'mail/bugreport-x.zip', data: Buffer.from('x')},
    ]);
    await expect(readBugReport(around)).rejects.toThrow(/unpack it/);
    const lost = await writeZip(place(), [
      {name: 'main_entry.txt', data: Buffer.from('\x1b[31m../../etc/passwd')},
    ]);
    await expect(readBugReport(lost)).rejects.toThrow(/\\x1b\[31m/);
  });

  it('zip slip: such a name is never a path', async () => {
    const path = rawZip(place(), [
      {name: '../../../tmp/evil', data: Buffer.from('x')},
      {name: '/etc/passwd', data: Buffer.from('x')},
      {name: 'C:\\evil', data: Buffer.from('x')},
      {name: ENTRY, data: bytesOf(android14())},
    ]);
    const {snapshot} = await readBugReport(path);
    expect(snapshot?.buffers.size).toBe(22);
  });

  it('names that are no UTF-8', async () => {
    const path = rawZip(place(), [
      {name: 'FS/\xff\xfe\x80', data: Buffer.from('x')},
      {name: ENTRY, data: bytesOf(android14())},
    ]);
    expect((await readBugReport(path)).snapshot?.buffers.size).toBe(22);
  });

  it('an encrypted entry', async () => {
    const path = rawZip(place(), [
      // Twelve bytes of header stand before what is encrypted.
      {
        name: ENTRY,
        data: bytesOf('secret'),
        packed: Buffer.alloc(18),
        flags: 1,
      },
    ]);
    await expect(readBugReport(path)).rejects.toThrow(/encrypted/);
  });

  it('a method that nobody knows', async () => {
    const path = rawZip(place(), [
      {name: ENTRY, data: bytesOf('x'), method: 93},
    ]);
    await expect(readBugReport(path)).rejects.toThrow(/packed by method 93/);
  });

  it("a vendor's part that is damaged costs only that", async () => {
    const path = rawZip(place(), [
      {name: ENTRY, data: bytesOf(android14())},
      {
        name: 'dumpstate_board.txt',
        data: bytesOf('x'),
        packed: Buffer.from('no deflate'),
        method: 8,
      },
    ]);
    const {snapshot, problems} = await readBugReport(path);
    expect(snapshot?.buffers.size).toBe(22);
    expect(problems.join()).toContain(
      '"dumpstate_board.txt" is left out: it cannot be read',
    );
  });

  it('any damage ends in a report or in one clear error', async () => {
    const whole = readFileSync(await zipped(android14()));
    const path = place();
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.nat({max: whole.length - 1}), fc.nat({max: 255})),
          {
            minLength: 1,
            maxLength: 6,
          },
        ),
        fc.option(fc.nat({max: whole.length})),
        async (flips, cut) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of flips) bytes[at] = value;
          writeFileSync(path, bytes.subarray(0, cut ?? bytes.length));
          try {
            await readBugReport(path);
          } catch (error) {
            expect(error).toBeInstanceOf(BugReportError);
            expect((error as Error).message).not.toMatch(/[\n\x00-\x1f]/);
          }
        },
      ),
      {numRuns: 300},
    );
  });

  it('two entries of the same name', async () => {
    const path = rawZip(place(), [
      {name: ENTRY, data: bytesOf(android14())},
      {name: ENTRY, data: bytesOf('forged')},
    ]);
    await expect(readBugReport(path)).rejects.toThrow(/2 entries named/);
  });

  it('4 GB declared, nothing in it', async () => {
    const path = rawZip(place(), [
      {
        name: ENTRY,
        data: Buffer.from('x'),
        declaredBytes: 0xfffffffe,
        method: 8,
      },
    ]);
    await expect(readBugReport(path)).rejects.toThrow(/not possible/);
  });

  it('more in it than declared: no more is unpacked', async () => {
    const bomb = deflateRawSync(Buffer.alloc(64 << 20));
    const path = rawZip(place(), [
      {
        name: ENTRY,
        packed: bomb,
        data: Buffer.alloc(0),
        declaredBytes: 5000,
        method: 8,
      },
    ]);
    await expect(readBugReport(path)).rejects.toThrow(/is damaged.*too many/);
  });

  it('a bomb that tells the truth is read without being kept', async () => {
    const size = 256 << 20;
    const bomb = deflateRawSync(Buffer.alloc(size, 'a'));
    const path = rawZip(place(), [
      {
        name: ENTRY,
        packed: bomb,
        data: Buffer.alloc(0),
        declaredBytes: size,
        method: 8,
      },
    ]);
    const before = process.memoryUsage().rss;
    const {snapshot, problems} = await readBugReport(path);
    expect(snapshot).toBeUndefined();
    expect(problems.join()).toContain('too long');
    expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
  });

  it('a section without an end is kept up to a limit', async () => {
    const row = `${' '.repeat(21)}x            64 kB            64 kB                1               14\n`;
    const {snapshot, problems} = await readBugReport(
      asText(
        header() +
          '------ Dmabuf dump (dmabuf_dump) ------\n   a:1    \n' +
          '                  Name              Rss              Pss         nr_procs            Inode\n' +
          row.repeat(Math.ceil((70 << 20) / row.length)),
      ),
    );
    expect(snapshot?.buffers.size).toBe(1);
    expect(problems.join('\n')).toContain('too long');
  });

  it('numbers that no kernel has are not taken over', async () => {
    const nines = '9'.repeat(20);
    const table =
      '     evil:7    \n' +
      '                  Name              Rss              Pss         nr_procs            Inode\n' +
      ` a ${nines} kB ${nines} kB ${nines} 14\n` +
      ` b 4 kB 4 kB 1 ${nines}\n` +
      ' c 4 kB 4 kB 1 15\n' +
      'dmabuf total: 4 kB kernel_rss: 0 kB userspace_rss: 4 kB userspace_pss: 4 kB\n';
    const bufinfo =
      '\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n' +
      `${nines}\t00000002\t00080007\t00000001\tsystem\t00000016\tx\n` +
      '\tAttached Devices:\nTotal 0 devices attached\n\n\nTotal 1 objects, 1 bytes\n';
    const report = await readBugReport(
      asText(
        header() +
          command('Dmabuf dump', 'dmabuf_dump', table) +
          command('dmabuf info', '/d/dma_buf/bufinfo', bufinfo) +
          ALARM +
          DONE,
      ),
    );
    const sizes = [...(report.snapshot?.buffers.values() ?? [])].map(
      ({inode, sizeBytes}) => `${inode} ${sizeBytes}`,
    );
    expect(sizes.sort()).toEqual(['14 undefined', '15 4096', '16 undefined']);
    expect(report.problems.join()).toContain("3 buffer(s) are no kernel's");
    expect(reportTrace(report).length).toBeGreaterThan(1000);
  });

  it('messages hold no control characters', async () => {
    const text =
      header() +
      '------ \x1b[31mevil (dmabuf_dump) ------\n' +
      "*** command '\x1b[2J' failed: exit code 1\n" +
      '\x1b]0;title\x07 stray\n' +
      DONE;
    const {problems} = await readBugReport(asText(text));
    expect(problems.length).toBeGreaterThan(0);
    for (const problem of problems) expect(problem).not.toMatch(/[^\x20-\x7e]/);
  });
});
