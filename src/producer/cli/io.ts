// SPDX-License-Identifier: Apache-2.0
import type {Writable} from 'node:stream';

/** The world as a command sees it; tests put their own in its place. */
export interface Io {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly isTTY: {readonly stdout: boolean; readonly stderr: boolean};
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Width of the terminal; undefined where there is none. */
  readonly columns: number | undefined;
  /**
   * Calls back for each Ctrl-C and each request to end; they do not end the
   * process by themselves meanwhile. Gives a function that takes it back.
   */
  readonly onInterrupt: (listener: () => void) => () => void;
}

/** Undefined where it is no terminal, or one that does not know its width. */
function widthOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY && stream.columns > 0 ? stream.columns : undefined;
}

/** The real world. */
export function processIo(): Io {
  const {stdout, stderr, env} = process;
  return {
    stdout,
    stderr,
    isTTY: {stdout: stdout.isTTY, stderr: stderr.isTTY},
    env,
    columns: widthOf(stderr) ?? widthOf(stdout),
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      process.on('SIGTERM', listener);
      process.on('SIGHUP', listener);
      return () => {
        process.off('SIGINT', listener);
        process.off('SIGTERM', listener);
        process.off('SIGHUP', listener);
      };
    },
  };
}
