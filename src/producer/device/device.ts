// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../core/model/index.js';

/** What a recording reads from: a device behind adb, or a simulated kernel. */
export interface Device {
  readonly kind: 'adb' | 'simulator';
  /** As adb lists it and as `-s` takes it. */
  readonly serial: string;
  /** For people: `Pixel 8 (3A...)`. Holds no control characters. */
  readonly description: string;

  /**
   * Starts a shell command whose stdin and stdout are one raw byte stream, with
   * no line-end translation. The device runs it on a raw pty: stderr is in the
   * stream too, and what is written before the command reads may be echoed.
   * `timeoutMs` limits the start, not the life of the stream.
   *
   * @throws DeviceError
   */
  open(command: string, options?: OpenOptions): Promise<RawStream>;

  /**
   * Runs a shell command to its end and gives the bytes it printed. There is no
   * exit code: a command has to print what it wants known.
   *
   * @throws DeviceError `timeout`, `gone`, `too-large`, ...
   */
  run(command: string, options?: RunOptions): Promise<Uint8Array>;

  /** Ends every stream that is still open. */
  close(): Promise<void>;

  /** Undefined where real time is the device's. */
  readonly time?: SteppedTime | undefined;
}

/** Time of a device that is not there: it passes as it is let. */
export interface SteppedTime {
  /** How many times faster than real time it is to pass. */
  readonly speed: number;
  /** CLOCK_BOOTTIME, ns. */
  readonly nowNs: bigint;
  /** Lets it pass up to there, if it is not past that. */
  advanceTo(ns: bigint): void;
  /**
   * How far it may pass while the device answers requests: at first without
   * end, as every request takes some of it.
   */
  limitTo(ns: bigint): void;
}

export interface OpenOptions {
  readonly timeoutMs?: number;
}

export interface RunOptions extends OpenOptions {
  /** More output than this is an error, so that none can fill the memory. */
  readonly maxBytes?: number;
}

/** Both directions of a running command. */
export interface RawStream {
  /**
   * Resolves when the data was accepted, so that awaiting it is back-pressure.
   *
   * @throws DeviceError `gone`, or `timeout` when the device takes nothing
   */
  write(data: Uint8Array | string): Promise<void>;

  /**
   * Chunks as they come; ends when the command ended or close() was called.
   * One reader at a time; leaving the loop early does not close the stream.
   *
   * @throws DeviceError `gone` when the device or the adb server went away
   */
  readonly chunks: AsyncIterable<Uint8Array>;

  /**
   * The same as text, of a stream that never was bytes: in place of `chunks`,
   * so that nothing is encoded only to be decoded again.
   */
  readonly texts?: AsyncIterable<RawText>;

  /**
   * Hangs up: the command on the device gets SIGHUP and end of input (from
   * adbd 34 only a second later, if it still had something to say).
   */
  close(): Promise<void>;
}

export type DeviceErrorCode =
  /** The adb server does not run and cannot be started or reached. */
  | 'no-server'
  /** There is no adb program to start the server with. */
  | 'no-adb'
  /** ADB_SERVER_SOCKET and the like are unusable. */
  | 'bad-address'
  /** The options contradict each other. */
  | 'bad-options'
  | 'no-device'
  | 'unauthorized'
  | 'offline'
  /** The host's user may not open the USB device. */
  | 'no-permissions'
  /** Attached, but in recovery, in the bootloader, still connecting, ... */
  | 'not-ready'
  | 'several-devices'
  | 'unknown-serial'
  | 'timeout'
  /** Unplugged, rebooted, or the adb server died. */
  | 'gone'
  /** The device or the adb server refused the request. */
  | 'refused'
  | 'too-large'
  | 'no-root'
  | 'no-su';

/**
 * A device that cannot be used. The message is one line that names what is
 * wrong and the fix; text from a device in it has lost its control characters.
 */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';

  /**
   * @param what what is wrong, with no full stop
   * @param fix what to do about it, as an instruction
   */
  constructor(
    readonly code: DeviceErrorCode,
    what: string,
    readonly fix: string,
    options?: ErrorOptions,
  ) {
    super(`${oneLine(what)}: ${oneLine(fix)}`, options);
  }
}

const MAX_QUOTED_CHARACTERS = 300;

/** Untrusted text made fit for one line of a terminal. */
export function oneLine(text: string): string {
  const flat = text.replace(/[\s\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return flat.length <= MAX_QUOTED_CHARACTERS
    ? flat
    : `${flat.slice(0, MAX_QUOTED_CHARACTERS)}...`;
}
