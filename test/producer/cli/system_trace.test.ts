// SPDX-License-Identifier: Apache-2.0
// record --system-trace on a device whose shell is this machine's, with the
// device lab's stand-in for perfetto.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {extract} from 'tar-stream';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import type {Snapshot} from '../../../src/core/model/index.js';
import {realEffects} from '../../../src/producer/cli/effects.js';
import {run} from '../../../src/producer/cli/main.js';
import {progressText} from '../../../src/producer/cli/progress.js';
import {DeviceError} from '../../../src/producer/device/index.js';
import type {ConnectedSource} from '../../../src/producer/source.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {LocalDevice, standIn} from '../system_trace/local_device.js';
import {FakeIo, runCli, type Ran} from './fake_io.js';
import {buffer, fakeSource, holdings, snapshotOf} from './fake_source.js';

const standInFolder = standIn();
const isHere = standInFolder !== undefined && (await hasTraceProcessor());

let folder: string;
let device: LocalDevice;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfetto-dmabuf-'));
  device = new LocalDevice(standInFolder ?? '');
});

afterEach(async () => {
  rmSync(folder, {recursive: true, force: true});
  expect(await device.leftOvers()).toEqual([]);
});

const bootNs = (): bigint => {
  const [seconds = '0'] = readFileSync('/proc/uptime', 'utf8').split(' ');
  return BigInt(Math.round(Number(seconds) * 1e9));
};

/** This very process holds a buffer. */
function scene(): Snapshot {
  const startNs = bootNs();
  return {
    ...snapshotOf([
      holdings({pid: process.pid, comm: 'node', cmdline: 'ours'}, [
        {buffer: buffer({inode: 12n})},
      ]),
    ]),
    startNs,
    endNs: startNs + 1_000_000n,
  };
}

function source(sample: () => Snapshot = scene): ConnectedSource {
  const fake = fakeSource(sample);
  const {sampler} = fake.collector;
  Object.assign(sampler, {
    now: () =>
      Promise.resolve({
        bootNs: bootNs(),
        realNs: BigInt(Date.now()) * 1_000_000n,
      }),
  });
  return {...fake, device};
}

const archive = (): string => join(folder, 'x.tar');

function record(from: ConnectedSource, ...args: string[]): Promise<Ran> {
  return runCli(
    ['record', '--system-trace', '-o', archive(), '-i', '50', ...args],
    {effects: {connectSource: () => Promise.resolve(from)}},
  );
}

async function members(): Promise<string[]> {
  const names: string[] = [];
  const reader = extract();
  reader.end(readFileSync(archive()));
  for await (const entry of reader) {
    names.push(entry.header.name);
    entry.resume();
  }
  return names;
}

const BOTH = ['system.pftrace', 'zz_dmabuf.pftrace'];

