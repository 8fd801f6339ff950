// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import type {Snapshot} from '../../../src/core/model/index.js';
import {Scene} from './scene.js';

/** What may happen between two samples. */
const action = fc.record({
  kind: fc.constantFrom(
    'alloc',
    'free',
    'hold',
    'release',
    'name',
    'restart',
    'hide',
    'list',
    'sample',
  ),
  pid: fc.integer({min: 1, max: 3}),
  inode: fc.bigInt({min: 1n, max: 4n}),
  number: fc.integer({min: 0, max: 2}),
});

interface Action {
  readonly kind: string;
  readonly pid: number;
  readonly inode: bigint;
  readonly number: number;
}

function play(actions: readonly Action[]): Snapshot[] {
  const scene = new Scene();
  const live = new Set<bigint>();
  const generations = new Map<bigint, number>();
  for (const pid of [1, 2, 3]) scene.start(pid);
  for (const {kind, pid, inode, number} of actions) {
    switch (kind) {
      case 'alloc': {
        if (live.has(inode)) break;
        const generation = generations.get(inode) ?? 0;
        generations.set(inode, generation + 1);
        live.add(inode);
        scene.alloc(inode, {
          generation,
          exporter: ['system', 'vgem', undefined][number],
        });
        break;
      }
      case 'free':
        if (live.delete(inode)) scene.free(inode);
        break;
      case 'hold':
        if (live.has(inode)) scene.hold(pid, inode, number, 1);
        break;
      case 'release':
        scene.release(pid, inode);
        break;
      case 'name':
        if (live.has(inode)) scene.name(inode, `name${number}`);
        break;
      case 'restart':
        scene.start(pid, {startTicks: BigInt(number)});
        break;
      case 'hide':
        scene.process(pid).readState = number === 0 ? 'unreadable' : 'complete';
        break;
      case 'list':
        scene.kernelList = number === 0 ? undefined : 'bufinfo';
        break;
      default:
        scene.sample();
    }
  }
  scene.sample();
  return scene.snapshots;
}

/** Recordings of anything that can happen to a few buffers and processes. */
export const story: fc.Arbitrary<Snapshot[]> = fc
  .array(action, {maxLength: 80})
  .map(play);
