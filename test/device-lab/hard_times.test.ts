// SPDX-License-Identifier: Apache-2.0
// Recordings that are broken off, killed, have no room or a device that stops
// answering; processes and buffers that come and go while they are read; and
// more of them than is pleasant.

import {spawnSync} from 'node:child_process';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {account} from '../../src/core/accounting/index.js';
import {parseDump} from '../../src/producer/cli/dump/dump_json.js';
import {readRecording, TraceReadError} from '../../src/producer/trace/index.js';
import {hasTraceProcessor} from '../trace_processor/index.js';
import {chosenKernel, isAvailable} from './available.js';
import {
  errorLines,
  runToEnd,
  start,
  startProcess,
  type Ran,
  type Started,
} from './command_line.js';
import {qemuPid, settledTraces, tracesIn} from './guest.js';
import {bootLab, type Lab, type PuppetEvents} from './lab.js';
import {readRecorded, type HeldSlice} from './recorded.js';
import {reported, truthOf} from './truth.js';

const KERNEL = chosenKernel();
const available =
  isAvailable(KERNEL, 'hard times') && (await hasTraceProcessor());
/** An emulated kernel makes them in a minute or two. */
const MANY_FDS_LIMIT_MS = 600_000;
const MANY_FDS = 100_000;
/** BOOTTIME in a trace is right to this. */
const CLOCK_NS = 1_000_000n;

