// SPDX-License-Identifier: Apache-2.0
// The simulated kernel prints what real kernels printed for the same program,
// byte for byte once inode, mount and device numbers and addresses are masked.
import {readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import type {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import type {RawText} from '../../../src/core/model/text.js';
import {rawFromBytes} from '../../../src/core/model/text.js';
import {CAPTURED_KERNELS, playNames, playScene} from './lab_scene.js';

function fixture(folder: string, file: string): RawText {
  const url = new URL(`../../fixtures/${folder}/${file}`, import.meta.url);
  return rawFromBytes(readFileSync(url));
}

/** The records of a bufinfo, without their inode numbers. */
function bufinfoRecords(text: RawText): RawText[] {
  const masked = text.replace(
    /^(\d{8}\t[0-9a-f]{8}\t[0-9a-f]{8}\t\d{8}\t[^\t\n]+\t)\d{8}\t/gm,
    '$1INODE\t',
  );
  return masked.split('devices attached\n\n');
}

function bufinfo(kernel: SimulatedKernel): RawText {
  return kernel.vfs.read('/sys/kernel/debug/dma_buf/bufinfo');
}

/** As `for f in /proc/PID/fdinfo/*; do echo "== $f"; cat $f; done`. */
function fdinfoAll(kernel: SimulatedKernel, pid: number): RawText {
  const directory = `/proc/${pid}/fdinfo`;
  return kernel.vfs
    .list(directory)
    .sort()
    .map(
      (fd) => `== ${directory}/${fd}\n${kernel.vfs.read(`${directory}/${fd}`)}`,
    )
    .join('');
}

/** The sections of dma-bufs by descriptor, numbers masked. */
function dmaBufSections(text: RawText): Map<string, RawText> {
  const sections = new Map<string, RawText>();
  for (const section of text.split(/^== \/proc\/\d+\/fdinfo\//m)) {
    if (!section.includes('\nexp_name:\t')) continue;
    const newline = section.indexOf('\n');
    sections.set(
      section.slice(0, newline),
      section
        .slice(newline + 1)
        .replace(/^mnt_id:\t\d+$/m, 'mnt_id:\tMNT')
        .replace(/^ino:\t\d+$/m, 'ino:\tINODE'),
    );
  }
  return sections;
}

/** The lines of shared mappings; addresses from the lowest of them on. */
function sharedMappings(text: RawText): RawText[] {
  const lines = text.split('\n').filter((line) => / r[w-]-s /.test(line));
  const lowest = parseInt(lines[0] ?? '', 16);
  return lines.map((line) =>
    line
      .replace(/^[0-9a-f]+-[0-9a-f]+/, (range) =>
        range
          .split('-')
          .map((address) => (parseInt(address, 16) - lowest).toString(16))
          .join('-'),
      )
      // A fake offset depends on what else was allocated at the time.
      .replace(/-s 1[0-9a-f]{8} /, '-s FAKE ')
      .replace(/ 00:[0-9a-f]{2} \d+ +/, ' DEV INODE '),
  );
}

/** The lines of status; numbers of tasks and the umask masked. */
function statusLines(text: RawText): RawText[] {
  return text
    .split('\n')
    .map((line) =>
      line
        .replace(/^(Tgid|Pid|PPid|NStgid|NSpid):\t\d+$/, '$1:\tPID')
        .replace(/^Umask:\t[0-7]{4}$/, 'Umask:\tUMASK'),
    );
}

function keyOf(line: RawText): RawText {
  return line.slice(0, Math.max(line.indexOf(':'), 0));
}

/** Actors of the scene whose files were captured. */
const ROLES = [
  'producer',
  'consumer',
  'mapper',
  'importer',
  'forker',
  'forkchild',
  'uid2000',
  'threads',
];

describe.each(CAPTURED_KERNELS)('kernel $folder', (captured) => {
  const {folder} = captured;

  it('lists the buffers of the scene in bufinfo', () => {
    const {kernel} = playScene(captured);
    const [header = '', ...records] = bufinfoRecords(bufinfo(kernel));
    const [realHeader = '', ...realRecords] = bufinfoRecords(
      fixture(folder, 'bufinfo.txt'),
    );
    // The processes ran at the same time: their buffers came in any order.
    const all = (first: RawText, rest: RawText[]): RawText[] => {
      const lines = first.split('\n');
      return [...rest, lines.slice(3).join('\n')].sort();
    };
    expect(header.split('\n').slice(0, 3)).toEqual(
      realHeader.split('\n').slice(0, 3),
    );
    expect(all(header, records)).toEqual(all(realHeader, realRecords));
  });

  it.each(ROLES)("prints the %s's fdinfo", (role) => {
    const {kernel, pids} = playScene(captured);
    const text = fdinfoAll(kernel, pids.get(role) ?? 0);
    expect(dmaBufSections(text)).toEqual(
      dmaBufSections(fixture(folder, `${role}.fdinfo-all.txt`)),
    );
  });

  it.each(ROLES)("prints the %s's status", (role) => {
    const {kernel, pids} = playScene(captured);
    const lines = statusLines(
      kernel.vfs.read(`/proc/${pids.get(role) ?? 0}/status`),
    );
    const keys = lines.map(keyOf);
    expect(keys).toContain('Threads');
    const real = statusLines(fixture(folder, `${role}.status.txt`));
    expect(lines).toEqual(real.filter((line) => keys.includes(keyOf(line))));
    // No line is left out before those of sessions and memory.
    expect(keys.slice(0, keys.indexOf('NSpid') + 1)).toEqual(
      real.map(keyOf).slice(0, real.map(keyOf).indexOf('NSpid') + 1),
    );
  });

  it.each(['mapper', 'forker', 'forkchild'])("prints the %s's maps", (role) => {
    const {kernel, pids} = playScene(captured);
    const text = kernel.vfs.read(`/proc/${pids.get(role) ?? 0}/maps`);
    const real = sharedMappings(fixture(folder, `${role}.maps.txt`));
    expect(real).not.toEqual([]);
    expect(sharedMappings(text)).toEqual(real);
  });

  it('prints names of every kind, newest first', () => {
    const {kernel, pid} = playNames(captured);
    const records = bufinfoRecords(bufinfo(kernel));
    // The buffers of the scene come after them in the captured text.
    const real = bufinfoRecords(fixture(folder, 'names.bufinfo.txt'));
    const count = kernel.dmaBufs.count;
    expect(count).toBe(captured.systemHeap ? 25 : 24);
    expect(records.slice(0, count)).toEqual(real.slice(0, count));
    expect(dmaBufSections(fdinfoAll(kernel, pid))).toEqual(
      dmaBufSections(fixture(folder, 'names.fdinfo-all.txt')),
    );
  });

  it('answers as the kernel did to each name', () => {
    const real = fixture(folder, 'names.manifest.txt')
      .split('\n')
      .flatMap((line) => /A:rc=.*|bad pointer: .*/.exec(line) ?? []);
    expect(real).toHaveLength(24);
    expect(playNames(captured).answers).toEqual(real);
  });

  it('links to the raw name', () => {
    const {kernel, pid} = playNames(captured);
    const links = kernel.vfs
      .list(`/proc/${pid}/fd`)
      .map((fd) => `${fd}|${kernel.vfs.readlink(`/proc/${pid}/fd/${fd}`)}|`)
      .filter((link) => link.includes('|/dmabuf:'));
    const real = fixture(folder, 'names.find-printf.txt')
      .split(/^\/proc\/\d+\/fd\//m)
      .filter((link) => link.includes('|/dmabuf:'))
      .map((link) => link.trimEnd());
    const byFd = (a: string, b: string): number => parseInt(a) - parseInt(b);
    expect(links.sort(byFd)).toEqual(real.sort(byFd));
  });
});

it('shows the buffer of a private table in the thread alone', () => {
  for (const captured of CAPTURED_KERNELS) {
    const {kernel, pids, privateTid} = playScene(captured);
    const pid = pids.get('threads') ?? 0;
    const links = (directory: string): RawText[] =>
      kernel.vfs
        .list(directory)
        .map((fd) => kernel.vfs.readlink(`${directory}/${fd}`));
    expect(links(`/proc/${pid}/fd`)).not.toContain('/dmabuf:thread-private-fd');
    expect(links(`/proc/${pid}/task/${privateTid}/fd`)).toContain(
      '/dmabuf:thread-private-fd',
    );
  }
});

it('shows sysfs statistics as 6.1 does', () => {
  const captured = CAPTURED_KERNELS.find(({folder}) => folder === '6.1lab');
  if (captured === undefined) throw new Error('no such fixture');
  const {kernel} = playScene(captured);
  const directory = '/sys/kernel/dmabuf/buffers';
  const text = kernel.vfs
    .list(directory)
    .flatMap((inode) =>
      ['exporter_name', 'size'].map((file) => {
        const path = `${directory}/${inode}/${file}`;
        return `${file}:${kernel.vfs.read(path)}`;
      }),
    )
    .sort();
  const real = fixture('6.1lab', 'sysfs.grep-r.txt')
    .split('\n')
    .map((line) => `${line.slice(line.lastIndexOf('/') + 1)}\n`);
  // The captured text has the names' buffers besides.
  for (const line of text) expect(real).toContain(line);
});
