// SPDX-License-Identifier: Apache-2.0
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {FormatError} from '../../src/core/formats/index.js';
import type {Snapshot} from '../../src/core/model/index.js';
import {connectCollector} from '../../src/producer/collector/connect.js';
import {
  DeviceError,
  type Device,
  type RawStream,
} from '../../src/producer/device/device.js';
import {openSimulatedDevice} from '../../src/producer/device/simulated_device.js';
import {
  record,
  type Progress,
  type RecordingOptions,
  type RecordingResult,
} from '../../src/producer/recording.js';
import type {ConnectedSource} from '../../src/producer/source.js';
import {
  TraceWriteError,
  readRecording,
  type Recording,
  type TraceSink,
} from '../../src/producer/trace/index.js';

/** Keeps what is written; fails when it holds `limit` pieces. */
class MemorySink implements TraceSink {
  readonly pieces: Uint8Array[] = [];
  closes = 0;
  closeError: Error | undefined;

  constructor(private readonly limit = Infinity) {}

  get bytesWritten(): number {
    return this.pieces.reduce((sum, {length}) => sum + length, 0);
  }

  async write(chunk: Uint8Array): Promise<void> {
    await Promise.resolve();
    if (this.pieces.length >= this.limit) {
      throw new TraceWriteError('ENOSPC', 'cannot write x: the disk is full');
    }
    this.pieces.push(Uint8Array.from(chunk));
  }

  close(): Promise<void> {
    this.closes++;
    return this.closeError === undefined
      ? Promise.resolve()
      : Promise.reject(this.closeError);
  }

  async recording(): Promise<Recording> {
    const folder = await mkdtemp(join(tmpdir(), 'recording-'));
    try {
      const path = join(folder, 'trace.pftrace');
      await writeFile(path, Buffer.concat(this.pieces));
      return await readRecording(path);
    } finally {
      await rm(folder, {recursive: true});
    }
  }
}

/** What becomes of what the simulator says: undefined ends the stream. */
type Left = Uint8Array | Error | undefined;
type Tamper = (chunk: Uint8Array) => Left | readonly Left[];

interface Simulated {
  readonly source: ConnectedSource;
  /** Set it to spoil what comes from now on. */
  tamper: Tamper;
}

/** A simulator in whose time half a second passes with each request. */
async function simulated(timeoutMs = 30_000): Promise<Simulated> {
  const inner = openSimulatedDevice({requestNs: 500_000_000n});
  const knob = {tamper: (chunk: Uint8Array) => chunk} as {tamper: Tamper};
  const device: Device = {
    kind: inner.kind,
    serial: inner.serial,
    description: inner.description,
    run: (command) => inner.run(command),
    close: () => inner.close(),
    open: async (command) => spoiled(await inner.open(command), knob),
  };
  const collector = await connectCollector(device, {timeoutMs});
  const source: ConnectedSource = {
    device,
    collector,
    provenance: {
      simulated: true,
      source: 'simulator',
      device: device.description,
      kernelRelease: collector.capabilities.kernelRelease,
      buildFingerprint: undefined,
      bootId: undefined,
      uid: 0,
      toolVersion: 'test',
    },
    simulatedWhy: 'a test',
    close: async () => {
      await collector.close();
      await device.close();
    },
  };
  return Object.assign(knob, {source});
}

function spoiled(stream: RawStream, knob: {tamper: Tamper}): RawStream {
  return {
    write: (data) => stream.write(data),
    close: () => stream.close(),
    chunks: (async function* () {
      for await (const chunk of stream.chunks) {
        const result = knob.tamper(chunk);
        for (const left of Array.isArray(result) ? result : [result]) {
          if (left === undefined) return;
          if (left instanceof Error) throw left;
          if (left.length > 0) yield left as Uint8Array;
        }
      }
    })(),
  };
}

const NO_SIGNAL = new AbortController().signal;

/** Records at once, one sample after the other. */
function recordInto(
  {source}: Simulated,
  sink: TraceSink,
  options: Partial<RecordingOptions> = {},
): Promise<RecordingResult> {
  return record(source, sink, {intervalMs: 1, signal: NO_SIGNAL, ...options});
}

/** Aborts, or does something else, once so many samples are in. */
function after(samples: number, then: () => void) {
  return (progress: Progress): void => {
    if (progress.samples === samples) then();
  };
}

