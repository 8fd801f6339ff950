// SPDX-License-Identifier: Apache-2.0
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {Capabilities} from '../../../src/producer/collector/capabilities.js';
import type {Effects} from '../../../src/producer/cli/effects.js';
import {parseDump} from '../../../src/producer/cli/dump/dump_json.js';
import {runCli, STEERS_TERMINAL} from './fake_io.js';
import {
  buffer,
  fakeSource,
  holdings,
  HOSTILE_NAMES,
  ROOTED,
  snapshotOf,
  UNROOTED,
  type FakeSourceOptions,
} from './fake_source.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfetto-dmabuf-'));
});

afterAll(() => {
  rmSync(folder, {recursive: true, force: true});
});

const scene = snapshotOf([
  holdings({pid: 40}, [{buffer: buffer({inode: 12n})}]),
]);

function connected(
  snapshot = scene,
  options: FakeSourceOptions = {},
): {effects: Partial<Effects>} {
  return {
    effects: {
      connectSource: () => Promise.resolve(fakeSource(() => snapshot, options)),
    },
  };
}

function withCapabilities(fields: Partial<Capabilities>): {
  effects: Partial<Effects>;
} {
  return connected(scene, {capabilities: {...ROOTED, ...fields}});
}

describe('dump', () => {
  it.each(['process', 'buffer', 'exporter', 'name'])(
    'from the simulator by %s',
    async (by) => {
      const {code, stdout, stderr} = await runCli([
        ...['dump', '--source', 'simulator', '--by', by],
      ]);
      expect(code).toBe(0);
      expect(stderr).toMatch(/^=== SIMULATED DATA/);
      expect(stdout).toMatch(/^=== SIMULATED DATA/);
      expect(stdout).toMatch(/^Total: +[\d.]+ [MG]iB in \d+ buffers$/m);
      expect(stdout).not.toMatch(STEERS_TERMINAL);
    },
  );

  it('as JSON is read back', async () => {
    const {code, stdout} = await runCli([
      ...['dump', '--source', 'simulator', '--format', 'json'],
    ]);
    expect(code).toBe(0);
    const {snapshot, provenance} = parseDump(stdout);
    expect(provenance.simulated).toBe(true);
    expect(snapshot.buffers.size).toBeGreaterThan(10);
    expect(snapshot.coverage.problems).toEqual([]);
  });

  it('as CSV says on each row that it is simulated', async () => {
    const {code, stdout} = await runCli([
      ...['dump', '--source', 'simulator', '--format', 'csv'],
    ]);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\r\n').slice(1);
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.every((line) => line.endsWith(',true'))).toBe(true);
  });

  it('takes one full sample, threads included', async () => {
    const asked: unknown[] = [];
    const source = fakeSource(() => scene);
    const {code} = await runCli(['dump'], {
      effects: {
        connectSource: () =>
          Promise.resolve({
            ...source,
            collector: {
              ...source.collector,
              sampler: {
                clock: source.collector.sampler.clock,
                sample: (options: unknown) => {
                  asked.push(options);
                  return Promise.resolve(scene);
                },
              },
            } as unknown as typeof source.collector,
          }),
      },
    });
    expect(code).toBe(0);
    expect(asked).toEqual([{full: true, threads: true}]);
  });

  it('passes the options on', async () => {
    const asked: unknown[] = [];
    const env = {ANDROID_SERIAL: 'E'};
    await runCli(
      [
        ...['dump', '-s', 'S', '--source', 'device', '--root', '--su'],
        ...['--timeout', '2.5'],
      ],
      {
        env,
        effects: {
          connectSource: (options) => {
            asked.push(options);
            return Promise.resolve(fakeSource(() => scene));
          },
        },
      },
    );
    expect(asked).toMatchObject([
      {
        source: 'device',
        serial: 'S',
        root: true,
        su: true,
        timeoutMs: 2500,
        env,
      },
    ]);
  });

  it('of pids that are not there is not done', async () => {
    const {code, stdout, stderr} = await runCli(
      ['dump', '--pid', '40', '--pid', '41', '--pid', '42'],
      connected(),
    );
    expect(code).toBe(1);
    expect(stdout).toContain('40 com.example.app');
    expect(stderr).toMatch(/there is no process 41, 42 on the device: /);
  });

  it('that could read nothing is not done', async () => {
    const refused = snapshotOf(
      [holdings({pid: 1}, [], {readState: 'unreadable'})],
      [],
      {kernelList: undefined, processesUnreadable: 1},
    );
    const {code, stdout, stderr} = await runCli(
      ['dump'],
      connected(refused, {capabilities: UNROOTED}),
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/^Total: +\?\nHeld by processes: \?\n/m);
    expect(stderr).toMatch(/nothing is known: use --root/);
  });

  it('fits into a terminal of 80 columns', async () => {
    const {stdout} = await runCli(
      ['dump', '--source', 'simulator', '--by', 'buffer'],
      {columns: 80},
    );
    const rows = stdout.split('\n').slice(9);
    expect(Math.max(...rows.map((row) => row.length))).toBeLessThan(81);
    expect(stdout).toContain('…');
  });
});

