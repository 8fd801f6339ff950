// SPDX-License-Identifier: Apache-2.0
import {CommanderError} from 'commander';
import {Console} from './console.js';
import {realEffects, type Effects} from './effects.js';
import {exitCode, exitCodeOf, Interrupted} from './errors.js';
import {processIo, type Io} from './io.js';
import {OutputClosed} from './output/text_output.js';
import {makeProgram} from './program.js';

/**
 * Runs one command line and gives its exit code; see `exitCode`. Whatever goes
 * wrong is one line on standard error.
 *
 * @param argv what comes after the program's name.
 */
export async function run(
  argv: readonly string[],
  io: Io = processIo(),
  effects: Effects = realEffects,
): Promise<number> {
  const console = new Console(io);
  const program = makeProgram({io, console, effects});
  try {
    return await program.run(argv);
  } catch (error) {
    return await giveUp(error, console, argv.includes('--verbose'));
  }
}

async function giveUp(
  error: unknown,
  console: Console,
  verbose: boolean,
): Promise<number> {
  // Who asked for the output has had enough of it.
  if (error instanceof OutputClosed) return exitCode.done;
  // Help and version, as asked for.
  if (error instanceof CommanderError && error.exitCode === 0) {
    return exitCode.done;
  }
  try {
    await console.error(error, verbose && !(error instanceof Interrupted));
  } catch (failure) {
    // With nowhere to say it, the exit code has to do.
    if (!(failure instanceof OutputClosed)) throw failure;
  }
  return exitCodeOf(error);
}