describe('a recording', () => {
  it('ends when the time is up', async () => {
    const sink = new MemorySink();
    const device = await simulated();
    const result = await recordInto(device, sink, {durationMs: 60});
    expect(result.endedBy).toBe('duration');
    expect(result.error).toBeUndefined();
    expect(result.samples).toBeGreaterThan(0);
    expect(result.bytesWritten).toBe(sink.bytesWritten);
    const read = await sink.recording();
    expect(read.ended).toBe('finished');
    expect(read.samples.count).toBe(result.samples);
    expect(read.warnings).toEqual([]);
    expect(sink.closes).toBe(1);
    await device.source.close();
  });

  it('ends when it is interrupted between samples', async () => {
    const sink = new MemorySink();
    const device = await simulated();
    const abort = new AbortController();
    const result = await recordInto(device, sink, {
      signal: abort.signal,
      intervalMs: 3_600_000,
      onProgress: after(1, () => {
        setImmediate(() => {
          abort.abort();
        });
      }),
    });
    expect(result).toMatchObject({endedBy: 'interrupt', samples: 1});
    expect((await sink.recording()).ended).toContain('interrupted');
    expect(sink.closes).toBe(1);
    await device.source.close();
  });

  it('drops the sample in which it is interrupted', async () => {
    const sink = new MemorySink();
    const device = await simulated();
    const abort = new AbortController();
    let chunks = 0;
    const recording = recordInto(device, sink, {
      signal: abort.signal,
      onProgress: after(3, () => {
        // The device says no more, and the interrupt comes while we wait.
        device.tamper = () => {
          if (++chunks === 1) abort.abort();
          return new Uint8Array();
        };
      }),
    });
    const result = await recording;
    expect(result).toMatchObject({
      endedBy: 'interrupt',
      samples: 3,
      damagedSamples: 0,
    });
    expect((await sink.recording()).samples.count).toBe(3);
    await device.source.close();
  });

  it('writes nothing when it is interrupted before it begins', async () => {
    const sink = new MemorySink();
    const device = await simulated();
    const abort = new AbortController();
    abort.abort();
    const result = await recordInto(device, sink, {signal: abort.signal});
    expect(result).toMatchObject({endedBy: 'interrupt', samples: 0});
    expect(sink.pieces).toEqual([]);
    expect(sink.closes).toBe(1);
    await device.source.close();
  });

  it('tells how it stands', async () => {
    const device = await simulated();
    const told: Progress[] = [];
    const abort = new AbortController();
    await recordInto(device, new MemorySink(), {
      signal: abort.signal,
      onProgress: (progress) => {
        told.push(progress);
        if (progress.samples === 4) abort.abort();
      },
    });
    expect(told.map(({samples}) => samples)).toEqual([1, 2, 3, 4]);
    const [first, , , last] = told;
    expect(first?.reachedIntervalMs).toBeUndefined();
    expect(last?.reachedIntervalMs).toBeGreaterThan(1000);
    expect(last?.buffers).toBeGreaterThan(0);
    expect(last?.heldBytes).toBeGreaterThan(0n);
    expect(last?.bytesWritten).toBeGreaterThan(first?.bytesWritten ?? 0);
    await device.source.close();
  });
});

describe('a device that goes away', () => {
  const gone = new DeviceError('gone', 'unplugged', 'plug it in');
  it.each<[string, (chunk: Uint8Array, count: number) => Left | Left[]]>([
    ['between samples', () => gone],
    ['in mid-sample', (chunk, count) => (count < 3 ? chunk : gone)],
    [
      'in mid-answer',
      (chunk, count) => (count < 3 ? chunk : [chunk.subarray(0, 50), gone]),
    ],
  ])('%s leaves all samples so far', async (_, spoil) => {
    const sink = new MemorySink();
    const device = await simulated();
    let chunks = 0;
    const result = await recordInto(device, sink, {
      onProgress: after(5, () => {
        device.tamper = (chunk) => spoil(chunk, chunks++);
      }),
    });
    expect(result).toMatchObject({
      endedBy: 'device-gone',
      error: {code: 'gone'},
      samples: 5,
    });
    const read = await sink.recording();
    expect(read.samples.count).toBe(5);
    expect(read.ended).toContain('unplugged');
    expect(read.warnings).toEqual([]);
    expect(sink.closes).toBe(1);
    await device.source.close();
  });

  it('may just end the collector', async () => {
    const sink = new MemorySink();
    const device = await simulated();
    const result = await recordInto(device, sink, {
      onProgress: after(2, () => {
        device.tamper = () => undefined;
      }),
    });
    expect(result).toMatchObject({endedBy: 'device-gone', samples: 2});
    expect((await sink.recording()).samples.count).toBe(2);
  });

  it('before it told its time gives no recording', async () => {
    const sink = new MemorySink();
    const device = await simulated();
    device.tamper = () => new DeviceError('gone', 'unplugged', 'plug it in');
    await expect(recordInto(device, sink)).rejects.toMatchObject({
      code: 'gone',
    });
    expect(sink.closes).toBe(1);
  });
});

