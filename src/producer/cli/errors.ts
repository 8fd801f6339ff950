// SPDX-License-Identifier: Apache-2.0
import {CommanderError} from 'commander';
import {FormatError} from '../../core/formats/index.js';
import {BugReportError} from '../bugreport/index.js';
import {DeviceError} from '../device/index.js';
import {OpenError} from '../open/index.js';
import {TraceReadError, TraceWriteError} from '../trace/index.js';
import {oneLine} from './output/terminal.js';

export const exitCode = {
  /** The job was done. */
  done: 0,
  /** It was not, or not wholly. */
  notDone: 1,
  /** The command line was wrong; nothing was tried. */
  usage: 2,
  /** diff --fail-if-grown: there is more than was allowed. */
  grown: 3,
  /** Ctrl-C came before anything was recorded. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** A job that cannot be done; the message is one line with the fix. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    /** What is wrong and what to do about it: `what: fix`. */
    message: string,
    readonly code: ExitCode = exitCode.notDone,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Ctrl-C before there was anything to show for it. */
export class Interrupted extends CliError {
  constructor() {
    super('interrupted before there was any result', exitCode.interrupted);
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.code;
  if (error instanceof CommanderError) return exitCode.usage;
  if (error instanceof DeviceError && error.code === 'bad-options') {
    return exitCode.usage;
  }
  return exitCode.notDone;
}

/** One line with the fix, in which nothing can steer a terminal. */
export function describeError(error: unknown): string {
  if (
    error instanceof CliError ||
    error instanceof BugReportError ||
    error instanceof DeviceError ||
    error instanceof TraceWriteError ||
    error instanceof TraceReadError ||
    error instanceof OpenError
  ) {
    return oneLine(error.message);
  }
  if (error instanceof CommanderError) {
    return oneLine(error.message.replace(/^error: /, ''));
  }
  if (error instanceof FormatError) {
    return oneLine(
      `the device's answer cannot be read (${error.message}): try again, and ` +
        'check the cable',
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return oneLine(
    `internal error (${message}): run it again with --verbose and report what ` +
      'it says',
  );
}

/** Where it came from, with its causes; for --verbose. */
export function describeStack(error: unknown): string {
  const lines: string[] = [];
  for (
    let at: unknown = error, depth = 0;
    at !== undefined && depth < 8;
    at = at instanceof Error ? at.cause : undefined, depth++
  ) {
    const text = at instanceof Error ? (at.stack ?? at.message) : String(at);
    const prefix = depth === 0 ? '' : 'caused by: ';
    lines.push(...(prefix + text).split('\n').map(oneLineKeepingIndent));
  }
  return lines.join('\n');
}

function oneLineKeepingIndent(line: string): string {
  const indent = /^ */.exec(line)?.[0] ?? '';
  return indent + oneLine(line);
}
