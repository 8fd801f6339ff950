// SPDX-License-Identifier: Apache-2.0
// The tool as a user runs it, against a real kernel through the real adb: what
// it reports has to be what the puppet did.

import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {parseDump} from '../../src/producer/cli/dump/dump_json.js';
import {account} from '../../src/core/accounting/index.js';
import {openTrace, type Row} from '../trace_processor/index.js';
import {isAvailable} from './available.js';
import {start} from './command_line.js';
import {bootLab, type Lab, type PuppetReply} from './lab.js';
import {reported, SCENE, truthOf} from './truth.js';

for (const kernel of ['6.1', '6.12', 'newest'] as const) {
  describe.skipIf(!isAvailable(kernel, 'end to end'))(
    `kernel ${kernel}, as root`,
    () => {
      let lab: Lab;
      let folder: string;

      beforeAll(async () => {
        folder = await mkdtemp(join(tmpdir(), 'perfetto-dmabuf-'));
        lab = await bootLab({kernel});
      });

      afterAll(async () => {
        await (lab as Lab | undefined)?.stop();
        await rm(folder, {recursive: true, force: true});
      });

      it('dump reports exactly what the puppet holds', async () => {
        await lab.puppet(SCENE);
        const {code, stdout, stderr} = await start(lab, [
          'dump',
          '--format',
          'json',
          '-s',
          lab.serial,
        ]).done;
        expect({code, stderr}).toEqual({code: 0, stderr: expect.any(String)});
        const manifest = await lab.manifest();
        expect(reported(stdout)).toEqual(truthOf(manifest));

        const {snapshot, provenance} = parseDump(stdout);
        expect(provenance.simulated).toBe(false);
        expect(provenance.kernelRelease).toBe(lab.kernelRelease);
        expect(snapshot.coverage.problems).toEqual([]);
        const {buffers, kernelOnly} = account(snapshot);
        expect([...buffers.keys()].sort()).toEqual(
          manifest.buffers.map(({inode}) => inode).sort(),
        );
        for (const {inode, inFlight, imports, label} of manifest.buffers) {
          const refs = buffers.get(inode)?.kernelRefs ?? -1n;
          if (imports > 0) expect(refs, label).toBeGreaterThan(0n);
          else expect(refs, label).toBe(BigInt(inFlight));
        }
        expect(kernelOnly?.bytes).toBe(24576n + 20480n);
      });

      it('names never reach the terminal raw', async () => {
        const {code, stdout} = await start(lab, ['dump', '-s', lab.serial])
          .done;
        expect(code).toBe(0);
        expect(stdout).toContain('nl\\nhere');
        expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
        await lab.puppet(['reset']);
      });

      it('record shows each step in its order and process', async () => {
        const file = join(folder, 'steps.pftrace');
        const recording = start(lab, [
          ...['record', '-o', file, '-s', lab.serial, '-i', '100'],
        ]);
        const steps = new Steps(lab);
        await steps.settle();
        const spawned = await steps.do(
          'spawn a comm=lab-a',
          'spawn b comm=lab-b',
        );
        const [a, b] = spawned.map(({pid}) => pid);
        const alloc = await steps.one('alloc a x size=65536 name=first');
        await steps.one('send a b x');
        await steps.one('name b x second');
        await steps.one('map b x');
        await steps.one('close a x');
        await steps.one('close b x');
        const unmapped = await steps.one('unmap b x');
        const later = await steps.one('alloc b y size=4096 name=kept');
        recording.interrupt();
        const {code, stderr} = await recording.done;
        expect({code, stderr}).toEqual({code: 0, stderr: expect.any(String)});

        const db = await openTrace(await readFile(file));
        try {
          expect(await db.importErrors()).toEqual([]);
          const slices = await db.query(HOLDINGS_SQL);
          const x = String(alloc.inode);
          const y = String(later.inode);
          const seen = slices.filter(({inode}) =>
            [x, y].includes(String(inode)),
          );
          const of = (pid: number | undefined, inode: string): Row[] =>
            seen.filter(
              (row) =>
                Number(row['pid']) === pid && String(row['inode']) === inode,
            );
          const inA = span(of(a, x));
          const inB = span(of(b, x));
          const kept = span(of(b, y));
          // a took it first, b second; a let go first; y came last and stays.
          expect(inA.begin).toBeGreaterThanOrEqual(alloc.beforeNs - CLOCK_NS);
          expect(inB.begin).toBeGreaterThan(inA.begin);
          expect(inA.end).toBeGreaterThan(inB.begin);
          expect(inB.end ?? 0n).toBeGreaterThan(inA.end ?? 0n);
          expect(inB.end ?? 0n).toBeGreaterThanOrEqual(
            unmapped.beforeNs - CLOCK_NS,
          );
          expect(kept.begin).toBeGreaterThan(inB.end ?? 0n);
          expect(kept.end).toBeUndefined();
          const renames = await db.query(
            `SELECT ts, name FROM slice WHERE category = 'dma_buf.rename'`,
          );
          expect(renames.map(({name}) => name)).toContain('named second');
          const [mapped] = await db.query(
            `SELECT count(*) AS n FROM slice WHERE
             extract_arg(arg_set_id, 'dma_buf.inode') = ${x} AND
             extract_arg(arg_set_id, 'dma_buf.map_refs') > 0`,
          );
          expect(Number(mapped?.['n'])).toBeGreaterThan(0);
          const [size] = await db.query(
            `SELECT DISTINCT extract_arg(arg_set_id, 'dma_buf.size') AS size
           FROM slice
           WHERE extract_arg(arg_set_id, 'dma_buf.inode') = ${x}`,
          );
          expect(Number(size?.['size'])).toBe(65536);
        } finally {
          db.close();
        }
      });
    },
  );
}

/** BOOTTIME in a trace is right to this. */
const CLOCK_NS = 1_000_000n;

const HOLDINGS_SQL = `
  SELECT s.ts, s.dur, p.pid,
    extract_arg(s.arg_set_id, 'dma_buf.inode') AS inode
  FROM slice s
  JOIN process_track t ON s.track_id = t.id
  JOIN process p USING (upid)
  WHERE s.category = 'dma_buf'
  ORDER BY s.ts`;

function span(rows: readonly Row[]): {begin: bigint; end: bigint | undefined} {
  expect(rows.length).toBeGreaterThan(0);
  const begin = BigInt(String(rows[0]?.['ts']));
  const last = rows.at(-1);
  const duration = BigInt(String(last?.['dur']));
  return {
    begin,
    end: duration < 0n ? undefined : BigInt(String(last?.['ts'])) + duration,
  };
}

/** Puppet commands with enough time between them for samples to tell. */
class Steps {
  constructor(private readonly lab: Lab) {}

  /** Lets some samples pass; how many is not asserted on. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 2500));
  }

  async do(...commands: string[]): Promise<PuppetReply[]> {
    const replies = await this.lab.puppet(commands);
    await this.settle();
    return replies;
  }

  async one(command: string): Promise<PuppetReply> {
    const [reply] = await this.do(command);
    if (reply === undefined) throw new Error(`no reply to ${command}`);
    return reply;
  }
}
