// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../model/text.js';
import type {SimulatedKernel} from '../simulated_kernel.js';

/** A story that plays on a simulated kernel. */
export interface Scenario {
  /** As the command line takes it, such as `camera-preview`. */
  readonly name: string;
  /** One line for people. */
  readonly story: string;
  /** The seed it runs with if none is chosen. */
  readonly seed: number;
  /** How long it has something to show; it goes on after that. */
  readonly durationNs: bigint;
  /**
   * Sets the story up: processes come to life and events are scheduled, which
   * `kernel.advance()` runs.
   *
   * @throws ScenarioError for an absurd scale or seed
   */
  run(kernel: SimulatedKernel, options: ScenarioOptions): ScenarioRun;
}

export interface ScenarioOptions {
  /** Decides everything that the story leaves to chance. */
  readonly seed: number;
  /** 1 is a phone; more has more of the same going on beside the story. */
  readonly scale: number;
}

export interface ScenarioRun {
  /** What really happened so far: what a report has to find. */
  truth(): ScenarioTruth;
}

export interface ProcessRef {
  readonly pid: number;
  /** Command line's head. */
  readonly name: RawText;
}

export type LeakCause =
  /** A descriptor that is never closed. */
  | 'descriptor'
  /** A mapping that is never unmapped, with the descriptor closed. */
  | 'mapping'
  /** A reference in the kernel that no process shows. */
  | 'kernel';

export interface LeakedBuffer {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** CLOCK_BOOTTIME, ns, at which it should have been given back. */
  readonly leakedAtNs: bigint;
}

/** Buffers that one culprit does not give back, for one reason. */
export interface Leak {
  readonly cause: LeakCause;
  /** Who forgot to let go; undefined for a driver. */
  readonly culprit: ProcessRef | undefined;
  /** Who shows as holder of them: none when only the kernel holds them. */
  readonly holders: readonly ProcessRef[];
  /** Of the buffers, as set by DMA_BUF_SET_NAME. */
  readonly bufferName: RawText | undefined;
  readonly exporter: RawText;
  /** In the order they leaked. */
  readonly buffers: readonly LeakedBuffer[];
}

/** A buffer that shows something worth finding. */
export interface Landmark {
  readonly what: 'renamed' | 'mapped-only' | 'kernel-only';
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly holders: readonly ProcessRef[];
}

export interface ScenarioTruth {
  readonly leaks: readonly Leak[];
  readonly landmarks: readonly Landmark[];
}

/** A scenario cannot run as asked. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
}

/** Below, nothing would be left beside the story. */
export const MIN_SCALE = 0.01;
export const MAX_SCALE = 100;

/** @throws ScenarioError */
export function checkOptions({seed, scale}: ScenarioOptions): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ScenarioError(`seed ${seed}: give an integer from 0 on`);
  }
  // NaN is neither.
  if (!(scale >= MIN_SCALE && scale <= MAX_SCALE)) {
    throw new ScenarioError(
      `scale ${scale}: give a number from ${MIN_SCALE} to ${MAX_SCALE}`,
    );
  }
}
