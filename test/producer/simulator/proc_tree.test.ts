// SPDX-License-Identifier: Apache-2.0
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {beforeAll, describe, expect, it} from 'vitest';
import {parseBufinfo, parseFdinfo} from '../../../src/core/formats/index.js';
import {
  SimulatedKernel,
  kernelProfile,
  startSimulation,
} from '../../../src/core/kernel/index.js';
import {writeTree} from '../../../src/producer/simulator/proc_tree.js';
import {runCli, STEERS_TERMINAL} from '../cli/fake_io.js';
import {temporaryFolder} from '../trace/temporary.js';

const folder = temporaryFolder();
const about = 'made by a test';

function read(directory: string, path: string): string {
  return readFileSync(join(directory, path), 'latin1');
}

describe('a tree of /proc and /sys', () => {
  const {kernel} = startSimulation({scenario: 'mapped-growth'});
  const directory = join(folder, 'new', 'tree');
  let written: {files: number; links: number};
  beforeAll(async () => {
    kernel.advance(3_000_000_000n);
    written = await writeTree(kernel.vfs, directory, {about});
  });

  it('has every process with its files as the kernel prints them', () => {
    const pids = readdirSync(join(directory, 'proc')).filter((name) =>
      /^\d+$/.test(name),
    );
    expect(pids.map(Number).sort((a, b) => a - b)).toEqual(
      kernel.processes.list().map(({pid}) => pid),
    );
    for (const pid of pids) {
      for (const file of ['comm', 'cmdline', 'status', 'stat', 'maps']) {
        const path = `/proc/${pid}/${file}`;
        expect(read(directory, path)).toBe(kernel.vfs.read(path));
      }
    }
  });

  it('has descriptors as links with their text, and their fdinfo', () => {
    let dmaBufs = 0;
    for (const {pid} of kernel.processes.list()) {
      const fds = `/proc/${pid}/fd`;
      const names = readdirSync(join(directory, fds));
      expect(names.sort()).toEqual(kernel.vfs.list(fds).sort());
      for (const name of names) {
        const link = readlinkSync(join(directory, fds, name), 'latin1');
        expect(link).toBe(kernel.vfs.readlink(`${fds}/${name}`));
        const text = read(directory, `/proc/${pid}/fdinfo/${name}`);
        expect(link.startsWith('/dmabuf:')).toBe(
          parseFdinfo(text).dmaBuf !== undefined,
        );
        if (link.startsWith('/dmabuf:')) dmaBufs++;
      }
    }
    expect(dmaBufs).toBeGreaterThan(50);
    expect(written.links).toBeGreaterThan(dmaBufs);
  });

  it('has the list of all buffers, and sysfs', () => {
    const {objects, problems} = parseBufinfo(
      read(directory, '/sys/kernel/debug/dma_buf/bufinfo'),
    );
    expect(problems).toEqual([]);
    expect(objects).toHaveLength(kernel.dmaBufs.count);
    const buffers = '/sys/kernel/dmabuf/buffers';
    for (const {inode, exporter, sizeBytes} of objects) {
      expect(read(directory, `${buffers}/${inode}/size`)).toBe(
        `${sizeBytes}\n`,
      );
      expect(read(directory, `${buffers}/${inode}/exporter_name`)).toBe(
        `${exporter}\n`,
      );
    }
  });

  it('has a marker beside them', () => {
    expect(readdirSync(directory).sort()).toEqual(['SIMULATED', 'proc', 'sys']);
    expect(read(directory, 'SIMULATED')).toBe(about);
  });

  it('tells when it booted', () => {
    expect(read(directory, '/proc/stat')).toMatch(
      /^cpu {2}\d+ 0 0 \d+ 0 0 0 0 0 0\n(cpu[0-7] .*\n){8}btime 946728000\n$/,
    );
  });

  it('is not made where no directory can be', async () => {
    const refused = (path: string): Promise<void> =>
      expect(writeTree(kernel.vfs, path, {about})).rejects.toThrow(
        `cannot write ${path}: `,
      );
    // There mkdir says ENOENT although the directory above is there.
    await refused('/proc/not/there');
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
    await refused(join(folder, 'dangling', 'tree'));
  });

  it('is not written over something', async () => {
    await expect(writeTree(kernel.vfs, directory, {about})).rejects.toThrow(
      `${directory} is not empty: name a directory that is new or empty`,
    );
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await expect(writeTree(kernel.vfs, file, {about})).rejects.toThrow(
      /^cannot write .*file: something that is no directory is in the way; /,
    );
  });

  it('ends between two files when it is asked to', async () => {
    await expect(
      writeTree(kernel.vfs, join(folder, 'aborted'), {
        about,
        signal: AbortSignal.abort(),
      }),
    ).rejects.toThrow(/abort/i);
    expect(
      readdirSync(join(folder, 'aborted'), {recursive: true}).sort(),
    ).toEqual([
      // No part of a tree passes for a real one.
      'SIMULATED',
      'proc',
    ]);
  });

  it('keeps names byte for byte, and inside of the tree', async () => {
    const odd = new SimulatedKernel({
      profile: kernelProfile('6.12'),
      seed: 1,
    });
    const names = ['../../../escape', 'caf\xc3\xa9', 'a\nb', ' ', ''];
    const fds = names.map((name) =>
      odd.exportBuffer(1, {exporter: 'system', sizeBytes: 1, name}),
    );
    const to = join(folder, 'odd');
    mkdirSync(to);
    await writeTree(odd.vfs, to, {about});
    for (const [i, fd] of fds.entries()) {
      const link = join(to, 'proc', '1', 'fd', `${fd}`);
      expect(readlinkSync(link, 'latin1')).toBe(`/dmabuf:${names[i] ?? ''}`);
    }
  });
});

