// SPDX-License-Identifier: Apache-2.0
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import type {Effects} from '../../../src/producer/cli/effects.js';
import {realEffects} from '../../../src/producer/cli/effects.js';
import {run} from '../../../src/producer/cli/main.js';
import {
  DeviceError,
  type SteppedTime,
} from '../../../src/producer/device/index.js';
import type {ConnectedSource} from '../../../src/producer/source.js';
import {readRecording} from '../../../src/producer/trace/index.js';
import {FakeIo, runCli, STEERS_TERMINAL, type Ran} from './fake_io.js';
import {
  buffer,
  fakeSource,
  holdings,
  snapshotOf,
  UNROOTED,
  type FakeSourceOptions,
} from './fake_source.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'perfetto-dmabuf-'));
});

afterEach(() => {
  rmSync(folder, {recursive: true, force: true});
});

const file = (name = 'x.pftrace'): string => join(folder, name);
const scene = snapshotOf([
  holdings({pid: 40}, [{buffer: buffer({inode: 12n})}]),
]);

function connecting(source: ConnectedSource): Partial<Effects> {
  return {connectSource: () => Promise.resolve(source)};
}

/** A sampler that fails after some samples. */
function failingAfter(
  samples: number,
  error: Error,
  options?: FakeSourceOptions,
): ConnectedSource {
  let taken = 0;
  return fakeSource(() => {
    if (taken++ >= samples) throw error;
    return scene;
  }, options);
}

const GONE = new DeviceError('gone', 'device 3A went away', 'plug it in again');

/** Runs until `when` says so, then presses Ctrl-C once. */
async function interrupted(
  argv: readonly string[],
  source: ConnectedSource,
  when: (io: FakeIo) => boolean,
): Promise<Ran> {
  const io = new FakeIo();
  const done = run(argv, io, {...realEffects, ...connecting(source)});
  const timer = setInterval(() => {
    if (!io.isListening || !when(io)) return;
    clearInterval(timer);
    io.pressCtrlC();
  }, 5);
  try {
    const code = await done;
    return {code, stdout: io.stdoutText, stderr: io.stderrText};
  } finally {
    clearInterval(timer);
  }
}

describe('record from the simulator', () => {
  it('writes a trace, says that it is simulated and how to open it', async () => {
    const path = file();
    const {code, stdout, stderr} = await runCli([
      ...['record', '--source', 'simulator', '-d', '1', '-i', '100'],
      ...['-o', path],
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^=== SIMULATED DATA: .* ===$/m);
    expect(stderr).toMatch(/^Reading simulator: .*, kernel 6\..*, uid 0/m);
    expect(stdout).toMatch(
      /^Wrote .*x\.pftrace: \d+ samples?, one every .*, .* KiB$/m,
    );
    expect(stdout).toContain(
      `Open it: 'perfetto-dmabuf open ${path}', or go to ` +
        "https://ui.perfetto.dev, choose 'Open trace file'",
    );
    const recording = await readRecording(path);
    expect(recording.provenance.simulated).toBe(true);
    expect(recording.ended).toBe('finished');
    expect(recording.buffers.length).toBeGreaterThan(0);
  });

  it.each([
    [3.2, 4, undefined],
    [3.1, 4, 'reached speed 3.1 in place of 4: it took longer, and what was'],
    [0.56, 1, 'reached speed 0.56 in place of 1: it took longer, and what'],
    [123.4, 1000, 'reached speed 123 in place of 1000: it took longer, and'],
  ])(
    'says that it was slow, if it was: speed %d of %d',
    async (reachedSpeed, speed, expected) => {
      const source = fakeSource(() => scene);
      const time = {speed} as SteppedTime;
      const {code, stderr} = await runCli(['record', '-o', file()], {
        effects: {
          ...connecting({...source, device: {...source.device, time}}),
          record: async (_, sink) => {
            await sink.close();
            return {
              samples: 2,
              damagedSamples: 0,
              endedBy: 'duration',
              bytesWritten: 1,
              reachedIntervalMs: 250,
              reachedSpeed,
            };
          },
        },
      });
      expect(code).toBe(0);
      if (expected === undefined) expect(stderr).not.toContain('speed');
      else expect(stderr).toContain(`warning: the simulation ${expected}`);
    },
  );

  it('names the trace after it unless told', async () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      const {code} = await runCli([
        ...['record', '--source', 'simulator', '-d', '0.2', '-i', '50'],
      ]);
      expect(code).toBe(0);
      expect(existsSync('trace.simulated.pftrace')).toBe(true);
      expect(existsSync('trace.pftrace')).toBe(false);
    } finally {
      process.chdir(before);
    }
  });

  it('-o - has nothing but the trace on standard output', async () => {
    const io = new FakeIo();
    const code = await run(
      [
        ...['record', '--source', 'simulator', '-d', '0.3', '-i', '50'],
        ...['-o', '-'],
      ],
      io,
    );
    expect(code).toBe(0);
    expect(io.stderrText).toMatch(/Wrote standard output: \d+ sample/);
    writeFileSync(file(), io.stdoutBytes);
    const {warnings, samples} = await readRecording(file());
    expect(warnings).toEqual([]);
    expect(samples.count).toBeGreaterThan(0);
  });

  it('-o - refuses a terminal', async () => {
    const {code, stderr} = await runCli(
      ['record', '--source', 'simulator', '-d', '1', '-o', '-'],
      {columns: 80},
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/standard output is a terminal.*-o FILE/);
  });

  it('shows progress on a terminal, and takes it away', async () => {
    const {code, stderr} = await runCli(
      [
        ...['record', '--source', 'simulator', '-d', '0.5', '-i', '50'],
        ...['-o', file()],
      ],
      {columns: 60, env: {TERM: 'xterm'}},
    );
    expect(code).toBe(0);
    const drawn = stderr.split('\r\x1b[K').slice(1);
    expect(drawn.length).toBeGreaterThan(1);
    expect(drawn[0]).toMatch(/^00:00 {2}1 sample \(\?\/s\) {2}\d+ buffers/);
    expect(drawn.at(-1)).not.toMatch(/sample/);
  });

  it('is quiet when piped, and on a dumb terminal', async () => {
    for (const options of [{}, {columns: 80, env: {TERM: 'dumb'}}]) {
      const {stderr} = await runCli(
        [
          ...['record', '--source', 'simulator', '-d', '0.2', '-i', '50'],
          ...['-o', file()],
        ],
        options,
      );
      expect(stderr).not.toMatch(STEERS_TERMINAL);
      expect(stderr).not.toContain('written');
    }
  });
});

