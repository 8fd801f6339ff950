// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import {expectedOf, problemOf, runOnSimulator} from './comparison.js';
import {MACHINES} from './machines.js';
import {maskBufinfo, maskFdinfo, maskMaps} from './observation.js';
import type {KnownDifference} from './known_differences.js';
import {parseScript} from './script.js';

describe('what is masked', () => {
  it('fdinfo: the mount id; inodes count from the first', () => {
    const text =
      'pos:\t0\nflags:\t02000002\nmnt_id:\t11\nino:\t107\nsize:\t4096\n' +
      'count:\t1\nexp_name:\tdrm\nname:\t\nmnt_id:\t11\n';
    expect(maskFdinfo(text, 100n)).toBe(
      'pos:\t0\nflags:\t02000002\nmnt_id:\t*\nino:\t7\nsize:\t4096\n' +
        'count:\t1\nexp_name:\tdrm\nname:\t\nmnt_id:\t11\n',
    );
  });

  it('bufinfo: inodes alone', () => {
    const line =
      '00004096\t00000002\t00080007\t00000002\tdrm\t00000107\t<none>';
    expect(maskBufinfo(`\n${line}\n\tAttached Devices:\n`, 100n)).toBe(
      '\n00004096\t00000002\t00080007\t00000002\tdrm\t00000007\t<none>\n' +
        '\tAttached Devices:\n',
    );
  });

  it('maps: addresses, their order and the device', () => {
    const text =
      '55d0c0a00000-55d0c0a01000 r--p 00000000 00:02 34                         /init\n' +
      '7f0000003000-7f0000005000 rw-s 100002000 00:0b 102                       /dmabuf:b\n' +
      '7f0000001000-7f0000002000 r--s 00000000 00:0b 101                        /dmabuf:a\r\n';
    expect(maskMaps(text, 100n)).toBe(
      '4096 bytes r--s 00000000 1 column 73 /dmabuf:a\r\n' +
        '8192 bytes rw-s 100002000 2 column 73 /dmabuf:b\n',
    );
  });

  it('a line of a dma-buf that looks otherwise is left as it is', () => {
    expect(maskMaps('7f00 /dmabuf:x\n', 0n)).toBe(
      'unexpected: 7f00 /dmabuf:x\n',
    );
  });
});

describe('an observation', () => {
  const [machine] = MACHINES;

  it('shows a change of anything that is compared', () => {
    if (machine === undefined) throw new Error('no machine');
    const base = 'spawn a\nalloc a x exporter=vgem size=4096 name=n\n';
    const see = (text: string): string =>
      runOnSimulator(machine, parseScript(base + text)).replace(
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
      'import a x',
      'fork a b',
      'comm a other',
      'thread-private a x',
      'close a x',
      'zombie a',
    ];
    const seen = new Set([see(''), ...changes.map(see)]);
    expect(seen.size).toBe(changes.length + 1);
  });
});

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
    expect(problemOf(difference, 'red', 'blue')).toBeUndefined();
    expect(problemOf(difference, 'red', 'red')).toContain('not occur any more');
    expect(problemOf(difference, 'red', 'green')).toContain(
      'not what the list',
    );
  });
});
