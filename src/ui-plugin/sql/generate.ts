// SPDX-License-Identifier: Apache-2.0
// npx tsx src/ui-plugin/sql/generate.ts: writes the text of the .sql files into
// the plugin's sql_modules.ts.
import {writeFile} from 'node:fs/promises';
import {pluginModule, readSqlModules} from './sql_files.js';

const TARGET = new URL('../org.kernel.DmaBuf/sql_modules.ts', import.meta.url);

await writeFile(TARGET, pluginModule(await readSqlModules()));
