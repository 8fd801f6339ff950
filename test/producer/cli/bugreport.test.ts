// SPDX-License-Identifier: Apache-2.0
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {parseDump} from '../../../src/producer/cli/dump/dump_json.js';
import {readRecording} from '../../../src/producer/trace/index.js';
import {
  android10,
  android14,
  board10,
  bytesOf,
  command,
  DONE,
  fixture,
  header,
  members,
  service,
  writeZip,
} from '../bugreport/made_report.js';
import {CLOCK, everything, record} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {runCli, STEERS_TERMINAL} from './fake_io.js';
import {violations} from './json_schema.js';

const SCHEMA: unknown = JSON.parse(
  readFileSync(
    new URL('../../../docs/dump.schema.json', import.meta.url),
    'utf8',
  ),
);
const folder = temporaryFolder();
let files = 0;
const place = (name: string): string => {
  const path = join(folder, String(files++));
  mkdirSync(path);
  return join(path, name);
};

const zip14 = await writeZip(place('bugreport.zip'), members(android14()));
const zip10 = await writeZip(
  place('bugreport.zip'),
  members(android10(), [
    {name: 'dumpstate_board.txt', data: bytesOf(board10())},
  ]),
);
const trace = place('x.pftrace');
writeFileSync(trace, Buffer.concat(record(everything())));