describe('Ctrl-C', () => {
  it('ends a recording cleanly', async () => {
    const path = file();
    let asked = 0;
    const {code, stderr} = await interrupted(
      ['record', '-i', '10', '-o', path],
      fakeSource(() => {
        asked++;
        return scene;
      }),
      () => asked > 2,
    );
    expect({code, stderr}).toEqual({code: 0, stderr: expect.any(String)});
    expect(stderr).toContain('Recording until Ctrl-C');
    const {ended, samples} = await readRecording(path);
    expect(ended).toBeDefined();
    expect(samples.count).toBeGreaterThan(0);
  });

  it('before the first sample is 130', async () => {
    const {code, stderr} = await interrupted(
      ['record', '-o', file()],
      fakeSource(() => new Promise(() => undefined)),
      () => true,
    );
    expect(code).toBe(130);
    expect(stderr).toMatch(
      /perfetto-dmabuf: interrupted before there was any result\n$/,
    );
    expect(existsSync(file())).toBe(false);
  });

  it('while connecting is 130 and leaves no file', async () => {
    const io = new FakeIo();
    const done = run(['record', '-o', file()], io, {
      ...realEffects,
      connectSource: () =>
        new Promise(() => {
          setTimeout(() => {
            io.pressCtrlC();
          }, 5);
        }),
    });
    expect(await done).toBe(130);
    expect(existsSync(file())).toBe(false);
    expect(io.isListening).toBe(false);
  });

  it('is one when a wrapper passes it on once more', async () => {
    const io = new FakeIo();
    let samples = 0;
    const path = file();
    const code = await run(['record', '-i', '10', '-o', path], io, {
      ...realEffects,
      ...connecting(
        fakeSource(() => {
          if (++samples === 3) {
            io.pressCtrlC();
            io.pressCtrlC();
          }
          return scene;
        }),
      ),
    });
    expect(code).toBe(0);
    expect(io.stdoutText).toMatch(/^Wrote .*: \d+ samples?, /m);
  });

  it('twice breaks off what does not end by itself', async () => {
    const io = new FakeIo();
    const code = await run(['record', '-o', file()], io, {
      ...connecting(fakeSource(() => scene)),
      record: (_source, _sink, {onProgress}) => {
        onProgress?.({
          elapsedMs: 1,
          samples: 3,
          buffers: 1,
          totalBytes: 1n,
          heldBytes: 1n,
          bytesWritten: 1,
          reachedIntervalMs: 1,
          unreadable: 0,
        });
        setTimeout(() => {
          io.pressCtrlC();
        }, 5);
        setTimeout(() => {
          io.pressCtrlC();
        }, 600);
        return new Promise(() => undefined);
      },
    } as Effects);
    expect(code).toBe(1);
    expect(io.stderrText).toMatch(
      /broken off: the trace has 3 samples, but no end mark\n$/,
    );
  });
});

