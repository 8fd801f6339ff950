// SPDX-License-Identifier: Apache-2.0
// Is the lab's manifest true? It is kept by the puppet without asking the kernel;
// here it is held against what the kernel says, read in the plainest way, with
// no code of the tool.

import {afterAll, afterEach, beforeAll, describe, expect, it} from 'vitest';
import {
  bootLab,
  type KernelName,
  type Lab,
  labAvailability,
  type Manifest,
  type TrueBuffer,
} from './lab.js';

/** Whether the lab can be had; if not, says so where nobody can miss it. */
function isAvailable(kernel: KernelName): boolean {
  const availability = labAvailability([kernel]);
  if (availability.ok) return true;
  process.stderr.write(
    `SKIPPED: device lab, kernel ${kernel}: missing: ` +
      `${availability.missing.join('; ')}\n`,
  );
  return false;
}

const available = isAvailable('6.1');

/** `SIZE FLAGS MODE COUNT EXPORTER INODE NAME` of the kernel, by inode. */
interface KernelBuffer {
  readonly sizeBytes: bigint;
  readonly count: number;
  readonly exporter: string;
  readonly name: string;
}

async function readBufinfo(lab: Lab): Promise<Map<bigint, KernelBuffer>> {
  const text = await lab.shell('cat /sys/kernel/debug/dma_buf/bufinfo');
  const line =
    /^(\d{8,})\t[0-9a-f]{8}\t[0-9a-f]{8}\t(\d{8,})\t(\w+)\t(\d{8,})\t(.*)$/gm;
  const buffers = new Map<bigint, KernelBuffer>();
  for (const match of text.toString('latin1').matchAll(line)) {
    const [, size = '', count = '', exporter = '', inode = '', name = ''] =
      match;
    buffers.set(BigInt(inode), {
      sizeBytes: BigInt(size),
      count: Number(count),
      exporter,
      name,
    });
  }
  return buffers;
}

/** `PID INODE` with the number of descriptors or of VMAs, from /proc. */
interface ProcHoldings {
  readonly fds: Record<string, number[]>;
  readonly vmas: Record<string, number>;
}

async function readProc(lab: Lab): Promise<ProcHoldings> {
  const text = (await lab.shell('scanner stat maps')).toString('latin1');
  const fds: Record<string, number[]> = {};
  const vmas: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const fd = /^(\d+) (\d+) (\d+) \d+ /.exec(line);
    if (fd) (fds[`${fd[1]} ${fd[3]}`] ??= []).push(Number(fd[2]));
    const map = /^M (\d+) \S+ \S+ \S+ \S+ (\d+) +\/dmabuf:/.exec(line);
    if (!map) continue;
    const key = `${map[1]} ${map[2]}`;
    vmas[key] = (vmas[key] ?? 0) + 1;
  }
  for (const numbers of Object.values(fds)) numbers.sort((a, b) => a - b);
  return {fds, vmas};
}

function expectedProc(manifest: Manifest): ProcHoldings {
  const fds: Record<string, number[]> = {};
  const vmas: Record<string, number> = {};
  for (const {pid, holdings} of manifest.processes) {
    for (const holding of holdings) {
      const key = `${String(pid)} ${String(holding.inode)}`;
      if (holding.fds.length > 0) {
        fds[key] = [...holding.fds].sort((a, b) => a - b);
      }
      if (holding.vmas > 0) vmas[key] = holding.vmas;
    }
  }
  return {fds, vmas};
}

function expectedName({name}: TrueBuffer): string {
  return name ? Buffer.from(name).toString('latin1') : '<none>';
}

function knownReferences(buffer: TrueBuffer): number {
  return buffer.fds + buffer.vmas + buffer.inFlight;
}

