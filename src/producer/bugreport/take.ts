// SPDX-License-Identifier: Apache-2.0
// Has the device make a bug report, as `adb bugreport` does: its bugreportz
// (frameworks/native, cmds/bugreportz) starts dumpstate and prints, a line each,
//
//     BEGIN:/data/user_de/0/com.android.shell/files/bugreports/bugreport-....zip
//     PROGRESS:10/100
//     OK:/data/user_de/0/com.android.shell/files/bugreports/bugreport-....zip
//     FAIL:why
import {
  DeviceError,
  shellQuote,
  type Device,
  type RawStream,
} from '../device/index.js';
import {withTimeLimit} from '../device/time_limit.js';
import type {TraceSink} from '../trace/index.js';
import {LineSplitter} from './line_splitter.js';

export interface BugReportProgress {
  /** Of `total`, in dumpstate's own measure; both may grow. */
  readonly done: number;
  readonly total: number;
}

export interface RequestOptions {
  /** Stops waiting; the device may go on with it by itself. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: BugReportProgress) => void;
  /** Longest that nothing may come from the device, ms. */
  readonly stallMs?: number;
}

/** dumpstate says nothing while one of its sections takes its time. */
const STALL_MS = 600_000;
/** What the shell says when all is over; a lost connection has no such line. */
const OVER = 'perfetto-dmabuf:over:';
const MOST_SAID = 20;

/**
 * Asks for a bug report and waits until it is made, which takes minutes.
 *
 * @returns where on the device the zip is.
 * @throws DeviceError when there is no bugreportz, it fails, says nothing for
 *     too long, or the device goes away
 * @throws the signal's reason when it aborts
 */
export async function requestBugReport(
  device: Device,
  {signal, onProgress, stallMs = STALL_MS}: RequestOptions,
): Promise<string> {
  signal.throwIfAborted();
  const stream = await device.open(`bugreportz -p; echo "${OVER}$?"`);
  const onAbort = (): void => {
    void stream.close();
  };
  signal.addEventListener('abort', onAbort, {once: true});
  try {
    return await readAnswer(device, stream, stallMs, onProgress);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await stream.close();
  }
}

async function readAnswer(
  device: Device,
  stream: RawStream,
  stallMs: number,
  onProgress: RequestOptions['onProgress'],
): Promise<string> {
  let path: string | undefined;
  let failure: string | undefined;
  let isOver = false;
  const said: string[] = [];
  const splitter = new LineSplitter((line) => {
    const [, word = '', rest = ''] =
      /^(BEGIN|PROGRESS|OK|FAIL):(.*)$/.exec(line) ?? [];
    const progress = /^(\d{1,9})\/(\d{1,9})$/.exec(rest);
    if (line.startsWith(OVER)) isOver = true;
    else if (word === 'OK') path = rest;
    else if (word === 'FAIL') failure = rest;
    else if (word === 'PROGRESS' && progress !== null) {
      onProgress?.({done: Number(progress[1]), total: Number(progress[2])});
    } else if (word === '' && line !== '' && said.length < MOST_SAID) {
      said.push(line);
    }
  });
  const chunks = stream.chunks[Symbol.asyncIterator]();
  for (;;) {
    const next = await withTimeLimit(
      chunks.next(),
      stallMs,
      () =>
        new DeviceError(
          'timeout',
          `device ${device.serial} says nothing of its bug report for ` +
            `${stallMs / 60_000} min`,
          'check that it still responds, then try again',
        ),
    );
    if (next.done === true) break;
    splitter.push(next.value);
    // What is kept running behind the shell holds the stream open.
    if (isOver) break;
  }
  splitter.end();
  if (path !== undefined) return checkedPath(device, path);
  throw failed(device, failure ?? said.join(' '), isOver);
}

function failed(device: Device, why: string, isOver: boolean): DeviceError {
  if (/not found|inaccessible/.test(why)) {
    return new DeviceError(
      'refused',
      `device ${device.serial} has no bugreportz (${why})`,
      'Android has it since 7.0: take the report in another way, and use ' +
        "'bugreport attach'",
    );
  }
  return new DeviceError(
    'refused',
    `device ${device.serial} made no bug report` +
      (why === '' ? '' : ` (${why})`) +
      (isOver ? '' : ': its answer was cut'),
    'check that no other report is being made, and its free storage, then ' +
      'try again',
  );
}

function checkedPath(device: Device, path: string): string {
  if (/^\/[\x20-\x7e]{1,1000}$/.test(path)) return path;
  throw new DeviceError(
    'refused',
    `device ${device.serial} calls its bug report ${path}, which is no path`,
    'please report this',
  );
}

export interface PullOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Brings a file of the device here, piece by piece. adbkit's sync service would
 * do it too, but takes pieces faster than they are written and keeps them in
 * memory, and cannot go through su.
 *
 * @returns its length, bytes; all of it is in the sink.
 * @throws DeviceError, TraceWriteError
 */
export async function pullFile(
  device: Device,
  path: string,
  sink: TraceSink,
  {signal, onProgress}: PullOptions,
): Promise<number> {
  const total = await sizeOf(device, path);
  signal.throwIfAborted();
  const stream = await device.open(`cat ${shellQuote(path)}`);
  const onAbort = (): void => {
    void stream.close();
  };
  signal.addEventListener('abort', onAbort, {once: true});
  let done = 0;
  try {
    for await (const chunk of stream.chunks) {
      await sink.write(chunk);
      done += chunk.length;
      onProgress?.(done, total);
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await stream.close();
  }
  signal.throwIfAborted();
  if (done === total) return total;
  throw new DeviceError(
    'gone',
    `of ${path}, ${done} of ${total} bytes came from device ${device.serial}`,
    `check its cable, then get the rest with 'adb pull'`,
  );
}

async function sizeOf(device: Device, path: string): Promise<number> {
  const answer = await device.run(`wc -c < ${shellQuote(path)}`);
  const text = new TextDecoder().decode(answer).trim();
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new DeviceError(
    'refused',
    `${path} on device ${device.serial} cannot be read (${text})`,
    'get it with adb pull, or with --root',
  );
}
