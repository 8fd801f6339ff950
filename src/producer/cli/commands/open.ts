// SPDX-License-Identifier: Apache-2.0
import {InvalidArgumentError, Option, type Command} from 'commander';
import {
  linkTo,
  OpenError,
  openUiFile,
  parseUi,
  PERFETTO_UI,
  UI_PORT,
  type Ui,
  type UiFile,
} from '../../open/index.js';
import type {Context} from '../effects.js';
import {CliError, exitCode, Interrupted, type ExitCode} from '../errors.js';
import {Interrupts} from '../interrupt.js';
import {oneLine} from '../output/terminal.js';
import {formatBytes} from '../output/units.js';

export interface OpenFlags {
  readonly origin: Ui;
  /** False: --no-browser. */
  readonly browser: boolean;
}

const HELP = `
The file stays on this machine: the page reads it from 127.0.0.1:${UI_PORT}, the
one place that the UI lets a page read from. Only pages of the UI's origin may,
only this file, under a path that cannot be guessed, and once. A browser may ask
whether the page is to have access to the local network: that is this.

From another machine: ssh -L ${UI_PORT}:127.0.0.1:${UI_PORT} HOST, 'open --no-browser' there,
and the link in the browser here.`;

export function openCommand(command: Command): Command {
  return command
    .description('Show a file in the Perfetto UI, with our tracks pinned.')
    .argument('<file>', 'a trace, an archive or a bug report')
    .addOption(
      new Option(
        '--origin <address>',
        'another UI than the public one, such as http://localhost:10000',
      )
        .argParser(uiAt)
        .default(parseUi(PERFETTO_UI), PERFETTO_UI),
    )
    .option('--no-browser', 'only print the link')
    .addHelpText('after', HELP);
}

/** @throws InvalidArgumentError */
function uiAt(address: string): Ui {
  try {
    return parseUi(address);
  } catch (error) {
    if (!(error instanceof OpenError)) throw error;
    throw new InvalidArgumentError(error.message);
  }
}

/** @throws OpenError, CliError */
export async function runOpen(
  context: Context,
  path: string,
  flags: OpenFlags,
): Promise<ExitCode> {
  const {io, console, effects} = context;
  const {origin: ui, browser} = flags;
  const file = await openUiFile(path);
  const interrupts = new Interrupts(io);
  try {
    const served = await effects.serveFile({file, origin: ui.origin});
    try {
      const link = linkTo(ui, served.url);
      await announce(context, file, ui.origin);
      await console.out.line(link);
      if (browser) startBrowser(context, link);
      await interrupts.unlessInterrupted(served.fetched);
      await console.err.line('It has been fetched.');
      return exitCode.done;
    } finally {
      await served.close();
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    throw new CliError(
      `ended before a page had fetched ${path}`,
      exitCode.interrupted,
    );
  } finally {
    interrupts.close();
    await file.close();
  }
}

async function announce(
  {console}: Context,
  {path, sizeBytes, looksFamiliar}: UiFile,
  origin: string,
): Promise<void> {
  if (!looksFamiliar) {
    await console.warn(
      `${oneLine(path)} does not begin like a trace, an archive or a zip: the ` +
        'UI may refuse it',
    );
  }
  await console.err.line(
    `Serving ${oneLine(path)} (${formatBytes(sizeBytes)}) to ${origin}, once; ` +
      'Ctrl-C ends it. Should the browser ask for access to the local network, ' +
      'allow it.',
  );
}

/** The link is there already, so that nothing waits for a browser. */
function startBrowser({console, effects, io}: Context, link: string): void {
  effects
    .openInBrowser(link, io.env)
    .then(async (isOpen) => {
      if (isOpen) return;
      await console.warn('no browser could be started: open the link in one');
    })
    // With nowhere to say it, the link has to do.
    .catch(() => undefined);
}
