// SPDX-License-Identifier: Apache-2.0
import {Command, CommanderError} from 'commander';
import {TOOL_VERSION} from '../version.js';
import {addBugReportCommands} from './commands/bugreport.js';
import {diffCommand, runDiff, type DiffFlags} from './commands/diff.js';
import {doctorCommand, runDoctor, type DoctorFlags} from './commands/doctor.js';
import {dumpCommand, runDump, type DumpFlags} from './commands/dump.js';
import {mergeCommand, runMerge, type MergeFlags} from './commands/merge.js';
import {openCommand, runOpen, type OpenFlags} from './commands/open.js';
import {recordCommand, runRecord, type RecordFlags} from './commands/record.js';
import {reportCommand, runReport, type ReportFlags} from './commands/report.js';
import {
  runScenarios,
  scenariosCommand,
  type ScenariosFlags,
} from './commands/scenarios.js';
import {
  runSimulate,
  simulateCommand,
  type SimulateFlags,
} from './commands/simulate.js';
import {PROGRAM} from './console.js';
import type {Context} from './effects.js';
import {CliError, exitCode, type ExitCode} from './errors.js';

export interface Program {
  /** @throws CommanderError, and what the commands throw */
  run(argv: readonly string[]): Promise<ExitCode>;
}

const EXAMPLES = `
Examples:
  ${PROGRAM} doctor                         what the device offers
  ${PROGRAM} record -d 10 -o camera.pftrace ten seconds into a trace
  ${PROGRAM} dump --by name                 what there is at this moment
  ${PROGRAM} open camera.pftrace            show it in the Perfetto UI
  ${PROGRAM} report camera.pftrace          what a recording tells
  ${PROGRAM} diff before.json live          what has changed since
  ${PROGRAM} bugreport read bugreport.zip   what somebody's report tells`;

/** The command line as commander knows it. */
export function makeProgram(context: Context): Program {
  let code: ExitCode = exitCode.done;
  const output: string[] = [];
  const program = new Command(PROGRAM)
    .description(
      'Who holds which dma-buf, since when, under which name: recorded from ' +
        'an Android or Linux device into a Perfetto trace.',
    )
    .version(TOOL_VERSION)
    .addHelpText('after', EXAMPLES);

  const add = (name: string, make: (command: Command) => Command): Command =>
    make(prepared(program.command(name))).option(
      '--verbose',
      'say where an error came from',
    );
  add('record', recordCommand).action(async (flags: RecordFlags) => {
    code = await runRecord(context, flags);
  });
  add('dump', dumpCommand).action(async (flags: DumpFlags) => {
    code = await runDump(context, flags);
  });
  add('diff', diffCommand).action(
    async (before: string, after: string, flags: DiffFlags) => {
      code = await runDiff(context, [before, after], flags);
    },
  );
  add('doctor', doctorCommand).action(async (flags: DoctorFlags) => {
    code = await runDoctor(context, flags);
  });
  add('report', reportCommand).action(
    async (path: string, flags: ReportFlags) => {
      code = await runReport(context, path, flags);
    },
  );
  add('merge', mergeCommand).action(
    async (system: string, ours: string, flags: MergeFlags) => {
      code = await runMerge(context, system, ours, flags);
    },
  );
  addBugReportCommands(prepared(program.command('bugreport')), {
    context,
    prepare: prepared,
    done: (result) => {
      code = result;
    },
  });
  add('open', openCommand).action(async (path: string, flags: OpenFlags) => {
    code = await runOpen(context, path, flags);
  });
  add('scenarios', scenariosCommand).action(async (flags: ScenariosFlags) => {
    code = await runScenarios(context, flags);
  });
  add('simulate', simulateCommand).action(async (flags: SimulateFlags) => {
    code = await runSimulate(context, flags);
  });
  for (const command of withSubcommands(program)) {
    silence(command, context, output);
  }

  return {
    run: async (argv) => {
      try {
        if (argv.length === 0) {
          throw new CliError(
            `no command given: see '${PROGRAM} --help'`,
            exitCode.usage,
          );
        }
        await program.parseAsync([...argv], {from: 'user'});
        return code;
      } catch (error) {
        throw withHint(error, argv, program);
      } finally {
        for (const text of output) await context.console.out.write(text);
      }
    },
  };
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

function prepared(command: Command): Command {
  return command.allowExcessArguments(false);
}

/** Errors are thrown, not printed; help is kept until it can be awaited. */
function silence(command: Command, {io}: Context, output: string[]): void {
  command
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => {
        output.push(text);
      },
      writeErr: () => undefined,
      outputError: () => undefined,
      getOutHelpWidth: () => (io.isTTY.stdout ? (io.columns ?? 80) : 80),
      getOutHasColors: () => false,
    });
}

/** A mistake in the command line, with the way to its help. */
function withHint(
  error: unknown,
  argv: readonly string[],
  program: Command,
): unknown {
  if (!(error instanceof CommanderError) || error.exitCode === 0) return error;
  const names: string[] = [];
  let command = program;
  for (const arg of argv) {
    const inner: Command | undefined = command.commands.find(
      (candidate) => candidate.name() === arg,
    );
    if (inner === undefined) continue;
    names.push(arg);
    command = inner;
  }
  const help = [PROGRAM, ...names, '--help'];
  const what = error.message.replace(/^error: /, '').replace(/\.\s*$/, '');
  return new CliError(`${what}: see '${help.join(' ')}'`, exitCode.usage, {
    cause: error,
  });
}