describe.skipIf(standInFolder === undefined)('record --system-trace', () => {
  it.skipIf(!isHere)(
    'writes one archive with both on one time line',
    async () => {
      const {code, stdout, stderr} = await record(source(), '-d', '1.5');
      expect({code, stderr}).toEqual({
        code: 0,
        stderr: expect.stringMatching(/Starting the device's perfetto\n/),
      });
      expect(stdout).toMatch(
        /^Wrote .*x\.tar: \d+ samples, one every .*, .* KiB; beside it a system trace, .* KiB$/m,
      );
      expect(await members()).toEqual(BOTH);
      expect(readdirSync(folder)).toEqual(['x.tar']);
      const db = await openTrace(readFileSync(archive()));
      try {
        expect(await db.importErrors()).toEqual([]);
        // One process, of which each has told its part.
        expect(
          await db.query(`
          SELECT count(DISTINCT upid) AS upids,
            group_concat(DISTINCT t.name) AS counters
          FROM process JOIN process_counter_track t USING (upid)
          WHERE pid = ${process.pid}
            AND t.name IN ('mem.rss', 'dma-buf RSS', 'mem.dmabuf_rss')`),
        ).toEqual([
          {
            upids: 1,
            counters: expect.stringMatching(/(?=.*mem\.rss)(?=.*dma-buf)/),
          },
        ]);
        // Ours lies within the system trace's time.
        const [spans] = await db.query(`
        SELECT
          (SELECT min(ts) FROM counter JOIN process_counter_track t
            ON track_id = t.id WHERE t.name = 'mem.rss') <=
          (SELECT min(ts) FROM slice WHERE category = 'dma_buf.sample')
            AS begins_inside,
          (SELECT max(ts) FROM counter JOIN process_counter_track t
            ON track_id = t.id WHERE t.name = 'mem.rss') >=
          (SELECT max(ts) FROM slice WHERE category = 'dma_buf.sample')
            AS ends_inside`);
        expect(spans).toEqual({begins_inside: 1, ends_inside: 1});
      } finally {
        db.close();
      }
    },
  );

  it('Ctrl-C ends both', async () => {
    const io = new FakeIo();
    let samples = 0;
    const done = run(
      ['record', '--system-trace', '-o', archive(), '-i', '50'],
      io,
      {
        ...realEffects,
        connectSource: () =>
          Promise.resolve(
            source(() => {
              if (++samples === 4) io.pressCtrlC();
              return scene();
            }),
          ),
      },
    );
    expect(await done).toBe(0);
    expect(await members()).toEqual(BOTH);
  });

  it('Ctrl-C while perfetto starts leaves nothing', async () => {
    const io = new FakeIo();
    const from = source();
    const open = device.open.bind(device);
    device.open = (command) => {
      io.pressCtrlC();
      return open(command);
    };
    const code = await run(['record', '--system-trace', '-o', archive()], io, {
      ...realEffects,
      connectSource: () => Promise.resolve(from),
    });
    expect(code).toBe(130);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('--config is what perfetto gets', async () => {
    const config = join(folder, 'mine.pbtx');
    writeFileSync(config, 'duration_ms: 100\nbuffers { size_kb: 1024 }');
    const ran = await record(source(), '-d', '2.5', '--config', config);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toMatch(/warning: the system trace ended before the/);
    expect(await members()).toEqual(BOTH);
  });

  it('an output that is no file is refused', async () => {
    const {code, stderr} = await runCli(
      ['record', '--system-trace', '-o', '/dev/null', '-d', '1'],
      {effects: {connectSource: () => Promise.resolve(source())}},
    );
    expect({code, stderr}).toEqual({
      code: 2,
      stderr: expect.stringContaining('/dev/null is no plain file: with'),
    });
    expect(device.children).toEqual([]);
  });

  it('a configuration that is refused: ours alone, and it is said', async () => {
    const config = join(folder, 'mine.pbtx');
    writeFileSync(config, 'bufers { size_kb: 1024 }');
    const ran = await record(source(), '-d', '0.5', '--config', config);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(
      /^perfetto-dmabuf: warning: the system trace is missing: perfetto on this machine did not start \(-:1:1 error: No field named "bufers" in proto TraceConfig\): correct the configuration/m,
    );
    expect(ran.stdout).toMatch(/^Wrote .*x\.tar: \d+ samples/m);
    expect(await members()).toEqual(['zz_dmabuf.pftrace']);
  });

  it('no perfetto: ours alone, and it is said', async () => {
    const open = device.open.bind(device);
    device.open = (command) => open(`PATH=/nowhere\n${command}`);
    const ran = await record(source(), '-d', '0.5');
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(
      /^perfetto-dmabuf: warning: the system trace is missing: this machine has no perfetto, /m,
    );
    expect(await members()).toEqual(['zz_dmabuf.pftrace']);
  });

  it('a session that breaks off: ours alone, and it is said', async () => {
    let samples = 0;
    const from = source(() => {
      if (++samples === 3) device.children.at(-1)?.kill('SIGHUP');
      return scene();
    });
    const ran = await record(from, '-d', '1');
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/the system trace is missing: the system trace/);
    expect(await members()).toEqual(['zz_dmabuf.pftrace']);
  });

  it('our device gone: the system trace is written all the same', async () => {
    const gone = new DeviceError('gone', 'device 3A went away', 'plug it in');
    let samples = 0;
    const from = source(() => {
      if (++samples > 2) throw gone;
      return scene();
    });
    const ran = await record(from, '-d', '5');
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/^perfetto-dmabuf: device 3A went away: plug/m);
    expect(await members()).toEqual(BOTH);

    const first = source(() => {
      throw gone;
    });
    const again = await record(first, '-d', '5');
    expect(again.code).toBe(1);
    expect(again.stdout).toMatch(/^Wrote .*x\.tar: the system trace alone, /m);
    expect(await members()).toContain('system.pftrace');
  });

  it('a second Ctrl-C does not wait, and leaves no session', async () => {
    const io = new FakeIo();
    let samples = 0;
    const config = join(folder, 'deaf.pbtx');
    writeFileSync(config, '# stand-in: deaf\nduration_ms: 60000');
    const done = run(
      [
        ...['record', '--system-trace', '--config', config],
        ...['-o', archive(), '-i', '50'],
      ],
      io,
      {
        ...realEffects,
        connectSource: () =>
          Promise.resolve(
            source(() => {
              if (++samples === 3) {
                io.pressCtrlC();
                setTimeout(() => io.pressCtrlC(), 1500);
              }
              return scene();
            }),
          ),
      },
    );
    expect(await done).toBe(1);
    expect(io.stderrText).toMatch(/broken off .*x\.tar\.zz_dmabuf\.pftrace$/m);
    expect(existsSync(archive())).toBe(false);
    expect(readdirSync(folder).sort()).toEqual([
      'deaf.pbtx',
      'x.tar.zz_dmabuf.pftrace',
    ]);
    // Its shell would give it 30 s.
    for (const pid of device.pidsOf('perfetto')) process.kill(pid, 'SIGKILL');
  }, 60_000);
});

describe('what cannot be asked for', () => {
  it.each([
    [['--config', 'x.pbtx'], /--config is for the system trace: give/],
    [['--system-trace', '-o', '-'], /the output is an archive/],
    [
      ['--system-trace', '--source', 'simulator'],
      /the simulator has no perfetto/,
    ],
  ])('%j', async (args, message) => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      const {code, stderr} = await runCli(['record', '-d', '1', ...args]);
      expect(stderr).toMatch(message);
      expect(code).toBe(2);
      expect(readdirSync('.')).toEqual([]);
    } finally {
      process.chdir(before);
    }
  });

  it.each([
    ['a folder', undefined, /it is a folder/],
    ['nothing', '', /is no configuration for perfetto: it is empty/],
    [
      'no text',
      '\x0a\x02\x08\x01',
      /is no configuration for perfetto: it is no/,
    ],
    ['too much', '#'.repeat(2_000_000), /it is over 1 MiB/],
  ])('a configuration that is %s', async (_what, text, message) => {
    const path = text === undefined ? folder : join(folder, 'c.pbtx');
    if (text !== undefined) writeFileSync(path, text);
    const {code, stderr} = await runCli([
      ...['record', '--system-trace', '--config', path, '-d', '1'],
      ...['-o', archive()],
    ]);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
    expect(existsSync(archive())).toBe(false);
  });
});

it('the progress line tells of both', () => {
  expect(
    progressText({
      elapsedMs: 7000,
      samples: 28,
      buffers: 312,
      totalBytes: 1_200_000_000n,
      heldBytes: 0n,
      bytesWritten: 40960,
      reachedIntervalMs: 250,
      unreadable: 0,
      systemTraceBytes: 12 << 20,
    }),
  ).toBe(
    '00:07  28 samples (4.0/s)  312 buffers  1.1 GiB  40.0 KiB written  ' +
      'system trace 12.0 MiB',
  );
});
