// SPDX-License-Identifier: Apache-2.0
import {Interrupted} from './errors.js';
import type {Io} from './io.js';

/**
 * A terminal's Ctrl-C reaches all processes of the command; a wrapper such as
 * npx or timeout passes its own on to us. What comes so soon after the first,
 * ms, is no second one.
 */
const ECHO_MS = 400;

/** Ctrl-C: the first asks for an end, the second insists. */
export class Interrupts {
  private readonly ending = new AbortController();
  private readonly aborting = new AbortController();
  private readonly stop: () => void;

  constructor(io: Io) {
    let firstMs = -Infinity;
    this.stop = io.onInterrupt(() => {
      if (!this.ending.signal.aborted) {
        firstMs = performance.now();
        this.ending.abort();
      } else if (performance.now() - firstMs > ECHO_MS) {
        this.aborting.abort();
      }
    });
  }

  /** Aborts at the first Ctrl-C. */
  get signal(): AbortSignal {
    return this.ending.signal;
  }

  /** A second Ctrl-C has come. */
  get insisted(): boolean {
    return this.aborting.signal.aborted;
  }

  /** What the work gives, unless a Ctrl-C comes first. @throws Interrupted */
  unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    return race(work, this.ending.signal);
  }

  /** What the work gives, unless a second Ctrl-C comes. @throws Interrupted */
  unlessInsisted<T>(work: Promise<T>): Promise<T> {
    return race(work, this.aborting.signal);
  }

  close(): void {
    this.stop();
  }
}

async function race<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(new Interrupted());
    };
    signal.addEventListener('abort', onAbort, {once: true});
    if (signal.aborted) onAbort();
  });
  // Left behind, the work may still fail; nobody waits for it any more.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