describe.skipIf(!available)('root', () => {
  let lab: Lab;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
    lab = await bootLab({kernel: KERNEL, memoryMb: 4096});
  });

  afterEach(async () => {
    await lab.puppet(['stop', 'events clear', 'reset']);
  });

  afterAll(async () => {
    await (lab as Lab | undefined)?.stop();
    await rm(folder, {recursive: true, force: true});
  });

  function record(path: string, ...options: readonly string[]): Started {
    return start(lab, ['record', '-o', path, '-s', lab.serial, ...options]);
  }

  /** Ends a recording by Ctrl-C, which has to go well. */
  async function finish(recording: Started): Promise<void> {
    recording.interrupt();
    const ran = await recording.done;
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 0,
      errors: [],
    });
  }

  function expectFailure(ran: Ran, message: RegExp): void {
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 1,
      errors: [expect.stringMatching(message)],
    });
  }

  it('Ctrl-C ends a recording cleanly, and nothing is left', async () => {
    const file = join(folder, 'interrupted.pftrace');
    await lab.puppet(['spawn a', 'alloc a x size=65536 name=kept']);
    const before = await tracesIn(lab);
    const recording = record(file);
    await recording.sampled(4);
    await finish(recording);
    const {stdout} = await recording.done;
    expect(stdout).toContain(`Wrote ${file}: ${recording.samples()} samples`);
    const recorded = await readRecorded(file);
    expect(recorded).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
      held: [{name: 'kept', endNs: undefined}],
    });
    expect((await readRecording(file)).ended).toBe('interrupted by the user');
    expect(await settledTraces(lab, before)).toEqual(before);
  });

  it('a recording that is killed leaves its samples, and nothing on the device', async () => {
    const file = join(folder, 'killed.pftrace');
    await lab.puppet(['spawn a', 'alloc a x size=65536 name=kept']);
    const before = await tracesIn(lab);
    const child = startProcess(lab, [
      ...['record', '-o', file, '-s', lab.serial, '-i', '100'],
    ]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const written = await samplesWritten(file, 3);
    const during = await tracesIn(lab);
    child.kill('SIGKILL');
    await ended;
    // The look is good enough to see a collector that runs.
    expect(during.processes.length).toBeGreaterThan(before.processes.length);
    expect(during.files).toEqual(before.files);
    expect(await settledTraces(lab, before)).toEqual(before);
    const recorded = await readRecorded(file);
    expect(recorded.importErrors).toEqual([]);
    expect(recorded.samples).toBeGreaterThanOrEqual(written);
    expect(recorded.held).toMatchObject([{name: 'kept', endNs: undefined}]);
  });

  it('a disk that fills up ends a recording, and its samples are safe', async (context) => {
    const disk = join(folder, 'small');
    await mkdir(disk);
    const mounted = spawnSync(
      'mount',
      ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk],
      {encoding: 'utf8'},
    );
    if (mounted.status !== 0) {
      process.stderr.write(
        `SKIPPED: disk full: missing: leave to mount a tmpfs (be root): ` +
          `${mounted.stderr}${mounted.error?.message ?? ''}\n`,
      );
      context.skip();
    }
    try {
      // Room for a header and some samples with much to tell.
      await writeFile(join(disk, 'other'), new Uint8Array(24 * 1024));
      const file = join(disk, 'full.pftrace');
      await lab.puppet(['pop 2 20 4096 0 0 0 0']);
      await lab.puppet(['churn 50']);
      const recording = record(file, '-i', '50', '-d', '60');
      const ran = await recording.done;
      expectFailure(
        ran,
        /^perfetto-dmabuf: cannot write \S+full\.pftrace: the disk is full: free some space, or choose another place with -o$/,
      );
      expect(recording.samples()).toBeGreaterThan(0);
      const recorded = await readRecorded(file);
      expect(recorded).toMatchObject({
        importErrors: [],
        samples: recording.samples(),
        problems: [],
      });
    } finally {
      spawnSync('umount', [disk]);
    }
  });

  it.each([
    ['/dev/full', /: cannot write \/dev\/full: the disk is full: /],
    [
      'FOLDER',
      /: cannot write \S+: it is a folder: name a file in it with -o$/,
    ],
    ['FOLDER/none/x', /: there is no such folder: create it, or choose /],
    ['FOLDER/file/x', /: a part of the path is not a folder: choose /],
  ])('-o %s is refused with the fix', async (output, message) => {
    await writeFile(join(folder, 'file'), '');
    const path = output.replace('FOLDER', folder);
    const ran = await record(path, '-d', '1').done;
    expectFailure(ran, message);
    expect(ran.stdout).toBe('');
  });

  it('BOOTTIME is right to 1 ms', async () => {
    const [before] = await lab.puppet(['ping']);
    const {code, stdout} = await runToEnd(
      lab,
      ...['dump', '--format', 'json', '-s', lab.serial],
    );
    const [after] = await lab.puppet(['ping']);
    expect(code).toBe(0);
    const {snapshot, realOffsetNs} = parseDump(stdout);
    const floor = (before?.afterNs ?? 0n) - CLOCK_NS;
    const ceiling = (after?.beforeNs ?? 0n) + CLOCK_NS;
    expect(snapshot.startNs).toBeGreaterThan(floor);
    expect(snapshot.endNs).toBeGreaterThan(snapshot.startNs);
    expect(snapshot.endNs).toBeLessThan(ceiling);

    const file = join(folder, 'clock.pftrace');
    const recording = record(file);
    await recording.sampled(2);
    await finish(recording);
    const [later] = await lab.puppet(['ping']);
    const {clock, importErrors} = await readRecorded(file);
    expect(importErrors).toEqual([]);
    expect(clock.snapshots).toBe(1);
    expect(clock.bootNs).toBeGreaterThan(ceiling - CLOCK_NS);
    expect(clock.bootNs).toBeLessThan((later?.beforeNs ?? 0n) + CLOCK_NS);
    const offset = await realOffset(lab);
    for (const told of [clock.realNs - clock.bootNs, realOffsetNs ?? 0n]) {
      expect(told).toBeGreaterThan(offset.low - CLOCK_NS);
      expect(told).toBeLessThan(offset.high + CLOCK_NS);
    }
  });

  it('names that bite are right in a recording', async () => {
    const file = join(folder, 'names.pftrace');
    const recording = record(file, '-i', '100');
    await recording.sampled(2);
    const comm = hex('c\x1b[31m\n)\xff S 1');
    const replies = await lab.puppet([
      `spawn a comm=${comm}`,
      ...HOSTILE_NAMES.map(
        (name, i) => `alloc a b${i} size=4096 name=${hex(name)}`,
      ),
    ]);
    await recording.sampled(recording.samples() + 8);
    // Names that are given later come too.
    await lab.puppet([
      'alloc a late size=4096',
      ...HOSTILE_NAMES.map((name) => `name a late ${hex(name)}`),
    ]);
    await recording.sampled(recording.samples() + 8);
    await finish(recording);
    const recorded = await readRecorded(file);
    expect(recorded).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
    for (const [i, name] of HOSTILE_NAMES.entries()) {
      expect(name).toHaveLength(31);
      const inode = replies[i + 1]?.inode;
      const held = recorded.held.filter((slice) => slice.inode === inode);
      expect(held.map((slice) => slice.pid)).toEqual([replies[0]?.pid]);
      expect(held.map((slice) => slice.name)).toEqual([name]);
    }
  });

  it('processes that vanish while they are read are counted, not misread', async () => {
    const file = join(folder, 'storm.pftrace');
    await lab.puppet(['spawn calm', 'alloc calm x size=65536 name=calm']);
    const recording = record(file, '-i', '100');
    await recording.sampled(2);
    // However fast the machine is, some live too short to be read and some
    // long enough.
    for (const lifeMs of [100, 200, 400, 3000]) {
      await lab.puppet([`storm 40 life_ms=${lifeMs}`]);
      await delay(2000);
      await lab.puppet(['stop']);
    }
    await finish(recording);
    const events = await lab.events();
    const manifest = await lab.manifest();
    const recorded = await readRecorded(file);
    expect(recorded).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
    expect(recorded.vanished).toBeGreaterThan(0);
    const truth = lifetimesOf(events);
    const calm = truthOf(manifest).find(({name}) => name === 'calm');
    truth.set(`${calm?.pid} ${calm?.inode}`, {beginNs: 0n, endNs: undefined});
    expect(untrue(recorded.held, truth)).toEqual([]);
    const kept = recorded.held.filter(({inode}) => inode === calm?.inode);
    expect(kept).toMatchObject([{pid: calm?.pid, endNs: undefined}]);
    expect(recorded.held.length).toBeGreaterThan(kept.length);
  });

  it('no buffer is shown where it was not while all of them change', async () => {
    const file = join(folder, 'churn.pftrace');
    await lab.puppet(['pop 8 200 4096 20 4 10 2']);
    const before = truthOf(await lab.manifest());
    const recording = record(file, '-i', '100');
    await recording.sampled(2);
    await lab.puppet(['churn 50']);
    await delay(6000);
    await lab.puppet(['stop']);
    const after = truthOf(await lab.manifest());
    // Long enough for a full scan, whatever the others made of it.
    await delay(11_000);
    await recording.sampled(recording.samples() + 2);
    await finish(recording);
    const recorded = await readRecorded(file);
    expect(recorded).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
    const truth = lifetimesOf(await lab.events());
    expect(truth.size).toBeGreaterThan(100);
    for (const {pid, inode} of before) {
      const key = `${pid} ${inode}`;
      truth.set(key, {beginNs: 0n, endNs: truth.get(key)?.endNs});
    }
    expect(untrue(recorded.held, truth)).toEqual([]);
    // At the end it is as it is.
    const keyOf = ({pid, inode}: {pid: number; inode: bigint}): string =>
      `${pid} ${inode}`;
    expect(
      recorded.held
        .filter(({endNs}) => endNs === undefined)
        .map(keyOf)
        .sort(),
    ).toEqual(after.map(keyOf).sort());
  });

  it(
    `${MANY_FDS} descriptors in one process`,
    async () => {
      const [made] = await lab.puppet([`fds ${MANY_FDS}`]);
      const before = await tracesIn(lab);
      const ran = await runToEnd(
        lab,
        ...['dump', '--format', 'json', '-s', lab.serial],
      );
      expect({code: ran.code, stderr: ran.stderr}).toEqual({
        code: 0,
        stderr: '',
      });
      const {snapshot} = parseDump(ran.stdout);
      expect(snapshot.coverage.problems).toEqual([]);
      expect(snapshot.coverage.processesUnreadable).toBe(0);
      const {total, held, kernelOnly, processes} = account(snapshot);
      const all = {
        buffers: MANY_FDS,
        bytes: BigInt(MANY_FDS) * 4096n,
        unknownSizes: 0,
      };
      expect({total, held}).toEqual({total: all, held: all});
      expect(kernelOnly?.buffers).toBe(0);
      expect(processes.get(made?.pid ?? 0)?.rssBytes).toBe(all.bytes);
      expect(reported(ran.stdout)).toEqual(truthOf(await lab.manifest()));

      const file = join(folder, 'many.pftrace');
      const recording = record(file);
      await recording.sampled(2);
      await lab.puppet(['spawn a', 'alloc a x size=65536 name=one-more']);
      await recording.sampled(recording.samples() + 3);
      await finish(recording);
      const recorded = await readRecorded(file);
      expect(recorded).toMatchObject({
        importErrors: [],
        samples: recording.samples(),
        problems: [],
      });
      expect(recorded.held).toHaveLength(MANY_FDS + 1);
      expect(recorded.held.at(-1)?.name).toBe('one-more');
      expect(await settledTraces(lab, before)).toMatchObject({
        files: before.files,
      });
    },
    MANY_FDS_LIMIT_MS,
  );

  it('a device that stops answering ends a recording', async () => {
    const file = join(folder, 'silent.pftrace');
    const recording = record(file, '--timeout', '2');
    await recording.sampled(3);
    const qemu = qemuPid(lab);
    process.kill(qemu, 'SIGSTOP');
    try {
      expectFailure(
        await recording.done,
        /^perfetto-dmabuf: the device did not answer '\w+' within 2 s: check the cable .*--timeout \(what was recorded before that is safe\)$/,
      );
    } finally {
      process.kill(qemu, 'SIGCONT');
    }
    expect(await readRecorded(file)).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
  });
});