describe('a device that does not answer', () => {
  it('once loses a sample', async () => {
    const sink = new MemorySink();
    const device = await simulated(50);
    const abort = new AbortController();
    let silent = false;
    const result = await recordInto(device, sink, {
      signal: abort.signal,
      onProgress: ({samples}) => {
        if (samples === 2 && !silent) {
          silent = true;
          device.tamper = () => {
            device.tamper = (chunk) => chunk;
            return new Uint8Array();
          };
        }
        if (samples === 5) abort.abort();
      },
    });
    expect(result).toMatchObject({
      endedBy: 'interrupt',
      samples: 5,
      damagedSamples: 1,
    });
    const {samples} = await sink.recording();
    expect(samples).toMatchObject({count: 5, missing: 1});
    await device.source.close();
  });

  it('any more has gone away', async () => {
    const sink = new MemorySink();
    const device = await simulated(50);
    const result = await recordInto(device, sink, {
      onProgress: after(3, () => {
        device.tamper = () => new Uint8Array();
      }),
    });
    expect(result).toMatchObject({
      endedBy: 'device-gone',
      error: {code: 'timeout'},
      samples: 3,
    });
    expect((await sink.recording()).samples.count).toBe(3);
    await device.source.close();
  });
});

describe('a stream that is garbled', () => {
  const garble = (chunk: Uint8Array): Uint8Array => {
    const text = Buffer.from(chunk);
    return Buffer.concat([text.subarray(0, 35), text.subarray(40)]);
  };

  it('now and then loses samples, and no more', async () => {
    const sink = new MemorySink();
    const device = await simulated(200);
    const abort = new AbortController();
    let samples = 0;
    let chunks = 0;
    device.tamper = (chunk) => (++chunks % 40 === 0 ? garble(chunk) : chunk);
    const result = await recordInto(device, sink, {
      signal: abort.signal,
      onProgress: (progress) => {
        ({samples} = progress);
        if (samples === 30) abort.abort();
      },
    });
    expect(result).toMatchObject({endedBy: 'interrupt', samples: 30});
    expect(result.damagedSamples).toBeGreaterThan(0);
    const read = await sink.recording();
    expect(read.samples.count).toBe(30);
    const marked = [...read.samples.problems.values()];
    expect(
      marked.reduce((sum, count) => sum + count, 0) + read.samples.missing,
    ).toBeGreaterThan(0);
    await device.source.close();
  });

  it('for good is given up', async () => {
    const sink = new MemorySink();
    const device = await simulated(200);
    const result = await recordInto(device, sink, {
      onProgress: after(3, () => {
        device.tamper = garble;
      }),
    });
    expect(result.endedBy).toBe('device-gone');
    expect(result.error).toBeInstanceOf(FormatError);
    expect(result.samples).toBe(3);
    expect(result.damagedSamples).toBeGreaterThanOrEqual(5);
    const read = await sink.recording();
    expect(read.samples.count).toBe(3);
    expect(read.ended).toBeDefined();
    await device.source.close();
  });
});

describe('a sink that takes no more', () => {
  it('ends the recording; what it took is whole', async () => {
    const device = await simulated();
    const sink = new MemorySink(4);
    const told: number[] = [];
    await expect(
      recordInto(device, sink, {
        onProgress: ({samples}) => told.push(samples),
      }),
    ).rejects.toMatchObject({code: 'ENOSPC'});
    expect(sink.closes).toBe(1);
    expect(told).toEqual([1, 2, 3]);
    const read = await sink.recording();
    expect(read.samples.count).toBe(3);
    expect(read.ended).toBeUndefined();
    await device.source.close();
  });

  it('is what counts, even when it cannot be closed either', async () => {
    const device = await simulated();
    const sink = new MemorySink(2);
    sink.closeError = new Error('close failed');
    await expect(recordInto(device, sink)).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    await device.source.close();
  });

  it('fails the recording when it cannot be closed', async () => {
    const device = await simulated();
    const sink = new MemorySink();
    sink.closeError = new TraceWriteError('EIO', 'cannot write x');
    await expect(
      recordInto(device, sink, {durationMs: 5}),
    ).rejects.toMatchObject({code: 'EIO'});
    await device.source.close();
  });
});

describe('an error that is ours', () => {
  it('is not taken for the device going away', async () => {
    const device = await simulated();
    const {sampler} = device.source.collector;
    let samples = 0;
    const sample = sampler.sample.bind(sampler);
    sampler.sample = (options): Promise<Snapshot> =>
      ++samples < 3 ? sample(options) : Promise.reject(new TypeError('a bug'));
    const sink = new MemorySink();
    await expect(recordInto(device, sink)).rejects.toThrow('a bug');
    expect(sink.closes).toBe(1);
    expect((await sink.recording()).samples.count).toBe(2);
    await device.source.close();
  });
});
