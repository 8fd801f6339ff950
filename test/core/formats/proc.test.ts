// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  FormatError,
  cmdlineHead,
  parseCmdline,
  parseDmabufRss,
  parseProcStat,
  parseProcStatus,
  parseProcUptime,
  renderCmdline,
  renderDmabufRss,
  renderProcStat,
  renderProcStatus,
  renderProcUptime,
  type ProcStat,
  type ProcStatus,
} from '../../../src/core/formats/index.js';
import {damaged, rawText, uint32, uint64} from './arbitraries.js';
import {KERNELS, ROLES, capture, madeHoldings} from './captures.js';

/** The parser returns or throws a FormatError, whatever the text. */
function throwsFormatErrors(
  parse: (text: string) => unknown,
  text: fc.Arbitrary<string>,
): void {
  fc.assert(
    fc.property(fc.oneof(damaged(text), rawText(200)), (value) => {
      try {
        parse(value);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }),
    {numRuns: 500},
  );
}

const count = fc.integer({min: 0, max: 2 ** 31 - 1});

describe.each(KERNELS)('/proc/PID of %s', (kernel) => {
  const made = madeHoldings(kernel);
  const pidOf = (comm: string): number | undefined =>
    made.find((each) => each.comm === comm)?.pid;

  it.each(ROLES)('stat and status tell of %s', (role) => {
    const stat = parseProcStat(capture(kernel, `${role}.stat-proc.txt`));
    const status = parseProcStatus(capture(kernel, `${role}.status.txt`));
    const threads = role === 'threads' ? 2 : 1;
    const uid = role === 'uid2000' ? 2000 : 0;
    expect(stat.comm).toBe(`lab-${role}`);
    if (role !== 'threads') expect(stat.pid).toBe(pidOf(`lab-${role}`));
    expect(stat).toMatchObject({state: 'S', numThreads: threads});
    expect(stat.startTicks).toBeGreaterThan(100n);
    expect(status).toEqual({
      name: `lab-${role}`,
      ppid: stat.ppid,
      uids: [uid, uid, uid, uid],
      threads,
    });
  });

  it('stat tells who is whose child', () => {
    const read = (role: string): ProcStat =>
      parseProcStat(capture(kernel, `${role}.stat-proc.txt`));
    expect(read('forkchild').ppid).toBe(read('forker').pid);
    expect(read('forkchild').startTicks).toBeGreaterThanOrEqual(
      read('forker').startTicks,
    );
  });

  it('stat reads a comm with a blank and a parenthesis', () => {
    const lines = capture(kernel, 'inflight.comm-status-stat.txt').split('\n');
    expect(lines[0]).toBe('lab inflight)');
    const stat = parseProcStat(`${lines[1]}\n`);
    expect(stat.comm).toBe('lab inflight)');
    expect(stat.pid).toBe(pidOf('lab inflight)'));
    expect(stat.state).toBe('S');
  });

  it('cmdline tells the arguments', () => {
    const text = capture(kernel, 'producer.cmdline.bin');
    expect(parseCmdline(text)).toEqual(['dmalab', 'scene']);
    expect(cmdlineHead(text)).toBe('dmalab');
    expect(renderCmdline(parseCmdline(text))).toBe(text);
  });
});

describe('stat', () => {
  const stat: fc.Arbitrary<ProcStat> = fc.record({
    pid: count,
    comm: rawText(15),
    state: fc.constantFrom('R', 'S', 'D', 'T', 't', 'X', 'Z', 'P', 'I'),
    ppid: count,
    utimeTicks: fc.maxSafeInteger().map(Math.abs),
    stimeTicks: count,
    cutimeTicks: count,
    cstimeTicks: count,
    numThreads: count,
    startTicks: uint64,
  });

  it.each([') S 1 (', 'a\nb', '', '(', ')))', '1 (x) R 2'])(
    'reads the comm %j',
    (comm) => {
      const text = `12 (${comm}) S 1 1 1 0 -1 4 0 0 0 0 5 6 7 8 20 0 3 0 99 1\n`;
      expect(parseProcStat(text)).toEqual({
        pid: 12,
        comm,
        state: 'S',
        ppid: 1,
        utimeTicks: 5,
        stimeTicks: 6,
        cutimeTicks: 7,
        cstimeTicks: 8,
        numThreads: 3,
        startTicks: 99n,
      });
    },
  );

  it('refuses a start time that may be cut', () => {
    const text = '12 (a) S 1 1 1 0 -1 4 0 0 0 0 5 6 7 8 20 0 3 0 99';
    expect(() => parseProcStat(text)).toThrow('before field 22');
    expect(() => parseProcStat(`${text} `)).not.toThrow();
  });

  it('has all 52 fields', () => {
    const text = capture('7.3', 'producer.stat-proc.txt');
    const fields = renderProcStat(parseProcStat(text)).trimEnd().split(' ');
    expect(fields).toHaveLength(text.trimEnd().split(' ').length);
  });

  it('comes back as it was rendered', () => {
    fc.assert(
      fc.property(stat, (value) => {
        expect(parseProcStat(renderProcStat(value))).toEqual(value);
      }),
    );
  });

  it('throws nothing but FormatError', () => {
    throwsFormatErrors(parseProcStat, stat.map(renderProcStat));
  });
});

describe('status', () => {
  const status: fc.Arbitrary<ProcStatus> = fc.record(
    {
      name: rawText(15),
      ppid: count,
      uids: fc.tuple(uint32, uint32, uint32, uint32),
      threads: count,
    },
    {requiredKeys: ['name', 'ppid', 'uids']},
  );

  it('has a name that forges no line', () => {
    const value = {name: 'a\nUid:\t0\\n', ppid: 1, uids: [5, 5, 5, 5]} as const;
    const text = renderProcStatus(value);
    expect(text).toBe('Name:\ta\\nUid:\t0\\\\n\nPPid:\t1\nUid:\t5\t5\t5\t5\n');
    expect(parseProcStatus(text)).toEqual(value);
  });

  it('names the missing line', () => {
    expect(() => parseProcStatus('Name:\ta\nPPid:\t1\n')).toThrow(
      '/proc/PID/status, line 3: there is no Uid:',
    );
  });

  it('comes back as it was rendered', () => {
    fc.assert(
      fc.property(status, (value) => {
        expect(parseProcStatus(renderProcStatus(value))).toEqual(value);
      }),
    );
  });

  it('throws nothing but FormatError', () => {
    throwsFormatErrors(parseProcStatus, status.map(renderProcStatus));
  });
});

describe('uptime', () => {
  it('is in steps of 10 ms', () => {
    expect(parseProcUptime('12.05 23.40\n')).toEqual({
      uptimeNs: 12_050_000_000n,
      idleNs: 23_400_000_000n,
    });
    expect(
      renderProcUptime({uptimeNs: 12_059_999_999n, idleNs: 9_999_999n}),
    ).toBe('12.05 0.00\n');
  });

  it.each(['', '\n', '12.05 23.40', '12.05 23.4\n', '12.5 1.00\n', 'x y\n'])(
    'is refused when it is %j',
    (text) => {
      expect(() => parseProcUptime(text)).toThrow(FormatError);
    },
  );

  const ticks = fc
    .bigInt({min: 0n, max: 2n ** 64n})
    .map((value) => value * 10_000_000n);
  const uptime = fc.record({uptimeNs: ticks, idleNs: ticks});

  it('comes back as it was rendered', () => {
    fc.assert(
      fc.property(uptime, (value) => {
        expect(parseProcUptime(renderProcUptime(value))).toEqual(value);
      }),
    );
  });

  it('throws nothing but FormatError', () => {
    throwsFormatErrors(parseProcUptime, uptime.map(renderProcUptime));
  });
});

describe('cmdline', () => {
  it('is empty for kernel threads and zombies', () => {
    expect(parseCmdline('')).toEqual([]);
    expect(cmdlineHead('')).toBeUndefined();
  });

  it('may be padded, or hold no NUL at all', () => {
    expect(cmdlineHead('com.example.camera\0\0\0\0')).toBe(
      'com.example.camera',
    );
    expect(cmdlineHead('nginx: worker process')).toBe('nginx: worker process');
    expect(parseCmdline('nginx: worker process')).toEqual([
      'nginx: worker process',
    ]);
    expect(cmdlineHead('\0rest\0')).toBeUndefined();
  });

  it('comes back as it was rendered', () => {
    fc.assert(
      fc.property(fc.array(rawText(20)), (args) => {
        expect(parseCmdline(renderCmdline(args))).toEqual(args);
      }),
    );
  });
});

describe('dmabuf_rss and dmabuf_pss', () => {
  it('is a number of bytes', () => {
    expect(parseDmabufRss('1052672\n')).toBe(1052672n);
    expect(parseDmabufRss('0\n')).toBe(0n);
  });

  it('is unknown, not zero, for a task without accounting', () => {
    expect(parseDmabufRss('')).toBeUndefined();
    expect(renderDmabufRss(undefined)).toBe('');
  });

  it.each(['\n', '12', '-1\n', '0x10\n', '1 2\n', '1\n\n', '12kB\n'])(
    'is refused when it is %j',
    (text) => {
      expect(() => parseDmabufRss(text, 'dmabuf_pss')).toThrow(
        '/proc/PID/dmabuf_pss, line 1',
      );
    },
  );

  it('comes back as it was rendered', () => {
    fc.assert(
      fc.property(fc.option(uint64, {nil: undefined}), (bytes) => {
        expect(parseDmabufRss(renderDmabufRss(bytes))).toBe(bytes);
      }),
    );
  });

  it('throws nothing but FormatError', () => {
    throwsFormatErrors((text) => parseDmabufRss(text), uint64.map(String));
  });
});

describe('an error', () => {
  it('shows device text without its control characters', () => {
    expect(() => parseDmabufRss('\x1b[31m\xff"\n')).toThrow(
      'found "\\x1b[31m\\xff\\x22\\x0a"',
    );
  });

  it('says what can be done', () => {
    const error = new FormatError('/proc/uptime', 1, 'it is odd', 'Reboot');
    expect(error.message).toBe('/proc/uptime, line 1: it is odd. Reboot.');
    expect(error).toMatchObject({file: '/proc/uptime', line: 1});
  });
});
