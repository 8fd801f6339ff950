// SPDX-License-Identifier: Apache-2.0
// Devices on which adb's shell is not root: what can be seen is shown, what
// cannot is said, and su gets the rest. Each machine ends by going away in the
// middle of a recording, in a way of its own.

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {account} from '../../src/core/accounting/index.js';
import {parseDump} from '../../src/producer/cli/dump/dump_json.js';
import {hasTraceProcessor} from '../trace_processor/index.js';
import {chosenKernel, isAvailable} from './available.js';
import {errorLines, runToEnd, start} from './command_line.js';
import {qemuPid, settledTraces, tracesIn} from './guest.js';
import {bootLab, type BootOptions, type Lab} from './lab.js';
import {readRecorded} from './recorded.js';
import {reported, SCENE, truthOf, type Truth} from './truth.js';

const KERNEL = chosenKernel();
const available =
  isAvailable(KERNEL, 'unrooted devices') && (await hasTraceProcessor());
const SHELL_UID = 2000;

/** Boots a machine with the scene on it and a folder for recordings. */
function stage(options: Omit<BootOptions, 'kernel'>): {
  readonly lab: Lab;
  readonly file: (name: string) => string;
} {
  const staged: {lab?: Lab; folder?: string} = {};
  beforeAll(async () => {
    staged.folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
    staged.lab = await bootLab({kernel: KERNEL, ...options});
    await staged.lab.puppet(SCENE);
  });
  afterAll(async () => {
    await staged.lab?.stop();
    await rm(staged.folder ?? '', {recursive: true, force: true});
  });
  return {
    get lab() {
      if (staged.lab === undefined) throw new Error('not booted yet');
      return staged.lab;
    },
    file: (name) => join(staged.folder ?? '', name),
  };
}

describe.skipIf(!available)('unrooted, without su', () => {
  const on = stage({adbdUid: SHELL_UID});
  let visible: Truth[];
  let hiddenPids: number[];

  beforeAll(async () => {
    const manifest = await on.lab.manifest();
    const isOwn = new Map(
      manifest.processes.map(({pid, uid}) => [pid, uid === SHELL_UID]),
    );
    visible = truthOf(manifest).filter(({pid}) => isOwn.get(pid));
    hiddenPids = [...isOwn.keys()].filter((pid) => isOwn.get(pid) !== true);
    expect(visible).toHaveLength(1);
    expect(hiddenPids.length).toBeGreaterThan(5);
  });

  it('doctor says what is missing and how to get it', async () => {
    const {code, stdout} = await runToEnd(
      on.lab,
      ...['doctor', '-s', on.lab.serial],
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Runs as: +uid 2000 \(shell\)$/m);
    for (const source of [
      '/proc/PID/fdinfo',
      '/proc/PID/maps',
      'debugfs dma_buf/bufinfo',
    ]) {
      expect(stdout).toMatch(new RegExp(`^${source} +no permission `, 'm'));
    }
    expect(stdout).toContain('buffers held by processes of uid 2000 itself');
    const [, missing = ''] = stdout.split('It cannot show:\n');
    expect(missing).toMatch(/^ {2}- which buffers .*\n {4}to get it: .*--su/m);
    expect(missing).toMatch(/^ {2}- the total, .*\n {4}to get it: .*--root/m);
  });

  it('dump shows what it may see', async () => {
    const ran = await runToEnd(
      on.lab,
      ...['dump', '--format', 'json', '-s', on.lab.serial],
    );
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 0,
      errors: [],
    });
    expect(ran.stderr).toContain('cannot be seen: which buffers');
    expect(reported(ran.stdout)).toEqual(visible);
    const {snapshot} = parseDump(ran.stdout);
    const {coverage} = snapshot;
    expect(coverage.kernelList).toBeUndefined();
    expect(coverage.problems).toEqual([]);
    expect(coverage.processesUnreadable).toBeGreaterThanOrEqual(
      hiddenPids.length,
    );
    expect(coverage.processesUnreadable).toBeLessThan(coverage.processesSeen);
  });

  it('dump prints no zero for what it could not see', async () => {
    const {lab} = on;
    const dump = ['dump', '-s', lab.serial];
    const json = await runToEnd(lab, ...dump, '--format', 'json');
    const {processes, totals} = JSON.parse(json.stdout) as {
      readonly processes: readonly Record<string, unknown>[];
      readonly totals: Record<string, unknown>;
    };
    for (const pid of hiddenPids) {
      const process = processes.find((each) => each['pid'] === pid);
      expect(process).toMatchObject({readState: 'unreadable', holdings: []});
      for (const sum of ['rssBytes', 'pssBytes', 'kernelRssBytes']) {
        expect(process).not.toHaveProperty(sum);
      }
    }
    for (const sum of ['total', 'kernelOnly', 'mappedOnly']) {
      expect(totals).not.toHaveProperty(sum);
    }

    const text = (await runToEnd(lab, ...dump)).stdout;
    expect(text).toMatch(/^Total: +\?$/m);
    expect(text).toMatch(
      /^Held by processes: +at least 36\.0 KiB in 1 buffer$/m,
    );
    expect(text).toMatch(/^Kernel-only: +\?$/m);
    expect(text).toMatch(/^Mapped-only: +\?$/m);
    expect(text).toMatch(
      /^Coverage: .* unreadable, .* kernel references unknown$/m,
    );

    const csv = (await runToEnd(lab, ...dump, '--format', 'csv')).stdout;
    for (const pid of hiddenPids) {
      // pid, start_ticks, process, read_state, then nothing that is a number.
      expect(csv).toMatch(
        new RegExp(`^${pid},\\d+,[^,]*,unreadable,,+false$`, 'm'),
      );
    }
  });

  it('record shows what it may see', async () => {
    const {lab} = on;
    const file = on.file('unrooted.pftrace');
    const recording = start(lab, ['record', '-o', file, '-s', lab.serial]);
    await recording.sampled(3);
    recording.interrupt();
    const ran = await recording.done;
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 0,
      errors: [],
    });
    const recorded = await readRecorded(file);
    expect(recorded).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
    expect(recorded.unreadable.least).toBeGreaterThanOrEqual(hiddenPids.length);
    expect(recorded.held.map(({pid, inode}) => ({pid, inode}))).toEqual(
      visible.map(({pid, inode}) => ({pid, inode})),
    );
    // What was not seen has no counter, rather than one that says 0.
    expect(recorded.counters.get('Held by processes')).toEqual([36864]);
    for (const [name, values] of recorded.counters) {
      expect({name, isUnknown: /Total|only|count/.test(name)}).toEqual({
        name,
        isUnknown: false,
      });
      expect({name, zeros: values.filter((value) => value === 0)}).toEqual({
        name,
        zeros: [],
      });
    }
    expect([...new Set(recorded.processCounters.map(({pid}) => pid))]).toEqual(
      visible.map(({pid}) => pid),
    );
  });

  it.each([
    [
      '--su',
      /^perfetto-dmabuf: no su on device \S+ gives root \(.*not found\): install .*$/,
    ],
    [
      '--root',
      /^perfetto-dmabuf: adbd on device \S+ cannot be root .*: use --su .*$/,
    ],
  ])('%s is refused with the reason and the fix', async (option, message) => {
    const {lab} = on;
    for (const command of [
      ['dump'],
      ['doctor'],
      ['record', '-o', on.file('none.pftrace')],
    ]) {
      const ran = await runToEnd(lab, ...command, option, '-s', lab.serial);
      expect({...ran, errors: errorLines(ran)}).toMatchObject({
        code: 1,
        stdout: '',
        errors: [expect.stringMatching(message)],
      });
    }
    // No device, no recording: nor an empty file.
    await expect(readRecorded(on.file('none.pftrace'))).rejects.toThrow(
      'ENOENT',
    );
  });
});

