// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {SCENARIOS} from '../../../src/core/kernel/index.js';
import {openSimulatedDevice} from '../../../src/producer/device/simulated_device.js';
import {readRecording, report} from '../../../src/producer/trace/index.js';
import {runCli} from '../cli/fake_io.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();

describe('perfetto-dmabuf scenarios', () => {
  it('lists them with story, seed and duration', async () => {
    const ran = await runCli(['scenarios']);
    expect(ran).toMatchObject({code: 0, stderr: ''});
    const [titles = '', ...lines] = ran.stdout.trimEnd().split('\n');
    expect(titles.split(/ +/)).toEqual([
      'SCENARIO',
      'SECONDS',
      'SEED',
      'STORY',
    ]);
    expect(lines).toHaveLength(SCENARIOS.length);
    for (const [i, {name, story, seed}] of SCENARIOS.entries()) {
      expect(lines[i]).toMatch(new RegExp(`^${name} +\\d+ +${seed} `));
      expect(lines[i]?.endsWith(story)).toBe(true);
    }
  });

  it('lists them for programs', async () => {
    const ran = await runCli(['scenarios', '--format', 'json']);
    expect(JSON.parse(ran.stdout)).toEqual({
      scenarios: SCENARIOS.map(({name, story, seed, durationNs}) => ({
        name,
        story,
        seed,
        durationSeconds: Number(durationNs / 1_000_000_000n),
      })),
    });
  });

  it('keeps to the width of a terminal', async () => {
    const ran = await runCli(['scenarios'], {columns: 80});
    for (const line of ran.stdout.split('\n')) {
      expect(line.length).toBeLessThanOrEqual(80);
    }
  });
});