/** Each as long as the kernel takes, which is 31 bytes. */
const HOSTILE_NAMES = [
  '\n'.repeat(31),
  '\xff'.repeat(31),
  'esc\x1b[2J\x1b[31m\x1b]0;title\x07'.padEnd(31, '\x1b'),
  '\ncount:\t99\nexp_name:\tforged\nx'.padEnd(31, ' '),
  '\n00004096\t00000002\t00000007\t000',
  'half a character \xe2\x82'.padEnd(30, '.') + '\xe2',
  ' \t\\n\\012 (deleted)'.padEnd(31, '\t'),
  '</script>\'"`$(reboot);\0'.slice(0, -1).padEnd(31, '\r'),
];

function hex(bytes: string): string {
  return `hex:${Buffer.from(bytes, 'latin1').toString('hex')}`;
}

interface Lifetime {
  /** It was held no earlier than this ... */
  readonly beginNs: bigint;
  /** ... and until this at least; undefined: still held. */
  readonly endNs: bigint | undefined;
}

/** By `PID INODE`; an inode is not used twice on this kernel. */
function lifetimesOf({events, lost}: PuppetEvents): Map<string, Lifetime> {
  expect(lost).toBe(0);
  const lifetimes = new Map<string, Lifetime>();
  for (const {kind, pid, inode, beforeNs} of events) {
    const key = `${pid} ${inode}`;
    lifetimes.set(
      key,
      kind === 'allocated'
        ? {beginNs: beforeNs, endNs: undefined}
        : {beginNs: lifetimes.get(key)?.beginNs ?? 0n, endNs: beforeNs},
    );
  }
  return lifetimes;
}

