// SPDX-License-Identifier: Apache-2.0
// A recording with a system trace beside it, over the real adb. What records on
// the guest is a stand-in (guest/perfetto.c), as root and as shell, and Perfetto
// itself where it is to be had; all else is what runs against a phone. However a
// recording ends, no session and no file stays.

import {spawnSync} from 'node:child_process';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {extract} from 'tar-stream';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {
  hasTraceProcessor,
  openTrace,
  type Row,
} from '../trace_processor/index.js';
import {chosenKernel, isAvailable} from './available.js';
import {errorLines, start, startProcess, type Started} from './command_line.js';
import {adbServerPid, settledTraces, tracesIn, type Traces} from './guest.js';
import {bootLab, hasRealPerfetto, type BootOptions, type Lab} from './lab.js';

const KERNEL = chosenKernel();
const available =
  isAvailable(KERNEL, 'system traces') && (await hasTraceProcessor());
/** BOOTTIME in a trace is right to this. */
const CLOCK_NS = 1_000_000n;
const BOTH = ['system.pftrace', 'zz_dmabuf.pftrace'];
/** Not the shell that started it, whose script has the same words. */
const SESSION = /^(ld-linux\S* .*\/lab\/real\/)?perfetto -c - --txt/;

async function members(path: string): Promise<string[]> {
  const names: string[] = [];
  const reader = extract();
  reader.end(await readFile(path));
  for await (const entry of reader) {
    names.push(entry.header.name);
    entry.resume();
  }
  return names;
}

const standIn = {perfetto: 'stand-in', kernel: KERNEL} as const;
/** On the kernel that has the dma_buf events. */
const REAL: [string, BootOptions] = [
  'Perfetto itself, as root',
  {perfetto: 'real', kernel: 'newest'},
];
const hasReal =
  available && hasRealPerfetto() && isAvailable('newest', 'Perfetto itself');
if (available && !hasReal) {
  process.stderr.write(
    'SKIPPED: system traces of Perfetto itself: missing: perfetto of sid: run ' +
      'test/device-lab/packages.sh\n',
  );
}

