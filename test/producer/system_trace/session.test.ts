// SPDX-License-Identifier: Apache-2.0
// The script in a real shell, with a perfetto that records this machine.
import {spawnSync} from 'node:child_process';
import {readFileSync, rmSync} from 'node:fs';
import {afterEach, describe, expect, test} from 'vitest';
import type {Device} from '../../../src/producer/device/device.js';
import {
  builtInConfig,
  NoPerfettoError,
  startSystemTrace,
  type SystemTraceOptions,
} from '../../../src/producer/system_trace/index.js';
import type {TraceSink} from '../../../src/producer/trace/sinks.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {LocalDevice, standIn} from './local_device.js';

const folder = standIn();
const isHere = folder !== undefined && (await hasTraceProcessor());

class Memory implements TraceSink {
  readonly pieces: Uint8Array[] = [];
  bytesWritten = 0;

  write(chunk: Uint8Array): Promise<void> {
    this.pieces.push(chunk.slice());
    this.bytesWritten += chunk.length;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** `allow shell perfetto:process signal`, and no more. */
const STRICT_KILL = `kill() {
  case $1 in -0 | -KILL | -9 | -STOP) return 1 ;; esac
  command kill "$@"
}`;

const CONFIG = builtInConfig({version: undefined, durationMs: undefined});

function start(
  device: Device,
  options: Partial<SystemTraceOptions> & {readonly text?: string} = {},
): ReturnType<typeof startSystemTrace> {
  return startSystemTrace(device, {
    config: () => options.text ?? CONFIG,
    timeoutMs: 10_000,
    beatMs: 50,
    ...options,
  });
}

describe.skipIf(folder === undefined)('with the stand-in', () => {
  let local = new LocalDevice(folder ?? '');
  const device = (): LocalDevice => (local = new LocalDevice(folder ?? ''));

  // Whatever a test did: no session and no file stays.
  afterEach(async () => {
    expect(await local.leftOvers()).toEqual([]);
  });

  test.skipIf(!isHere)('a trace comes whole', async () => {
    const session = await start(device());
    await until(() => session.bytes > 0);
    const sink = new Memory();
    const seen: number[][] = [];
    const result = await session.stop(sink, (...bytes) => seen.push(bytes));
    expect(result).toEqual({bytes: sink.bytesWritten, note: undefined});
    expect(seen.at(-1)).toEqual([result.bytes, result.bytes]);
    const db = await openTrace(Buffer.concat(sink.pieces));
    try {
      expect(await db.importErrors()).toEqual([]);
      const found = await db.query(
        `SELECT count(*) AS n FROM process WHERE pid = ${process.pid}`,
      );
      expect(found).toEqual([{n: 1}]);
      expect(
        await db.query(
          `SELECT str_value LIKE '%stand-in%' AS said FROM metadata
           WHERE name = 'tracing_service_version'`,
        ),
      ).toEqual([{said: 1}]);
    } finally {
      db.close();
    }
  });

  test('a large one comes in pieces', async () => {
    const session = await start(device(), {
      text: `# stand-in: pad 20000000\n${CONFIG}`,
    });
    const sink = new Memory();
    const {bytes} = await session.stop(sink);
    expect(bytes).toBeGreaterThan(20_000_000);
    expect(sink.bytesWritten).toBe(bytes);
    expect(sink.pieces.length).toBeGreaterThan(10);
  });

  test("what Android's policy denies a shell is not needed", async () => {
    const strict = device();
    const open = strict.open.bind(strict);
    strict.open = (command) => open(`${STRICT_KILL}\n${command}`);
    const session = await start(strict);
    await until(() => session.bytes > 0);
    expect(session.endedEarly).toBe(false);
    const sink = new Memory();
    expect((await session.stop(sink)).note).toBeUndefined();
    expect(sink.bytesWritten).toBeGreaterThan(0);
  });

  test('a file that may not be removed is told', async () => {
    const strict = device();
    const open = strict.open.bind(strict);
    strict.open = (command) => open(`rm() { return 1; }\n${command}`);
    const session = await start(strict);
    const {note = ''} = await session.stop(new Memory());
    expect(note).toMatch(/be removed: remove \/.*perfetto-dmabuf-.*\.pftrace$/);
    rmSync(note.split(' ').at(-1) ?? '');
  });

  test('the configuration sees the version, and is not mangled', async () => {
    const versions: unknown[] = [];
    const odd = `# ' " $(exit 1) \`exit 2\` \\n \\ ü\n${CONFIG}`;
    const session = await start(device(), {
      config: (version) => {
        versions.push(version);
        return odd;
      },
    });
    expect(versions).toEqual([56]);
    await session.close();
  });

  test('a configuration that perfetto refuses says why', async () => {
    const started = start(device(), {text: 'duration_ms: 1\nnonsense: 2'});
    await expect(started).rejects.toMatchObject({
      code: 'refused',
      message:
        'perfetto on this machine did not start (-:2:1 error: No field named ' +
        '"nonsense" in proto TraceConfig): correct the configuration, or ' +
        'leave out --config for the built-in one',
    });
  });

  test('a session that the service refuses says why', async () => {
    const started = start(device(), {
      text: `# stand-in: refused\n${CONFIG}`,
    });
    await expect(started).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('(Service error: refused, as the'),
    });
  });

  test('one that ends by itself is there, with a note', async () => {
    const session = await start(device(), {text: 'duration_ms: 10'});
    await until(() => session.endedEarly);
    const sink = new Memory();
    const result = await session.stop(sink);
    expect(result.bytes).toBeGreaterThan(0);
    expect(result.note).toMatch(/ended before the recording/);
  });

  test(
    'one that does not end when told is killed',
    {timeout: 60_000},
    async () => {
      const session = await start(device(), {
        text: `# stand-in: deaf\n${CONFIG}`,
      });
      const {note} = await session.stop(new Memory());
      expect(note).toMatch(/did not end and was killed/);
    },
  );

  test('a host that hangs up ends it', async () => {
    const session = await start(device());
    await session.close();
    expect(await local.leftOvers()).toEqual([]);
  });

  test('a host that falls silent ends it', {timeout: 60_000}, async () => {
    // The stream stays open, as over a network that was cut.
    const session = await start(device(), {beatMs: 3_600_000});
    expect(await local.leftOvers()).toEqual([]);
    await expect(session.stop(new Memory())).rejects.toThrow();
  });

  test('a shell that is killed leaves no file', async () => {
    const session = await start(device());
    local.children[0]?.kill('SIGHUP');
    await expect(session.stop(new Memory())).rejects.toThrow();
  });

  test('giving up while it starts leaves nothing', async () => {
    const giveUp = new AbortController();
    const started = start(device(), {
      signal: giveUp.signal,
      config: () => {
        giveUp.abort(new Error('enough'));
        return CONFIG;
      },
    });
    await expect(started).rejects.toThrow('enough');
  });
});

