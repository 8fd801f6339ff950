// SPDX-License-Identifier: Apache-2.0
import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ScenarioTruth} from '../../../src/core/kernel/index.js';
import {
  recordStepped,
  type SteppedOptions,
} from '../../producer/simulator/stepped_recording.js';
import {openTrace, type TraceDb} from '../../trace_processor/index.js';
import {addStockTracks} from './stock_tracks.js';
import {openTraceDouble, type TraceDouble} from './trace_double.js';

export interface RecordedTrace {
  readonly db: TraceDb;
  /** With the stock plugins' tracks in its tree. */
  readonly trace: TraceDouble;
  readonly truth: ScenarioTruth;
}

/** A scenario, recorded and opened in the real trace processor. */
export async function openScenario(
  options: SteppedOptions,
): Promise<RecordedTrace> {
  const folder = await mkdtemp(join(tmpdir(), 'dmabuf-plugin-'));
  try {
    const {truth} = await recordStepped(folder, options);
    const [file] = await readdir(folder);
    const db = await openTrace(await readFile(join(folder, file ?? '')));
    const trace = await openTraceDouble(db);
    await addStockTracks(trace);
    return {db, trace, truth};
  } finally {
    await rm(folder, {recursive: true});
  }
}
