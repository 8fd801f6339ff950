// SPDX-License-Identifier: Apache-2.0

/** Where the data of a recording came from; travels with it into the trace. */
export interface Provenance {
  /** Simulated data never passes for real. */
  readonly simulated: boolean;
  /** `adb`, `simulator`, `bugreport`, ... */
  readonly source: string;
  /** Serial and model of the device, or the scenario of the simulator. */
  readonly device: string;
  /** uname -r. */
  readonly kernelRelease: string | undefined;
  /** ro.build.fingerprint. */
  readonly buildFingerprint: string | undefined;
  /** /proc/sys/kernel/random/boot_id: two recordings of one boot share it. */
  readonly bootId: string | undefined;
  /** uid the collector ran as. */
  readonly uid: number | undefined;
  /** perfetto-dmabuf's own version. */
  readonly toolVersion: string;
}
