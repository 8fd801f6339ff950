// SPDX-License-Identifier: Apache-2.0
import {randomBytes} from 'node:crypto';
import type {Device} from '../device/device.js';
import {probe, type Capabilities} from './capabilities.js';
import {DEFAULT_PACING, type PacingOptions} from './pacing.js';
import {Sampler} from './sampler.js';
import {COLLECTOR_SCRIPT} from './script.js';
import {CollectorSession} from './session.js';

/** A collector that runs on a device and knows what it can read there. */
export interface Collector {
  readonly capabilities: Capabilities;
  readonly sampler: Sampler;
  /** Ends the command on the device. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Limit for each answer of the device, ms. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/**
 * Starts the collector on a device and probes what it offers.
 *
 * @throws DeviceError when it cannot be started, does not answer in time, or
 *     the kernel is too old
 */
export async function connectCollector(
  device: Device,
  options: ConnectOptions = {},
): Promise<Collector> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const stream = await device.open(COLLECTOR_SCRIPT, {timeoutMs});
  try {
    const session = await CollectorSession.start(stream, {
      nonce: randomBytes(8).toString('hex'),
      timeoutMs,
    });
    const capabilities = await probe(session);
    const sampler = new Sampler(session, capabilities, pacingOf(device));
    await sampler.synchroniseClock();
    return {capabilities, sampler, close: () => session.close()};
  } catch (error) {
    await stream.close();
    throw error;
  }
}

/** On a simulated device nothing depends on how fast the host is. */
function pacingOf({time}: Device): PacingOptions {
  return time === undefined
    ? DEFAULT_PACING
    : {...DEFAULT_PACING, clockNs: () => time.nowNs};
}
