// SPDX-License-Identifier: Apache-2.0
// The PerfettoSQL package as files, and as the TypeScript module that carries
// its text into the plugin.
import {readdir, readFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const SQL_PACKAGE = 'org.kernel.dmabuf';

export interface SqlModule {
  /** As in INCLUDE PERFETTO MODULE. */
  readonly name: string;
  /** Names of the modules of this package that it includes itself. */
  readonly includes: readonly string[];
  readonly sql: string;
}

const FOLDER = fileURLToPath(
  new URL(SQL_PACKAGE.replaceAll('.', '/'), import.meta.url),
);
const EXTENSION = '.sql';
const INCLUDE = /^INCLUDE PERFETTO MODULE ([\w.]+);$/gm;

/**
 * The modules of the package, each after those it includes.
 *
 * @throws Error when one includes what is not there, or itself.
 */
export async function readSqlModules(folder = FOLDER): Promise<SqlModule[]> {
  const files = (await readdir(folder)).filter((f) => f.endsWith(EXTENSION));
  const modules = await Promise.all(
    files.sort().map(async (file) => {
      const sql = await readFile(join(folder, file), 'utf8');
      const name = `${SQL_PACKAGE}.${basename(file, EXTENSION)}`;
      return {name, includes: includesOf(sql), sql};
    }),
  );
  return inOrder(modules);
}

function includesOf(sql: string): string[] {
  return [...sql.matchAll(INCLUDE)]
    .map(([, name = '']) => name)
    .filter((name) => name.startsWith(`${SQL_PACKAGE}.`));
}

function inOrder(modules: readonly SqlModule[]): SqlModule[] {
  const ordered: SqlModule[] = [];
  const add = (module: SqlModule, includedBy: readonly string[]): void => {
    if (ordered.includes(module)) return;
    if (includedBy.includes(module.name)) {
      throw new Error(`${module.name} includes itself`);
    }
    for (const name of module.includes) {
      const included = modules.find((each) => each.name === name);
      if (included === undefined) {
        throw new Error(`${module.name} includes ${name}, which is not there`);
      }
      add(included, [...includedBy, module.name]);
    }
    ordered.push(module);
  };
  for (const module of modules) add(module, []);
  return ordered;
}

/**
 * The whole package as one text, for where there is no way to register it: it
 * can stand before a query, and be run once for a trace.
 */
export function plainSql(modules: readonly SqlModule[]): string {
  const texts = modules.map(({sql}) =>
    sql.replace(INCLUDE, (line, name: string) =>
      name.startsWith(`${SQL_PACKAGE}.`) ? '' : line,
    ),
  );
  return texts.join('\n').replace(/\n{3,}/g, '\n\n');
}

/** Text of the plugin's `sql_modules.ts`. */
export function pluginModule(modules: readonly SqlModule[]): string {
  return `${HEAD}${modules.map(literal).join('')}];\n`;
}

const HEAD = `// SPDX-License-Identifier: Apache-2.0
// The text of the PerfettoSQL package ${SQL_PACKAGE}. Generated from its
// .sql files: change it there.

export interface SqlModule {
  // As in INCLUDE PERFETTO MODULE.
  readonly name: string;
  // Names of the modules of this package that it includes itself.
  readonly includes: ReadonlyArray<string>;
  // All of the text, its INCLUDE statements too.
  readonly sql: string;
}

export const SQL_PACKAGE = '${SQL_PACKAGE}';

// Each module after those it includes.
export const SQL_MODULES: ReadonlyArray<SqlModule> = [
`;

function literal({name, includes, sql}: SqlModule): string {
  const list = includes.map((each) => `'${each}'`).join(', ');
  const text = sql.replace(/[\\`]|\$\{/g, '\\$&');
  return `  {
    name: '${name}',
    includes: [${list}],
    sql: \`${text}\`,
  },
`;
}
