// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {parseFdinfo} from '../../../src/core/formats/fdinfo.js';
import {parseMaps} from '../../../src/core/formats/maps.js';
import {
  PROFILE_NAMES,
  androidKernelProfile,
} from '../../../src/core/kernel/profile.js';
import type {
  Leak,
  Scenario,
  ScenarioRun,
} from '../../../src/core/kernel/scenarios/index.js';
import {
  SCENARIOS,
  ScenarioError,
  scenarioNamed,
} from '../../../src/core/kernel/scenarios/index.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import {dumpKernel} from './kernel_dump.js';

interface Played {
  kernel: SimulatedKernel;
  run: ScenarioRun;
}

function start(
  scenario: Scenario,
  options: {
    profile?: string;
    seed?: number;
    scale?: number;
  } = {},
): Played {
  const {profile = '6.1', seed = scenario.seed, scale = 1} = options;
  const kernel = new SimulatedKernel({
    profile: androidKernelProfile(profile),
    seed,
  });
  return {kernel, run: scenario.run(kernel, {seed, scale})};
}

/** How a process shows a buffer; none where it does not. */
function shown(kernel: SimulatedKernel, pid: number, inode: bigint) {
  const {vfs} = kernel;
  const fds = vfs
    .list(`/proc/${pid}/fdinfo`)
    .map((fd) => parseFdinfo(vfs.read(`/proc/${pid}/fdinfo/${fd}`)))
    .filter((info) => info.dmaBuf !== undefined && info.inode === inode);
  const maps = parseMaps(vfs.read(`/proc/${pid}/maps`), {
    dmaBufsOnly: true,
  }).filter((vma) => vma.inode === inode);
  return {fds: fds.length, maps: maps.length};
}

function holdersOf(kernel: SimulatedKernel, inode: bigint): number[] {
  return kernel.processes
    .list()
    .map(({pid}) => pid)
    .filter((pid) => {
      const {fds, maps} = shown(kernel, pid, inode);
      return fds + maps > 0;
    });
}

function leakedInodes(leaks: readonly Leak[]): Set<bigint> {
  return new Set(leaks.flatMap(({buffers}) => buffers.map(({inode}) => inode)));
}

describe.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
  '%s',
  (_, scenario) => {
    it('is the same for the same seed', () => {
      const [a, b] = [start(scenario), start(scenario)];
      a.kernel.advance(3_000_000_000n);
      // The size of the steps makes no difference.
      for (let i = 0; i < 12; i++) b.kernel.advance(250_000_000n);
      expect(dumpKernel(a.kernel)).toBe(dumpKernel(b.kernel));
      expect(a.run.truth()).toEqual(b.run.truth());
    });

    it('is another for another seed', () => {
      const [a, b] = [start(scenario), start(scenario, {seed: 12345})];
      a.kernel.advance(3_000_000_000n);
      b.kernel.advance(3_000_000_000n);
      expect(dumpKernel(a.kernel)).not.toBe(dumpKernel(b.kernel));
    });

    it.each(PROFILE_NAMES)('plays to its end on %s', (profile) => {
      const {kernel, run} = start(scenario, {profile});
      kernel.advance(scenario.durationNs);
      expect(kernel.dmaBufs.count).toBeGreaterThan(50);
      // Old kernels lose track of nothing either.
      expect(run.truth().leaks.length > 0).toBe(
        !['game-120hz', 'process-storm'].includes(scenario.name),
      );
    });

    it('leaks what its truth says, to whom it says', () => {
      const {kernel, run} = start(scenario);
      kernel.advance(scenario.durationNs);
      const {leaks} = run.truth();
      expect(leakedInodes(leaks).size).not.toBe(1);
      for (const leak of leaks) {
        for (const leaked of leak.buffers) {
          const buffer = kernel.dmaBufs.find(leaked.inode);
          expect(buffer?.name).toBe(leak.bufferName);
          expect(buffer?.exporter).toBe(leak.exporter);
          expect(BigInt(buffer?.sizeBytes ?? 0)).toBe(leaked.sizeBytes);
          expect(leaked.leakedAtNs).toBeLessThanOrEqual(kernel.now);
          const pids = leak.holders.map(({pid}) => pid);
          expect(holdersOf(kernel, leaked.inode)).toEqual(pids);
          for (const pid of pids) {
            const {fds, maps} = shown(kernel, pid, leaked.inode);
            expect(fds > 0).toBe(leak.cause === 'descriptor');
            expect(maps > 0).toBe(leak.cause === 'mapping');
          }
          const inKernel = buffer?.refsOf('kernel') ?? 0;
          expect(inKernel > 0).toBe(leak.cause === 'kernel');
        }
      }
    });

    it('loses nothing besides', () => {
      const {kernel, run} = start(scenario);
      const sound = (): number =>
        kernel.dmaBufs.count - leakedInodes(run.truth().leaks).size;
      // Once everything is up; a recording starts and ends in between.
      kernel.advance(scenario.durationNs);
      const counts: number[] = [];
      for (let i = 0; i < 8; i++) {
        kernel.advance(2_000_000_000n);
        counts.push(sound());
      }
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(25);
    });

    it('calls its culprit by the name that /proc tells', () => {
      const {kernel, run} = start(scenario);
      kernel.advance(scenario.durationNs);
      for (const {culprit, holders} of run.truth().leaks) {
        for (const ref of [culprit, ...holders]) {
          if (ref === undefined) continue;
          const cmdline = kernel.vfs.read(`/proc/${ref.pid}/cmdline`);
          expect(cmdline.split('\0')[0]).toBe(ref.name);
        }
      }
    });
  },
);

