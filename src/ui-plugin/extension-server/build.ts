// SPDX-License-Identifier: Apache-2.0
// npm run build:extension-server [-- --github OWNER/NAME [--ref BRANCH]
// [--path FOLDER] | -- --url ADDRESS]: writes the server's files, and says the
// link that installs them from where they will lie.
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {readSqlModules} from '../sql/sql_files.js';
import {installLink, PlaceError, type ServerPlace} from './install_link.js';
import {serverFiles} from './server_files.js';

const FOLDER = fileURLToPath(
  new URL('../../../dist/extension-server', import.meta.url),
);

const USAGE =
  'usage: npm run build:extension-server -- [--out FOLDER] ' +
  '[--github OWNER/NAME [--ref BRANCH] [--path FOLDER] | --url ADDRESS]';

/** A command line that makes no sense. */
class UsageError extends Error {}

async function main(args: readonly string[]): Promise<void> {
  const {out, place} = readArguments(args);
  const link = place === undefined ? undefined : installLink(place);
  const files = serverFiles(await readSqlModules());
  for (const [path, text] of files) {
    const target = join(out, path);
    await mkdir(dirname(target), {recursive: true});
    await writeFile(target, text);
  }
  process.stdout.write(`Wrote ${files.size} files to ${out}\n`);
  if (link !== undefined) process.stdout.write(`To install:\n${link}\n`);
}

function readArguments(args: readonly string[]): {
  out: string;
  place: ServerPlace | undefined;
} {
  const {values} = parse(args);
  const {out = FOLDER, github, ref = 'main', path = '/', url} = values;
  if (github !== undefined && url !== undefined) {
    throw new UsageError('--github and --url are two places: give one');
  }
  if (github !== undefined) {
    return {out, place: {type: 'github', repo: github, ref, path}};
  }
  return {out, place: url === undefined ? undefined : {type: 'https', url}};
}

function parse(args: readonly string[]) {
  const type = 'string' as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        out: {type},
        github: {type},
        ref: {type},
        path: {type},
        url: {type},
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'no');
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError || error instanceof PlaceError)) {
    throw error;
  }
  process.stderr.write(`${error.message}\n${USAGE}\n`);
  process.exitCode = 2;
}
