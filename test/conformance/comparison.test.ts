// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import {describe, expect, it} from 'vitest';
import {
  androidKernelProfile,
  kernelProfile,
  SimulatedKernel,
} from '../../src/core/kernel/index.js';
import {
  expectedOf,
  isNeedless,
  OPERATIONS_A_LOOK,
  problemOf,
  runOnSimulator,
  showOnSimulator,
} from './comparison.js';
import {EXEMPTIONS, exemptionRow, FILTERS, UNREAD} from './exemptions.js';
import {fixedScripts} from './fixed_scripts.js';
import type {KnownDifference} from './known_differences.js';
import {MACHINES} from './machines.js';
import type {FileName, Surroundings} from './observation.js';
import {parseScript} from './script.js';

/** A text as it is compared. */
function comparable(
  file: FileName,
  text: string,
  surroundings: Partial<Surroundings> = {},
): string {
  const all = {
    lastInode: 0n,
    dmaBuf: false,
    nameOf: () => undefined,
    ...surroundings,
  };
  return FILTERS.filter(({files}) => files.includes(file)).reduce(
    (before, {apply}) => apply(before, all),
    text,
  );
}

describe('what is not compared', () => {
  it('fdinfo: the mount id; inodes count from the first', () => {
    const text =
      'pos:\t0\nflags:\t02000002\nmnt_id:\t11\nino:\t107\nsize:\t4096\n' +
      'count:\t1\nexp_name:\tdrm\nname:\t\nmnt_id:\t11\n';
    expect(comparable('fdinfo', text, {dmaBuf: true, lastInode: 100n})).toBe(
      'pos:\t0\nflags:\t02000002\nmnt_id:\t*\nino:\t7\nsize:\t4096\n' +
        'count:\t1\nexp_name:\tdrm\nname:\t\nmnt_id:\t11\n',
    );
  });

  it('fdinfo of a socket: its inode too, but not what it says besides', () => {
    const text = 'pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t41\nscm_fds: 1\n';
    expect(comparable('fdinfo', text)).toBe(
      'pos:\t0\nflags:\t02\nmnt_id:\t*\nino:\t*\nscm_fds: 1\n',
    );
    expect(comparable('fd link', 'socket:[41]\n')).toBe('socket:[*]\n');
  });

  it('bufinfo: inodes alone', () => {
    const line =
      '00004096\t00000002\t00080007\t00000002\tdrm\t00000107\t<none>';
    const text = `\n${line}\n\tAttached Devices:\n`;
    expect(comparable('bufinfo', text, {dmaBuf: true, lastInode: 100n})).toBe(
      '\n00004096\t00000002\t00080007\t00000002\tdrm\t00000007\t<none>\n' +
        '\tAttached Devices:\n',
    );
  });

  it('maps: addresses, but not their order; all that is no dma-buf', () => {
    const text =
      '55d0c0a00000-55d0c0a01000 r--p 00000000 00:02 34                         /init\n' +
      '7f0000001000-7f0000002000 r--s 00000000 00:0b 101                        /dmabuf:b\n' +
      '7f0000003000-7f0000005000 rw-s 100002000 00:0b 102                       /dmabuf:a\r\n';
    expect(comparable('maps', text, {lastInode: 100n})).toBe(
      '4096 bytes r--s 00000000 00:0b 1                          /dmabuf:b\n' +
        '8192 bytes rw-s 100002000 00:0b 2                         /dmabuf:a\r\n',
    );
  });

  it('smaps: mappings of other files, with all their lines', () => {
    const text =
      '55d0c0a00000-55d0c0a01000 r--p 00000000 00:02 34                         /init\n' +
      'Size:                  4 kB\nVmFlags: rd mr sd \n' +
      '7f0000001000-7f0000002000 r--s 00000000 00:0b 1                          /dmabuf:\n' +
      'Size:                  4 kB\nKSM:                   0 kB\n' +
      'VmFlags: rd sh ar dd sd \n';
    expect(comparable('smaps', text)).toBe(
      '4096 bytes r--s 00000000 00:0b 1                          /dmabuf:\n' +
        'Size:                  4 kB\nVmFlags: rd sh dd \n',
    );
  });

  it('stat and status: pids, by the names of the script', () => {
    const nameOf = (id: number): string | undefined =>
      id === 9 ? 'a' : undefined;
    const numbers = Array.from({length: 48}, (_, i) => i + 5).join(' ');
    expect(comparable('stat', `9 (a) b) S 1 ${numbers}\n`, {nameOf})).toBe(
      'a (a) b) S * ... 20 ...\n',
    );
    expect(
      comparable('status', 'Name:\tb\nPid:\t3\nPPid:\t9\n', {nameOf}),
    ).toBe('Name:\tb\nPid:\t*\nPPid:\ta\n');
  });

  it('is listed in the README, row by row', () => {
    const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8');
    const rows = readme
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split('|').slice(1, -1))
      .map((cells) => cells.map((cell) => cell.trim()))
      .filter((cells) => cells.length === 4);
    expect(rows).toEqual(EXEMPTIONS.map(exemptionRow));
  });

  it('has names of its own', () => {
    const ids = EXEMPTIONS.map(({id}) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** Everything that is read, in a tree whose processes are called ACTOR. */
const READ = [
  /^\/proc\/ACTOR(?:\/task\/THREAD)?\/(?:comm|cmdline|status|stat)$/,
  /^\/proc\/ACTOR(?:\/task\/THREAD)?\/(?:fd|fdinfo)\/\d+$/,
  /^\/proc\/ACTOR\/(?:maps|smaps|map_files\/[0-9a-f]+-[0-9a-f]+)$/,
  /^\/sys\/kernel\/debug\/dma_buf\/bufinfo$/,
];

describe("every file of the simulator's", () => {
  /** A tree with one process of which there is everything. */
  function paths(kernel: SimulatedKernel): string[] {
    const pid = kernel.spawn({executable: '/system/bin/sh'});
    const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
    kernel.mmap(pid, fd);
    const tid = kernel.startThread(pid, {unshareFiles: true});
    const found: string[] = [];
    const walk = (path: string): void => {
      const isFolder = (kernel.vfs.stat(path).mode & 0o170000) === 0o040000;
      const isLink = /\/(?:fd|map_files)\/[^/]+$/.test(path);
      if (isLink || !isFolder) found.push(path);
      else for (const name of kernel.vfs.list(path)) walk(`${path}/${name}`);
    };
    walk('/proc');
    walk('/sys');
    return found.map((path) =>
      path
        .replace(`/task/${pid}/`, '/task/MAIN/')
        .replace(`/task/${tid}/`, '/task/THREAD/')
        .replace(`/proc/${pid}/`, '/proc/ACTOR/')
        .replace(/^\/proc\/\d+\//, '/proc/OTHER/'),
    );
  }

  const tree = [androidKernelProfile('6.12'), kernelProfile('7.x')].flatMap(
    (profile) =>
      paths(
        new SimulatedKernel({
          profile: {...profile, bpfIterator: true},
          seed: 1,
        }),
      ),
  );

  it('is compared, or listed as not read, and not both', () => {
    const patterns = [...READ, ...UNREAD.map(({paths}) => paths)];
    const doubtful = tree.filter(
      (path) => patterns.filter((each) => each.test(path)).length !== 1,
    );
    expect(doubtful).toEqual([]);
  });

  it.each(UNREAD.map(({id, paths}) => ({id, paths})))(
    'that $id leaves out is there',
    ({paths}) => {
      expect(tree.some((path) => paths.test(path))).toBe(true);
    },
  );
});

describe('an observation', () => {
  const [machine] = MACHINES;

  it('shows a change of anything that is compared', () => {
    if (machine === undefined) throw new Error('no machine');
    const base =
      'spawn a\nalloc a x exporter=vgem size=16384 name=n\nmap a x\n';
    const see = (text: string): string =>
      showOnSimulator(machine, parseScript(base + text)).replace(
        /^=== operations\n[^=]*/,
        '',
      );
    const changes = [
      'name a x other',
      'dup a x',
      'dup a x fd=50',
      'dup a x cloexec=0',
      'map a x',
      'map a x protection=r',
      'split a x',
      'punch a x',
      'import a x',
      'sendhold a a x',
      'fork a b',
      'comm a other',
      'thread-private a x',
      'exec a',
      'close a x',
      'zombie a',
    ];
    const seen = new Set([see(''), ...changes.map(see)].map(withoutCounts));
    expect(seen.size).toBe(changes.length + 1);
  });

  it('is made on the way, too', () => {
    if (machine === undefined) throw new Error('no machine');
    const busy = Array.from({length: 2 * OPERATIONS_A_LOOK}, () => 'comm a b');
    const script = parseScript(['spawn a', ...busy].join('\n'));
    const {snapshots} = runOnSimulator(machine, script);
    expect(snapshots.map(({operations}) => operations)).toEqual([
      OPERATIONS_A_LOOK,
      2 * OPERATIONS_A_LOOK,
      2 * OPERATIONS_A_LOOK + 1,
    ]);
  });

  it('an exemption is needless where both machines show the same', () => {
    if (machine === undefined) throw new Error('no machine');
    const comparisons = fixedScripts(machine).map(({script}) => {
      const simulated = runOnSimulator(machine, script);
      return {script, simulated, real: simulated};
    });
    for (const exemption of FILTERS) {
      expect(isNeedless(exemption, comparisons)).toBe(true);
    }
  });
});

/** Headings say after how many operations; that alone is no change. */
function withoutCounts(text: string): string {
  return text.replace(/^=== after \d+: /gm, '=== ');
}

describe('known differences', () => {
  const difference: KnownDifference = {
    title: 'colour',
    reason: 'an example',
    kernels: ['6.1'],
    exhibit: '',
    toReal: (text) => text.replaceAll('red', 'blue'),
  };

  it('apply to the kernels that they name', () => {
    expect(expectedOf('a red b', '6.1', [difference])).toBe('a blue b');
    expect(expectedOf('a red b', '6.12', [difference])).toBe('a red b');
  });

  it('must occur, and as they are listed', () => {
    const problem = (simulated: string, real: string) =>
      problemOf(difference, simulated, real, '6.1');
    expect(problem('red', 'blue')).toBeUndefined();
    expect(problem('red', 'red')).toContain('not occur any more');
    expect(problem('red', 'green')).toContain('not what the list');
  });
});
