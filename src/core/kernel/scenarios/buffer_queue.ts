// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from '../dma_buf.js';
import type {ExportOptions} from '../simulated_kernel.js';
import type {AndroidPhone} from './android_phone.js';
import type {ProcessRef} from './scenario.js';

interface Slot {
  readonly producerFd: number;
  /** Descriptors by consumer's pid. */
  readonly consumerFds: Map<number, number>;
}

/**
 * A queue of buffers between processes, as Android's BufferQueue: a slot is
 * allocated when it is first used, and each consumer imports it once.
 */
export class BufferQueue {
  private readonly slots: (Slot | undefined)[];
  private next = 0;
  private playing = true;

  constructor(
    private readonly phone: AndroidPhone,
    private readonly producer: ProcessRef,
    private readonly consumers: readonly ProcessRef[],
    private readonly options: ExportOptions & {readonly slots: number},
  ) {
    this.slots = new Array<Slot | undefined>(options.slots).fill(undefined);
  }

  /** Queues a frame every `periodNs` from now on, until {@link free}. */
  play(periodNs: bigint): this {
    this.frame();
    this.phone.kernel.every(periodNs, () => {
      if (this.playing && this.alive(this.producer.pid)) this.frame();
      return this.playing;
    });
    return this;
  }

  /** Uses every slot once. */
  fill(): DmaBuf[] {
    return this.slots.map(() => this.frame());
  }

  /** The producer fills the next slot, and the consumers take it. */
  frame(): DmaBuf {
    const {kernel} = this.phone;
    const {pid} = this.producer;
    const slot = this.slot();
    this.next = (this.next + 1) % this.slots.length;
    for (const consumer of this.consumers) {
      if (slot.consumerFds.has(consumer.pid)) continue;
      const fd = kernel.transfer(pid, slot.producerFd, consumer.pid);
      slot.consumerFds.set(consumer.pid, fd);
    }
    return kernel.bufferOf(pid, slot.producerFd);
  }

  /** The producer's descriptor of the slot that comes next. */
  nextFd(): number {
    return this.slot().producerFd;
  }

  /** Everybody lets go of the slot that comes next: it gets a new buffer. */
  recycle(): void {
    this.drop(this.next);
  }

  /**
   * Everybody lets go of everything.
   *
   * @param forgetful a consumer that does not, if there is one
   * @returns the buffers that stay with it
   */
  free(forgetful?: ProcessRef): DmaBuf[] {
    this.playing = false;
    const kept: DmaBuf[] = [];
    for (const [index, slot] of this.slots.entries()) {
      const fd = slot?.consumerFds.get(forgetful?.pid ?? -1);
      if (slot !== undefined && forgetful !== undefined && fd !== undefined) {
        kept.push(this.phone.kernel.bufferOf(forgetful.pid, fd));
        slot.consumerFds.delete(forgetful.pid);
      }
      this.drop(index);
    }
    return kept;
  }

  private slot(): Slot {
    return (this.slots[this.next] ??= {
      producerFd: this.phone.allocate(this.producer, this.options),
      consumerFds: new Map(),
    });
  }

  private drop(index: number): void {
    const slot = this.slots[index];
    if (slot === undefined) return;
    this.slots[index] = undefined;
    this.close(this.producer.pid, slot.producerFd);
    for (const [pid, fd] of slot.consumerFds) this.close(pid, fd);
  }

  /** A process that ended has closed everything itself. */
  private close(pid: number, fd: number): void {
    if (this.alive(pid)) this.phone.kernel.close(pid, fd);
  }

  private alive(pid: number): boolean {
    return this.phone.kernel.processes.find(pid)?.zombie === false;
  }
}