describe('bugreport read', () => {
  it('shows the state as dump does, and what is not in it', async () => {
    const {code, stdout, stderr} = await runCli(['bugreport', 'read', zip14]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('Bug report of Pixel 6 (1A2B3C)');
    expect(stdout).toContain(
      'At 2023-04-27 21:50:35 UTC, 10267.000 s after boot',
    );
    expect(stdout).toContain('Total:             3.8 MiB in 22 buffers');
    expect(stdout).toContain('Mapped-only:       ?');
    expect(stdout).toMatch(/83 lab-forker {2}RSS 84.0 KiB {2}PSS 64.0 KiB/);
    expect(stdout).toMatch(/fork-inherited +system +\? +\? +\? +2/);
    expect(stdout).toContain('Held by no process (kernel-only)');
    expect(stdout).toContain('DMA-BUF heaps');
    expect(stdout).toContain('Not in this report');
  });

  it('shows an old report: ION, and nobody known to hold anything', async () => {
    const {code, stdout} = await runCli([
      'bugreport',
      'read',
      zip10,
      '--by',
      'exporter',
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('Held by processes: ?');
    expect(stdout).toContain('at most');
    expect(stdout).toContain('the list of holders is missing or cut');
    expect(stdout).toMatch(/ION heap system: 15.8 MiB/);
    expect(stdout).toContain('who holds which buffer');
  });

  it.each(['buffer', 'name', 'exporter', 'process'])('--by %s', async (by) => {
    const text = await runCli(['bugreport', 'read', zip14, '--by', by]);
    expect(text.code).toBe(0);
    const csv = await runCli([
      ...['bugreport', 'read', zip14, '--by', by],
      ...['--format', 'csv'],
    ]);
    expect(csv.code).toBe(0);
    expect(csv.stdout.split('\r\n').length).toBeGreaterThan(2);
  });

  it('--format json is a dump, and is read back as one', async () => {
    for (const zip of [zip14, zip10]) {
      const {code, stdout} = await runCli([
        ...['bugreport', 'read', zip, '--format', 'json'],
      ]);
      expect(code).toBe(0);
      expect(violations(JSON.parse(stdout), SCHEMA)).toEqual([]);
      const {snapshot, provenance} = parseDump(stdout);
      expect(provenance.source).toBe('bugreport');
      expect(snapshot.buffers.size).toBeGreaterThan(10);
    }
    const {stdout} = await runCli([
      ...['bugreport', 'read', zip14, '--format', 'json'],
    ]);
    const {snapshot} = parseDump(stdout);
    expect(snapshot.buffers.get(6n)?.refsKnown).toBe('holders');
    const json = JSON.parse(stdout) as {
      buffers: {inode: string; fdRefs?: number}[];
      totals: {mappedOnly?: object};
    };
    // What is not known is left out.
    expect(json.buffers.find(({inode}) => inode === '6')).not.toHaveProperty(
      'fdRefs',
    );
    expect(json.totals.mappedOnly).toBeUndefined();
  });

  it('--pid shows one process, or says that it is not there', async () => {
    const one = await runCli(['bugreport', 'read', zip14, '--pid', '83']);
    expect(one.stdout).toContain('Only pid 83');
    expect(one.stdout).not.toContain('lab-consumer');
    const none = await runCli(['bugreport', 'read', zip14, '--pid', '4711']);
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/names no holder with pid 4711: leave --pid/);
  });

  it('-o writes a trace that report reads', async () => {
    const out = place('state.pftrace');
    const {code, stdout} = await runCli([
      'bugreport',
      'read',
      zip14,
      '-o',
      out,
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Wrote .*state\.pftrace/);
    const recording = await readRecording(out);
    expect(recording.provenance.source).toBe('bugreport');
    expect(recording.buffers).toHaveLength(22);
    expect(recording.clock?.realNs).toBe(
      BigInt(Date.UTC(2023, 3, 27, 21, 50, 35)) * 1_000_000n,
    );
  });

  it('-o of a report that does not say when: no made-up time', async () => {
    const saved = place('saved.txt');
    writeFileSync(saved, fixture('bugreport', 'dmabuf_dump-15-default.txt'));
    const out = place('state.pftrace');
    const {code, stderr} = await runCli([
      'bugreport',
      'read',
      saved,
      '-o',
      out,
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/does not say when it was taken/);
    expect(existsSync(out)).toBe(false);
  });

  it('a report that tells nothing is an error', async () => {
    const path = place('r.txt');
    writeFileSync(path, header() + DONE);
    const {code, stderr, stdout} = await runCli(['bugreport', 'read', path]);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/tells nothing of dma-bufs/);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('nothing in it steers the terminal', async () => {
    const evil = [
      '\x1b[31mevil:7    \n',
      '                  Name              Rss              Pss         nr_procs            Inode\n',
      '\x1b]0;x\x07\x9b2J\u202e            64 kB            64 kB                1               14\n',
      '         PROCESS TOTAL            64 kB            64 kB                 \n',
      '----------------------\n',
      'dmabuf total: 64 kB kernel_rss: 0 kB userspace_rss: 64 kB userspace_pss: 64 kB\n',
    ].join('');
    const path = place('r.txt');
    writeFileSync(
      path,
      header().replace('UQ1A', '\x1b[2JUQ') +
        command('Dmabuf \x1b[1m dump', 'dmabuf_dump', evil) +
        '[ro.product.model]: [Pixel\x1b[5m]\n' +
        '--- /d/ion/heaps/\x1b[7mx\n   client  pid  size\n ------\n \x1b[7ma 1 2\n' +
        DONE,
    );
    for (const format of ['text', 'json']) {
      const {code, stdout} = await runCli([
        ...['bugreport', 'read', path, '--format', format],
      ]);
      expect(code).toBe(0);
      expect(stdout).toContain('evil');
      expect(stdout).not.toMatch(STEERS_TERMINAL);
    }
  });

  it.each([
    ['no such file', '/nowhere/x.zip', /there is no such file/],
    ['a folder', folder, /is a folder/],
  ])('%s', async (_name, path, message) => {
    const {code, stderr} = await runCli(['bugreport', 'read', path]);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('bugreport attach', () => {
  it('writes one archive, and says how to open it', async () => {
    const out = place('all.tar');
    const {code, stdout, stderr} = await runCli([
      ...['bugreport', 'attach', zip14, trace, '-o', out],
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Wrote .*all\.tar: the report, the recording/);
    expect(stdout).toContain('https://ui.perfetto.dev');
    // The scene is of another time, and of no such phone.
    expect(stderr).toMatch(/warning: .*different boots/);
    expect(readFileSync(out).includes(readFileSync(zip14))).toBe(true);
  });

  it('says nothing of boots where they are one', async () => {
    const boot = Number(CLOCK.bootNs / 1_000_000n);
    const real = Number(CLOCK.realNs / 1_000_000n);
    const local = new Date(real).toISOString().slice(0, 19).replace('T', ' ');
    const text =
      header().replace('2023-04-27 23:50:35', local) +
      service(
        'alarm',
        `nowRTC=${real}=${local}.000 nowELAPSED=${boot}\n`,
        local,
      ) +
      command(
        'Dmabuf dump',
        'dmabuf_dump',
        fixture('bugreport', 'dmabuf_dump-15-default.txt').toString('latin1'),
      ) +
      DONE;
    const zip = await writeZip(place('r.zip'), members(text));
    const {stderr} = await runCli([
      ...['bugreport', 'attach', zip, trace, '-o', place('all.tar')],
    ]);
    expect(stderr).not.toContain('boots');
  });

  it('--into-zip writes a zip with one entry more', async () => {
    const out = place('more.zip');
    const {code, stdout} = await runCli([
      ...['bugreport', 'attach', zip14, trace, '--into-zip', '-o', out],
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain(
      'FS/data/misc/perfetto-traces/bugreport/dmabuf.pftrace',
    );
    const again = await runCli(['bugreport', 'read', out]);
    expect(again.stdout).toContain('Traces in it');
  });

  it('without a recording, it takes the one that the zip carries', async () => {
    const zip = place('more.zip');
    await runCli([
      'bugreport',
      'attach',
      zip14,
      trace,
      '--into-zip',
      '-o',
      zip,
    ]);
    const out = place('all.tar');
    const {code, stdout} = await runCli([
      ...['bugreport', 'attach', zip, '-o', out],
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Wrote .*: the report, the recording/);
    expect(readFileSync(out).includes(readFileSync(trace))).toBe(true);
    const none = await runCli(['bugreport', 'attach', zip14, '-o', out]);
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/carries no recording: name one/);
    const into = await runCli(['bugreport', 'attach', zip, '--into-zip']);
    expect(into.code).toBe(2);
  });

  it('refuses what is no report and what is no recording', async () => {
    const notes = place('notes.txt');
    writeFileSync(notes, 'x');
    for (const [report, recording, message] of [
      [trace, trace, /is a trace/],
      [notes, trace, /no zip/],
      [zip14, notes, /is no recording/],
      [zip14, zip14, /is no recording/],
    ] as const) {
      const out = place('all.tar');
      const {code, stderr} = await runCli([
        ...['bugreport', 'attach', report, recording, '-o', out],
      ]);
      expect(code).toBe(1);
      expect(stderr).toMatch(message);
      expect(existsSync(out)).toBe(false);
    }
  });
});

describe('bugreport', () => {
  it('alone says what there is', async () => {
    const {code, stderr} = await runCli(['bugreport']);
    expect(code).toBe(2);
    expect(stderr).toContain("'perfetto-dmabuf bugreport --help'");
    const help = await runCli(['bugreport', '--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/read .*\n.*attach .*\n/s);
  });

  it('a mistake leads to the help of that command', async () => {
    const {code, stderr} = await runCli(['bugreport', 'attach']);
    expect(code).toBe(2);
    expect(stderr).toContain("'perfetto-dmabuf bugreport attach --help'");
  });
});
