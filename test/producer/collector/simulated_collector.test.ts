// SPDX-License-Identifier: Apache-2.0
// The collector's end in the simulator keeps what it printed. Whatever it
// keeps, it has to print what the files of the simulated /proc say at that
// moment: here a collector without memory, which asks the files for each line.
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  KernelError,
  PROFILE_NAMES,
  type ProcFs,
} from '../../../src/core/kernel/index.js';
import {SimulatedCollector} from '../../../src/producer/collector/simulated_collector.js';
import {Fixture, play, script} from '../../core/kernel/random_kernel.js';

const COMPLAINTS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  ENOENT: 'No such file or directory',
};

/** What a command printed of each path, and what it said on stderr. */
function command(
  name: string,
  paths: readonly string[],
  print: (path: string) => string,
): string {
  let printed = '';
  let said = '';
  for (const path of paths) {
    try {
      printed += print(path);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      said += `\n${name}: ${path}: ${COMPLAINTS[error.errno] ?? error.errno}`;
    }
  }
  return `${printed === '' ? '\n' : printed}-cafe ${said === '' ? 0 : 1}${said}`;
}

function find(vfs: ProcFs, folders: readonly string[]): string {
  return command('find', folders, (folder) =>
    vfs
      .list(folder)
      .map((fd) => `${folder}/${fd}`)
      .filter((path) => {
        const {mode, size} = vfs.stat(path);
        return (mode & 0o170000) === 0 && size > 0n;
      })
      .map((path) => `${vfs.stat(path).ino}${path}\n`)
      .join(''),
  );
}

function links(vfs: ProcFs, folders: readonly string[]): string {
  return command('find', folders, (folder) =>
    vfs
      .list(folder)
      .map((fd) => `${folder}/${fd}`)
      .filter((path) => vfs.readlink(path).startsWith('/dmabuf'))
      .map((path) => `${vfs.stat(path).ino}${path}\n`)
      .join(''),
  );
}

function stat(vfs: ProcFs, paths: readonly string[]): string {
  return command('stat', paths, (path) => {
    const {ino, size} = vfs.stat(path);
    return `${ino} ${size} ${path}\n`;
  });
}

function grep(vfs: ProcFs, paths: readonly string[], word: string): string {
  return command('grep', paths, (path) =>
    (vfs.read(path).match(/[^\n]*\n/g) ?? [])
      .filter((line) => line.includes(word))
      .map((line) => `${path}:${line}`)
      .join(''),
  );
}

/** Bodies by request line, as a collector without memory gives them. */
function expectedBodies(vfs: ProcFs): Map<string, string> {
  const bodies = new Map<string, string>();
  const pids = vfs.list('/proc').filter((name) => /^\d/.test(name));
  const some = [...pids.slice(1), '9', '4000000'];
  const of = (pids: readonly string[], rest: string): string[] =>
    pids.map((pid) => `/proc/${pid}/${rest}`);
  const everyone = [...pids].sort();
  for (const [args, each] of [
    ['', everyone],
    [` ${some.join(' ')}`, some],
  ] as const) {
    bodies.set(`fds${args}`, find(vfs, of(each, 'fd')));
    bodies.set(`links${args}`, links(vfs, of(each, 'fd')));
    bodies.set(`maps${args}`, grep(vfs, of(each, 'maps'), '/dmabuf'));
  }
  bodies.set('counts', stat(vfs, of(everyone, 'fd')));
  for (const file of ['dmabuf_rss', 'dmabuf_pss', 'comm']) {
    const there = vfs.list('/proc/1').includes(file);
    const paths = there ? of(everyone, file) : of(['[0-9]*'], file);
    bodies.set(`grep /proc/[0-9]*/${file}`, grep(vfs, paths, ''));
  }
  const tasks = everyone.flatMap((pid) =>
    vfs
      .list(`/proc/${pid}/task`)
      .sort()
      .map((tid) => ({pid, tid})),
  );
  const tables = tasks.map(({pid, tid}) => `/proc/${pid}/task/${tid}/fd`);
  bodies.set('tables', stat(vfs, tables));
  const args = tasks.map(({pid, tid}) => `${pid}/${tid}`).join(' ');
  bodies.set(`tablefds ${args}`, find(vfs, tables));
  return bodies;
}

const LIST = '/sys/kernel/debug/dma_buf/bufinfo';

/** The frame of the kernel's list: status 1 where it cannot be read. */
function expectedList(vfs: ProcFs): string {
  let body = '';
  let status = 0;
  try {
    body = vfs.read(LIST);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    status = 1;
  }
  const mark = `cafe 1 ${status} ${body.length}`;
  return `@${mark}\n${body}\n=${mark}\n`;
}

describe('the simulated collector', () => {
  it.each(PROFILE_NAMES)(
    'prints what the files say after any operations on %s',
    (profile) => {
      fc.assert(
        fc.property(
          fc.array(script, {minLength: 2, maxLength: 4}),
          fc.constantFrom(0, 10001),
          (scripts, uid) => {
            const fixture = new Fixture(profile);
            const {kernel} = fixture;
            const collector = new SimulatedCollector(
              kernel,
              kernel.vfsAs(uid),
              1,
            );
            collector.answer('cafe');
            for (const steps of scripts) {
              play(fixture, steps);
              expect(collector.answer(`1 file ${LIST}`)).toBe(
                expectedList(kernel.vfsAs(uid)),
              );
              const bodies = expectedBodies(kernel.vfsAs(uid));
              for (const [request, body] of bodies) {
                const mark = `cafe 1 0 ${body.length}`;
                expect(collector.answer(`1 ${request}`), request).toBe(
                  `@${mark}\n${body}\n=${mark}\n`,
                );
              }
            }
          },
        ),
        {numRuns: 15},
      );
    },
  );
});
