// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {showOnSimulator} from './comparison.js';
import {fixedScripts} from './fixed_scripts.js';
import {MACHINES} from './machines.js';
import {draws, scriptOf} from './random_script.js';
import {
  parseOperation,
  parseScript,
  renderOperation,
  renderScript,
  ScriptError,
} from './script.js';

describe('the language of scripts', () => {
  it.each([
    ['spawn a uid=2000 comm=app', {verb: 'spawn', actor: 'a', uid: 2000}],
    ['fork a b', {verb: 'fork', actor: 'a', child: 'b', comm: undefined}],
    [
      'alloc a x exporter=vgem size=4096 name=hex:0a',
      {verb: 'alloc', label: 'x', sizeBytes: 4096, name: '\n'},
    ],
    ['alloc a x exporter=vgem size=4096 name=hex:', {name: ''}],
    ['name a x hex:20', {verb: 'name', name: ' '}],
    ['ioctl a x 0x40086201', {request: 0x40086201, payload: undefined}],
    ['ioctl a x 0x40086200 flags=3', {payload: {flags: 3}}],
    ['ioctl a x 0x40086201 text=t fd=9', {payload: {text: 't'}, fd: 9}],
    ['seek a x -1 end', {verb: 'seek', offset: -1, whence: 'end'}],
    ['dup a x fd=100 cloexec=0', {lowest: 100, closeOnExec: false}],
    [
      'map a x offset=4096 length=1 protection=r',
      {offset: 4096, length: 1, writable: false},
    ],
    ['alloc a x exporter=vgem size=1 access=r', {access: 'r'}],
    ['dup2 a x y', {verb: 'dup2', label: 'x', over: 'y'}],
    ['split a x', {verb: 'split', page: 1, protection: 'r'}],
    ['split a x page=3 protection=none', {page: 3, protection: 'none'}],
    ['punch a x page=2', {verb: 'punch', page: 2}],
    ['close a x', {which: 'newest'}],
    ['close a x all', {which: 'all'}],
    ['close a x fd=5', {which: 5}],
    ['sendhold a b x', {actor: 'a', to: 'b', label: 'x'}],
    ['drop-import a x', {verb: 'drop-import', actor: 'a', label: 'x'}],
    ['reap a', {verb: 'reap', actor: 'a'}],
  ])('%s', (line, fields) => {
    const operation = parseOperation(line);
    expect(operation).toMatchObject(fields);
    expect(renderOperation(operation)).toBe(line);
  });

  it.each([
    ['frobnicate a x', "no operation is called 'frobnicate'"],
    ['spawn', 'no actor'],
    ['name a x', 'no name'],
    ['alloc a x size=big', "'big' is no whole number"],
    ['comm a hex:6', "'6' are no hex digits"],
    ['seek a x 0 middle', "'middle' is no place to seek from"],
    ['unmap a x y', "what is 'y'?"],
    ['map a x lenght=1', "what is 'lenght'?"],
  ])('refuses %s', (line, why) => {
    expect(() => parseOperation(line)).toThrow(ScriptError);
    expect(() => parseOperation(line)).toThrow(why);
  });

  it('passes over blank lines and comments', () => {
    const text = '# of two\n\n  spawn a\n  exit a\n';
    expect(renderScript(parseScript(text))).toBe('spawn a\nexit a\n');
  });
});

describe.each(MACHINES)('scripts for kernel $kernel', (machine) => {
  it('random ones: read back as they were written', () => {
    fc.assert(
      fc.property(draws, (drawn) => {
        const script = scriptOf(machine, drawn);
        expect(parseScript(renderScript(script))).toEqual(script);
      }),
    );
  });

  it('random ones: most operations reach the kernel, of all verbs', () => {
    const verbs = new Map<string, number>();
    let operations = 0;
    let refused = 0;
    for (const drawn of fc.sample(draws, {numRuns: 200, seed: 1})) {
      const script = scriptOf(machine, drawn);
      operations += script.length;
      for (const {verb} of script) verbs.set(verb, (verbs.get(verb) ?? 0) + 1);
      const shown = showOnSimulator(machine, script);
      refused += [...shown.matchAll(/^[^=\n].* -> refused$/gm)].length;
    }
    expect(refused / operations).toBeLessThan(0.25);
    expect([...verbs.keys()].sort()).toEqual([
      'alloc',
      'close',
      'comm',
      'drop-import',
      'dup',
      'dup2',
      'exec',
      'exit',
      'fork',
      'import',
      'ioctl',
      'kill',
      'map',
      'name',
      'punch',
      'reap',
      'receive',
      'seek',
      'send',
      'sendhold',
      'spawn',
      'split',
      'thread-exit',
      'thread-private',
      'unmap',
      'zombie',
    ]);
  });

  it('fixed ones: each errno comes up', () => {
    const shown = fixedScripts(machine)
      .map(({script}) => showOnSimulator(machine, script))
      .join('');
    const errors = new Set(
      [...shown.matchAll(/ -> (E[A-Z]+)$/gm)].map(([, error]) => error),
    );
    expect([...errors].sort()).toEqual(
      [
        'EACCES',
        'EBADF',
        'EFAULT',
        'EINVAL',
        'ENODEV',
        'ENOMEM',
        'ENOTTY',
      ].sort(),
    );
  });
});