/** Holds the whole manifest against bufinfo and /proc. */
async function expectTrue(lab: Lab): Promise<Manifest> {
  const manifest = await lab.manifest();
  const bufinfo = await readBufinfo(lab);
  expect([...bufinfo.keys()].sort()).toEqual(
    manifest.buffers.map(({inode}) => inode).sort(),
  );
  for (const buffer of manifest.buffers) {
    const {count, ...kernel} = bufinfo.get(buffer.inode) ?? {count: -1};
    expect(kernel).toEqual({
      sizeBytes: buffer.sizeBytes,
      exporter: buffer.exporter,
      name: expectedName(buffer),
    });
    if (buffer.imports === 0) {
      expect({...buffer, count}).toEqual({
        ...buffer,
        count: knownReferences(buffer),
      });
    } else {
      expect(count).toBeGreaterThan(knownReferences(buffer));
    }
  }
  expect(await readProc(lab)).toEqual(expectedProc(manifest));
  return manifest;
}

describe.skipIf(!available)('device lab, Linux 6.1, root', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await bootLab({kernel: '6.1'});
  });

  afterEach(async () => {
    await lab.puppet(['reset']);
    await expectTrue(lab);
  });

  afterAll(async () => {
    await (lab as Lab | undefined)?.stop();
  });

  it('runs the kernel it was asked for', () => {
    expect(lab.kernelRelease).toMatch(/^6\.1\./);
  });

  it('holds a buffer by descriptors, sent and duplicated', async () => {
    await lab.puppet([
      'spawn camera',
      'spawn compositor',
      'alloc camera frame size=65536 name=preview',
      'dup camera frame',
      'dup camera frame fd=100',
      'send camera compositor frame',
    ]);
    const {buffers, processes} = await expectTrue(lab);
    expect(buffers).toMatchObject([
      {label: 'frame', sizeBytes: 65536n, exporter: 'drm', fds: 4},
    ]);
    expect(processes[0]?.holdings[0]?.fds).toContain(100);
  });

  it('holds a buffer by mappings alone, split and inherited', async () => {
    await lab.puppet([
      'spawn decoder',
      'alloc decoder frame size=40960',
      'map decoder frame',
      'map decoder frame offset=8192 length=4096',
      'split decoder frame',
      'close decoder frame',
      'fork decoder child',
    ]);
    const {buffers, processes} = await expectTrue(lab);
    expect(buffers).toMatchObject([{fds: 0, vmas: 8}]);
    expect(processes[1]?.holdings).toMatchObject([
      {fds: [], vmas: 4, mappedBytes: 45056n},
    ]);
    await lab.puppet(['unmap decoder frame', 'exit child']);
    expect((await expectTrue(lab)).buffers).toEqual([]);
  });

  it('holds buffers where no process shows them', async () => {
    await lab.puppet([
      'spawn sender',
      'spawn receiver',
      'alloc sender queued name=queued',
      'sendhold sender receiver queued',
      'close sender queued',
      'alloc sender imported name=imported',
      'import sender imported',
      'close sender imported',
      'alloc sender private name=private',
      'thread-private sender private',
      'close sender private',
    ]);
    const {buffers, processes} = await expectTrue(lab);
    expect(buffers).toMatchObject([
      {label: 'queued', fds: 0, inFlight: 1},
      {label: 'imported', fds: 0, imports: 1},
      {label: 'private', fds: 1},
    ]);
    const thread = processes[0]?.holdings[1]?.privateThread;
    const pid = String(processes[0]?.pid);
    const fds = `/proc/${pid}/task/${String(thread?.tid)}/fd`;
    const links = await lab.shell(`for f in ${fds}/*; do readlink $f; done`);
    expect(links.toString()).toBe('/dmabuf:private\n');

    await lab.puppet([
      'receive receiver queued',
      'drop-import sender imported',
      'thread-exit sender private',
    ]);
    expect((await expectTrue(lab)).buffers).toMatchObject([
      {label: 'queued', fds: 1, inFlight: 0},
    ]);
  });

  it('gives buffers and processes hostile names', async () => {
    const comm = Buffer.from('a b) S 1');
    await lab.puppet([
      `spawn odd comm=hex:${comm.toString('hex')}`,
      `alloc odd forged name=hex:${Buffer.from('/dmabuf:x').toString('hex')}`,
      'alloc odd empty name=hex:',
      'alloc odd renamed name=old',
      `name odd renamed hex:${Buffer.from(' (deleted)').toString('hex')}`,
    ]);
    const {buffers, processes} = await expectTrue(lab);
    expect(buffers.map(expectedName)).toEqual(['/dmabuf:x', '', ' (deleted)']);
    expect(processes[0]?.comm).toEqual(Uint8Array.from(comm));
    const pid = String(processes[0]?.pid);
    const kernelComm = await lab.shell(`cat /proc/${pid}/comm`);
    expect(kernelComm.toString()).toBe('a b) S 1\n');
  });

  it('says what the kernel refuses', async () => {
    const replies = await lab.puppet(
      [
        'spawn a',
        'alloc a frame',
        `name a frame ${'x'.repeat(32)}`,
        `name a frame ${'x'.repeat(31)}`,
        'close a other',
        'alloc a heap exporter=system',
        'dance a',
      ],
      {mayFail: true},
    );
    expect(replies.map(({ok, error}) => (ok ? 'ok' : error))).toEqual([
      'ok',
      'ok',
      'DMA_BUF_SET_NAME: Invalid argument (EINVAL)',
      'ok',
      'this actor does not hold the buffer',
      'alloc: No such device (ENODEV)',
      'unknown command',
    ]);
    await expectTrue(lab);
  });

  it('gives times that order what happened', async () => {
    const replies = await lab.puppet(['spawn a', 'alloc a x', 'exit a']);
    const times = replies.flatMap(({beforeNs, afterNs}) => [beforeNs, afterNs]);
    expect(times).toEqual([...times].sort((a, b) => (a < b ? -1 : 1)));
    expect(times[0]).toBeGreaterThan(0n);
  });

  it('leaves a zombie, and kills', async () => {
    const [, , zombie] = await lab.puppet([
      'spawn parent',
      'fork parent child',
      'zombie child',
      'spawn victim',
      'alloc victim x',
      'kill victim',
    ]);
    const {processes} = await expectTrue(lab);
    expect(processes.map(({actor}) => actor)).toEqual(['parent', 'child']);
    const status = await lab.shell(`cat /proc/${String(zombie?.pid)}/status`);
    expect(status.toString()).toMatch(/^State:\tZ/m);
    await lab.puppet(['reap child']);
    expect((await lab.manifest()).processes).toHaveLength(1);
  });

  it('populates, churns, leaks and storms, and logs what it did', async () => {
    await lab.puppet(['pop 6 60 8192 6 9 2 20', 'spawn leaky']);
    const before = await expectTrue(lab);
    expect(before.buffers).toHaveLength(66);
    await lab.puppet([
      'churn 200',
      'leak leaky every_ms=20 size=4096 count=10',
      'storm 100 life_ms=5 count=10',
      'finish leaky',
      'finish storm',
    ]);
    const holders = before.processes.map(({pid}) => pid);
    await expect
      .poll(
        async () =>
          (await lab.events()).events.some(
            ({kind, pid}) => kind === 'freed' && holders.includes(pid),
          ),
        {timeout: 60_000},
      )
      .toBe(true);
    await lab.puppet(['stop']);
    const after = await expectTrue(lab);
    const {events, lost} = await lab.events();
    expect(lost).toBe(0);

    const live = new Set(before.buffers.map(({inode}) => inode));
    for (const {kind, inode, beforeNs, afterNs} of events) {
      expect(beforeNs).toBeLessThanOrEqual(afterNs);
      if (kind === 'allocated') live.add(inode);
      else live.delete(inode);
    }
    expect([...live].sort()).toEqual(
      after.buffers.map(({inode}) => inode).sort(),
    );
    const leaky = after.processes.find(({actor}) => actor === 'leaky');
    expect(leaky?.holdings).toHaveLength(10);
    const mayflies = events.filter(
      ({pid}) => !holders.includes(pid) && pid !== leaky?.pid,
    );
    expect(new Set(mayflies.map(({pid}) => pid)).size).toBe(10);
  });

  it('puts thousands of buffers into one process', async () => {
    await lab.puppet(['fds 3000']);
    const {buffers, processes} = await expectTrue(lab);
    expect(buffers).toHaveLength(3000);
    expect(processes[0]?.holdings).toHaveLength(3000);
  });

  it('measures what a command costs', async () => {
    await lab.puppet(['spawn a', 'alloc a x', 'map a x']);
    const scan = (await lab.shell('scanner fdinfo maps')).toString();
    const text = (await lab.shell('meter scanner fdinfo maps')).toString();
    const cost = JSON.parse(text) as Record<string, unknown>;
    expect(cost).toMatchObject({exit: 0, bytes: scan.length});
    expect(cost['lines']).toBe(scan.split('\n').length - 1);
  });
});

