// SPDX-License-Identifier: Apache-2.0
import {
  DEFAULT_PROFILE,
  ScenarioError,
  startSimulation,
  type SimulatedKernel,
  type SimulationOptions,
} from '../../core/kernel/index.js';
import {bytesFromRaw, type RawText} from '../../core/model/index.js';
import {SimulatedCollector} from '../collector/simulated_collector.js';
import {
  DeviceError,
  type Device,
  type RawStream,
  type SteppedTime,
} from './device.js';

/** Times as fast as real time, at least and at most. */
export const SPEED_RANGE = {min: 0.01, max: 1000} as const;

export interface SimulatedDeviceOptions extends SimulationOptions {
  /** How many times faster than real time it plays; by default 1. */
  readonly speed?: number | undefined;
  /** How far into the story the device is opened, s; by default 0. */
  readonly at?: number | undefined;
  /** Simulated time that a request of the collector takes, ns; by default 1 ms. */
  readonly requestNs?: bigint | undefined;
}

/**
 * A device that is not there: a simulated kernel on which a scenario plays, read
 * through the collector's own protocol. Its time passes by what is done with it
 * and not by the host's clock, so that the same options give the same samples.
 *
 * @throws ScenarioError for an unknown scenario or an absurd scale, seed or
 *     speed
 * @throws UnknownProfileError
 */
export function openSimulatedDevice(
  options: SimulatedDeviceOptions = {},
): Device {
  const {speed = 1, at = 0, profile = DEFAULT_PROFILE} = options;
  const {min, max} = SPEED_RANGE;
  if (!(speed >= min && speed <= max)) {
    throw new ScenarioError(
      `speed ${speed}: give a number from ${min} to ${max}`,
    );
  }
  const {kernel, scenario, seed, scale} = startSimulation(options);
  if (!(at >= 0 && Number.isFinite(at))) {
    throw new ScenarioError(`at ${at} s: give a number from 0 on`);
  }
  kernel.advance(BigInt(Math.round(at * 1e9)));
  const kernelName = profile === DEFAULT_PROFILE ? '' : `, kernel ${profile}`;
  return deviceOfKernel(kernel, {
    description: `simulator: ${scenario.name}, seed ${seed}, scale ${scale}${kernelName}`,
    ...stepped(kernel, speed, options.requestNs ?? REQUEST_NS),
  });
}

export interface KernelDeviceOptions {
  readonly description: string;
  /** User id of the collector's shell, by default root. */
  readonly uid?: number;
  /** Called as a stream opens; what it gives is called before each request. */
  readonly onOpen?: () => () => void;
  readonly time?: SteppedTime;
}

/** A simulated kernel as a device. */
export function deviceOfKernel(
  kernel: SimulatedKernel,
  options: KernelDeviceOptions,
): Device {
  return new SimulatedDevice(kernel, options);
}

const O_RDWR = 2;

class SimulatedDevice implements Device {
  readonly kind = 'simulator';
  readonly serial = 'simulator';
  readonly description: string;
  readonly time: SteppedTime | undefined;
  private readonly streams = new Set<SimulatedStream>();

  constructor(
    private readonly kernel: SimulatedKernel,
    private readonly options: KernelDeviceOptions,
  ) {
    this.description = options.description;
    this.time = options.time;
  }

  async open(): Promise<RawStream> {
    const {uid = 0, onOpen} = this.options;
    const pid = this.kernel.spawn({
      comm: 'sh',
      executable: '/system/bin/sh',
      uid,
    });
    // As adbd starts it: a pty on stdin, stdout and stderr.
    for (const flags of [O_RDWR, O_RDWR, O_RDWR]) {
      this.kernel.open(pid, '/dev/pts/0', {flags});
    }
    const stream = new SimulatedStream(
      new SimulatedCollector(this.kernel, this.kernel.vfsAs(uid), pid),
      onOpen?.() ?? (() => undefined),
      () => {
        if (this.streams.delete(stream)) this.kernel.exit(pid);
      },
    );
    this.streams.add(stream);
    return Promise.resolve(stream);
  }

  run(): Promise<Uint8Array> {
    return Promise.reject(
      new DeviceError(
        'refused',
        'the simulator runs no shell commands',
        'use a device',
      ),
    );
  }

  async close(): Promise<void> {
    for (const stream of [...this.streams]) await stream.close();
  }
}

/** About what a request takes on a phone. */
const REQUEST_NS = 1_000_000n;

/** The kernel's time, of which every request takes some. */
function stepped(
  kernel: SimulatedKernel,
  speed: number,
  requestNs: bigint,
): Pick<KernelDeviceOptions, 'onOpen' | 'time'> {
  let limitNs: bigint | undefined;
  const time: SteppedTime = {
    speed,
    get nowNs() {
      return kernel.now;
    },
    advanceTo: (ns) => {
      if (ns > kernel.now) kernel.advance(ns - kernel.now);
    },
    limitTo: (ns) => {
      limitNs = ns;
    },
  };
  const work = (): void => {
    const endNs = kernel.now + requestNs;
    time.advanceTo(limitNs !== undefined && limitNs < endNs ? limitNs : endNs);
  };
  return {onOpen: () => work, time};
}

/** Both directions of the simulated collector. */
class SimulatedStream implements RawStream {
  private readonly output: RawText[] = [];
  private wake: (() => void) | undefined;
  private input = '';
  private ended = false;

  constructor(
    private readonly collector: SimulatedCollector,
    private readonly onRequest: () => void,
    private readonly onClose: () => void,
  ) {
    this.say(collector.hello());
  }

  readonly texts: AsyncIterable<RawText> = {
    [Symbol.asyncIterator]: () => ({next: () => this.next()}),
  };

  readonly chunks: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: async (): Promise<IteratorResult<Uint8Array>> => {
        const {done, value} = await this.next();
        return done === true
          ? {done, value: undefined}
          : {done: false, value: bytesFromRaw(value)};
      },
    }),
  };

  private async next(): Promise<IteratorResult<RawText, undefined>> {
    for (;;) {
      const text = this.output.shift();
      if (text !== undefined) return {done: false, value: text};
      if (this.ended) return {done: true, value: undefined};
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  write(data: Uint8Array | string): Promise<void> {
    this.input +=
      typeof data === 'string' ? data : Buffer.from(data).toString();
    for (;;) {
      const end = this.input.indexOf('\n');
      if (end === -1) return Promise.resolve();
      const line = this.input.slice(0, end);
      this.input = this.input.slice(end + 1);
      this.onRequest();
      const answer = this.collector.answer(line);
      if (answer === undefined) return this.close();
      this.say(answer);
    }
  }

  close(): Promise<void> {
    this.ended = true;
    this.onClose();
    this.wake?.();
    return Promise.resolve();
  }

  private say(text: RawText): void {
    if (text === '') return;
    this.output.push(text);
    this.wake?.();
  }
}
