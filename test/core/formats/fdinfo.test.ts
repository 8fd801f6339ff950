// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  FormatError,
  parseFdinfo,
  renderFdinfo,
  type FdinfoFields,
} from '../../../src/core/formats/index.js';
import {
  damaged,
  dmaBufName,
  exporter,
  rawText,
  uint32,
  uint64,
} from './arbitraries.js';
import {KERNELS, ROLES, fdinfos, madeHoldings, madeNames} from './captures.js';

describe.each(KERNELS)('fdinfo of %s', (kernel) => {
  it('tells every name that was set, and only those', () => {
    const files = fdinfos(kernel, 'names');
    for (const made of madeNames(kernel)) {
      const {dmaBuf, inode} = parseFdinfo(files.get(made.fd) ?? '');
      expect(dmaBuf?.name, `fd ${made.fd}`).toEqual({
        raw: made.name,
        doubtful: false,
      });
      expect(dmaBuf?.sizeBytes).toBe(4096n);
      expect(dmaBuf?.count).toBe(1n);
      if (kernel === '5.10') expect(inode).toBeUndefined();
      else if (made.inode !== undefined) expect(inode).toBe(made.inode);
    }
  });

  it('tells the size, name and inode of what each process holds', () => {
    const made = madeHoldings(kernel);
    for (const role of ROLES) {
      const expected = new Map(
        made
          .filter(({comm, fd, held}) => {
            const private_ = held === 'thread-private-fdtable';
            return comm === `lab-${role}` && fd >= 0 && !private_;
          })
          .map((holding) => [holding.fd, holding]),
      );
      const found = [...fdinfos(kernel, role)].flatMap(([fd, text]) => {
        const {dmaBuf, inode} = parseFdinfo(text);
        return dmaBuf === undefined ? [] : [{fd, dmaBuf, inode}];
      });
      for (const {fd, dmaBuf, inode} of found) {
        const holding = expected.get(fd);
        if (role === 'forker' || role === 'forkchild') {
          // The other fds of these two were not written down.
          if (holding === undefined) continue;
        }
        expect(holding, `${role} ${fd}`).toBeDefined();
        expect(dmaBuf.sizeBytes).toBe(holding?.sizeBytes);
        expect(dmaBuf.name.raw).toBe(holding?.name);
        if (kernel !== '5.10') expect(inode).toBe(holding?.inode);
      }
      expect(found.map(({fd}) => fd)).toEqual(
        expect.arrayContaining([...expected.keys()]),
      );
    }
  });

  it('is rendered as the kernel printed it', () => {
    for (const who of ['names', ...ROLES]) {
      for (const text of fdinfos(kernel, who).values()) {
        const info = parseFdinfo(text);
        // Other files have lines of their own, which are not kept.
        if (info.dmaBuf !== undefined) expect(renderFdinfo(info)).toBe(text);
        else expect(text.startsWith(renderFdinfo(info))).toBe(true);
      }
    }
  });
});

describe('fdinfo', () => {
  const GENERIC = 'pos:\t0\nflags:\t02\nmnt_id:\t12\nino:\t29\n';

  it('takes the first occurrence of a key: a name forges nothing', () => {
    const info = parseFdinfo(
      `${GENERIC}size:\t4096\ncount:\t1\nexp_name:\tsystem\n` +
        'name:\tx\nsize:\t1\ncount:\t99\nname:\ty\n\n',
    );
    expect(info.dmaBuf).toEqual({
      sizeBytes: 4096n,
      count: 1n,
      exporter: 'system',
      name: {raw: 'x\nsize:\t1\ncount:\t99\nname:\ty\n', doubtful: false},
    });
  });

  it('is no dma-buf when another file forges its lines', () => {
    // ashmem prints a name of up to 256 bytes that is set by its user.
    const forged = 'x\nsize:\t4096\ncount:\t1\nexp_name:\tsystem';
    const text = `${GENERIC}inode:\t5\nname:\t${forged}\nsize:\t4096\n`;
    expect(parseFdinfo(text).dmaBuf).toBeUndefined();
  });

  it('reads past lines that other files and locks have', () => {
    expect(
      parseFdinfo(`${GENERIC}lock:\t1: POSIX  ADVISORY\nscm_fds: 1\n`),
    ).toEqual({pos: 0, flags: 2, mntId: 12, inode: 29n});
    const lock = 'lock:\t1: FLOCK  ADVISORY  WRITE 9 00:0b:29 0 EOF\n';
    const buffer = 'size:\t4096\ncount:\t1\nexp_name:\tsystem\n';
    const info = parseFdinfo(GENERIC + lock + buffer);
    expect(info.dmaBuf?.name).toEqual({raw: undefined, doubtful: false});
  });

  it('names the file and the line of what is wrong, without raw text', () => {
    const text = 'pos:\t0\nflags:\t02\nmnt_id:\t\x1b[31mx\n';
    expect(() => parseFdinfo(text)).toThrow(FormatError);
    expect(() => parseFdinfo(text)).toThrow(
      /^\/proc\/PID\/fdinfo\/N, line 3: "\\x1b\[31mx" is no value of mnt_id:/,
    );
  });

  it('refuses text cut anywhere in a line, and within size to exp_name', () => {
    const head = `${GENERIC}size:\t4096\ncount:\t1\n`;
    const whole = `${head}exp_name:\tsystem\nname:\tcam\n`;
    for (let length = 0; length < whole.length; length++) {
      const text = whole.slice(0, length);
      const looksWhole =
        text.endsWith('\n') &&
        /\n(ino:\t29|mnt_id:\t12|exp_name:\tsystem)\n$/.test(text);
      if (looksWhole) expect(() => parseFdinfo(text)).not.toThrow();
      else expect(() => parseFdinfo(text), text).toThrow(FormatError);
    }
  });

  const info: fc.Arbitrary<FdinfoFields> = fc.record(
    {
      pos: fc.maxSafeInteger().map((pos) => (pos === 0 ? 0 : pos)),
      flags: uint32,
      mntId: fc.integer({min: 0, max: 2 ** 31 - 1}),
      inode: uint64,
      dmaBuf: fc.record({
        sizeBytes: uint64,
        count: uint64,
        exporter,
        name: fc.record({
          raw: fc.option(dmaBufName, {nil: undefined}),
          doubtful: fc.constant(false),
        }),
      }),
    },
    {requiredKeys: ['pos', 'flags', 'mntId']},
  );

  it('comes back as it was rendered, whatever the name', () => {
    fc.assert(
      fc.property(info, (value) => {
        expect(parseFdinfo(renderFdinfo(value))).toEqual(value);
      }),
    );
  });

  it('throws nothing but FormatError on damaged or random text', () => {
    const text = fc.oneof(damaged(info.map(renderFdinfo)), rawText(300));
    fc.assert(
      fc.property(text, (value) => {
        try {
          parseFdinfo(value);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      {numRuns: 1000},
    );
  });
});
