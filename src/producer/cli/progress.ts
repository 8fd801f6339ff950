// SPDX-License-Identifier: Apache-2.0
import type {Progress} from '../recording.js';
import {truncate} from './output/terminal.js';
import {formatBytes, formatElapsed, plural, UNKNOWN} from './output/units.js';

/** Time from one redrawing to the next, at least. */
const REDRAW_MS = 200;
const NARROWEST = 20;
const ERASE_LINE = '\r\x1b[K';

export interface ProgressLineOptions {
  readonly write: (text: string) => void;
  /** Of the terminal. */
  readonly columns: () => number | undefined;
  /** Milliseconds that only go up. */
  readonly nowMs: () => number;
}

export interface Shown extends Progress {
  /** Bytes of the system trace beside it, so far; undefined: there is none. */
  readonly systemTraceBytes?: number | undefined;
}

/** One line on a terminal that is drawn over and over. */
export class ProgressLine {
  private lastMs: number | undefined;
  private isDrawn = false;

  constructor(private readonly options: ProgressLineOptions) {}

  update(progress: Shown): void {
    this.show(() => progressText(progress));
  }

  /** Draws another text, if it is time. */
  show(text: () => string): void {
    const now = this.options.nowMs();
    if (this.lastMs !== undefined && now - this.lastMs < REDRAW_MS) return;
    this.lastMs = now;
    const width = Math.max(NARROWEST, (this.options.columns() ?? 80) - 1);
    this.options.write(ERASE_LINE + truncate(text(), width));
    this.isDrawn = true;
  }

  /** Takes the line away, so that others can be printed. */
  clear(): void {
    if (this.isDrawn) this.options.write(ERASE_LINE);
    this.isDrawn = false;
  }
}

/** `00:07  28 samples (4.0/s)  312 buffers  1.2 GiB  40.0 KiB written`. */
export function progressText(progress: Shown): string {
  const {elapsedMs, samples, buffers, totalBytes, heldBytes} = progress;
  // None seen where not all could be read is not none.
  const sawNone =
    totalBytes === undefined && buffers === 0 && progress.unreadable > 0;
  return [
    formatElapsed(elapsedMs),
    `${plural(samples, 'sample')} (${rate(progress.reachedIntervalMs)})`,
    plural(sawNone ? undefined : buffers, 'buffer'),
    totalBytes === undefined
      ? `${formatBytes(sawNone ? undefined : heldBytes)} held`
      : formatBytes(totalBytes),
    `${formatBytes(progress.bytesWritten)} written`,
    ...(progress.systemTraceBytes === undefined
      ? []
      : [`system trace ${formatBytes(progress.systemTraceBytes)}`]),
    ...(progress.unreadable > 0
      ? [`${plural(progress.unreadable, 'process', 'processes')} unreadable`]
      : []),
  ].join('  ');
}

function rate(intervalMs: number | undefined): string {
  if (intervalMs === undefined || intervalMs <= 0) return `${UNKNOWN}/s`;
  return `${(1000 / intervalMs).toFixed(1)}/s`;
}