describe('doctor', () => {
  it('says what the simulator offers', async () => {
    const {code, stdout, stderr} = await runCli([
      ...['doctor', '--source', 'simulator'],
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^=== SIMULATED DATA/);
    expect(stdout).toMatch(/^Kernel: {2}6\./m);
    expect(stdout).toMatch(/^Runs as: uid 0 \(root\)$/m);
    expect(stdout).toMatch(/^Clock: {3}BOOTTIME known to within .* ms$/m);
    expect(stdout).toMatch(/^debugfs dma_buf\/bufinfo +yes /m);
    expect(stdout).toContain('\nNothing is missing.\n');
  });

  it('says how to get what is missing on an unrooted device', async () => {
    const {code, stdout} = await runCli(
      ['doctor'],
      connected(scene, {capabilities: UNROOTED}),
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Runs as: uid 2000 \(shell\)$/m);
    expect(stdout).toMatch(/^\/proc\/PID\/fdinfo +no permission /m);
    expect(stdout).toMatch(/^\/proc\/PID\/dmabuf_rss +absent /m);
    expect(stdout).toContain(
      'record will show:\n' +
        '  - buffers held by processes of uid 2000 itself\n' +
        'It cannot show:\n',
    );
    expect(stdout).toContain(
      'to get it: use --root (userdebug and eng builds)',
    );
    expect(stdout).toContain('nor how much they hold');
  });

  it.each<[string, Partial<Capabilities>, RegExp]>([
    [
      'no debugfs',
      {
        bufinfo: 'absent',
        debugfsMounted: false,
        bpf: 'absent',
        sysfs: 'absent',
        kernelList: undefined,
      },
      /the total, and buffers.*\n +to get it: as root run 'mount -t debugfs none \/sys\/kernel\/debug'.*CONFIG_DEBUG_FS/,
    ],
    [
      'no bufinfo',
      {bufinfo: 'absent', kernelList: 'sysfs'},
      /references to a buffer.*\n +to get it: build the kernel with CONFIG_DEBUG_FS and CONFIG_DMA_SHARED_BUFFER/,
    ],
    [
      'no maps for root',
      {maps: 'no permission'},
      /mappings of other users' processes.*\n +to get it: root is refused, so ask SELinux/,
    ],
    [
      'no sysfs statistics',
      {sysfs: 'absent'},
      /\/sys\/kernel\/dmabuf\/buffers: .*CONFIG_DMABUF_SYSFS_STATS/,
    ],
    ['no numbers of fds', {fdCounts: false}, /size of \/proc\/PID\/fd: .*6\.2/],
    [
      'sums only',
      {...UNROOTED, dmabufRss: 'yes', dmabufPss: 'yes'},
      /record will show:\n {2}- RSS of each process\n {2}- PSS of each process\n/,
    ],
  ])('tells the fix for %s', async (_what, fields, message) => {
    const {code, stdout} = await runCli(['doctor'], withCapabilities(fields));
    expect(code).toBe(0);
    expect(stdout).toMatch(message);
  });

  it('lets nothing from the device steer the terminal', async () => {
    const {stdout} = await runCli(
      ['doctor'],
      connected(scene, {
        capabilities: {
          ...ROOTED,
          properties: new Map([['ro.build.type', 'x\x1b[2J']]),
        },
        provenance: {
          device: 'a\x1b[2Jb\u202e',
          kernelRelease: '6.1\x9b',
          buildFingerprint: 'f\n\x1b]0;x\x07',
        },
      }),
    );
    expect(stdout).not.toMatch(STEERS_TERMINAL);
    expect(stdout).toContain('a\\x1b[2Jb\\u{202e}');
  });
});

describe('report', () => {
  let trace: string;
  let hostile: string;

  beforeAll(async () => {
    trace = join(folder, 'simulated.pftrace');
    const {code} = await runCli([
      ...['record', '--source', 'simulator', '-d', '2', '-i', '100'],
      ...['-o', trace],
    ]);
    expect(code).toBe(0);

    hostile = join(folder, 'hostile.pftrace');
    const snapshot = snapshotOf(
      HOSTILE_NAMES.map((name, i) =>
        holdings({pid: 1000 + i, cmdline: name}, [
          {
            buffer: buffer({
              inode: BigInt(i + 1),
              name: {raw: name, doubtful: false},
              exporter: name,
            }),
          },
        ]),
      ),
      [],
      {problems: ['bad\x1b[2J\nline']},
    );
    await runCli(
      ['record', '-d', '0.05', '-i', '10', '-o', hostile],
      connected(snapshot, {provenance: {device: 'd\x1b[2J'}}),
    );
  });

  it('has its tables', async () => {
    const {code, stdout, stderr} = await runCli(['report', trace]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^=== SIMULATED DATA/);
    for (const title of [
      'Memory',
      'Top holders',
      'Biggest buffers',
      'Growth by process',
      'Growth by name',
      'Growth by exporter',
      'Made in the recording and perhaps leaked',
      'Still there at the end',
    ]) {
      expect(stdout).toMatch(new RegExp(`^${title}`, 'm'));
    }
    expect(stdout).toMatch(/^Samples: {2}\d+, one every .*, longest gap /m);
    expect(stdout).toMatch(/^Coverage: .*all buffers from bufinfo$/m);
    expect(stdout).toMatch(/^ {2}Total +[\d.]+ MiB +[\d.]+ MiB /m);
  });

  it('--top cuts each table and says so', async () => {
    const {stdout} = await runCli(['report', trace, '--top', '2']);
    const [, biggest = ''] = stdout.split('Biggest buffers\n');
    const table = biggest.slice(0, biggest.indexOf('\n\n')).split('\n');
    expect(table).toHaveLength(4);
    expect(table[3]).toMatch(/\.\.\. and \d+ more \(--top \d+\)/);
  });

  it('as JSON has the same, exact', async () => {
    const {code, stdout} = await runCli([
      ...['report', trace, '--format', 'json', '--top', '3'],
    ]);
    expect(code).toBe(0);
    const json = JSON.parse(stdout) as Record<string, unknown>;
    expect(json).toMatchObject({
      format: 'perfetto-dmabuf.report',
      version: 1,
      ended: 'finished',
      warnings: [],
      provenance: {simulated: true},
      memory: {total: {last: expect.any(Number)}},
      biggestBuffers: [
        {sizeBytes: expect.stringMatching(/^\d+$/), inode: expect.any(String)},
        {},
        {},
      ],
    });
    expect(json['topHolders']).toHaveLength(3);
  });

  it.each(['text', 'json'])(
    'as %s lets no name steer the terminal',
    async (format) => {
      const {code, stdout, stderr} = await runCli([
        ...['report', hostile, '--top', '100', '--format', format],
      ]);
      expect(code).toBe(0);
      expect(stdout).not.toMatch(STEERS_TERMINAL);
      expect(stderr).not.toMatch(STEERS_TERMINAL);
      expect(stdout).toContain('esc');
    },
  );

  it('shows what is not known as such', async () => {
    const path = join(folder, 'unknown.pftrace');
    const unknown = buffer({
      inode: 5n,
      sizeBytes: undefined,
      name: undefined,
      exporter: undefined,
      fileCount: undefined,
    });
    await runCli(
      ['record', '-d', '0.05', '-i', '10', '-o', path],
      connected(
        snapshotOf(
          [
            holdings({pid: 1}, [{buffer: unknown}]),
            holdings({pid: 2}, [], {
              readState: 'unreadable',
              kernelRssBytes: 8192n,
            }),
          ],
          [],
          {kernelList: undefined, fileCounts: false, processesUnreadable: 1},
        ),
      ),
    );
    const {stdout} = await runCli(['report', path]);
    expect(stdout).toMatch(/^ {2}Total +\? +\? +\?$/m);
    expect(stdout).toMatch(/^ {2}Kernel-only\S*( \(at most\))? +\? +\? +\?$/m);
    expect(stdout).toMatch(
      /^ +2 +com\.example\.app +\? +\? +8\.0 KiB +8\.0 KiB +\?$/m,
    );
    expect(stdout).toMatch(/^ +5 +\? +\(unnamed\) +\(unknown\) +before +end/m);
    expect(stdout).toMatch(/no list of all buffers/);
    const {stdout: text} = await runCli(['report', path, '--format', 'json']);
    const json = JSON.parse(text) as {
      memory: Record<string, unknown>;
      biggestBuffers: Record<string, unknown>[];
    };
    expect(json.memory).not.toHaveProperty('total');
    expect(json.biggestBuffers[0]).not.toHaveProperty('sizeBytes');
  });

  it('of a trace that was cut says so and goes as far as it can', async () => {
    const path = join(folder, 'cut.pftrace');
    writeFileSync(path, readFileSync(trace).subarray(0, -50));
    const {code, stdout, stderr} = await runCli(['report', path]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: .*cut\.pftrace: the file is cut/);
    expect(stdout).toMatch(/cut short/);
  });

  it.each<[string, string | undefined, RegExp]>([
    ['is not there', undefined, /there is no such file/],
    ['is empty', '', /is no Perfetto trace: it is empty/],
    ['is something else', 'hello', /is no Perfetto trace/],
    ['has a name that bites', undefined, /\\x1b\[2J/],
  ])('of a file that %s is an error', async (what, content, message) => {
    const path = join(
      folder,
      what.includes('bites') ? 'x\x1b[2J' : `${what.replaceAll(' ', '-')}`,
    );
    if (content !== undefined) writeFileSync(path, content);
    const {code, stdout, stderr} = await runCli(['report', path]);
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^perfetto-dmabuf: .*\n$/);
    expect(stderr).not.toMatch(STEERS_TERMINAL);
  });
});
