// SPDX-License-Identifier: Apache-2.0
import type {Command} from 'commander';
import {PROGRAM} from '../console.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, type ExitCode} from '../errors.js';
import {
  bugReportAttachCommand,
  runBugReportAttach,
  type BugReportAttachFlags,
} from './bugreport_attach.js';
import {
  bugReportReadCommand,
  runBugReportRead,
  type BugReportReadFlags,
} from './bugreport_read.js';
import {
  bugReportTakeCommand,
  runBugReportTake,
  type BugReportTakeFlags,
} from './bugreport_take.js';

export interface BugReportCommandsOptions {
  readonly context: Context;
  readonly prepare: (command: Command) => Command;
  readonly done: (code: ExitCode) => void;
}

/** The commands below `bugreport`. */
export function addBugReportCommands(
  command: Command,
  {context, prepare, done}: BugReportCommandsOptions,
): void {
  command
    .description('Read bug reports, take them, and add recordings to them.')
    .action(() => {
      throw new CliError(
        `which of them? See '${PROGRAM} bugreport --help'`,
        exitCode.usage,
      );
    });
  const add = (name: string, make: (command: Command) => Command): Command =>
    make(prepare(command.command(name))).option(
      '--verbose',
      'say where an error came from',
    );
  add('read', bugReportReadCommand).action(
    async (path: string, flags: BugReportReadFlags) => {
      done(await runBugReportRead(context, path, flags));
    },
  );
  add('attach', bugReportAttachCommand).action(
    async (
      report: string,
      trace: string | undefined,
      flags: BugReportAttachFlags,
    ) => {
      done(await runBugReportAttach(context, report, trace, flags));
    },
  );
  add('take', bugReportTakeCommand).action(
    async (flags: BugReportTakeFlags) => {
      done(await runBugReportTake(context, flags));
    },
  );
}
