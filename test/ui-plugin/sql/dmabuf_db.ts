// SPDX-License-Identifier: Apache-2.0
// Traces in the real trace processor, with our PerfettoSQL package.
import {
  readSqlModules,
  SQL_PACKAGE,
} from '../../../src/ui-plugin/sql/sql_files.js';
import {openTrace, type TraceDb} from '../../trace_processor/index.js';

/** Loads a trace and includes all modules of the package. */
export async function openWithPackage(
  ...pieces: readonly Uint8Array[]
): Promise<TraceDb> {
  const db = await openTrace(Buffer.concat(pieces));
  try {
    const modules = await readSqlModules();
    await db.registerSqlPackage({
      name: SQL_PACKAGE,
      modules: modules.map(({name, sql}) => ({name, sql})),
    });
    for (const {name} of modules) {
      await db.query(`INCLUDE PERFETTO MODULE ${name}`);
    }
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

export async function withPackage(
  pieces: readonly Uint8Array[],
  check: (db: TraceDb) => Promise<void>,
): Promise<void> {
  const db = await openWithPackage(...pieces);
  try {
    await check(db);
  } finally {
    db.close();
  }
}
