// SPDX-License-Identifier: Apache-2.0
import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {extract} from 'tar-stream';
import {describe, expect, it} from 'vitest';
import {attachToTar} from '../../../src/producer/bugreport/attach.js';
import {readBugReport} from '../../../src/producer/bugreport/index.js';
import {reportTrace} from '../../../src/producer/bugreport/report_trace.js';
import {
  writeTarArchive,
  fileMember,
} from '../../../src/producer/archive/tar_archive.js';
import {
  hasTraceProcessor,
  openTrace,
  type TraceDb,
} from '../../trace_processor/index.js';
import {everything, record, CLOCK, START_NS} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {
  android14,
  members,
  REPORT_BOOT_NS,
  REPORT_REAL_NS,
  writeZip,
} from './made_report.js';
import {systemTrace} from './made_system_trace.js';

const isHere = await hasTraceProcessor();
const folder = temporaryFolder();
let files = 0;
const place = (name: string): string => {
  const path = join(folder, String(files++));
  mkdirSync(path);
  return join(path, name);
};

const SYSTEM_ENTRY = 'FS/data/misc/perfetto-traces/bugreport/systrace.pftrace';
const PROCESSES = [
  [1, '/init'],
  [20, 'surfaceflinger'],
] as const;

/** A system trace of the time and the boot that `everything` is of. */
const system = systemTrace({
  bootNs: START_NS - 1_000_000_000n,
  realNs: CLOCK.realNs - 1_000_000_000n,
  processes: PROCESSES,
});

function recording(): string {
  const path = place('x.pftrace');
  writeFileSync(path, Buffer.concat(record(everything())));
  return path;
}

const zipWith = (...extra: {name: string; data: Buffer}[]): Promise<string> =>
  writeZip(place('bugreport-oriole.zip'), members(android14(), extra));

async function untar(path: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const reader = extract();
  reader.end(readFileSync(path));
  for await (const entry of reader) {
    const pieces: Buffer[] = [];
    for await (const piece of entry) pieces.push(piece as Buffer);
    found.set(entry.header.name, Buffer.concat(pieces));
  }
  return found;
}

async function opened(
  path: string,
  check: (db: TraceDb) => Promise<void>,
): Promise<void> {
  const db = await openTrace(readFileSync(path));
  try {
    await check(db);
  } finally {
    db.close();
  }
}

describe('the archive', () => {
  it('has the zip byte for byte, the system trace and the recording', async () => {
    const zip = await zipWith({name: SYSTEM_ENTRY, data: system});
    const trace = recording();
    const out = place('all.tar');
    const attached = await attachToTar(zip, trace, out);
    expect(attached).toEqual({systemTrace: SYSTEM_ENTRY, notes: []});
    const found = await untar(out);
    expect([...found.keys()]).toEqual([
      'system.pftrace',
      'bugreport-oriole.zip',
      'zz_dmabuf.pftrace',
    ]);
    expect(found.get('bugreport-oriole.zip')).toEqual(readFileSync(zip));
    expect(found.get('system.pftrace')).toEqual(system);
    expect(found.get('zz_dmabuf.pftrace')).toEqual(readFileSync(trace));
  });

  it('shows one system trace, the snapshot of the report', async () => {
    const other = 'FS/data/misc/perfetto-traces/other.perfetto-trace';
    const zip = await zipWith(
      {name: other, data: Buffer.concat([system, system])},
      {name: SYSTEM_ENTRY, data: system},
    );
    const out = place('all.tar');
    const {systemTrace: chosen, notes} = await attachToTar(
      zip,
      recording(),
      out,
    );
    expect(chosen).toBe(SYSTEM_ENTRY);
    expect(notes).toEqual([
      `"${other}" is left in the zip: one system trace is shown`,
    ]);
  });

  it('leaves out what is no trace, for it would spoil the whole', async () => {
    const zip = await zipWith({name: SYSTEM_ENTRY, data: Buffer.from('oops')});
    const out = place('all.tar');
    const {systemTrace: chosen, notes} = await attachToTar(
      zip,
      recording(),
      out,
    );
    expect(chosen).toBeUndefined();
    expect(notes.join()).toContain('is no trace');
    expect((await untar(out)).size).toBe(2);
  });

  it.each([
    ['no recording', 'text', /is no recording/],
    ['an empty file', '', /is no recording/],
  ])('refuses %s', async (_name, content, message) => {
    const zip = await zipWith();
    const trace = place('x.pftrace');
    writeFileSync(trace, content);
    const out = place('all.tar');
    await expect(attachToTar(zip, trace, out)).rejects.toThrow(message);
    expect(readdirSync(dirname(out))).toEqual([]);
  });

  it('refuses to write over what it reads', async () => {
    const zip = await zipWith();
    const before = readFileSync(zip);
    await expect(attachToTar(zip, recording(), zip)).rejects.toThrow(
      /would be overwritten/,
    );
    expect(readFileSync(zip)).toEqual(before);
  });

  it('leaves nothing behind when it is broken off or fails', async () => {
    const zip = await zipWith({name: SYSTEM_ENTRY, data: system});
    const out = place('all.tar');
    const ended = new AbortController();
    ended.abort();
    await expect(
      attachToTar(zip, recording(), out, {signal: ended.signal}),
    ).rejects.toThrow();
    expect(readdirSync(dirname(out))).toEqual([]);
  });
});

