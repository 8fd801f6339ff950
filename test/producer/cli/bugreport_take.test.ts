// SPDX-License-Identifier: Apache-2.0
import {existsSync, mkdirSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {Effects} from '../../../src/producer/cli/effects.js';
import {realEffects} from '../../../src/producer/cli/effects.js';
import {run} from '../../../src/producer/cli/main.js';
import {DeviceError} from '../../../src/producer/device/index.js';
import type {ConnectedSource} from '../../../src/producer/source.js';
import {readRecording} from '../../../src/producer/trace/index.js';
import {readBugReport} from '../../../src/producer/bugreport/index.js';
import {android14, members, writeZip} from '../bugreport/made_report.js';
import {
  bugreportz,
  shellFunction,
  ShellDevice,
  untilRecorded,
} from '../bugreport/stand_in_bugreportz.js';
import {AdbBench, adbVersion} from '../device/adb_bench.js';
import {FakeAdbd} from '../device/fake_adbd.js';
import {FakeTools} from '../device/fake_tools.js';
import {temporaryFolder} from '../trace/temporary.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {FakeIo, runCli} from './fake_io.js';
import {buffer, fakeSource, holdings, snapshotOf} from './fake_source.js';

const folder = temporaryFolder();
let files = 0;
const place = (name: string): string => {
  const path = join(folder, String(files++));
  mkdirSync(path);
  return join(path, name);
};
const zip = await writeZip(place('bugreport-x.zip'), members(android14()));
const isHere = await hasTraceProcessor();

const scene = snapshotOf([
  holdings({pid: 40}, [{buffer: buffer({inode: 12n})}]),
]);

/** A source that samples well, on a device with that bugreportz. */
function sourceWith(
  body: string,
  sample: () => typeof scene = () => scene,
): ConnectedSource {
  const device = new ShellDevice(shellFunction('bugreportz', body));
  return {...fakeSource(sample), device};
}

function connecting(source: ConnectedSource): Partial<Effects> {
  return {connectSource: () => Promise.resolve(source)};
}

const take = (out: string, ...more: string[]): string[] => [
  ...['bugreport', 'take', '-o', out, '--interval', '20', ...more],
];

/** Where the recording grows. */
const partOf = (out: string): string => `${out}.zz_dmabuf.pftrace`;

/** What lies beside the output, and the output. */
const left = (out: string): string[] => readdirSync(dirname(out)).sort();

describe('bugreport take', () => {
  it('records while the report is made, and attaches the recording', async () => {
    const out = place('all.tar');
    const {code, stdout, stderr} = await runCli(take(out), {
      effects: connecting(
        sourceWith(bugreportz(zip, untilRecorded(partOf(out)))),
      ),
    });
    expect(stderr).toContain('Making a bug report');
    expect(code).toBe(0);
    expect(stdout).toMatch(/Wrote .*all\.tar: the report, the recording/);
    expect(left(out)).toEqual(['all.tar']);
    const tar = readFileSync(out);
    expect(tar.includes(readFileSync(zip))).toBe(true);
    // It ended with the report, as it should.
    expect(tar.includes('finished')).toBe(true);
    expect(tar.includes('interrupted by the user')).toBe(false);
  });

  it.skipIf(!isHere)('into what Perfetto opens as one', async () => {
    const out = place('all.tar');
    await runCli(take(out), {
      effects: connecting(
        sourceWith(bugreportz(zip, untilRecorded(partOf(out)))),
      ),
    });
    const db = await openTrace(readFileSync(out));
    try {
      expect(await db.importErrors()).toEqual([]);
      const [samples] = await db.query(
        `SELECT COUNT() AS n FROM slice WHERE category = 'dma_buf.sample'`,
      );
      expect(samples?.['n']).toBeGreaterThan(0);
    } finally {
      db.close();
    }
  });

  it('--into-zip makes a zip that carries the recording', async () => {
    const out = place('all.zip');
    const {code} = await runCli(take(out, '--into-zip'), {
      effects: connecting(
        sourceWith(bugreportz(zip, untilRecorded(partOf(out)))),
      ),
    });
    expect(code).toBe(0);
    expect(left(out)).toEqual(['all.zip']);
    const {traces} = await readBugReport(out);
    expect(traces.map(({entry}) => entry)).toEqual([
      'FS/data/misc/perfetto-traces/bugreport/dmabuf.pftrace',
    ]);
  });

  it('shows how far it is', async () => {
    const out = place('all.tar');
    const io = new FakeIo({columns: 100});
    await run(take(out), io, {
      ...realEffects,
      ...connecting(sourceWith(bugreportz(zip, untilRecorded(partOf(out))))),
    });
    expect(io.stderrText).toMatch(/bug report (10|40|70) %/);
    expect(io.stderrText).toMatch(/samples? \(/);
  });

  it('a report that fails leaves the recording, and says where', async () => {
    const out = place('all.tar');
    const {code, stderr} = await runCli(take(out), {
      effects: connecting(
        sourceWith(
          `${untilRecorded(partOf(out))}; echo "FAIL:no space left"; return 1`,
        ),
      ),
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/no space left/);
    expect(stderr).toMatch(/the recording in .*zz_dmabuf\.pftrace/);
    expect(left(out)).toEqual(['all.tar.zz_dmabuf.pftrace']);
    const recording = await readRecording(partOf(out));
    expect(recording.samples.count).toBeGreaterThan(0);
  });

  it('a recording that fails leaves the report, and says where', async () => {
    const out = place('all.tar');
    const {code, stderr} = await runCli(take(out), {
      effects: connecting(
        sourceWith(bugreportz(zip), () => {
          throw new DeviceError('refused', 'no more samples', 'try again');
        }),
      ),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('no more samples');
    // A header without samples is still a trace; it says how it ended.
    expect(left(out)).toContain('all.tar');
  });

  it('what cannot be put together is kept in parts', async () => {
    const out = place('all.tar');
    const notes = await writeZip(place('n.zip'), [
      {name: 'notes.txt', data: Buffer.from('x')},
    ]);
    const {code, stderr} = await runCli(take(out), {
      effects: connecting(
        sourceWith(bugreportz(notes, untilRecorded(partOf(out)))),
      ),
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/is no bug report/);
    expect(stderr).toContain('the report is in');
    expect(stderr).toContain('the recording in');
    expect(left(out)).toEqual([
      'all.tar.bugreport.zip',
      'all.tar.zz_dmabuf.pftrace',
    ]);
  });

  it('Ctrl-C keeps the recording', async () => {
    const out = place('all.tar');
    const io = new FakeIo();
    const done = run(take(out), io, {
      ...realEffects,
      ...connecting(sourceWith('echo "BEGIN:/x.zip"; sleep 60')),
    });
    const trace = partOf(out);
    const timer = setInterval(() => {
      if (!existsSync(trace) || readFileSync(trace).length < 4000) return;
      clearInterval(timer);
      io.pressCtrlC();
    }, 20);
    expect(await done).toBe(130);
    clearInterval(timer);
    expect(io.stderrText).toMatch(/the device may go on/);
    expect((await readRecording(trace)).ended).toBe('interrupted by the user');
  });

  it('the simulator makes none', async () => {
    const source = fakeSource(() => scene, {provenance: {simulated: true}});
    const {code, stderr} = await runCli(take(place('all.tar')), {
      effects: connecting(source),
    });
    expect(code).toBe(2);
    expect(stderr).toContain('the simulator makes no bug reports');
  });
});

describe.skipIf(adbVersion() === undefined)('over a real adb server', () => {
  let bench: AdbBench;
  let tools: FakeTools;
  let adbd: FakeAdbd;

  beforeAll(async () => {
    bench = await AdbBench.create();
    tools = await FakeTools.create({
      properties: {
        'ro.product.model': 'Pixel 6',
        'ro.build.fingerprint':
          'google/oriole/oriole:14/UQ1A.240105.004/1:userdebug/dev-keys',
      },
      others: {bugreportz: bugreportz(zip)},
    });
    adbd = await FakeAdbd.listen({env: tools.env});
    await bench.connect(adbd.serial);
  });

  afterAll(async () => {
    await adbd.close();
    await bench.close();
    await tools.remove();
  });

  it('takes it from a device, with our own recorder', async () => {
    const out = place('all.tar');
    const {code, stdout, stderr} = await runCli(
      [...take(out), '-s', adbd.serial],
      {env: bench.env},
    );
    expect(stderr).toContain('Making a bug report');
    expect(stdout).toMatch(/Wrote .*all\.tar: the report, the recording/);
    expect(code).toBe(0);
    expect(left(out)).toEqual(['all.tar']);
    expect(readFileSync(out).includes(readFileSync(zip))).toBe(true);
    expect(
      adbd.services.filter((name) => /bugreportz -p/.test(name)),
    ).toHaveLength(1);
  });
});
