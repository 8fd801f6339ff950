// SPDX-License-Identifier: Apache-2.0
/** The fences of a buffer: drivers/dma-buf/dma-resv.c. */
import type {Fence} from './dma_buf.js';
import {KernelError} from './kernel_error.js';
import type {KernelProfile} from './profile.js';

/** enum dma_resv_usage: who asks for one gets those before it too. */
const USAGES = ['kernel', 'write', 'read', 'bookkeep'] as const;

/** Of the fences, in their order, those that somebody with `usage` sees. */
export function fencesFor(
  fences: readonly Fence[],
  usage: Fence['usage'],
): Fence[] {
  return fences.filter((fence) => rank(fence.usage) <= rank(usage));
}

/**
 * The fences once another is added.
 *
 * @throws KernelError EINVAL for a usage that the kernel has not: before 5.19
 *   a fence is exclusive (`write`) or shared (`read`)
 */
export function withFence(
  profile: KernelProfile,
  fences: readonly Fence[],
  added: Fence,
): readonly Fence[] {
  return profile.fenceUsages
    ? withUsage(fences, added)
    : withExclusiveOrShared(profile, fences, added);
}

/** The same fence for another use: it signals when the first one does. */
export function fenceAs(usage: Fence['usage'], fence: Fence): Fence {
  const {driver, timeline, context, seqno} = fence;
  return {
    usage,
    driver,
    timeline,
    context,
    seqno,
    get signalled() {
      return fence.signalled;
    },
    set signalled(signalled) {
      fence.signalled = signalled;
    },
  };
}

/** dma_fence_get_stub(): what stands for no fence at all. */
export function stubFence(): Fence {
  return {
    usage: 'read',
    driver: 'stub',
    timeline: 'stub',
    context: 0n,
    seqno: 0n,
    signalled: true,
  };
}

/** dma_resv_add_fence(): in place of the first that it makes superfluous. */
function withUsage(fences: readonly Fence[], added: Fence): readonly Fence[] {
  return replaced(
    fences,
    (old) =>
      old.signalled ||
      (old.context === added.context &&
        rank(old.usage) >= rank(added.usage) &&
        old.seqno <= added.seqno),
    added,
  );
}

function withExclusiveOrShared(
  profile: KernelProfile,
  fences: readonly Fence[],
  added: Fence,
): readonly Fence[] {
  switch (added.usage) {
    case 'write':
      // dma_resv_add_excl_fence() drops the shared ones, which it waits for.
      return [added];
    case 'read': {
      // dma_resv_add_shared_fence(). The exclusive one has a place of its own.
      const exclusive = fences.filter(({usage}) => usage === 'write');
      const shared = fences.filter(({usage}) => usage === 'read');
      return [
        ...exclusive,
        ...replaced(
          shared,
          (old) => old.signalled || old.context === added.context,
          added,
        ),
      ];
    }
    case 'kernel':
    case 'bookkeep':
      throw new KernelError(
        'EINVAL',
        `kernel ${profile.name} has no ${added.usage} fences`,
      );
  }
}

function replaced(
  fences: readonly Fence[],
  isSuperfluous: (old: Fence) => boolean,
  added: Fence,
): readonly Fence[] {
  const index = fences.findIndex(isSuperfluous);
  return index < 0 ? [...fences, added] : fences.with(index, added);
}

function rank(usage: Fence['usage']): number {
  return USAGES.indexOf(usage);
}
