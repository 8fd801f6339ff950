// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import {truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeAll, describe, expect, it} from 'vitest';
import type {Snapshot} from '../../../src/core/model/index.js';
import {writeCombined} from '../../../src/producer/archive/combined.js';
import type {Effects} from '../../../src/producer/cli/effects.js';
import {renderDumpJson} from '../../../src/producer/cli/dump/dump_json.js';
import {android14, bytesOf} from '../bugreport/made_report.js';
import {
  everything,
  INTERVAL_NS,
  PROVENANCE as RECORDED,
  record,
  Scene,
} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {runCli, STEERS_TERMINAL} from './fake_io.js';
import {
  buffer,
  fakeSource,
  holdings,
  HOSTILE_NAMES,
  PROVENANCE,
  snapshotOf,
  UNROOTED,
  type FakeSourceOptions,
} from './fake_source.js';
import {violations} from './json_schema.js';

const folder = temporaryFolder();
const MIB = 1n << 20n;

const schema: unknown = JSON.parse(
  readFileSync(
    new URL('../../../docs/diff.schema.json', import.meta.url),
    'utf8',
  ),
);

interface Json {
  comparison: {identity: string; reason: string; apartNs?: string};
  verdict?: {measure?: string; result: string};
  totals: Record<string, {growth?: {bytes: string}}>;
  processes: {
    process: string;
    growth?: {bytes: string};
    acquired?: string[];
    released?: string[];
  }[];
  names: {name?: string; growth?: {bytes: string}}[];
  buffers?: Record<string, {inode: string; nameState: string}[]>;
}

let files = 0;

async function saved(content: string | Uint8Array): Promise<string> {
  const path = join(folder, `file${files++}`);
  await writeFile(path, content);
  return path;
}

function savedDump(
  snapshot: Snapshot,
  fields: {bootId?: string | undefined; device?: string} = {},
): Promise<string> {
  return saved(
    renderDumpJson({
      provenance: {...PROVENANCE, ...fields},
      snapshot,
      realOffsetNs: undefined,
      pids: undefined,
    }),
  );
}

function live(
  snapshot: Snapshot,
  options: FakeSourceOptions = {},
): {effects: Partial<Effects>} {
  return {
    effects: {
      connectSource: () => Promise.resolve(fakeSource(() => snapshot, options)),
    },
  };
}

async function diffJson(...argv: string[]): Promise<Json> {
  const {code, stdout, stderr} = await runCli([
    ...['diff', ...argv, '--format', 'json'],
  ]);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  const json: unknown = JSON.parse(stdout);
  expect(violations(json, schema)).toEqual([]);
  return json as Json;
}

const kept = buffer({inode: 1n, sizeBytes: MIB});
const fresh = buffer({inode: 2n, sizeBytes: 4n * MIB});
const before = snapshotOf([holdings({pid: 40}, [{buffer: kept}])]);
const after = {
  ...snapshotOf([
    holdings({pid: 40}, [{buffer: kept}, {buffer: fresh}]),
    holdings({pid: 41}, [{buffer: fresh}]),
  ]),
  endNs: 9_000_000_000n,
};