describe('a device that goes away', () => {
  it('ends the recording with an error, and what there is is safe', async () => {
    const path = file();
    let closed = 0;
    const {code, stdout, stderr} = await runCli(
      ['record', '-i', '10', '-o', path],
      {
        effects: connecting(failingAfter(3, GONE, {onClose: () => closed++})),
      },
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/^Wrote .*: 3 samples, /);
    expect(stderr).toMatch(
      /perfetto-dmabuf: device 3A went away: plug it in again \(what was recorded before that is safe\)\n$/,
    );
    expect(closed).toBe(1);
    const {samples, buffers} = await readRecording(path);
    expect(samples.count).toBe(3);
    expect(buffers.map(({inode}) => inode)).toEqual([12n]);
  });

  it('before the first sample is that error alone', async () => {
    const {code, stdout, stderr} = await runCli(['record', '-o', file()], {
      effects: connecting(failingAfter(0, GONE)),
    });
    expect({code, stdout}).toEqual({code: 1, stdout: ''});
    expect(stderr).toMatch(
      /\nperfetto-dmabuf: device 3A went away: plug it in again\n$/,
    );
  });
});

describe('the output', () => {
  const mayNotConnect: Partial<Effects> = {
    connectSource: () => Promise.reject(new Error('must not connect')),
  };

  it('is opened before the device is touched', async () => {
    for (const [path, message] of [
      [join(folder, 'none', 'x.pftrace'), /there is no such folder/],
      [folder, /it is a folder/],
    ] as const) {
      const {code, stderr} = await runCli(['record', '-o', path], {
        effects: mayNotConnect,
      });
      expect(code).toBe(1);
      expect(stderr).toMatch(message);
      expect(stderr).toMatch(/^perfetto-dmabuf: cannot write .*\n$/);
    }
  });

  it('that may not be written is an error, and stays', async (context) => {
    // Refused to root too, unlike a file that chmod made read-only.
    const path = '/proc/sys/kernel/osrelease';
    if (!existsSync(path)) {
      process.stderr.write(`SKIPPED: read-only output: there is no ${path}\n`);
      context.skip();
    }
    const {code, stderr} = await runCli(['record', '-o', path], {
      effects: mayNotConnect,
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^perfetto-dmabuf: cannot write .*: permission denied: choose .* -o\n$/,
    );
  });

  it('stays as it was when there is no device', async () => {
    const path = file();
    writeFileSync(path, 'an older trace');
    const {code} = await runCli(['record', '-o', path], {
      effects: {connectSource: () => Promise.reject(GONE)},
    });
    expect(code).toBe(1);
    expect(readFileSync(path, 'utf8')).toBe('an older trace');
  });

  it('is not left behind empty when there is no device', async () => {
    await runCli(['record', '-o', file()], {
      effects: {connectSource: () => Promise.reject(GONE)},
    });
    expect(existsSync(file())).toBe(false);
  });

  it('replaces an older one', async () => {
    const path = file();
    writeFileSync(path, 'x'.repeat(100_000));
    await runCli(['record', '-d', '0.05', '-i', '10', '-o', path], {
      effects: connecting(fakeSource(() => scene)),
    });
    expect((await readRecording(path)).warnings).toEqual([]);
  });

  it('on a full disk is an error', async (context) => {
    if (!existsSync('/dev/full')) {
      process.stderr.write('SKIPPED: full disk: there is no /dev/full\n');
      context.skip();
    }
    const {code, stderr} = await runCli(
      ['record', '-d', '0.1', '-o', '/dev/full'],
      {effects: connecting(fakeSource(() => scene))},
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /\nperfetto-dmabuf: cannot write \/dev\/full: the disk is full: .*\n$/,
    );
  });
});

describe('an unrooted device', () => {
  const refused = snapshotOf(
    [holdings({pid: 1}, [], {readState: 'unreadable'})],
    [],
    {kernelList: undefined, fileCounts: false, processesUnreadable: 1},
  );

  it('that shows nothing is not done, and says what to do', async () => {
    const {code, stderr} = await runCli(
      ['record', '-d', '0.05', '-i', '10', '-o', file()],
      {
        effects: connecting(
          fakeSource(() => refused, {capabilities: UNROOTED}),
        ),
      },
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /warning: cannot be seen: which buffers .* uid 2000 \(shell\).*--root/,
    );
    expect(stderr).toMatch(/warning: cannot be seen: the total, and /);
    expect(stderr).toMatch(/the trace shows nothing: use --root .*--su/);
  });

  it('that gives the sums of processes is done', async () => {
    const sums = snapshotOf(
      [
        holdings({pid: 1}, [], {
          readState: 'unreadable',
          kernelRssBytes: 4096n,
        }),
      ],
      [],
      {kernelList: undefined, fileCounts: false, processesUnreadable: 1},
    );
    const {code, stderr} = await runCli(
      ['record', '-d', '0.05', '-i', '10', '-o', file()],
      {
        effects: connecting(
          fakeSource(() => sums, {
            capabilities: {...UNROOTED, dmabufRss: 'yes'},
          }),
        ),
      },
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/only the kernel's sums for each process \(RSS\)/);
  });
});

it('warns of samples that could not be read in full', async () => {
  const damaged = snapshotOf([], [], {problems: ['fds: cut']});
  const {code, stderr} = await runCli(
    ['record', '-d', '0.05', '-i', '10', '-o', file()],
    {effects: connecting(fakeSource(() => damaged))},
  );
  expect(code).toBe(0);
  expect(stderr).toMatch(/warning: \d+ samples? could not be read in full/);
});
