// SPDX-License-Identifier: Apache-2.0
// The real Chromium for tests: the one that CHROMIUM names, or an installed one.
import {existsSync} from 'node:fs';
import {chromium, type Browser} from 'playwright-core';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The program, if this machine has one. */
export function findChromium(): string | undefined {
  const named = process.env['CHROMIUM'];
  if (named !== undefined) return named;
  return PLACES.find((path) => existsSync(path));
}

/** Whether there is a Chromium; if not, says so where nobody can miss it. */
export function hasChromium(what: string): boolean {
  if (findChromium() !== undefined) return true;
  process.stderr.write(
    `SKIPPED: ${what}: missing: Chromium; install it or name it in CHROMIUM\n`,
  );
  return false;
}

/** What Chromium needs to run here: as root it refuses to sandbox itself. */
export function chromiumArguments(): string[] {
  return process.getuid?.() === 0 ? ['--no-sandbox'] : [];
}

/** Starts it without a window. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('no Chromium');
  return chromium.launch({executablePath, args: chromiumArguments()});
}
