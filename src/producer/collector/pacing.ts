// SPDX-License-Identifier: Apache-2.0

/**
 * How often costly readings may be made. Looking must not become the load
 * that is looked at: each kind of reading gets a share of the time, and what
 * it cost the last times decides how soon it may come again. On a device
 * where the list of buffers takes 2 ms that is every sample; where it takes
 * 200 ms it is every other second.
 */
export interface PacingOptions {
  /** A full scan comes no sooner after the last one than this, ns. */
  readonly fullScanEveryNs: bigint;
  /** ... and, however costly it is, no later than this, ns. */
  readonly fullScanAtMostNs: bigint;
  /** Share of the time for reading the kernel's list. */
  readonly listShare: number;
  /**
   * Bytes that the list may add to a sample, on average: a longer one is read
   * with fewer samples, so that the transport is not filled with it.
   */
  readonly listBytesASample: number;
  /** Share of the time for full scans that something unexplained asks for. */
  readonly searchShare: number;
  /** The clock by which readings' cost is measured, ns. */
  readonly clockNs: () => bigint;
}

export const DEFAULT_PACING: PacingOptions = {
  fullScanEveryNs: 5_000_000_000n,
  fullScanAtMostNs: 10_000_000_000n,
  listShare: 0.1,
  listBytesASample: 100_000,
  searchShare: 0.2,
  clockNs: () => process.hrtime.bigint(),
};

/** Share of the time that regular full scans may take before they get rarer. */
const FULL_SCAN_SHARE = 0.1;

/** Running estimate of what one kind of reading costs. */
export class Pace {
  private lastEndNs: bigint | undefined;
  private costNs = 0;

  /** Notes a reading that lasted from `startNs` to `endNs`. */
  note(startNs: bigint, endNs: bigint): void {
    const cost = Math.max(0, Number(endNs - startNs));
    this.costNs =
      this.lastEndNs === undefined ? cost : (this.costNs + cost) / 2;
    this.lastEndNs = endNs;
  }

  /** True when a reading now keeps the kind within `share` of the time. */
  mayRun(nowNs: bigint, share: number): boolean {
    if (this.lastEndNs === undefined) return true;
    return Number(nowNs - this.lastEndNs) >= this.costNs * (1 / share - 1);
  }

  /** ns since the last reading ended; undefined when there was none. */
  since(nowNs: bigint): bigint | undefined {
    return this.lastEndNs === undefined ? undefined : nowNs - this.lastEndNs;
  }
}

/** True when the next regular full scan is due. */
export function fullScanDue(
  pace: Pace,
  nowNs: bigint,
  options: PacingOptions,
): boolean {
  const since = pace.since(nowNs);
  if (since === undefined || since >= options.fullScanAtMostNs) return true;
  return (
    since >= options.fullScanEveryNs && pace.mayRun(nowNs, FULL_SCAN_SHARE)
  );
}