describe('perfetto-dmabuf simulate', () => {
  it('writes the same tree for the same options', async () => {
    const trees = [join(folder, 'one'), join(folder, 'two')];
    for (const tree of trees) {
      const ran = await runCli([
        ...['simulate', '--tree', tree, '--scenario', 'kernel-growth'],
        ...[
          '--seed',
          '3',
          '--scale',
          '0.5',
          '--at',
          '2.5',
          '--profile',
          '5.15',
        ],
      ]);
      expect(ran.code).toBe(0);
      expect(ran.stdout).toMatch(
        /: kernel-growth, seed 3, at 2\.5 s, kernel 5\.15\.\S+: \d+ files, \d+ links\n$/,
      );
      expect(ran.stderr).toMatch(/^=== SIMULATED DATA/);
    }
    const [one = '', two = ''] = trees;
    const paths = readdirSync(one, {recursive: true, withFileTypes: true})
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(one.length));
    expect(paths.length).toBeGreaterThan(1000);
    for (const path of paths) expect(read(two, path)).toBe(read(one, path));
    const bufinfo = '/sys/kernel/debug/dma_buf/bufinfo';
    expect(read(one, bufinfo)).toContain('isp-tnr');
    expect(read(one, 'SIMULATED')).toMatch(
      new RegExp(
        '^SIMULATED DATA: .* no real device\\.\\n\\nMade by: +perfetto-dmabuf ' +
          '\\S+, simulate --tree\\nScenario: kernel-growth \\(.*\\)\\nSeed: +3\\n' +
          'Scale: +0\\.5\\nProfile: +5\\.15 \\(5\\.15\\..*\\)\\nTime: +2\\.5 s .*\\n$',
      ),
    );
  });

  it.each([
    ['5.10', true],
    ['5.15', false],
  ])('says what a tree of %s cannot tell: %s', async (profile, warns) => {
    const tree = join(folder, `of-${profile}`);
    const ran = await runCli([
      ...['simulate', '--tree', tree, '--profile', profile, '--scale', '0.1'],
    ]);
    expect(ran.code).toBe(0);
    const note = /fdinfo of this kernel has no inodes.* links .* lead nowhere/;
    expect(note.test(ran.stderr)).toBe(warns);
    expect(note.test(read(tree, 'SIMULATED'))).toBe(warns);
  });

  it.each([
    [['simulate'], /'--tree <dir>' not specified/],
    [['simulate', '--tree', ''], /argument '' is invalid\. Give the path /],
    [['simulate', '--tree', '/proc/not/there'], /: cannot write \/proc\/not/],
    [['simulate', '--tree', 'x', '--scale', '1000'], /scale from 0\.01 to 100/],
    [['simulate', '--tree', 'x', '--profile', '2.4'], /'2\.4' is invalid/],
    [['simulate', '--tree', 'x', '--at', '-1'], /seconds from 0 to 3600/],
  ])('refuses %j in one line', async (argv, expected) => {
    const ran = await runCli(argv);
    expect(ran.code).toBe(/cannot write/.test(ran.stderr) ? 1 : 2);
    const [line = '', ...more] = ran.stderr
      .split('\n')
      .filter((text) => !text.startsWith('=== '));
    expect(more).toEqual(['']);
    expect(line).toMatch(expected);
    expect(ran.stdout).toBe('');
  });

  it('names what is in the way without steering the terminal', async () => {
    const tree = join(folder, 'evil\x1b[2J');
    mkdirSync(tree);
    writeFileSync(join(tree, 'x'), '');
    const ran = await runCli(['simulate', '--tree', tree]);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('is not empty');
    expect(ran.stderr).not.toMatch(STEERS_TERMINAL);
  });
});