describe.each(['6.12', 'newest'] as const)('device lab, Linux %s', (kernel) => {
  it.skipIf(!isAvailable(kernel))(
    'exports from heap, udmabuf and vgem',
    async () => {
      const lab = await bootLab({kernel});
      try {
        await lab.puppet([
          'spawn allocator',
          'alloc allocator h exporter=system size=8000 name=heap',
          'alloc allocator u exporter=udmabuf size=16384',
          'alloc allocator g exporter=vgem size=4096 name=hex:',
          'import allocator h',
          'close allocator h',
          'map allocator u',
          'map allocator g',
          'close allocator g',
        ]);
        const {buffers} = await expectTrue(lab);
        expect(buffers).toMatchObject([
          {exporter: 'system', sizeBytes: 8192n, imports: 1},
          {exporter: 'udmabuf', fds: 1, vmas: 1},
          {exporter: 'drm', fds: 0, vmas: 1},
        ]);
      } finally {
        await lab.stop();
      }
    },
  );
});

describe.skipIf(!available)('device lab, Linux 6.1, unrooted', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await bootLab({
      kernel: '6.1',
      adbdUid: 2000,
      su: 'aosp',
      debugfs: false,
    });
    await lab.puppet([
      'spawn system',
      'alloc system x',
      'spawn own uid=2000',
      'alloc own y',
    ]);
  });

  afterAll(async () => {
    await (lab as Lab | undefined)?.stop();
  });

  it('runs shells as uid 2000', async () => {
    expect((await lab.shell('id -u')).toString()).toBe('2000\n');
  });

  it('shows the shell only what is its own', async () => {
    const {processes} = await lab.manifest();
    const [system, own] = processes.map(({pid}) => String(pid));
    const denied = await lab.run(`ls /proc/${String(system)}/fd`);
    expect(denied.exitCode).not.toBe(0);
    expect(denied.stderr).toContain('Permission denied');
    const fds = await lab.shell(`ls -l /proc/${String(own)}/fd`);
    expect(fds.toString()).toContain('/dmabuf:');
  });

  it('has no debugfs', async () => {
    const listing = await lab.shell('su 0 ls /sys/kernel/debug');
    expect(listing.toString()).toBe('');
  });

  it('becomes root by the su it was given, and by no other', async () => {
    expect((await lab.shell('su 0 id -u')).toString()).toBe('0\n');
    expect((await lab.shell('su root id -u')).toString()).toBe('0\n');
    const magisk = await lab.run("su -c 'id -u'");
    expect(magisk.exitCode).toBe(1);
    expect(magisk.stderr).toBe("su: invalid uid/gid '-c'\n");
  });
});
