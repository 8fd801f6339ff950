// SPDX-License-Identifier: Apache-2.0
// The text that the plugin carries, and the way the SQL is documented.
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {
  SQL_MODULES,
  SQL_PACKAGE,
} from '../../../src/ui-plugin/org.kernel.DmaBuf/sql_modules.js';
import * as files from '../../../src/ui-plugin/sql/sql_files.js';

const root = new URL('../../../src/ui-plugin/', import.meta.url);
const modules = await files.readSqlModules();

describe('the text in the plugin', () => {
  test('is that of the .sql files', async () => {
    expect(SQL_PACKAGE).toBe(files.SQL_PACKAGE);
    expect(SQL_MODULES).toEqual(modules);
    for (const {name, sql} of SQL_MODULES) {
      const path = `sql/${name.replaceAll('.', '/')}.sql`;
      expect(sql).toBe(await readFile(new URL(path, root), 'utf8'));
    }
  });

  test('is as generated', async () => {
    const path = new URL('org.kernel.DmaBuf/sql_modules.ts', root);
    expect(await readFile(path, 'utf8')).toBe(files.pluginModule(modules));
  });

  test('has each module after those it includes', () => {
    const names = SQL_MODULES.map(({name}) => name);
    for (const [index, {includes}] of SQL_MODULES.entries()) {
      for (const name of includes) {
        expect(names.indexOf(name)).toBeGreaterThanOrEqual(0);
        expect(names.indexOf(name)).toBeLessThan(index);
      }
    }
  });
});

describe('a package', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmabuf-sql-'));
  });
  afterAll(() => rm(folder, {recursive: true}));

  const include = (name: string): string =>
    `INCLUDE PERFETTO MODULE ${files.SQL_PACKAGE}.${name};\nSELECT 1;\n`;

  test('that includes itself is refused', async () => {
    await writeFile(join(folder, 'a.sql'), include('b'));
    await writeFile(join(folder, 'b.sql'), include('a'));
    await expect(files.readSqlModules(folder)).rejects.toThrow(
      'org.kernel.dmabuf.a includes itself',
    );
  });

  test('that includes what is not there is refused', async () => {
    await writeFile(join(folder, 'b.sql'), include('c'));
    await expect(files.readSqlModules(folder)).rejects.toThrow(
      'org.kernel.dmabuf.b includes org.kernel.dmabuf.c, which is not there',
    );
  });

  test('keeps backticks, backslashes and ${ as they are', async () => {
    await rm(join(folder, 'a.sql'));
    const sql = "-- `a` \\ ${b}\nSELECT '\\n';\n";
    await writeFile(join(folder, 'b.sql'), sql);
    const text = files.pluginModule(await files.readSqlModules(folder));
    expect(text).toContain("-- \\`a\\` \\\\ \\${b}\nSELECT '\\\\n';\n");
  });
});

describe.each(modules.map(({name, sql}) => [name, sql] as const))(
  '%s',
  (_, sql) => {
    const lines = sql.split('\n');

    test('keeps to 80 columns, and drops or replaces nothing', () => {
      expect(lines.filter((line) => line.length > 80)).toEqual([]);
      expect(sql).not.toMatch(/\b(DROP|OR REPLACE)\b/);
    });

    test('makes names of its own alone', () => {
      const made = [...sql.matchAll(/^CREATE PERFETTO \w+ (\w+)/gm)];
      expect(made.length).toBeGreaterThan(0);
      for (const [, name] of made) expect(name).toMatch(/^_?dmabuf_/);
    });

    test('documents each public table, view and function', () => {
      for (const [index, line] of lines.entries()) {
        const match = /^CREATE PERFETTO (TABLE|VIEW|FUNCTION) (\w+)/.exec(line);
        if (match === null || match[2]?.startsWith('_') === true) continue;
        expect(lines[index - 1], match[2]).toMatch(/^-- ./);
        expect(line, `${match[2]} has no schema`).toMatch(/\($/);
        expect(undocumented(lines.slice(index + 1)), match[2]).toEqual([]);
      }
    });
  },
);

/** Columns and arguments up to AS that have no comment above. */
function undocumented(lines: readonly string[]): string[] {
  const head = lines.slice(0, lines.indexOf('AS'));
  return head.filter(
    (line, i) =>
      /^ {2}\w+ [A-Z]/.test(line) && !/^ {2}-- ./.test(head[i - 1] ?? ''),
  );
}
