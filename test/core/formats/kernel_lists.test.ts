// SPDX-License-Identifier: Apache-2.0
/** The kernel's lists of all buffers beside bufinfo: sysfs and BPF. */
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  FormatError,
  parseBpfIter,
  parseBufinfo,
  parseSysfsExporter,
  parseSysfsGrep,
  parseSysfsSize,
  renderBpfIter,
  renderSysfsExporter,
  renderSysfsGrep,
  renderSysfsSize,
  type BpfDmaBuf,
} from '../../../src/core/formats/index.js';
import {
  damaged,
  dmaBufName,
  exporter,
  rawLine,
  rawText,
  uint64,
} from './arbitraries.js';
import {capture} from './captures.js';

describe('sysfs statistics of 6.1lab', () => {
  const buffers = parseSysfsGrep(capture('6.1lab', 'sysfs.grep-r.txt'));

  it('list what bufinfo lists', () => {
    // Taken later than bufinfo.txt, when the named buffers were there too.
    const {objects} = parseBufinfo(capture('6.1lab', 'names.bufinfo.txt'));
    expect(objects.length).toBeGreaterThan(40);
    expect(buffers).toEqual(
      new Map(
        objects.map(({inode, sizeBytes, exporter}) => [
          inode,
          {sizeBytes, exporter},
        ]),
      ),
    );
  });

  it('are rendered as grep printed them', () => {
    const text = renderSysfsGrep(buffers, '.');
    expect(text).toBe(capture('6.1lab', 'sysfs.grep-r.txt'));
  });

  it('are the same, file by file', () => {
    const files = capture('6.1lab', 'sysfs.cat.txt').matchAll(
      /^-- \/sys\/kernel\/dmabuf\/buffers\/(\d+)\/(\w+)\n(.*\n)/gm,
    );
    let found = 0;
    for (const [, inode, file, text] of files) {
      const buffer = buffers.get(BigInt(inode ?? ''));
      if (file === 'size') {
        expect(parseSysfsSize(text ?? '')).toBe(buffer?.sizeBytes);
        expect(renderSysfsSize(buffer?.sizeBytes ?? -1n)).toBe(text);
      } else {
        expect(parseSysfsExporter(text ?? '')).toBe(buffer?.exporter);
        expect(renderSysfsExporter(buffer?.exporter ?? '')).toBe(text);
      }
      found++;
    }
    expect(found).toBe(2 * buffers.size);
  });
});

describe('sysfs statistics', () => {
  it('take any directory before the inode', () => {
    const text =
      '/sys/kernel/dmabuf/buffers/17/exporter_name:system:/9/size:1\n' +
      '17/size:4096\n';
    expect(parseSysfsGrep(text)).toEqual(
      new Map([[17n, {exporter: 'system:/9/size:1', sizeBytes: 4096n}]]),
    );
  });

  it('leave out what is cut, unreadable or something else', () => {
    const text =
      'grep: ./3/exporter_name: No such file or directory\n./x5/size:4096\n./6/attachments/a:1\n' +
      './7/size:4096\n./8/size:kB\n./9/size:40';
    expect(parseSysfsGrep(text)).toEqual(
      new Map([
        [7n, {sizeBytes: 4096n}],
        [8n, {}],
      ]),
    );
  });

  it('are refused, file by file, when cut', () => {
    expect(() => parseSysfsSize('409')).toThrow(FormatError);
    expect(() => parseSysfsSize('\n')).toThrow(FormatError);
    expect(() => parseSysfsExporter('syst')).toThrow(FormatError);
  });

  const buffer = fc.record(
    {exporter: rawLine(31), sizeBytes: uint64},
    {requiredKeys: []},
  );
  const anyBuffers = fc
    .uniqueArray(fc.tuple(uint64, buffer), {selector: ([inode]) => inode})
    .map((pairs) => new Map(pairs));

  it('come back as they were rendered', () => {
    fc.assert(
      fc.property(anyBuffers, (buffers) => {
        const told = [...buffers].filter(
          ([, each]) => 'exporter' in each || 'sizeBytes' in each,
        );
        expect(parseSysfsGrep(renderSysfsGrep(buffers))).toEqual(new Map(told));
      }),
    );
  });

  it('throw nothing at damaged or random text', () => {
    const text = anyBuffers.map((buffers) => renderSysfsGrep(buffers));
    fc.assert(
      fc.property(fc.oneof(damaged(text), rawText(200)), (value) => {
        expect(parseSysfsGrep(value).size).toBeLessThanOrEqual(
          value.split('\n').length,
        );
      }),
      {numRuns: 500},
    );
  });
});