describe
  .skipIf(!available)
  .each([
    ['a stand-in, as root', standIn],
    ['a stand-in, as shell', {...standIn, adbdUid: 2000}],
    ...(hasReal ? [REAL] : []),
  ] satisfies [string, BootOptions][])('%s', (_what, options: BootOptions) => {
  const isReal = options.perfetto === 'real';
  const isRoot = options.adbdUid === undefined;
  let lab: Lab;
  let folder: string;
  let before: Traces;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
    lab = await bootLab(options);
    await lab.puppet([
      // The same user's processes are what an unrooted shell can read.
      ...[
        'spawn camera comm=camera',
        'alloc camera frame size=65536 name=kept',
      ],
    ]);
    before = await tracesIn(lab);
  });

  afterAll(async () => {
    await (lab as Lab | undefined)?.stop();
    await rm(folder, {recursive: true, force: true});
  });

  const file = (name: string): string => join(folder, `${name}.tar`);

  const running = new Set<Started>();
  // One that a test left behind, because it failed, would disturb the others.
  afterEach(async () => {
    for (const recording of running) recording.interrupt();
    await Promise.all([...running].map(({done}) => done));
    running.clear();
  });

  function record(name: string, ...options: readonly string[]): Started {
    const recording = start(lab, [
      ...['record', '--system-trace', '-o', file(name), '-s', lab.serial],
      ...['-i', '100', ...options],
    ]);
    running.add(recording);
    return recording;
  }

  /** What runs on the device that must not outlive a recording. */
  async function sessions(): Promise<string[]> {
    const {processes} = await tracesIn(lab);
    return processes.filter((line) => SESSION.test(line));
  }

  async function expectClean(): Promise<void> {
    expect(await settledTraces(lab, before)).toEqual(before);
    if (!isReal) return;
    const query = await lab.shell('perfetto --query');
    expect(query.toString()).toContain('Tracing sessions: 0 (started: 0)');
  }

  function adb(...args: string[]): void {
    const ran = spawnSync('adb', args, {
      env: {...process.env, ...lab.adbEnv},
    });
    expect(ran.status).toBe(0);
  }

  it('a time limit: one archive, one time line, joined processes', async () => {
    const [first] = await lab.puppet(['ping']);
    const ran = await record('limit', '-d', '3').done;
    const [last] = await lab.puppet(['ping']);
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: isRoot ? 0 : expect.any(Number),
    });
    expect(await members(file('limit'))).toEqual(BOTH);
    await expectClean();

    const db = await openTrace(await readFile(file('limit')));
    try {
      expect(await db.importErrors()).toEqual([]);
      const [service] = await db.query(
        `SELECT str_value AS it FROM metadata
         WHERE name = 'tracing_service_version'`,
      );
      expect(service?.['it']).toMatch(isReal ? /^Perfetto v/ : /stand-in/);
      // Both lie in the time between the two pings, on the kernel's own clock.
      const spans = await db.query(`
        SELECT 'system' AS what, min(ts) AS begin, max(ts) AS finish
        FROM (
          SELECT ts FROM counter JOIN process_counter_track t
            ON track_id = t.id WHERE t.name = 'mem.rss'
          UNION ALL SELECT ts FROM sched)
        UNION SELECT 'ours', min(ts), max(ts + dur) FROM slice
        WHERE category = 'dma_buf.sample'`);
      expect(spans.map(({what}) => what).sort()).toEqual(['ours', 'system']);
      for (const span of spans) {
        expect(ns(span, 'begin')).toBeGreaterThan(
          (first?.afterNs ?? 0n) - CLOCK_NS,
        );
        expect(ns(span, 'finish')).toBeLessThan(
          (last?.beforeNs ?? 0n) + CLOCK_NS,
        );
      }
      const [system, ours] = ['system', 'ours'].map((what) =>
        spans.find((span) => span['what'] === what),
      );
      expect(ns(system, 'begin')).toBeLessThan(ns(ours, 'begin'));
      expect(ns(system, 'finish')).toBeGreaterThan(ns(ours, 'finish'));
      // Each process is one, whoever told of it.
      const twice = await db.query(
        `SELECT pid FROM process WHERE upid IN
         (SELECT upid FROM process_counter_track) GROUP BY pid
         HAVING count(*) > 1`,
      );
      expect(twice).toEqual([]);
      if (!isRoot) return;
      const joined = await db.query(`
        SELECT group_concat(DISTINCT t.name) AS counters
        FROM process p JOIN process_counter_track t USING (upid)
        WHERE p.pid = (SELECT extract_arg(arg_set_id, 'dma_buf.pid')
          FROM slice WHERE extract_arg(arg_set_id, 'dma_buf.name') = 'kept'
          AND extract_arg(arg_set_id, 'dma_buf.pid') > 0 LIMIT 1)
          AND t.name IN ('mem.rss', 'dma-buf RSS')`);
      expect(joined).toEqual([{counters: 'mem.rss,dma-buf RSS'}]);
    } finally {
      db.close();
    }
  });

  it('Ctrl-C: both, and nothing stays', async () => {
    const recording = record('ctrl-c');
    await recording.sampled(3);
    expect((await sessions()).length).toBe(1);
    // The file has no name any more: what is killed now leaves none.
    expect((await tracesIn(lab)).files).toEqual(before.files);
    recording.interrupt();
    await recording.done;
    expect(await members(file('ctrl-c'))).toEqual(BOTH);
    await expectClean();
  });

  it('unplugged: ours alone, and nothing stays', async () => {
    const recording = record('unplugged');
    await recording.sampled(3);
    expect((await sessions()).length).toBe(1);
    adb('disconnect', lab.serial);
    const ran = await recording.done;
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(/warning: the system trace is missing: /);
    expect(errorLines(ran)).toEqual([
      expect.stringMatching(/what was recorded before that is safe/),
    ]);
    expect(await members(file('unplugged'))).toEqual(BOTH.slice(1));
    adb('connect', lab.serial);
    await expectClean();
  });

  it('the host process is killed: nothing stays', async () => {
    const child = startProcess(lab, [
      ...['record', '--system-trace', '-o', file('killed')],
      ...['-s', lab.serial],
    ]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await Promise.race([
      until(async () => (await sessions()).length === 1),
      ended.then((code) => {
        throw new Error(`it ended by itself, with ${String(code)}`);
      }),
    ]).finally(() => child.kill('SIGKILL'));
    await ended;
    await expectClean();
  });

  it('a host that falls silent: nothing stays', async () => {
    const recording = record('silent');
    await recording.sampled(3);
    // Neither end of the connection knows that nobody is there.
    const server = adbServerPid(lab);
    process.kill(server, 'SIGSTOP');
    await delay(22_000);
    process.kill(server, 'SIGCONT');
    // The device has given up on us by itself.
    expect(await sessions()).toEqual([]);
    recording.interrupt();
    const ran = await recording.done;
    expect(ran.stderr).toMatch(/warning: the system trace is missing: /);
    expect(await members(file('silent'))).toEqual(BOTH.slice(1));
    await expectClean();
  });

  it('its shell on the device is killed: nothing stays', async () => {
    const recording = record('shell');
    await recording.sampled(3);
    const {stdout} = await lab.run(
      `ps -A -o PPID=,ARGS= |
       grep -E '^ *[0-9]+ (ld-linux.* /lab/real/)?perfetto -c'`,
    );
    const [parent] = stdout.toString().trim().split(/\s+/);
    expect(Number(parent)).toBeGreaterThan(1);
    await lab.shell(`kill -KILL ${parent}`);
    await until(async () => (await sessions()).length === 0);
    recording.interrupt();
    const ran = await recording.done;
    expect(ran.stderr).toMatch(/warning: the system trace is missing: /);
    await expectClean();
  });

  it.skipIf(!isReal)("the kernel's own events agree with ours", async () => {
    const recording = record('events');
    await recording.sampled(3);
    const [alloc] = await lab.puppet(['alloc camera late size=8192 name=late']);
    await recording.sampled(recording.samples() + 5);
    recording.interrupt();
    expect((await recording.done).code).toBe(0);
    const db = await openTrace(await readFile(file('events')));
    try {
      expect(await db.importErrors()).toEqual([]);
      const exported = await db.query(`
        SELECT ts, extract_arg(arg_set_id, 'ino') AS inode
        FROM ftrace_event WHERE name = 'dma_buf_export'`);
      expect(exported.map(({inode}) => BigInt(inode as number))).toEqual([
        alloc?.inode,
      ]);
      const exportNs = ns(exported[0], 'ts');
      expect(exportNs).toBeGreaterThan(alloc?.beforeNs ?? 0n);
      expect(exportNs).toBeLessThan(alloc?.afterNs ?? 0n);
      // The last sample that does not show it began before, the first that does
      // ended after.
      const [seen] = await db.query(`
        SELECT b.ts AS first_seen,
          (SELECT max(s.ts) FROM slice s WHERE s.category = 'dma_buf.sample'
            AND s.ts + s.dur < b.ts) AS last_unseen
        FROM slice b JOIN process_track t ON b.track_id = t.id
        WHERE extract_arg(b.arg_set_id, 'dma_buf.inode') =
          ${String(alloc?.inode)}
        ORDER BY b.ts LIMIT 1`);
      expect(ns(seen, 'first_seen')).toBeGreaterThan(exportNs - CLOCK_NS);
      expect(ns(seen, 'last_unseen')).toBeLessThan(exportNs + CLOCK_NS);
    } finally {
      db.close();
    }
    await lab.puppet(['close camera late']);
    await expectClean();
  });

  it.skipIf(isReal)('a trace of some megabytes comes whole', async () => {
    const config = join(folder, 'big.pbtx');
    await writeFile(config, '# stand-in: pad 12000000\nduration_ms: 60000\n');
    const ran = await record('big', '-d', '2', '--config', config).done;
    expect(ran.stdout).toMatch(/beside it a system trace, 11\.\d MiB/);
    const db = await openTrace(await readFile(file('big')));
    try {
      expect(await db.importErrors()).toEqual([]);
    } finally {
      db.close();
    }
    await expectClean();
  });

  it('a configuration that is refused is told, and nothing stays', async () => {
    const config = join(folder, 'bad.pbtx');
    await writeFile(config, 'duration_ms: 1\n  nonsense { }\n');
    const ran = await record('bad', '-d', '1', '--config', config).done;
    expect(ran.code).toBe(1);
    expect(ran.stderr).toMatch(
      /warning: the system trace is missing: perfetto on \S+ did not start \(-:2:3 error: No field named "nonsense" in proto TraceConfig\)/,
    );
    expect(await members(file('bad'))).toEqual(BOTH.slice(1));
    await expectClean();
  });
});

describe.skipIf(!available)('a device without perfetto', () => {
  it('says so, and records all the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
    const lab = await bootLab({kernel: KERNEL});
    try {
      const path = join(folder, 'x.tar');
      const ran = await start(lab, [
        ...['record', '--system-trace', '-o', path, '-s', lab.serial],
        ...['-d', '1'],
      ]).done;
      expect(ran.code).toBe(1);
      expect(ran.stderr).toMatch(
        /warning: the system trace is missing: \S+ has no perfetto, so there/,
      );
      expect(ran.stdout).toMatch(/^Wrote .*x\.tar: \d+ sample/);
      expect(await members(path)).toEqual(BOTH.slice(1));
    } finally {
      await lab.stop();
      await rm(folder, {recursive: true, force: true});
    }
  });
});

function ns(row: Row | undefined, column: string): bigint {
  return BigInt(row?.[column] as number | bigint);
}

async function until(done: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 90_000;
  while (!(await done())) {
    if (performance.now() > deadline) throw new Error('it never came');
    await delay(200);
  }
}
