// SPDX-License-Identifier: Apache-2.0
// @vitest-environment node
import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import DmaBufPlugin from '../../../src/ui-plugin/org.kernel.DmaBuf/index.js';
import {recordStepped} from '../../producer/simulator/stepped_recording.js';
import {
  hasTraceProcessor,
  openTrace,
  type TraceDb,
} from '../../trace_processor/index.js';
import {addStockTracks} from './stock_tracks.js';
import {openTraceDouble, type TraceDouble} from './trace_double.js';
import {treeText} from './tree_text.js';

const isThere = await hasTraceProcessor();

describe.skipIf(!isThere)('the tracks of a recording', () => {
  let folder: string;
  let db: TraceDb;
  let trace: TraceDouble;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmabuf-plugin-'));
    await recordStepped(folder, {scenario: 'surfaceflinger-leak'});
    const [file] = await readdir(folder);
    db = await openTrace(await readFile(join(folder, file ?? '')));
    trace = await openTraceDouble(db);
    await addStockTracks(trace);
    await new DmaBufPlugin().onTraceLoad(trace);
  });

  afterAll(async () => {
    db.close();
    await rm(folder, {recursive: true});
  });

  test('stand where the stock ones stood, each once', () => {
    expect(treeText(trace.defaultWorkspace.tracks)).toEqual([
      ...Array.from({length: 13}, (_, index) => [
        `Process ${index + 1}`,
        '  dma-buf PSS',
        '  dma-buf RSS',
        '  dma-buf buffers',
      ]).flat(),
      'DMA-BUF (simulated)',
      '  Total',
      '  Held by processes',
      '  Kernel-only',
      '  Mapped-only',
      '  Buffer count',
      '  By exporter',
      '    Exporter: system',
      '    Exporter: system-uncached',
      '  Buffers (lifetimes)',
      '  Samples',
    ]);
  });
});