describe.skipIf(!isHere)('the real trace processor', () => {
  it('opens it as one, on one time line, without an error', async () => {
    const zip = await zipWith({name: SYSTEM_ENTRY, data: system});
    const out = place('all.tar');
    await attachToTar(zip, recording(), out);
    await opened(out, async (db) => {
      expect(await db.importErrors()).toEqual([]);
      // The report's text is there...
      const [lines] = await db.query(
        `SELECT COUNT() AS n FROM android_dumpstate WHERE line LIKE '%shared-a%'`,
      );
      expect(lines?.['n']).toBeGreaterThan(0);
      // ... and one process has the system's counter and ours.
      expect(
        await db.query(`
          SELECT p.name AS process, GROUP_CONCAT(DISTINCT t.name) AS tracks
          FROM process p JOIN process_counter_track t USING (upid)
          WHERE p.pid = 20 GROUP BY p.upid`),
      ).toEqual([
        {
          process: 'surfaceflinger',
          tracks: expect.stringMatching(/mem\.rss.*dma-buf PSS/) as string,
        },
      ]);
      // BOOTTIME is BOOTTIME.
      const [first] = await db.query(
        `SELECT MIN(s.ts) AS ts FROM slice s WHERE s.category = 'dma_buf.sample'`,
      );
      expect(Number(first?.['ts']) - Number(START_NS)).toBe(0);
    });
  });

  it('opens it without a system trace, too', async () => {
    const out = place('all.tar');
    await attachToTar(await zipWith(), recording(), out);
    await opened(out, async (db) => {
      expect(await db.importErrors()).toEqual([]);
      const [slices] = await db.query(
        `SELECT COUNT() AS n FROM slice WHERE category = 'dma_buf'`,
      );
      expect(slices?.['n']).toBeGreaterThan(0);
    });
  });

  it("opens an archive of 'record --system-trace' in it", async () => {
    const inner = place('recorded.tar');
    const ours = recording();
    const theirs = place('system.pftrace');
    writeFileSync(theirs, system);
    await writeTarArchive(inner, [
      await fileMember('system.pftrace', theirs),
      await fileMember('zz_dmabuf.pftrace', ours),
    ]);
    const zip = await zipWith({name: SYSTEM_ENTRY, data: system});
    const out = place('all.tar');
    const {notes} = await attachToTar(zip, inner, out);
    expect(notes.join()).toContain('the recording has its own');
    expect([...(await untar(out)).keys()]).toEqual([
      basename(zip),
      'zz_dmabuf.tar',
    ]);
    await opened(out, async (db) => {
      expect(await db.importErrors()).toEqual([]);
      const [slices] = await db.query(
        `SELECT COUNT() AS n FROM slice WHERE category = 'dma_buf'`,
      );
      expect(slices?.['n']).toBeGreaterThan(0);
    });
  });

  it("shows a report's own state as a trace", async () => {
    const report = await readBugReport(await zipWith());
    const path = place('state.pftrace');
    writeFileSync(path, reportTrace(report));
    await opened(path, async (db) => {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(
          `SELECT clock_name, clock_value FROM clock_snapshot ORDER BY 1`,
        ),
      ).toEqual([
        {clock_name: 'BOOTTIME', clock_value: Number(REPORT_BOOT_NS)},
        {clock_name: 'REALTIME', clock_value: REPORT_REAL_NS},
      ]);
      const held = await db.query(`
        SELECT p.pid, s.name,
          EXTRACT_ARG(s.arg_set_id, 'dma_buf.size') AS size,
          EXTRACT_ARG(s.arg_set_id, 'dma_buf.fd_refs') AS fds
        FROM slice s JOIN process_track t ON s.track_id = t.id
        JOIN process p USING (upid)
        WHERE s.category = 'dma_buf' AND p.name = 'lab-forker'
        ORDER BY size`);
      expect(held).toMatchObject([
        {pid: 83, size: 40960, fds: undefined},
        {pid: 83, size: 45056, fds: undefined},
      ]);
      const [span] = await db.query(
        `SELECT s.ts, s.dur, s.name FROM slice s JOIN track t ON s.track_id = t.id
         WHERE t.name = 'Bug report'`,
      );
      expect(span).toEqual({
        ts: Number(REPORT_BOOT_NS),
        dur: 15_000_000_000,
        name: 'bug report UQ1A.240105.004',
      });
    });
  });

  it('attaches that trace to the report it is from', async () => {
    const zip = await zipWith({
      name: SYSTEM_ENTRY,
      data: systemTrace({
        bootNs: REPORT_BOOT_NS,
        realNs: REPORT_REAL_NS,
        processes: [[83, 'lab-forker']],
      }),
    });
    const path = place('state.pftrace');
    writeFileSync(path, reportTrace(await readBugReport(zip)));
    const out = place('all.tar');
    await attachToTar(zip, path, out);
    await opened(out, async (db) => {
      expect(await db.importErrors()).toEqual([]);
      const [one] = await db.query(
        `SELECT COUNT() AS n FROM process WHERE pid = 83`,
      );
      expect(one?.['n']).toBe(1);
    });
  });
});
