// SPDX-License-Identifier: Apache-2.0
// What a buffer's reservation object keeps, as bufinfo lists it.
import {describe, expect, it} from 'vitest';
import type {DmaBuf, Fence} from '../../../src/core/kernel/dma_buf.js';
import {kernelProfile} from '../../../src/core/kernel/profile.js';
import {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';

const OLD = ['rfc-v1', '5.3', '5.10', '5.15'];
const NEW = ['6.1', '6.12', '7.x'];
const USAGES = ['kernel', 'write', 'read', 'bookkeep'] as const;

function stage(profile: string): {
  kernel: SimulatedKernel;
  pid: number;
  fd: number;
  buffer: DmaBuf;
} {
  const kernel = new SimulatedKernel({
    profile: kernelProfile(profile),
    seed: 1,
  });
  const pid = kernel.spawn({});
  const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
  return {kernel, pid, fd, buffer: kernel.bufferOf(pid, fd)};
}

/** Each on a context of its own unless another is given. */
function fence(
  usage: Fence['usage'],
  seqno: number,
  context: number = seqno,
): Fence {
  return {
    usage,
    driver: 'gpu',
    timeline: `t${seqno}`,
    context: BigInt(context),
    seqno: BigInt(seqno),
    signalled: false,
  };
}

/** Sort and number of each fence that bufinfo lists. */
function listed(kernel: SimulatedKernel): string[] {
  return kernel.vfs
    .read('/sys/kernel/debug/dma_buf/bufinfo')
    .split('\n')
    .filter((line) => line.includes(' fence:'))
    .map((line) => {
      const timeline = /\bt\d+/.exec(line)?.[0] ?? 'signalled';
      return `${line.trim().split(' ')[0] ?? ''} ${timeline}`;
    });
}

describe.each(NEW)('kernel %s', (profile) => {
  it('lists what a reader waits for: no bookkeeping', () => {
    const {kernel, buffer} = stage(profile);
    for (const [i, usage] of USAGES.entries()) {
      kernel.dmaBufs.addFence(buffer, fence(usage, i));
    }
    expect(listed(kernel)).toEqual(['kernel t0', 'write t1', 'read t2']);
    expect(buffer.fences).toHaveLength(4);
  });

  it('keeps several writers', () => {
    const {kernel, buffer} = stage(profile);
    kernel.dmaBufs.addFence(buffer, fence('write', 1));
    kernel.dmaBufs.addFence(buffer, fence('write', 2));
    expect(listed(kernel)).toEqual(['write t1', 'write t2']);
  });

  it('replaces what is done, or earlier on the same context', () => {
    const {kernel, buffer} = stage(profile);
    const done = fence('read', 1);
    kernel.dmaBufs.addFence(buffer, done);
    kernel.dmaBufs.addFence(buffer, fence('read', 2, 7));
    done.signalled = true;
    kernel.dmaBufs.addFence(buffer, fence('write', 3));
    expect(listed(kernel)).toEqual(['write t3', 'read t2']);
    kernel.dmaBufs.addFence(buffer, fence('write', 8, 7));
    expect(listed(kernel)).toEqual(['write t3', 'write t8']);
    // A weaker usage does not take the place of a stronger one.
    kernel.dmaBufs.addFence(buffer, fence('read', 9, 7));
    expect(listed(kernel)).toEqual(['write t3', 'write t8', 'read t9']);
  });
});

describe.each(OLD)('kernel %s', (profile) => {
  it('has no fences but exclusive and shared ones', () => {
    const {kernel, buffer} = stage(profile);
    kernel.dmaBufs.addFence(buffer, fence('write', 1));
    for (const usage of ['kernel', 'bookkeep'] as const) {
      const add = (): void => {
        kernel.dmaBufs.addFence(buffer, fence(usage, 2));
      };
      expect(add).toThrow(/^EINVAL: .* fences$/);
    }
    expect(listed(kernel)).toEqual(['Exclusive t1']);
  });

  it('lists the exclusive fence first, whenever it came', () => {
    const {kernel, buffer} = stage(profile);
    kernel.dmaBufs.addFence(buffer, fence('write', 1));
    kernel.dmaBufs.addFence(buffer, fence('read', 2));
    kernel.dmaBufs.addFence(buffer, fence('read', 3));
    expect(listed(kernel)).toEqual(['Exclusive t1', 'Shared t2', 'Shared t3']);
  });

  it('replaces all by a new exclusive fence', () => {
    const {kernel, buffer} = stage(profile);
    for (const [i, usage] of (['write', 'read', 'write'] as const).entries()) {
      kernel.dmaBufs.addFence(buffer, fence(usage, i));
    }
    expect(listed(kernel)).toEqual(['Exclusive t2']);
  });

  it('replaces a shared fence of the same context', () => {
    const {kernel, buffer} = stage(profile);
    kernel.dmaBufs.addFence(buffer, fence('read', 1, 7));
    kernel.dmaBufs.addFence(buffer, fence('read', 2));
    kernel.dmaBufs.addFence(buffer, fence('read', 3, 7));
    expect(listed(kernel)).toEqual(['Shared t3', 'Shared t2']);
  });
});

it('takes no fence on a buffer that is released', () => {
  const {kernel, pid, fd, buffer} = stage('6.12');
  kernel.close(pid, fd);
  expect(() => {
    kernel.dmaBufs.addFence(buffer, fence('read', 1));
  }).toThrow(/^EBADF: /);
  expect(buffer.fences).toEqual([]);
});
