// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import {Writable} from 'node:stream';
import {describe, expect, it} from 'vitest';
import {FormatError} from '../../../src/core/formats/index.js';
import {realEffects} from '../../../src/producer/cli/effects.js';
import {run} from '../../../src/producer/cli/main.js';
import {DeviceError} from '../../../src/producer/device/index.js';
import {closedPort} from './closed_port.js';
import {FakeIo, runCli, STEERS_TERMINAL} from './fake_io.js';
import {fakeSource, snapshotOf} from './fake_source.js';

const failing = (error: unknown): {connectSource: () => Promise<never>} => ({
  connectSource: () => Promise.reject(error as Error),
});

describe('help', () => {
  it('is printed on standard output', async () => {
    const {code, stdout, stderr} = await runCli(['--help']);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    for (const command of ['record', 'dump', 'doctor', 'report']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    }
  });

  it.each(['record', 'dump', 'doctor', 'report'])('of %s', async (command) => {
    const {code, stdout} = await runCli([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: perfetto-dmabuf ${command} `));
    expect(stdout).toContain('--verbose');
  });

  it('has the version of the package', async () => {
    const {version} = JSON.parse(
      readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
    ) as {version: string};
    expect(await runCli(['--version'])).toEqual({
      code: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  });
});

describe('a wrong command line', () => {
  it.each<[string[], RegExp]>([
    [[], /no command given: see 'perfetto-dmabuf --help'/],
    [['frob'], /unknown command 'frob': see 'perfetto-dmabuf --help'/],
    [['recrod'], /Did you mean record/],
    [['record', '--foo'], /unknown option '--foo'.*record --help/],
    [['record', 'x'], /too many arguments/],
    [['record', '-d'], /argument missing/],
    [['record', '-d', '0'], /seconds from 0.001/],
    [['record', '-d', '-1'], /seconds/],
    [['record', '-d', '1e9'], /seconds/],
    [['record', '-i', '9'], /milliseconds from 10/],
    [['record', '-i', '2.5'], /milliseconds/],
    [['record', '--timeout', 'x'], /seconds/],
    [['record', '--source', 'usb'], /Allowed choices are auto, device/],
    [['dump', '--pid', '0'], /pid from 1/],
    [['dump', '--pid', '12a'], /pid from 1/],
    [['dump', '--format', 'xml'], /Allowed choices are text, json, csv/],
    [['dump', '--by', 'pid'], /Allowed choices are process, buffer/],
    [['report'], /missing required argument 'trace'/],
    [['report', 'x', '--top', '0'], /rows from 1/],
    [['record', '\x1b[2J\nx'], /too many arguments/],
    [['--\x1b[2J'], /unknown option '--\\x1b\[2J'/],
    [
      ['record', '--source', 'simulator', '-s', 'X'],
      /-s X names a device, --source simulator wants none/,
    ],
  ])('%j is exit code 2 and one line', async (argv, message) => {
    const {code, stdout, stderr} = await runCli(argv);
    expect({code, stdout}).toEqual({code: 2, stdout: ''});
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^perfetto-dmabuf: .*\n$/);
    expect(stderr).not.toMatch(STEERS_TERMINAL);
  });
});

describe('an error', () => {
  it.each<[string, unknown, string]>([
    [
      'of the device',
      new DeviceError('offline', 'device X is offline', 'plug it in again'),
      'device X is offline: plug it in again',
    ],
    [
      'of its answers',
      new FormatError('stat', 1, 'no pid'),
      "the device's answer cannot be read",
    ],
    [
      'that nobody expected',
      new TypeError('x is\nnot\x1b[31m a function'),
      'internal error (x is not\\x1b[31m a function): run it again with ' +
        '--verbose and report what it says',
    ],
    ['that is no error', 'a string', 'internal error (a string)'],
  ])('%s is one line', async (_what, error, message) => {
    const ran = await runCli(['dump'], {effects: failing(error)});
    expect(ran.code).toBe(1);
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toContain(`perfetto-dmabuf: ${message}`);
    expect(ran.stderr.split('\n')).toHaveLength(2);
    expect(ran.stderr).not.toMatch(STEERS_TERMINAL);
  });

  it('shows its stack and causes with --verbose', async () => {
    const error = new DeviceError('gone', 'it is gone', 'find it', {
      cause: new Error('socket\x1b[2J hang up'),
    });
    const {stderr} = await runCli(['dump', '--verbose'], {
      effects: failing(error),
    });
    expect(stderr).toMatch(/^perfetto-dmabuf: it is gone: find it\n/);
    expect(stderr).toMatch(/\n {4}at .*main\.test\.ts/);
    expect(stderr).toContain('caused by: Error: socket\\x1b[2J hang up');
    expect(stderr).not.toMatch(STEERS_TERMINAL);
  });
});

describe('without adb', () => {
  it.each([['record', '-d', '1'], ['dump'], ['doctor']])(
    '%s --source device names the fix',
    async (...argv) => {
      const env = {
        PATH: '',
        ANDROID_ADB_SERVER_PORT: String(await closedPort()),
      };
      const {code, stdout, stderr} = await runCli(
        [...argv, '--source', 'device'],
        {env},
      );
      expect({code, stdout}).toEqual({code: 1, stdout: ''});
      expect(stderr).toMatch(/^perfetto-dmabuf: .*adb.*: .*\n$/);
    },
  );

  it('auto takes the simulator and says so', async () => {
    const env = {
      PATH: '',
      ANDROID_ADB_SERVER_PORT: String(await closedPort()),
    };
    const {code, stderr} = await runCli(['doctor'], {env});
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^=== SIMULATED DATA: this is no real device, because there is no adb/,
    );
  });

  it('an unusable address is an error', async () => {
    const {code, stderr} = await runCli(['doctor'], {
      env: {ADB_SERVER_SOCKET: 'unix:/x'},
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/ADB_SERVER_SOCKET is 'unix:\/x'/);
  });
});

it('ends quietly when the reader of its output has gone', async () => {
  const gone = new Writable({
    write: (_chunk, _encoding, done) => {
      done(Object.assign(new Error('write EPIPE'), {code: 'EPIPE'}));
    },
  });
  const io = new FakeIo({stdout: gone});
  const effects = {
    ...realEffects,
    connectSource: () => Promise.resolve(fakeSource(() => snapshotOf([]))),
    record: () => Promise.reject(new Error('unused')),
  };
  const code = await run(['dump'], io, effects);
  expect({code, stderr: io.stderrText}).toEqual({code: 0, stderr: ''});
});
