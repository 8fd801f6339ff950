// SPDX-License-Identifier: Apache-2.0
// A root shell and no debugfs, as on Android's userdebug builds from 12 on:
// what processes hold is all there is to see.

import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {parseDump} from '../../src/producer/cli/dump/dump_json.js';
import {hasTraceProcessor} from '../trace_processor/index.js';
import {chosenKernel, isAvailable} from './available.js';
import {errorLines, runToEnd, start} from './command_line.js';
import {adbServerPid} from './guest.js';
import {bootLab, type Lab} from './lab.js';
import {readRecorded} from './recorded.js';
import {reported, SCENE, truthOf} from './truth.js';

const KERNEL = chosenKernel();
const available =
  isAvailable(KERNEL, 'a device without debugfs') &&
  (await hasTraceProcessor());

describe.skipIf(!available)('root, without debugfs', () => {
  let lab: Lab;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
    lab = await bootLab({kernel: KERNEL, debugfs: false});
    await lab.puppet(SCENE);
  });

  afterAll(async () => {
    await (lab as Lab | undefined)?.stop();
    await rm(folder, {recursive: true, force: true});
  });

  it('doctor says that the list is missing and how to get it', async () => {
    const {code, stdout} = await runToEnd(lab, 'doctor', '-s', lab.serial);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\/proc\/PID\/fdinfo +yes /m);
    expect(stdout).toMatch(/^debugfs dma_buf\/bufinfo +absent /m);
    expect(stdout).toMatch(
      /^ {2}- the total, .*\n {4}to get it: as root run 'mount -t debugfs none \/sys\/kernel\/debug'/m,
    );
  });

  it('dump reports exactly what processes hold', async () => {
    const ran = await runToEnd(
      lab,
      ...['dump', '--format', 'json', '-s', lab.serial],
    );
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 0,
      errors: [],
    });
    const manifest = await lab.manifest();
    // Only an fd, or the list, tells the exporter.
    const told = new Set(
      manifest.processes
        .flatMap(({holdings}) => holdings)
        .filter(
          ({fds, privateThread}) =>
            fds.length > 0 || privateThread !== undefined,
        )
        .map(({inode}) => inode),
    );
    expect(reported(ran.stdout)).toEqual(
      truthOf(manifest).map((each) =>
        told.has(each.inode) ? each : {...each, exporter: '?'},
      ),
    );
    expect(told.size).toBeGreaterThan(10);
    // Among them are those that only mappings hold, of which one is mapped in
    // two pieces: their names and full sizes are known all the same.
    const {snapshot} = parseDump(ran.stdout);
    const inodeOf = (label: string): bigint =>
      manifest.buffers.find((buffer) => buffer.label === label)?.inode ?? -1n;
    expect(snapshot.buffers.get(inodeOf('maponly'))).toMatchObject({
      sizeBytes: 16384n,
      name: {raw: 'maponly'},
    });
    expect(snapshot.buffers.get(inodeOf('partly'))).toMatchObject({
      sizeBytes: 32768n,
      name: {raw: 'partly'},
    });
    // What no process holds is not seen, and not said to be none.
    for (const label of ['imported', 'flying']) {
      expect(inodeOf(label)).toBeGreaterThan(0n);
      expect(snapshot.buffers.has(inodeOf(label))).toBe(false);
    }
    expect(snapshot.coverage).toMatchObject({
      kernelList: undefined,
      fileCounts: false,
      processesUnreadable: 0,
      problems: [],
    });
  });

  it('dump prints the total and the kernel’s part as unknown', async () => {
    const dump = ['dump', '-s', lab.serial];
    const json = await runToEnd(lab, ...dump, '--format', 'json');
    const {totals, buffers} = JSON.parse(json.stdout) as {
      readonly totals: Record<string, unknown>;
      readonly buffers: readonly Record<string, unknown>[];
    };
    expect(totals).not.toHaveProperty('total');
    expect(totals).not.toHaveProperty('kernelOnly');
    for (const buffer of buffers) {
      expect(buffer).not.toHaveProperty('kernelRefs');
    }
    const {stdout, stderr} = await runToEnd(lab, ...dump);
    expect(stderr).toContain('warning: cannot be seen: the total');
    expect(stdout).toMatch(/^Total: +\?$/m);
    expect(stdout).toMatch(/^Kernel-only: +\?$/m);
    expect(stdout).toMatch(/^Held by processes: +\d.* in \d+ buffers$/m);
    expect(stdout).toMatch(/^Mapped-only: +\d.* in \d+ buffers$/m);
    expect(stdout).toMatch(/^Coverage: .*no list of all buffers/m);
  });

  it('record sees what comes and goes', async () => {
    const file = join(folder, 'changes.pftrace');
    const recording = start(lab, [
      ...['record', '-o', file, '-i', '100', '-s', lab.serial],
    ]);
    // As the recording goes on, so many more samples tell what was done.
    const settle = (): Promise<void> =>
      recording.sampled(recording.samples() + 5);
    await recording.sampled(2);
    const [spawned, alloc] = await lab.puppet([
      'spawn late comm=lab-late',
      'alloc late x size=8192 name=late-one',
    ]);
    await settle();
    await lab.puppet(['map late x', 'close late x']);
    await settle();
    const [unmap] = await lab.puppet(['unmap late x']);
    await recording.sampled(recording.samples() + 60);
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
    expect([...recorded.counters.keys()]).not.toContain('Total');
    expect([...recorded.counters.keys()].join()).not.toContain('Kernel-only');
    const pieces = recorded.held.filter(({inode}) => inode === alloc?.inode);
    expect(pieces.length).toBeGreaterThan(0);
    expect(new Set(pieces.map(({pid}) => pid))).toEqual(
      new Set([spawned?.pid]),
    );
    // Held without a gap, from fd to mapping, until it was unmapped.
    expect(pieces.slice(1).map(({beginNs}) => beginNs)).toEqual(
      pieces.slice(0, -1).map(({endNs}) => endNs),
    );
    expect(pieces.at(-1)?.endNs).toBeGreaterThan(unmap?.beforeNs ?? 0n);
  });

  it('a recording ends when the adb server is killed', async () => {
    const file = join(folder, 'server.pftrace');
    const recording = start(lab, ['record', '-o', file, '-s', lab.serial]);
    await recording.sampled(5);
    process.kill(adbServerPid(lab), 'SIGKILL');
    const ran = await recording.done;
    expect({...ran, errors: errorLines(ran)}).toMatchObject({
      code: 1,
      errors: [
        expect.stringMatching(
          /^perfetto-dmabuf: .*the adb server died.*'adb start-server'.* \(what was recorded before that is safe\)$/,
        ),
      ],
    });
    expect(await readRecorded(file)).toMatchObject({
      importErrors: [],
      samples: recording.samples(),
      problems: [],
    });
  });
});