describe('the BPF iterator', () => {
  const camera = {
    inode: 5n,
    sizeBytes: 8192n,
    name: {raw: 'camera', doubtful: false},
    exporter: 'system',
  };

  it('prints four lines for each buffer', () => {
    expect(parseBpfIter('5\n8192\ncamera\nsystem\n6\n4096\n\ndrm\n')).toEqual({
      buffers: [
        camera,
        {
          inode: 6n,
          sizeBytes: 4096n,
          name: {raw: undefined, doubtful: true},
          exporter: 'drm',
        },
      ],
      problems: [],
    });
  });

  it('prints a newline of a name as a blank, which is doubtful', () => {
    const name = {raw: 'map nl\nmap sp', doubtful: false};
    const text = renderBpfIter([{...camera, name}]);
    expect(text).toBe('5\n8192\nmap nl map sp\nsystem\n');
    expect(parseBpfIter(text).buffers[0]?.name).toEqual({
      raw: 'map nl map sp',
      doubtful: true,
    });
  });

  it('keeps what is above a cut, and says so', () => {
    const whole = '5\n8192\ncamera\nsystem\n6\n4096\nx\nsystem\n';
    for (let length = 1; length < whole.length; length++) {
      const {buffers, problems} = parseBpfIter(whole.slice(0, length));
      if (length < 21) expect(buffers).toEqual([]);
      else expect(buffers).toEqual([camera]);
      expect(problems).toHaveLength(length === 21 ? 0 : 1);
    }
  });

  it('goes on below lines of no known form', () => {
    const text = '\noops\n5\n8192\ncamera\nsystem\n';
    expect(parseBpfIter(text)).toEqual({
      buffers: [camera],
      problems: ["the BPF iterator's text holds 2 lines of no known form"],
    });
  });

  it('may be empty', () => {
    expect(parseBpfIter('')).toEqual({buffers: [], problems: []});
  });

  const anyBuffer: fc.Arbitrary<BpfDmaBuf> = fc.record({
    inode: uint64,
    sizeBytes: uint64,
    name: dmaBufName.map((raw) => ({raw, doubtful: false})),
    exporter,
  });

  it('comes back as it was rendered, or as a doubtful name', () => {
    fc.assert(
      fc.property(fc.array(anyBuffer), (buffers) => {
        const found = parseBpfIter(renderBpfIter(buffers));
        expect(found.problems).toEqual([]);
        expect(found.buffers).toHaveLength(buffers.length);
        found.buffers.forEach((each, i) => {
          const made = buffers[i];
          const raw = made?.name.raw ?? '';
          expect(each.name.doubtful).toBe(raw === '' || /[ \n]/.test(raw));
          expect(each).toEqual({
            ...made,
            name: each.name.doubtful ? each.name : made?.name,
          });
        });
      }),
    );
  });

  it('throws nothing at damaged or random text', () => {
    const text = fc.array(anyBuffer).map(renderBpfIter);
    fc.assert(
      fc.property(fc.oneof(damaged(text), rawText(200)), (value) => {
        const {buffers, problems} = parseBpfIter(value);
        if (buffers.length === 0 && value !== '') {
          expect(problems).not.toEqual([]);
        }
      }),
      {numRuns: 500},
    );
  });
});