describe('two dumps of one boot', () => {
  it('as text', async () => {
    const {code, stdout, stderr} = await runCli([
      ...['diff', await savedDump(before), await savedDump(after)],
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Before: .*file\d+: Pixel 8 \(3A\), kernel 6\.1/);
    expect(stdout).toContain(
      'Two moments of one boot, 8 s apart: each buffer is followed by its inode.',
    );
    expect(stdout).toMatch(/^Total +1\.0 MiB +5\.0 MiB +\+4\.0 MiB +1 -> 2$/m);
    expect(stdout).toMatch(
      /^ +40 +com\.example\.app +1\.0 MiB +5\.0 MiB +\+4\.0 MiB +1 -> 2 +1 +0$/m,
    );
    expect(stdout).toContain('Allocated: 1 buffer, 4.0 MiB\n');
    expect(stdout).not.toContain('Freed');
  });

  it('as JSON, which docs/diff.schema.json describes', async () => {
    const json = await diffJson(
      await savedDump(before),
      await savedDump(after),
    );
    expect(json.comparison).toMatchObject({
      identity: 'buffers',
      reason: 'same boot',
      apartNs: '7980000000',
    });
    expect(json.totals['total']?.growth?.bytes).toBe(String(4n * MIB));
    expect(json.buffers?.['allocated']?.map(({inode}) => inode)).toEqual(['2']);
    expect(json.processes.map(({acquired}) => acquired)).toEqual([
      ['2'],
      ['2'],
    ]);
  });

  it.each([
    ['process', 3],
    ['name', 2],
    ['exporter', 2],
    ['buffer', 2],
  ])('as CSV by %s', async (by, lines) => {
    const {code, stdout} = await runCli([
      ...['diff', await savedDump(before), await savedDump(after)],
      ...['--format', 'csv', '--by', by],
    ]);
    expect(code).toBe(0);
    const rows = stdout.trimEnd().split('\r\n');
    expect(rows).toHaveLength(lines);
    const widths = new Set(rows.map((row) => row.split(',').length));
    expect(widths.size).toBe(1);
    expect(rows[1]).toMatch(/,false$/);
  });

  it('says so when the second is the older one', async () => {
    const {stdout} = await runCli([
      ...['diff', await savedDump(after), await savedDump(before)],
    ]);
    expect(stdout).toContain('the second 8 s OLDER than the first');
  });

  it('says when nothing changed', async () => {
    const path = await savedDump(before);
    const {stdout} = await runCli(['diff', path, path]);
    expect(stdout).toContain('1 buffer, the same before and after.');
  });

  it('cuts tables at --top', async () => {
    const many = Array.from({length: 12}, (_, i) =>
      buffer({inode: BigInt(i + 10)}),
    );
    const {stdout} = await runCli([
      ...['diff', await savedDump(before), '--top', '5', '--by', 'buffer'],
      await savedDump(snapshotOf([holdings({pid: 1}, [{buffer: kept}])], many)),
    ]);
    expect(stdout).toContain('... and 7 more, see --top');
    expect(stdout).not.toContain('EXPORTER  BEFORE');
  });
});

describe('states that cannot be followed', () => {
  it.each([
    [{bootId: 'other'}, 'other boots'],
    [{bootId: 'other', device: 'Pixel 9 (4B)'}, 'other devices'],
    [{bootId: undefined}, 'boot unknown'],
  ])('%o: %s', async (fields, reason) => {
    const json = await diffJson(
      await savedDump(before),
      await savedDump(after, fields),
    );
    expect(json.comparison).toMatchObject({identity: 'sums', reason});
    expect(json.buffers).toBeUndefined();
    expect(json.processes.map(({process, growth}) => [process, growth?.bytes]))
      // Both processes after have the name.
      .toEqual([['com.example.app', String(8n * MIB)]]);
  });

  it('say that they are not, in each format', async () => {
    const [a, b] = [
      await savedDump(before),
      await savedDump(after, {bootId: 'other'}),
    ];
    const text = await runCli(['diff', a, b]);
    expect(text.stdout).toMatch(
      /^Two boots of one device: inodes and pids of/m,
    );
    const {stdout} = await runCli(['diff', a, b, '--by', 'buffer']);
    expect(stdout).toContain('Buffers cannot be followed');
    const csv = await runCli(['diff', a, b, '--format', 'csv']);
    expect(csv.stderr).toMatch(/warning: Two boots of one device: buffers/);
  });
});

describe('live', () => {
  it('is compared with a dump', async () => {
    const path = await savedDump(before);
    const {code, stdout} = await runCli(['diff', path, 'live'], live(after));
    expect(code).toBe(0);
    expect(stdout).toContain('After:  live: Pixel 8 (3A)');
    expect(stdout).toContain('Allocated: 1 buffer, 4.0 MiB');
  });

  it('is not asked for when the file is no good', async () => {
    let asked = false;
    const {code} = await runCli(['diff', '/absent/dump', 'live'], {
      effects: {
        connectSource: () => {
          asked = true;
          return Promise.reject(new Error('unused'));
        },
      },
    });
    expect([code, asked]).toEqual([1, false]);
  });

  it('that cannot be read is unknown, not freed', async () => {
    const unreadable = snapshotOf(
      [holdings({pid: 40}, [], {readState: 'unreadable'})],
      [],
      {kernelList: undefined, processesUnreadable: 1},
    );
    const rss = {
      ...unreadable,
      processes: new Map([
        [
          40,
          holdings({pid: 40}, [], {
            readState: 'unreadable' as const,
            kernelRssBytes: 3n * MIB,
          }),
        ],
      ]),
    };
    const path = await savedDump(before);
    const {code, stdout} = await runCli(
      ['diff', path, 'live'],
      live(rss, {capabilities: UNROOTED}),
    );
    expect(code).toBe(0);
    expect(stdout).toContain('1 process could not be read');
    expect(stdout).toContain('no list of all buffers');
    expect(stdout).toMatch(/^Total +1\.0 MiB +\? +\? /m);
    expect(stdout).toMatch(/^Held by processes +1\.0 MiB +\? +\? /m);
    expect(stdout).toMatch(/40 +com\.example\.app +1\.0 MiB +3\.0 MiB +\+2\.0/);
    expect(stdout).toContain('Seen only before (freed since, or not seen any');
    expect(stdout).not.toMatch(/^Freed/m);

    const nothing = await runCli(
      ['diff', path, 'live'],
      live(unreadable, {capabilities: UNROOTED}),
    );
    expect(nothing.code).toBe(1);
    expect(nothing.stderr).toMatch(/no process could be read/);
  });
});

describe('moments of a recording', () => {
  let path: string;

  beforeAll(async () => {
    path = await saved(Buffer.concat(record(everything())));
  });

  it('are told apart by generation where an inode came back', async () => {
    const json = await diffJson(`${path}@start`, `${path}@end`);
    expect(json.comparison).toMatchObject({
      identity: 'buffers',
      reason: 'same recording',
      apartNs: String(5n * INTERVAL_NS),
    });
    const inodes = (what: string): string[] | undefined =>
      json.buffers?.[what]?.map(({inode}) => inode);
    expect(inodes('allocated')).toEqual(['2', '1']);
    expect(inodes('freed')).toEqual(['9', '1']);
    // pid 10 of the end is another process than that of the start.
    const names = json.processes.map(({process}) => process);
    expect(names).toContain('cameraserver');
    expect(names).toContain('newcomer');
  });

  it.each([
    ['@0.25s', '@0.5s'],
    ['@250ms', '@749ms'],
  ])('%s and %s: a buffer is let go', async (a, b) => {
    const {buffers} = await diffJson(path + a, path + b);
    expect(buffers?.['changedHands']?.map(({inode}) => inode)).toEqual(['1']);
    expect(buffers?.['allocated']).toEqual([]);
    // A trace does not tell a name that was not set from one not known.
    expect(buffers?.['renamed']).toEqual([]);
  });

  it('without a moment are the end', async () => {
    const json = await diffJson(`${path}@end`, path);
    expect(json.comparison.apartNs).toBe('0');
  });

  it('are compared with a dump of that boot', async () => {
    const scene = new Scene();
    scene.alloc(1n, {generation: 0});
    const json = await diffJson(
      await savedDump(scene.sample(), {bootId: RECORDED.bootId}),
      `${path}@start`,
    );
    expect(json.comparison.reason).toBe('same boot');
    // Inode 1 is 8192 bytes there: another buffer.
    expect(json.buffers?.['freed']?.map(({inode}) => inode)).toEqual(['1']);
    expect(json.buffers?.['allocated']?.map(({inode}) => inode)).toEqual([
      '9',
      '1',
    ]);
  });

  it('in which a process could not be read are unknown there', async () => {
    const scene = new Scene();
    scene.start(10);
    scene.start(11);
    scene.alloc(1n);
    scene.hold(10, 1n);
    scene.hold(11, 1n);
    scene.sample();
    scene.process(10).readState = 'unreadable';
    scene.sample();
    const cut = await saved(Buffer.concat(record(scene.snapshots)));
    const json = await diffJson(`${cut}@start`, `${cut}@end`);
    expect(json.buffers?.['changedHands']).toEqual([]);
    expect(
      json.processes.map(({process, released}) => [process, released]),
    ).toEqual([['process10', undefined]]);
  });
});

describe('a recording in an archive', () => {
  async function archived(member: Uint8Array | undefined): Promise<string> {
    const path = join(folder, `archive${files++}.tar`);
    const ours = member === undefined ? undefined : await saved(member);
    // More than one piece of the file, and nothing to read for us.
    const system = await saved(Buffer.alloc(1 << 20, '\n\0'));
    await writeCombined(path, {system, ours});
    return path;
  }

  it('is read as one that lies alone', async () => {
    const whole = Buffer.concat(record(everything()));
    const alone = await saved(whole);
    const path = await archived(whole);
    const json = await diffJson(`${path}@start`, `${path}@end`);
    expect(json.comparison.reason).toBe('same recording');
    expect(json.buffers).toEqual(
      (await diffJson(`${alone}@start`, alone)).buffers,
    );
  });

  it.each<[string, () => Promise<string>, RegExp]>([
    [
      'without a recording',
      () => archived(undefined),
      /archive\d+\.tar has no recording in it \(zz_dmabuf\.pftrace\)/,
    ],
    [
      'that is cut',
      async () => {
        const path = await archived(Buffer.concat(record(everything())));
        await truncate(path, (1 << 20) + 2500);
        return path;
      },
      /cannot read the archive .*archive\d+\.tar: Unexpected end of data/,
    ],
    [
      'with something else in its place',
      () => archived(Buffer.from('hello')),
      /archive\d+\.tar, zz_dmabuf\.pftrace is no Perfetto trace/,
    ],
  ])('%s is one line', async (_what, make, message) => {
    const {code, stderr} = await runCli(['diff', await make(), 'live']);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});

describe('a bug report', () => {
  it('is compared by sums with a device of which nothing is known', async () => {
    const path = await saved(bytesOf(android14()));
    const json = await diffJson(path, await savedDump(before));
    expect(json.comparison).toMatchObject({
      identity: 'sums',
      reason: 'boot unknown',
    });
    expect(json.processes.length).toBeGreaterThan(1);
  });

  it('is followed to another of the same boot', async () => {
    const path = await saved(bytesOf(android14()));
    const json = await diffJson(path, path);
    expect(json.comparison).toMatchObject({
      identity: 'buffers',
      reason: 'same boot time',
    });
    expect(json.processes).toEqual([]);
    expect(json.names).toEqual([]);
  });
});

describe('--fail-if-grown', () => {
  it.each([
    ['3MiB', 3, /dma-buf memory changed by \+4\.0 MiB, more than 3\.0 MiB/],
    ['4095KiB', 3, /more than 4\.0 MiB/],
    ['4MiB', 0, /^$/],
    ['1.5GiB', 0, /^$/],
    ['10MB', 2, /Give a size such as/],
    ['-1', 2, /./],
  ])('%s', async (size, expected, message) => {
    const {code, stderr} = await runCli([
      ...['diff', await savedDump(before), await savedDump(after)],
      ...['--fail-if-grown', size],
    ]);
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
  });

  it('prints what it found first, with the verdict in the JSON', async () => {
    const {code, stdout} = await runCli([
      ...['diff', await savedDump(before), await savedDump(after)],
      ...['--fail-if-grown', '1MiB', '--format', 'json'],
    ]);
    expect(code).toBe(3);
    expect((JSON.parse(stdout) as Json).verdict).toMatchObject({
      limitBytes: String(MIB),
      measure: 'total',
      result: 'grown',
    });
    expect(violations(JSON.parse(stdout), schema)).toEqual([]);
  });

  it('goes by what processes hold where not all buffers are listed', async () => {
    const {code, stderr} = await runCli([
      ...[
        'diff',
        await savedDump({
          ...before,
          coverage: {...before.coverage, kernelList: undefined},
        }),
      ],
      ...[await savedDump(after), '--fail-if-grown', '1MiB'],
    ]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/dma-buf memory held by processes changed by/);
  });

  it('does not pass what it cannot tell', async () => {
    const blind = {
      ...after,
      coverage: {
        ...after.coverage,
        kernelList: undefined,
        processesUnreadable: 1,
      },
    };
    const {code, stderr} = await runCli([
      ...['diff', await savedDump(before), await savedDump(blind)],
      ...['--fail-if-grown', '1GiB'],
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/cannot tell whether dma-buf memory grew by more/);
  });

  it('is told by --help, with the exit status', async () => {
    const {code, stdout} = await runCli(['diff', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Exit status/);
    expect(stdout).toMatch(/^ +3 +with --fail-if-grown/m);
  });
});

describe('what cannot be compared', () => {
  it.each<[string, () => Promise<string[]> | string[], number, RegExp]>([
    ['nothing there', () => ['/absent/a', 'live'], 1, /there is no such file/],
    ['a folder', () => [folder, 'live'], 1, /it is a folder/],
    ['an empty file', async () => [await saved(''), 'live'], 1, /it is empty/],
    ['twice live', () => ['live', 'live'], 2, /both states are live/],
    [
      'a moment that is none',
      async () => [`${await saved('x')}@noon`, 'live'],
      2,
      /@noon is no moment/,
    ],
    [
      'a moment of a dump',
      async () => [`${await savedDump(before)}@1s`, 'live'],
      2,
      /of one moment only/,
    ],
    [
      'a moment after the end',
      async () => [
        `${await saved(Buffer.concat(record(everything())))}@60s`,
        'live',
      ],
      1,
      /ends 1\.3 s after its first sample, before 1 min 0 s/,
    ],
    [
      'JSON of others',
      async () => [await saved('{"traceEvents": []}'), 'live'],
      1,
      /no dump/,
    ],
    [
      'broken JSON',
      async () => [await saved('{"format": '), 'live'],
      1,
      /not JSON/,
    ],
    [
      'text of others',
      async () => [await saved('hello\n'), 'live'],
      1,
      /tells of no single dma-buf/,
    ],
    [
      'a dump of some processes',
      async () => [
        await saved(
          renderDumpJson({
            provenance: PROVENANCE,
            snapshot: before,
            realOffsetNs: undefined,
            pids: [40],
          }),
        ),
        'live',
      ],
      1,
      /take a dump without --pid/,
    ],
  ])('%s is one line', async (_what, argv, expected, message) => {
    const {code, stdout, stderr} = await runCli(
      ['diff', ...(await argv())],
      live(after),
    );
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
    expect(stderr.trimEnd()).not.toContain('\n');
    expect(stdout).toBe('');
  });

  it('a name with an @ that is a file is taken as it is', async () => {
    const path = join(folder, 'trace@start');
    await writeFile(path, Buffer.concat(record(everything())));
    const json = await diffJson(`${path}@start`, path);
    expect(json.comparison.reason).toBe('same recording');
  });

  it('a byte order mark is passed over', async () => {
    const json = readFileSync(await savedDump(before), 'utf8');
    const path = await saved(`\uFEFF${json}`);
    expect((await diffJson(path, path)).comparison.identity).toBe('buffers');
  });
});

describe('hostile names', () => {
  const scene = (taken: number): Snapshot =>
    snapshotOf(
      HOSTILE_NAMES.map((raw, i) =>
        holdings({pid: i + 1, comm: raw, cmdline: raw}, [
          {
            buffer: buffer({
              inode: BigInt(i + taken),
              name: {raw, doubtful: false},
              exporter: raw,
            }),
          },
        ]),
      ),
    );

  it.each(['text', 'json', 'csv'])(
    'steer no terminal as %s',
    async (format) => {
      const [a, b] = [await savedDump(scene(1)), await savedDump(scene(1000))];
      for (const by of ['process', 'name', 'exporter', 'buffer']) {
        const {code, stdout, stderr} = await runCli([
          ...['diff', a, b, '--format', format, '--by', by],
        ]);
        expect(code).toBe(0);
        expect(stdout.replaceAll('\r\n', '\n')).not.toMatch(STEERS_TERMINAL);
        expect(stderr).not.toMatch(STEERS_TERMINAL);
        if (format === 'csv')
          expect(stdout).not.toMatch(/(^|,)"?[=+@-][^\d.]/m);
      }
    },
  );
});