/** Ways in which a device goes away, and what is said of it. */
const ENDS = {
  'QEMU is killed': (lab: Lab) => {
    process.kill(qemuPid(lab), 'SIGKILL');
  },
  'it reboots': (lab: Lab) => {
    void lab.run('su 0 sh -c "echo b >/proc/sysrq-trigger"');
  },
  'it is powered off': (lab: Lab) => {
    void lab.run('su -c "echo o >/proc/sysrq-trigger"');
  },
};

describe.skipIf(!available).each([
  {su: true, end: 'QEMU is killed'},
  {su: 'aosp', end: 'it reboots'},
  {su: 'magisk', end: 'it is powered off'},
] as const)('unrooted, with su: $su', ({su, end}) => {
  const on = stage({adbdUid: SHELL_UID, su});

  it('dump --su reports exactly what the puppet holds', async () => {
    const {lab} = on;
    const before = await tracesIn(lab);
    const ran = await runToEnd(
      lab,
      ...['dump', '--su', '--format', 'json', '-s', lab.serial],
    );
    expect({code: ran.code, stderr: ran.stderr}).toEqual({code: 0, stderr: ''});
    const manifest = await lab.manifest();
    expect(reported(ran.stdout)).toEqual(truthOf(manifest));
    const {snapshot, provenance} = parseDump(ran.stdout);
    expect(provenance.uid).toBe(0);
    expect(snapshot.coverage).toMatchObject({
      kernelList: 'bufinfo',
      processesUnreadable: 0,
      problems: [],
    });
    expect([...account(snapshot).buffers.keys()].sort()).toEqual(
      manifest.buffers.map(({inode}) => inode).sort(),
    );
    expect(await settledTraces(lab, before)).toEqual(before);
  });

  it(`a recording ends when ${end}`, async () => {
    const {lab} = on;
    const file = on.file('gone.pftrace');
    const recording = start(lab, [
      ...['record', '--su', '-o', file, '-s', lab.serial],
    ]);
    await recording.sampled(5);
    ENDS[end](lab);
    const ran = await recording.done;
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 1,
      errors: [
        expect.stringMatching(
          /^perfetto-dmabuf: device \S+ went away \(.*\): check its cable .* \(what was recorded before that is safe\)$/,
        ),
      ],
    });
    const recorded = await readRecorded(file);
    expect(recorded).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
    expect(recorded.held.length).toBeGreaterThan(10);
  });
});
