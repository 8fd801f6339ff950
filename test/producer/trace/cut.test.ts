// SPDX-License-Identifier: Apache-2.0
// A recording is killed at any byte, the disk fills up, a cable is pulled.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {BinaryReader} from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {readRecording} from '../../../src/producer/trace/trace_reader.js';
import {hasTraceProcessor, openTrace} from '../../trace_processor/index.js';
import {everything, record} from './scene.js';
import {temporaryFolder} from './temporary.js';

const isHere = await hasTraceProcessor();
const folder = temporaryFolder();

const pieces = record(everything());
const whole = Buffer.concat(pieces);
const SAMPLES = pieces.length - 2;

/** File offsets at which the header and each sample end. */
const ends = pieces
  .slice(0, -1)
  .map((_, i) => pieces.slice(0, i + 1).reduce((n, p) => n + p.length, 0));

/** File offsets at which a packet begins. */
const boundaries: number[] = [];
for (const reader = new BinaryReader(whole); reader.pos < reader.len;) {
  boundaries.push(reader.pos);
  const [field, wireType] = reader.tag();
  reader.skip(wireType, field);
}

/** Samples that are there as a whole when the file is cut at `offset`. */
function wholeSamples(offset: number): number {
  return ends.filter((end) => end <= offset).length - 1;
}

test('our reader takes a file cut at any byte, all whole samples of it', async () => {
  const path = join(folder, 'cut.pftrace');
  for (let offset = 0; offset < whole.length; offset++) {
    await writeFile(path, whole.subarray(0, offset));
    const samples = wholeSamples(offset);
    if (samples <= 0) {
      await expect(readRecording(path)).rejects.toThrow('cut.pftrace');
      continue;
    }
    const recording = await readRecording(path);
    expect(recording.samples.count).toBe(samples);
    expect(recording.ended).toBeUndefined();
    expect(recording.warnings).toContain(
      'the recording was cut short: it has no end mark',
    );
    const cutAt = boundaries.findLast((boundary) => boundary <= offset) ?? 0;
    const isInside = cutAt !== offset;
    expect(
      recording.warnings.includes(
        `the file is cut in the packet at byte ${cutAt}`,
      ),
    ).toBe(isInside);
  }
});

test('our reader stops at garbage, with a warning that says where', async () => {
  const path = join(folder, 'garbled.pftrace');
  const good = ends[3] as number;
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({minLength: 20, maxLength: 200}),
      async (noise) => {
        noise[0] = 0xff;
        const kept = whole.subarray(0, good);
        await writeFile(path, Buffer.concat([kept, noise]));
        const recording = await readRecording(path);
        expect(recording.samples.count).toBe(3);
        expect(recording.warnings).toContain(
          `the file is garbled from byte ${good} on, the rest is left out`,
        );
      },
    ),
    {numRuns: 30},
  );
});

test('our reader survives any flipped byte', async () => {
  const path = join(folder, 'flipped.pftrace');
  await fc.assert(
    fc.asyncProperty(
      fc.nat({max: whole.length - 1}),
      fc.integer({min: 1, max: 255}),
      async (offset, flip) => {
        const bytes = Buffer.from(whole);
        bytes[offset] = (bytes[offset] as number) ^ flip;
        await writeFile(path, bytes);
        const result = await readRecording(path).catch((error: Error) => error);
        if (result instanceof Error) {
          expect(result.name).toBe('TraceReadError');
        } else {
          expect(result.samples.count).toBeLessThanOrEqual(SAMPLES);
        }
      },
    ),
    {numRuns: 500},
  );
});

describe.skipIf(!isHere)('the trace processor', () => {
  /** After each piece: in its first packet, midway, in the last packet. */
  const offsets = ends.flatMap((end, i) => {
    const next = ends[i + 1] ?? whole.length;
    return [end + 1, Math.floor((end + next) / 2), next - 1];
  });

  test.each(offsets)('opens a file cut at byte %i', async (offset) => {
    const db = await openTrace(whole.subarray(0, offset));
    try {
      const [row] = await db.query(`
        SELECT COUNT(*) AS samples FROM slice
        WHERE category = 'dma_buf.sample' AND dur >= 0`);
      expect(row?.['samples']).toBeGreaterThanOrEqual(wholeSamples(offset));
      expect(await db.importErrors()).toEqual([]);
    } finally {
      db.close();
    }
  });
});
