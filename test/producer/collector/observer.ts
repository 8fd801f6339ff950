// SPDX-License-Identifier: Apache-2.0
import type {Capabilities} from '../../../src/producer/collector/capabilities.js';
import {connectCollector} from '../../../src/producer/collector/connect.js';
import type {Sampler} from '../../../src/producer/collector/sampler.js';
import type {Device} from '../../../src/producer/device/device.js';
import {deviceOfKernel} from '../../../src/producer/device/simulated_device.js';
import type {World} from './kernel_world.js';

/** A collector that looks at a world. */
export interface Observer {
  readonly world: World;
  readonly sampler: Sampler;
  readonly capabilities: Capabilities;
  /** pid of the collector's shell. */
  readonly pid: number;
  /** Called before each request; set it to let things happen in mid-sample. */
  onRequest: (() => void) | undefined;
  /** What happens to each chunk on its way to the host. */
  tamper: ((chunk: Uint8Array) => Uint8Array) | undefined;
}

export interface ObserveOptions {
  /** User id of the collector; by default root. */
  readonly uid?: number;
  readonly timeoutMs?: number;
}

export async function observe<T>(
  world: World,
  look: (observer: Observer) => Promise<T>,
  {uid = 0, timeoutMs = 30_000}: ObserveOptions = {},
): Promise<T> {
  const hooks: Pick<Observer, 'onRequest' | 'tamper'> = {
    onRequest: undefined,
    tamper: undefined,
  };
  const device = deviceOfKernel(world.kernel, {
    description: 'a world',
    uid,
    onOpen: () => () => hooks.onRequest?.(),
  });
  const before = new Set(world.kernel.processes.list().map(({pid}) => pid));
  const collector = await connectCollector(
    tampered(device, (chunk) => hooks.tamper?.(chunk) ?? chunk),
    {timeoutMs},
  );
  const pid =
    world.kernel.processes.list().find((each) => !before.has(each.pid))?.pid ??
    0;
  world.spared.add(pid);
  const observer: Observer = Object.assign(hooks, {...collector, world, pid});
  try {
    return await look(observer);
  } finally {
    await collector.close();
    await device.close();
  }
}

export function tampered(
  device: Device,
  tamper: (chunk: Uint8Array) => Uint8Array,
): Device {
  return {
    kind: device.kind,
    serial: device.serial,
    description: device.description,
    run: (command) => device.run(command),
    close: () => device.close(),
    open: async (command) => {
      const stream = await device.open(command);
      return {
        write: (data) => stream.write(data),
        close: () => stream.close(),
        chunks: (async function* () {
          for await (const chunk of stream.chunks) yield tamper(chunk);
        })(),
      };
    },
  };
}
