// SPDX-License-Identifier: Apache-2.0
import type {Provenance} from '../core/model/index.js';
import {connectCollector, type Collector} from './collector/connect.js';
import type {Capabilities} from './collector/capabilities.js';
import {
  becomeRoot,
  DeviceError,
  openAdb,
  openSource,
  probeSu,
  throughSu,
  type Adb,
  type Device,
  type SourceOption,
} from './device/index.js';
import {
  openSimulatedDevice,
  type SimulatedDeviceOptions,
} from './device/simulated_device.js';
import {TOOL_VERSION} from './version.js';

export interface SourceOptions {
  readonly source: SourceOption;
  /** -s SERIAL. */
  readonly serial?: string | undefined;
  /** Ask adbd for root. */
  readonly root: boolean;
  /** Run the collector through su. */
  readonly su: boolean;
  /** Limit for each answer of the device, ms. */
  readonly timeoutMs: number;
  /**
   * What to simulate. Given with `auto`, the simulator is what is wanted; with
   * `device` it is a mistake.
   */
  readonly simulator?: SimulatorOptions | undefined;
  /** ANDROID_SERIAL, where the adb server is, PATH; the process's unless told. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Options of the simulator, by the names that the command line has for them. */
export type SimulatorOptions = Omit<SimulatedDeviceOptions, 'requestNs'>;

/** A device with a collector running on it, or the simulator. */
export interface ConnectedSource {
  readonly device: Device;
  readonly collector: Collector;
  readonly provenance: Provenance;
  /** Why it is the simulator; undefined for a real device. */
  readonly simulatedWhy: string | undefined;
  close(): Promise<void>;
}

/**
 * Chooses a source as the options say, gets root where asked, and starts the
 * collector on it.
 *
 * @throws DeviceError
 */
export async function connectSource(
  options: SourceOptions,
): Promise<ConnectedSource> {
  const env = options.env ?? process.env;
  const adb = openAdb({env});
  const askedBy = simulatorFlag(options);
  const opened = await openSource(adb, {
    source: askedBy === undefined ? options.source : 'simulator',
    serial: options.serial,
    envSerial: env['ANDROID_SERIAL'],
  });
  const simulatedWhy =
    opened.kind === 'simulator' ? (askedBy ?? opened.why) : undefined;
  const device =
    opened.kind === 'simulator'
      ? openSimulatedDevice(options.simulator)
      : await privileged(adb, opened.device, options);
  try {
    const collector = await connectCollector(device, options);
    return {
      device,
      collector,
      provenance: provenanceOf(device, collector.capabilities),
      simulatedWhy,
      close: async () => {
        await collector.close();
        await device.close();
      },
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}

/**
 * Why it has to be the simulator although `auto` was asked for; undefined where
 * no option of the simulator is given.
 *
 * @throws DeviceError when one is given for a device
 */
function simulatorFlag(options: SourceOptions): string | undefined {
  const {source, serial = '', simulator = {}} = options;
  const given = Object.entries(simulator).find(
    ([, value]) => value !== undefined,
  );
  if (given === undefined) return undefined;
  const flag = `--${given[0]}`;
  if (source === 'device' || serial !== '') {
    const device = serial === '' ? '--source device' : `-s ${serial}`;
    throw new DeviceError(
      'bad-options',
      `${flag} is for the simulator, ${device} for a device`,
      'leave one of the two out',
    );
  }
  return source === 'auto' ? `${flag} asks for it` : undefined;
}

type RealDevice = Extract<
  Awaited<ReturnType<typeof openSource>>,
  {kind: 'device'}
>['device'];

async function privileged(
  adb: Adb,
  opened: RealDevice,
  options: SourceOptions,
): Promise<Device> {
  const device = options.root ? await becomeRoot(adb, opened) : opened;
  return options.su ? throughSu(device, await probeSu(device)) : device;
}

function provenanceOf(device: Device, found: Capabilities): Provenance {
  return {
    simulated: device.kind === 'simulator',
    source: device.kind,
    device: device.description,
    kernelRelease: found.kernelRelease,
    buildFingerprint: found.properties.get('ro.build.fingerprint'),
    bootId: found.bootId,
    uid: found.uid,
    toolVersion: TOOL_VERSION,
  };
}