describe('what to simulate', () => {
  it('is recorded at the interval asked for, however fast it plays', async () => {
    const path = join(folder, 'fast.pftrace');
    const ran = await runCli([
      ...['record', '--source', 'simulator', '--scenario', 'fd-leak'],
      ...['--seed', '11', '--scale', '0.5', '--speed', '1000'],
      ...['-d', '20', '-o', path],
    ]);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain('because --source simulator asks for it');
    // No host takes 80 samples in 20 ms.
    expect(ran.stderr).toMatch(
      /warning: the simulation reached speed \d\S* in place of 1000: it took /,
    );
    const {provenance, samples, buffers} = await readRecording(path);
    expect(provenance.simulated).toBe(true);
    expect(provenance.device).toBe('simulator: fd-leak, seed 11, scale 0.5');
    expect(samples.count).toBe(80);
    // The device's clock tells microseconds.
    expect(Number(samples.longestGapNs) / 1e6).toBeCloseTo(250, 1);
    const leaked = buffers.filter(({names}) =>
      names.includes('ImageReader-1024x768f1'),
    );
    expect(leaked.length).toBeGreaterThan(10);
  });

  it('lets no more than an interval pass in a sample', async () => {
    const path = join(folder, 'dense.pftrace');
    const ran = await runCli([
      ...['record', '--scenario', 'fd-leak', '--scale', '30', '--speed', '9'],
      ...['-i', '10', '-d', '0.1', '-o', path],
    ]);
    expect(ran.code).toBe(0);
    const {samples} = await readRecording(path);
    expect(samples.count).toBe(10);
    expect(samples.longestGapNs).toBeLessThan(11_100_000n);
  });

  it('gives the same bytes for the same options, at any speed', async () => {
    const [one, two] = await Promise.all(
      ['200', '3'].map(async (speed) => {
        const path = join(folder, `speed-${speed}.pftrace`);
        const ran = await runCli([
          ...['record', '--scenario', 'game-120hz', '--seed', '5'],
          ...['--speed', speed, '-d', '3', '-o', path],
        ]);
        expect(ran.code).toBe(0);
        return readFileSync(path);
      }),
    );
    expect(one?.length).toBeGreaterThan(10_000);
    expect(two?.equals(one ?? Buffer.of())).toBe(true);
  });

  it('takes as long as it is asked to', async () => {
    const startMs = performance.now();
    const ran = await runCli([
      ...['record', '--scenario', 'fd-leak', '--speed', '2', '-d', '2'],
      ...['-o', join(folder, 'real.pftrace')],
    ]);
    expect(ran.code).toBe(0);
    // Give or take what a timer does.
    expect(performance.now() - startMs).toBeGreaterThan(990);
  });

  it('is dumped as far into the story as is asked for', async () => {
    const count = async (at: string): Promise<number> => {
      const ran = await runCli([
        ...['dump', '--scenario', 'mapped-growth', '--at', at],
        ...['--by', 'name', '--format', 'csv'],
      ]);
      expect(ran.code).toBe(0);
      expect(ran.stderr).toContain('because --scenario asks for it');
      const [header = [], ...rows] = ran.stdout
        .split('\n')
        .map((line) => line.split(','));
      const row = rows.find(([name]) => name === 'nn-tensor') ?? [];
      return Number(row[header.indexOf('buffers')] ?? 0);
    };
    expect(await count('0')).toBe(0);
    const early = await count('5');
    expect(early).toBeGreaterThan(0);
    expect(await count('15')).toBeGreaterThan(early);
  });

  it.each([
    ['5.3', '5.3'],
    ['5.15', '5.15'],
    ['7.x', '7.3'],
  ])('runs the kernel %s', async (profile, release) => {
    const ran = await runCli(['dump', '--profile', profile, '--at', '2']);
    expect(ran.stderr).toContain('because --profile asks for it');
    expect(ran.code).toBe(0);
    const doctor = await runCli(['doctor', '--profile', profile]);
    expect(doctor.stdout).toMatch(new RegExp(`Kernel: +${release}\\.`));
  });

  it('records a leak on the kernel of the first patches', async () => {
    const path = join(folder, 'rfc.pftrace');
    const ran = await runCli([
      ...['record', '--profile', 'rfc-v1', '--scenario', 'mapped-growth'],
      ...['--at', '10', '-d', '0.5', '-o', path],
    ]);
    expect(ran.code).toBe(0);
    const {heldAtEnd, mappedOnly} = report(await readRecording(path));
    // Neither the links nor the maps of that kernel tell names.
    const leaked = heldAtEnd.filter(({name}) => name === 'nn-tensor');
    expect(leaked.length).toBeGreaterThanOrEqual(15);
    for (const {holders} of leaked) {
      expect(holders.map(({process}) => process)).toEqual([
        'com.example.translate',
      ]);
    }
    expect(mappedOnly?.last).toBe(leaked.length * (5 << 20));
    expect(heldAtEnd.some(({holders}) => holders.length > 1)).toBe(true);
  });

  it.each([
    ['--scenario', 'nope', /'nope' is invalid\. Allowed choices are camera-/],
    ['--scale', '0', /Give a scale from 0\.01 to 100/],
    ['--scale', '1e9', /Give a scale from 0\.01 to 100/],
    ['--seed', '-1', /Give a seed from 0 to 9007199254740991/],
    ['--seed', '9007199254740993', /Give a seed from 0 to 9007199254740991/],
    ['--speed', '0', /Give a speed from 0\.01 to 1000/],
    ['--speed', 'Infinity', /Give a speed from 0\.01 to 1000/],
    ['--profile', '2.4', /'2\.4' is invalid\. Allowed choices are rfc-v1/],
    ['--at', '1e9', /Give seconds from 0 to 3600/],
  ])('is refused in one line: %s %s', async (flag, value, expected) => {
    for (const command of ['record', 'dump', 'doctor']) {
      const ran = await runCli([command, flag, value]);
      expect(ran.code).toBe(2);
      expect(ran.stdout).toBe('');
      expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(ran.stderr).toMatch(expected);
    }
  });

  it.each([
    [
      ['--source', 'device', '--seed', '1'],
      '--seed is for the simulator, --source device for a device',
    ],
    [
      ['-s', 'SERIAL', '--scenario', 'fd-leak'],
      '--scenario is for the simulator, -s SERIAL for a device',
    ],
  ])('is a mistake for a device: %j', async (flags, expected) => {
    const ran = await runCli(['dump', ...flags]);
    expect(ran).toEqual({
      code: 2,
      stdout: '',
      stderr: `perfetto-dmabuf: ${expected}: leave one of the two out\n`,
    });
  });
});

describe('openSimulatedDevice', () => {
  it.each([
    [{speed: 0}, 'speed 0: give a number from 0.01 to 1000'],
    [{speed: NaN}, 'speed NaN: give a number from 0.01 to 1000'],
    [{at: -1}, 'at -1 s: give a number from 0 on'],
    [{at: Infinity}, 'at Infinity s: give a number from 0 on'],
    [{scale: 101}, 'scale 101: give a number from 0.01 to 100'],
  ])('refuses %o', (options, message) => {
    expect(() => openSimulatedDevice(options)).toThrow(message);
  });
});