describe('camera-preview', () => {
  const scenario = scenarioNamed('camera-preview');
  const {kernel, run} = start(scenario);
  kernel.advance(8_000_000_000n);
  const {leaks, landmarks} = run.truth();

  it('leaks a JPEG every 1.5 seconds in the app', () => {
    expect(leaks).toHaveLength(1);
    expect(leaks[0]).toMatchObject({
      cause: 'descriptor',
      culprit: {name: 'com.example.camera'},
      bufferName: 'JPEG-4032x3024',
      exporter: 'system',
    });
    expect(leaks[0]?.buffers.length).toBe(4);
  });

  it('shares a frame between five processes', () => {
    const preview = [...kernel.dmaBufs.oldestFirst()].filter(
      ({name}) => name === 'SurfaceView[com.example.camera]',
    );
    expect(preview.length).toBeGreaterThanOrEqual(3);
    const names = holdersOf(kernel, preview[0]?.inode ?? 0n).map((pid) =>
      kernel.vfs.read(`/proc/${pid}/comm`).trimEnd(),
    );
    expect(names).toEqual(
      expect.arrayContaining(['surfaceflinger', 'cameraserver']),
    );
  });

  it('has buffers that only mappings, or only the kernel, hold', () => {
    const of = (what: string) => landmarks.filter((each) => each.what === what);
    expect(of('kernel-only')).toHaveLength(3);
    for (const {inode} of of('kernel-only')) {
      expect(holdersOf(kernel, inode)).toEqual([]);
    }
    const [gyroscope] = of('mapped-only');
    for (const {pid} of gyroscope?.holders ?? []) {
      const {fds, maps} = shown(kernel, pid, gyroscope?.inode ?? 0n);
      expect([fds, maps]).toEqual([0, 1]);
    }
    const [renamed] = of('renamed');
    expect(kernel.dmaBufs.find(renamed?.inode ?? 0n)?.name).toBe(
      'thumbnail-strip',
    );
  });

  it('names the codec, and draws from several heaps', () => {
    const names = kernel.processes
      .list()
      .map(({cmdline}) => cmdline.split('\0')[0]);
    expect(names).toEqual(
      expect.arrayContaining(['media.codec', 'zygote64', 'system_server']),
    );
    const heaps = new Set(
      [...kernel.dmaBufs.oldestFirst()].map(({exporter}) => exporter),
    );
    expect([...heaps].sort()).toEqual([
      'camera',
      'system',
      'system-uncached',
      'vframe-secure',
    ]);
  });
});

describe('a scenario', () => {
  it('grows with its scale', () => {
    const scenario = scenarioNamed('game-120hz');
    const small = start(scenario, {scale: 0.5}).kernel;
    const large = start(scenario, {scale: 10}).kernel;
    expect(large.processes.size).toBeGreaterThan(small.processes.size + 60);
    expect(large.dmaBufs.count).toBeGreaterThan(small.dmaBufs.count * 5);
  });

  it.each([
    [{scale: 0}, /scale 0/],
    [{scale: -1}, /scale -1/],
    [{scale: NaN}, /scale NaN/],
    [{scale: 0.0099}, /from 0\.01 to 100/],
    [{scale: 1e9}, /from 0\.01 to 100/],
    [{seed: 1.5}, /seed 1\.5/],
    [{seed: -1}, /seed -1/],
  ])('refuses %o', (options, message) => {
    const scenario = scenarioNamed('camera-preview');
    const kernel = new SimulatedKernel({
      profile: androidKernelProfile('6.1'),
      seed: 1,
    });
    const before = dumpKernel(kernel);
    expect(() => scenario.run(kernel, {seed: 1, scale: 1, ...options})).toThrow(
      ScenarioError,
    );
    expect(() => scenario.run(kernel, {seed: 1, scale: 1, ...options})).toThrow(
      message,
    );
    expect(dumpKernel(kernel)).toBe(before);
  });

  it('that nobody knows is refused with the names of all', () => {
    expect(() => scenarioNamed('nope')).toThrow(ScenarioError);
    expect(() => scenarioNamed('nope')).toThrow(/'nope'.*camera-preview/);
  });

  it('tells its story in one line', () => {
    for (const {name, story, durationNs} of SCENARIOS) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(story).toMatch(/^[A-Z][^\n]{30,160}\.$/);
      expect(durationNs).toBeGreaterThan(5_000_000_000n);
    }
    expect(new Set(SCENARIOS.map(({name}) => name)).size).toBe(
      SCENARIOS.length,
    );
  });
});
