// SPDX-License-Identifier: Apache-2.0
import {
  TraceProcessorMissing,
  traceProcessorFiles,
  type TraceProcessorFiles,
} from './download.js';
import {
  readRows,
  startTraceProcessor,
  type Row,
  type SqlPackage,
} from './engine.js';

export {TraceProcessorMissing} from './download.js';
export type {Cell, Row, SqlPackage} from './engine.js';

/** The largest piece the trace processor takes at once. */
const SLICE_BYTES = 32 * 1024 * 1024;

/** A trace, loaded by the real trace processor. */
export interface TraceDb {
  /** @throws with the trace processor's message when the SQL is wrong. */
  query(sql: string): Promise<Row[]>;
  /** Makes the modules of a PerfettoSQL package known, for INCLUDE. */
  registerSqlPackage(sqlPackage: SqlPackage): Promise<void>;
  /** Everything that went wrong while loading, of any severity; [] is good. */
  importErrors(): Promise<Row[]>;
  close(): void;
}

/**
 * What counts as an import error: all stats of severity error, data_loss and
 * notice, and those of severity info that tell of a producer's mistake.
 */
const IMPORT_ERRORS = `
  SELECT name, idx, severity, value FROM stats
  WHERE value > 0 AND (
    severity IN ('error', 'data_loss', 'notice')
    OR name IN (
      'track_hierarchy_missing_uuid', 'track_event_parser_errors',
      'track_event_tokenizer_errors', 'interned_data_tokenizer_errors',
      'tokenizer_skipped_packets'
    )
  )`;

let files: Promise<TraceProcessorFiles> | undefined;

/**
 * Loads a trace.
 *
 * @throws TraceProcessorMissing where there is no trace processor.
 * @throws with the trace processor's message when it refuses the trace.
 */
export async function openTrace(bytes: Uint8Array): Promise<TraceDb> {
  files ??= traceProcessorFiles();
  const engine = startTraceProcessor(await files);
  try {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      await engine.parse(bytes.slice(at, at + SLICE_BYTES));
    }
    await engine.notifyEof();
  } catch (error) {
    engine.dispose();
    throw error instanceof Error ? error : new Error(String(error));
  }
  return {
    query: (sql) => readRows(engine, sql),
    registerSqlPackage: (sqlPackage) => engine.registerSqlPackages(sqlPackage),
    importErrors: async () => [
      ...(await readRows(engine, IMPORT_ERRORS)),
      ...(await readRows(engine, 'SELECT * FROM _trace_import_logs')),
    ],
    close: () => engine.dispose(),
  };
}

/**
 * True when the trace processor can be had; otherwise says on stderr why tests
 * are skipped. Where CI is set it must be there.
 *
 * @throws TraceProcessorMissing in CI.
 */
export async function hasTraceProcessor(): Promise<boolean> {
  try {
    await traceProcessorFiles();
    return true;
  } catch (error) {
    const isRequired = process.env['CI'] !== undefined;
    if (isRequired || !(error instanceof TraceProcessorMissing)) throw error;
    process.stderr.write(`SKIPPED: ${error.message}\n`);
    return false;
  }
}