/** Slices of what was not held, or not yet, or still. */
function untrue(
  slices: readonly HeldSlice[],
  truth: ReadonlyMap<string, Lifetime>,
): unknown[] {
  return slices
    .map((slice) => ({
      slice,
      truth: truth.get(`${slice.pid} ${slice.inode}`),
    }))
    .filter(({slice, truth: real}) => {
      if (real === undefined) return true;
      if (slice.beginNs < real.beginNs - CLOCK_NS) return true;
      if (slice.endNs === undefined) return false;
      return real.endNs === undefined || slice.endNs < real.endNs - CLOCK_NS;
    });
}

/** Waits until so many samples are in a file that another process writes. */
async function samplesWritten(path: string, wanted: number): Promise<number> {
  for (let tries = 0; tries < 300; tries++) {
    const count = await samplesIn(path);
    if (count >= wanted) return count;
    await delay(100);
  }
  throw new Error(`${path} does not get its ${wanted} samples`);
}

async function samplesIn(path: string): Promise<number> {
  try {
    return (await readRecording(path)).samples.count;
  } catch (error) {
    if (error instanceof TraceReadError) return 0;
    throw error;
  }
}

/** REALTIME − BOOTTIME of the guest, ns, between two bounds. */
async function realOffset(
  lab: Lab,
): Promise<{readonly low: bigint; readonly high: bigint}> {
  const once = 'puppet do ping; echo real=$EPOCHREALTIME';
  const said = await lab.shell(
    `i=0; while [ $i -lt 40 ]; do ${once}; i=$((i+1)); done; puppet do ping`,
  );
  const lines = said.toString().trim().split('\n');
  let low = 0n;
  let high = 1n << 63n;
  for (let i = 1; i + 1 < lines.length; i += 2) {
    const [, s = '', us = ''] =
      /^real=(\d+)\.(\d{6})$/.exec(lines[i] ?? '') ?? [];
    const realNs = BigInt(s + us) * 1000n;
    const earlier = /"after_ns":"(\d+)"/.exec(lines[i - 1] ?? '')?.[1] ?? '0';
    const later = /"before_ns":"(\d+)"/.exec(lines[i + 1] ?? '')?.[1] ?? '0';
    const [atMost, atLeast] = [
      realNs - BigInt(earlier),
      realNs - BigInt(later),
    ];
    if (atLeast > low) low = atLeast;
    if (atMost < high) high = atMost;
  }
  expect(high).toBeGreaterThan(low);
  return {low, high};
}