describe.skipIf(folder === undefined)('without perfetto', () => {
  test('it says so', async () => {
    const device = new (class extends LocalDevice {
      override open(command: string): ReturnType<LocalDevice['open']> {
        return super.open(`PATH=/nowhere\n${command}`);
      }
    })('');
    const error = await start(device).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(NoPerfettoError);
    expect((error as Error).message).toBe(
      'this machine has no perfetto, so there is no system trace: Android has ' +
        'it since version 9; leave out --system-trace elsewhere',
    );
  });
});

/** The real one has to run, with its service, and be found by PATH. */
const hasReal =
  folder !== undefined &&
  spawnSync('perfetto', ['--query'], {encoding: 'utf8'}).status === 0;
if (!hasReal) {
  process.stderr.write(
    'SKIPPED: system traces with the real perfetto: missing: a perfetto and a ' +
      'traced that runs\n',
  );
}

describe.skipIf(!hasReal)('with the real perfetto', () => {
  const device = new LocalDevice('');

  afterEach(async () => {
    expect(await device.leftOvers()).toEqual([]);
    const {stdout} = spawnSync('perfetto', ['--query'], {encoding: 'utf8'});
    expect(stdout).toContain('Tracing sessions: 0 (started: 0)');
  });

  test.each([undefined, 9, 36, 99])(
    'the built-in configuration for version %s is understood',
    async (version) => {
      const session = await start(device, {
        config: (real) =>
          builtInConfig({
            version: Math.min(version ?? 3, real ?? 3),
            durationMs: 1000,
          }),
      });
      const sink = new Memory();
      const {bytes, note} = await session.stop(sink);
      expect(note).toBeUndefined();
      expect(bytes).toBe(sink.bytesWritten);
    },
  );

  test.skipIf(!isHere)('its trace shows this process', async () => {
    const session = await start(device, {
      config: (version) => builtInConfig({version, durationMs: undefined}),
    });
    const sink = new Memory();
    await session.stop(sink);
    const db = await openTrace(Buffer.concat(sink.pieces));
    try {
      const name = readFileSync('/proc/self/comm', 'utf8').trim();
      expect(
        await db.query(`SELECT pid FROM process WHERE pid = ${process.pid}`),
        name,
      ).toEqual([{pid: process.pid}]);
    } finally {
      db.close();
    }
  });

  test('a host that hangs up ends the session', async () => {
    const session = await start(device);
    await session.close();
  });

  test('nonsense is refused in its own words', async () => {
    await expect(start(device, {text: 'foo: 1'})).rejects.toThrow(
      /\(-:1:1 error: No field named "foo" in proto TraceConfig\)/,
    );
  });
});

async function until(done: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!done()) {
    if (performance.now() > deadline) throw new Error('it never came');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
