// SPDX-License-Identifier: Apache-2.0
import {
  SimulatedKernel,
  androidKernelProfile,
} from '../src/core/kernel/index.js';

/** How much there is, and how fast it changes. */
export interface Load {
  readonly processes: number;
  readonly buffers: number;
  /** Buffers freed and allocated again, of all, a second. */
  readonly churn: number;
  /** Processes that do so; the others keep what they have. */
  readonly busy: number;
}

const EXPORTERS = ['system', 'system-uncached', 'camera'] as const;
const NAMES = Array.from({length: 50}, (_, n) => `buffer ${n}`);
/** What a process has open besides. */
const OTHER_FILES = 20;

/** A buffer, and where its two holders have it. */
interface Slot {
  owner: number;
  fd: number;
  other: number;
  otherFd: number;
  /** 0: it is not mapped. */
  address: number;
  sizeBytes: number;
}

function newSlot(): Slot {
  return {owner: 0, fd: 0, other: 0, otherFd: 0, address: 0, sizeBytes: 0};
}

/**
 * A kernel under an even load: each buffer has two holders, one in ten is
 * mapped, and the oldest buffers of the busy processes make way for new ones,
 * one after the other in virtual time.
 */
export function loadedKernel(load: Load): SimulatedKernel {
  const kernel = new SimulatedKernel({
    profile: androidKernelProfile('6.12'),
    seed: 1,
  });
  const pids: number[] = [];
  for (let i = 0; i < load.processes; i++) {
    const pid = kernel.spawn({
      executable: '/system/bin/app_process64',
      args: [`com.example.app${i}`],
    });
    for (let file = 0; file < OTHER_FILES; file++) {
      kernel.openAnonymous(pid, '[eventfd]');
    }
    pids.push(pid);
  }
  let made = 0;
  /** Takes the place of what was made there before, if anything was. */
  const make = (among: number, slot: Slot): void => {
    const n = made++;
    const owner = pids[n % among] ?? 1;
    const other = pids[(n * 7 + 3) % among] ?? 1;
    const fd = kernel.exportBuffer(owner, {
      exporter: EXPORTERS[n % EXPORTERS.length] ?? 'system',
      sizeBytes: 4096 * (1 + (n % 3000)),
      name: NAMES[n % NAMES.length] ?? '',
    });
    slot.owner = owner;
    slot.fd = fd;
    slot.other = other;
    slot.otherFd = kernel.transfer(owner, fd, other);
    slot.address = n % 10 === 0 ? kernel.mmap(owner, fd) : 0;
    slot.sizeBytes = kernel.bufferOf(owner, fd).sizeBytes;
  };
  const free = ({
    owner,
    fd,
    other,
    otherFd,
    address,
    sizeBytes,
  }: Slot): void => {
    if (address !== 0) kernel.munmap(owner, address, sizeBytes);
    kernel.close(owner, fd);
    kernel.close(other, otherFd);
  };
  // What the busy processes will give back first lies among the rest.
  const perSecond = load.buffers * load.churn;
  const held: Slot[] = [];
  for (let i = 0; i < load.buffers; i++) {
    const isBusy = i % 10 === 0;
    const slot = newSlot();
    make(isBusy ? load.busy : load.processes, slot);
    if (isBusy) held.push(slot);
  }
  let oldest = 0;
  kernel.every(BigInt(Math.round(1e9 / perSecond)), () => {
    const slot = held[oldest];
    if (slot !== undefined) {
      free(slot);
      make(load.busy, slot);
    }
    oldest = (oldest + 1) % held.length;
    return true;
  });
  return kernel;
}
