// SPDX-License-Identifier: Apache-2.0
// The collector's script in real shells, on the /proc of this machine.
import {spawn, type ChildProcess} from 'node:child_process';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, afterEach, beforeEach, describe, expect, it} from 'vitest';
import {rawFromBytes, type RawText} from '../../../src/core/model/index.js';
import {BootClock, parseClock} from '../../../src/producer/collector/clock.js';
import {
  parseMappings,
  parsePathStats,
  parseProcessLines,
  parseSlurp,
  parseWalkErrors,
} from '../../../src/producer/collector/sections.js';
import {
  localShells,
  startCollector,
  type LocalCollector,
} from './local_shell.js';

const {shells, cleanUp} = localShells();
const folder = mkdtempSync(join(tmpdir(), 'collector-'));

afterAll(() => {
  cleanUp();
  rmSync(folder, {recursive: true});
});

/** Every byte but NUL, twice, in two orders. */
const ALL_BYTES = rawFromBytes(
  Uint8Array.from({length: 510}, (_, i) =>
    i < 255 ? i + 1 : 255 - ((i * 7) % 255),
  ),
);

function fileWith(name: string, text: RawText): string {
  const path = join(folder, name);
  writeFileSync(path, text, 'latin1');
  return path;
}

describe.each(shells)('$name', (shell) => {
  let collector: LocalCollector;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    collector = await startCollector(shell);
  });

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await collector.session.close();
    collector.child.kill('SIGKILL');
  });

  async function body(step: string, ...args: (string | number)[]) {
    const answer = await collector.session.request(step, ...args);
    expect(answer.damage).toBeUndefined();
    expect(answer.strayBytes).toBe(0);
    return answer.body;
  }

  async function run(program: string, ...args: string[]): Promise<number> {
    const child = spawn(program, args, {stdio: ['pipe', 'pipe', 'ignore']});
    children.push(child);
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const pid = child.pid ?? 0;
    // It is the program before the kernel has its arguments in place.
    await expect
      .poll(() => readFileSync(`/proc/${pid}/cmdline`))
      .not.toEqual(Buffer.alloc(0));
    return pid;
  }

  /** pid of a program of our making once it has said something. */
  async function ready(program: string, ...args: string[]): Promise<number> {
    const pid = await run(program, ...args);
    const [child] = children.slice(-1);
    await new Promise((resolve) => child?.stdout?.once('data', resolve));
    return pid;
  }

  /** pid of a shell that has opened `path` as fd 7, and waits. */
  function holding(path: string): Promise<number> {
    return ready('sh', '-c', 'exec 7<"$1"; echo; read -r x', 'x', path);
  }

  it('tells its pid and its version', () => {
    expect(collector.session.collectorPid).toBe(collector.child.pid);
  });

  describe('clock', () => {
    it('reads REALTIME around the uptime', async () => {
      const reading = parseClock(await body('clock'));
      expect(reading.realAfterNs).toBeGreaterThanOrEqual(reading.realBeforeNs);
      const hostNs = BigInt(Date.now()) * 1_000_000n;
      const behindNs = hostNs - reading.realBeforeNs;
      expect(behindNs).toBeLessThan(60_000_000_000n);
      expect(behindNs).toBeGreaterThan(-1_000_000_000n);
      const [now] = readFileSync('/proc/uptime', 'latin1').split(' ');
      const uptimeNs = BigInt(Math.round(Number(now) * 1e9));
      expect(reading.uptimeNs).toBeLessThanOrEqual(uptimeNs);
    });

    it('tells its own CPU time', async () => {
      const {cpuNs} = parseClock(await body('clock'));
      expect(cpuNs).toBeGreaterThanOrEqual(0n);
    });

    it('brackets ticks of the uptime', async () => {
      const clock = new BootClock();
      // A shell that has to wait for the processor sleeps through ticks.
      for (let tries = 0; tries < 50 && clock.offsetNs === undefined; tries++) {
        clock.addTicks(await body('tick'));
      }
      expect(clock.offsetNs).toBeDefined();
      // The bracket holds what an ordinary reading says.
      expect(clock.add(parseClock(await body('clock')))).toBe(true);
    });
  });

  describe('file', () => {
    it.each([
      ['empty', ''],
      ['without a newline', 'text'],
      ['with newlines at its end', 'text\n\n\n'],
      ['of newlines', '\n\n'],
      ['with blanks around', '  \t text \t '],
      ['with backslashes', 'a\\012b\\nc\\\\d\\'],
      ['like options and patterns', '-n * [0-9]* ~ $HOME `id` $(id)\n'],
      ['of all bytes', ALL_BYTES],
      ['of all bytes and newlines', `${ALL_BYTES}\n\n`],
      ['that begins with 0x07', '\x07\x07*?['],
      ['of bad UTF-8', '\xff\xfe\xc3\x28\xe2\x82'],
      ['like a frame', '@c0ffee0123456780 1 0 1\nx\n=c0ffee 1 0 1\n'],
    ])('%s', async (name, text) => {
      const path = fileWith(name.replaceAll(' ', '-').replace('/', ''), text);
      const answer = await collector.session.request('file', path);
      expect(answer).toMatchObject({
        status: 0,
        body: text,
        damage: undefined,
      });
    });

    it('of megabytes', async () => {
      const text = (ALL_BYTES + '\n').repeat(5000);
      expect((await body('file', fileWith('big', text))) === text).toBe(true);
    });

    it('of /proc', async () => {
      expect(await body('file', `/proc/${process.pid}/comm`)).toBe(
        readFileSync(`/proc/${process.pid}/comm`, 'latin1'),
      );
    });

    it('that is not there', async () => {
      const answer = await collector.session.request('file', '/none/such');
      expect(answer.status).not.toBe(0);
      expect(answer).toMatchObject({body: '', damage: undefined});
    });
  });

  it('slurp gives what is there of many files', async () => {
    const hostile = fileWith('hostile', `${ALL_BYTES}\n\n`);
    const empty = fileWith('nothing', '');
    const forged = fileWith('forged', `\n${hostile} 3\nabc\n`);
    const paths = [hostile, '/none/such', empty, forged, folder];
    const files = parseSlurp(await body('slurp', ...paths));
    expect([...files]).toEqual([
      [hostile, `${ALL_BYTES}\n\n`],
      [forged, `\n${hostile} 3\nabc\n`],
    ]);
  });

  it('slurp gives the head of a command line', async () => {
    const pid = await run('sleep', '1000', '0.5');
    const path = `/proc/${pid}/cmdline`;
    const text = parseSlurp(await body('slurp', path)).get(path);
    expect(text?.split(/[\0\n]/)[0]).toBe('sleep');
  });

  it('slurp takes as many paths as one request has', async () => {
    const paths = Array.from({length: 200}, (_, i) =>
      fileWith(`a-name-that-is-not-short-${'x'.repeat(30)}-${i}`, `${i}\n`),
    );
    expect(paths.join(' ').length).toBeGreaterThan(10_000);
    const files = parseSlurp(await body('slurp', ...paths));
    expect([...files.values()]).toEqual(paths.map((_, i) => `${i}\n`));
  });

  it('list gives the paths that match', async () => {
    const text = await body('list', '/proc/[0-9]*/comm');
    expect(text.split('\n')).toContain(`/proc/${process.pid}/comm`);
    expect(await body('list', '/none/*')).toBe('/none/*\n');
  });

  it('exist gives the paths that exist', async () => {
    expect(await body('exist', '/none', '/proc', '/proc/self/fd')).toBe(
      '/proc\n/proc/self/fd\n',
    );
  });

  it('props gives a line for each name', async () => {
    expect(await body('props', 'a.b', 'c')).toBe('a.b=\nc=\n');
  });

  it('grep gives the lines of all files that match', async () => {
    const pid = await run('sleep', '1000');
    const {items, malformed} = parseProcessLines(
      await body('grep', '/proc/[0-9]*/comm'),
    );
    expect(malformed).toBe(0);
    expect(items).toContainEqual({pid, text: 'sleep'});
  });

  describe('counts', () => {
    it('gives the inode of each fd folder', async () => {
      const {items, malformed} = parsePathStats(await body('counts'));
      expect(malformed).toBe(0);
      const own = items.find(({pid}) => pid === process.pid);
      const inode = BigInt(statSync(`/proc/${process.pid}/fd`).ino);
      expect(own).toMatchObject({inode, rest: 'fd'});
      const pids = items.map(({pid}) => pid);
      expect(pids).toContain(collector.session.collectorPid);
      expect(pids).toContain(1);
      expect(new Set(pids).size).toBe(pids.length);
    });

    it('gives the same for some, and who is gone', async () => {
      const answer = await collector.session.request(
        'counts',
        4_194_304,
        process.pid,
      );
      expect(parsePathStats(answer.body).items).toHaveLength(1);
      const errors = parseWalkErrors(answer.errors ?? '');
      expect([...errors.vanished]).toEqual([4_194_304]);
      expect(errors.other).toEqual([]);
    });

    it('gives another inode for another process of a pid', async () => {
      const path = (pid: number): bigint =>
        BigInt(statSync(`/proc/${pid}/fd`).ino);
      const [a, b] = [await run('sleep', '100'), await run('sleep', '100')];
      const {items} = parsePathStats(await body('counts', a, b));
      expect(items.map(({inode}) => inode)).toEqual([path(a), path(b)]);
    });
  });

  describe('fds and links', () => {
    it.each(['fds', 'links'])(
      '%s passes over what is no dma-buf',
      async (step) => {
        const plain = fileWith('plain', 'not empty');
        const pids = [
          await holding(plain),
          await holding('/dev/null'),
          await holding('/proc/self/maps'),
          // A folder above itself: find must not go round in circles.
          await holding('/'),
          await holding('/proc'),
        ];
        const answer = await collector.session.request(step, ...pids);
        expect(answer).toMatchObject({body: '', damage: undefined});
        expect(parseWalkErrors(answer.errors ?? '').other).toEqual([]);
      },
    );

    it('tell which of the processes is gone', async () => {
      const pid = await holding('/dev/null');
      const {errors} = await collector.session.request('fds', 4_194_304, pid);
      const {vanished, refused, other} = parseWalkErrors(errors ?? '');
      expect([...vanished]).toEqual([4_194_304]);
      expect([...refused]).toEqual([]);
      expect(other).toEqual([]);
    });

    it('walk every process', async () => {
      const answer = await collector.session.request('fds');
      expect(answer.damage).toBeUndefined();
      expect(parseWalkErrors(answer.errors ?? '').other).toEqual([]);
    });
  });

  describe('maps', () => {
    it('gives the lines with the word, and no other', async () => {
      const program = join(folder, 'dmabuf:a b\\c');
      copyFileSync('/bin/sh', program);
      const pid = await ready(program, '-c', 'echo; read -r x');
      const other = await holding('/dev/null');
      const answer = await collector.session.request('maps', pid, other);
      expect(answer.damage).toBeUndefined();
      const lines = answer.body.trim().split('\n');
      expect(lines.length).toBeGreaterThan(0);
      const maps = readFileSync(`/proc/${pid}/maps`, 'latin1')
        .split('\n')
        .filter((line) => line.includes('/dmabuf'))
        .map((line) => `/proc/${pid}/maps:${line}`);
      expect(lines).toEqual(maps);
      // A file of such a name is no dma-buf.
      expect(parseMappings(answer.body)).toEqual({items: [], malformed: 0});
    });

    it('says nothing of processes that map none', async () => {
      const pid = await run('sleep', '100');
      expect(await body('maps', pid)).toBe('');
    });
  });

  it('tables gives the fd folders of threads', async () => {
    const {items} = parsePathStats(await body('tables', process.pid));
    const tids = readdirSync(`/proc/${process.pid}/task`);
    expect(items.map(({rest}) => rest).sort()).toEqual(
      tids.map((tid) => `task/${tid}/fd`).sort(),
    );
  });

  it('tablefds walks the fds of threads', async () => {
    const pid = await holding('/dev/null');
    const answer = await collector.session.request(
      'tablefds',
      `${pid}/${pid}`,
      `${pid}/4194304`,
    );
    expect(answer).toMatchObject({body: '', damage: undefined});
    expect(parseWalkErrors(answer.errors ?? '').other).toEqual([]);
  });

  it('mapfiles tells the whole of what is mapped', async () => {
    const pid = await run('sleep', '1000');
    const [line] = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n');
    const [range] = (line ?? '').split(' ');
    const start = /^0*([0-9a-f]+)-0*([0-9a-f]+)$/.exec(range ?? '');
    const answer = await collector.session.request(
      'mapfiles',
      `${pid}/${start?.[1] ?? ''}-${start?.[2] ?? ''}`,
    );
    const {items} = parsePathStats(answer.body);
    const refused = parseWalkErrors(answer.errors ?? '').refused.has(pid);
    if (process.getuid?.() !== 0 && refused) return;
    const file = statSync(readlinkSync(`/proc/${pid}/exe`));
    expect(items).toMatchObject([
      {inode: BigInt(file.ino), size: BigInt(file.size)},
    ]);
  });

  it('stat follows a link of an fd, whatever it was opened as', async () => {
    const plain = fileWith('linked', 'not empty');
    const pid = await holding(plain);
    const path = `/proc/${pid}/fd/7`;
    const answer = await collector.session.request('stat', path, '/proc/1/no');
    expect(parsePathStats(answer.body).items).toEqual([
      {inode: BigInt(statSync(plain).ino), size: 9n, pid, rest: 'fd/7'},
    ]);
    expect(answer.errors).not.toBe('');
  });

  it('notices a command that could not be started', async () => {
    // The kernel takes no single argument of this length.
    const path = 'x'.repeat(140_000);
    const answer = await collector.session.request('counts', path);
    expect(answer.damage).toContain('not started');
  });

  it('does not know other steps, and goes on', async () => {
    const answer = await collector.session.request('reboot');
    expect(answer).toMatchObject({status: 127, body: ''});
    expect(await body('exist', '/proc')).toBe('/proc\n');
  });

  it('does not run what is in an argument', async () => {
    const trap = join(folder, 'trap');
    const text = `$(>${trap})`;
    expect(await body('exist', text, `\`>${trap}\``, '/proc', '*')).toBe(
      '/proc\n',
    );
    await body('list', text);
    await body('grep', text);
    await body('fds', text);
    expect(await body('exist', trap)).toBe('');
  });

  it('answers many requests that wait', async () => {
    const answers = Array.from({length: 100}, (_, i) =>
      body('exist', ...Array.from({length: i}, () => '/proc')),
    );
    const bodies = await Promise.all(answers);
    expect(bodies.map(({length}) => length)).toEqual(
      Array.from({length: 100}, (_, i) => i * '/proc\n'.length),
    );
  });

  it('ends when it is asked to', async () => {
    await collector.session.close();
    expect(await collector.exited).toBe(0);
  });

  it('ends at the end of its input', async () => {
    collector.child.stdin?.end();
    expect(await collector.exited).toBe(0);
    const error: unknown = await collector.session
      .request('clock')
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({code: 'gone'});
  });

  it('ends in mid-request when its input ends there', async () => {
    collector.child.stdin?.end('7 file /proc/upt');
    expect(await collector.exited).toBe(0);
  });

  it('ends at SIGHUP', async () => {
    collector.child.kill('SIGHUP');
    expect(['SIGHUP', 129]).toContain(await collector.exited);
  });

  it('ends when nobody reads it any more', async () => {
    collector.child.stdout?.destroy();
    collector.child.stdin?.write('1 clock\n2 clock\n');
    collector.child.stdin?.end();
    expect(await collector.exited).toBeDefined();
  });
});
