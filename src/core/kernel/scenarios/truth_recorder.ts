// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from '../dma_buf.js';
import type {
  Landmark,
  Leak,
  LeakedBuffer,
  ProcessRef,
  ScenarioRun,
  ScenarioTruth,
} from './scenario.js';

type LeakKind = Omit<Leak, 'buffers' | 'bufferName' | 'exporter'>;

/** Notes what happens while a scenario plays. */
export class TruthRecorder implements ScenarioRun {
  private readonly leaks = new Map<string, Leak & {buffers: LeakedBuffer[]}>();
  private readonly landmarks: Landmark[] = [];

  constructor(private readonly now: () => bigint) {}

  /** From now on nobody will give this buffer back. */
  leaked(kind: LeakKind, buffer: DmaBuf): void {
    const {cause, culprit, holders} = kind;
    const who = [culprit, ...holders].map((ref) => ref?.pid ?? 'driver');
    const key = [cause, ...who, buffer.exporter, buffer.name].join('\0');
    let leak = this.leaks.get(key);
    if (leak === undefined) {
      leak = {
        ...kind,
        bufferName: buffer.name,
        exporter: buffer.exporter,
        buffers: [],
      };
      this.leaks.set(key, leak);
    }
    leak.buffers.push({
      inode: buffer.inode,
      sizeBytes: BigInt(buffer.sizeBytes),
      leakedAtNs: this.now(),
    });
  }

  landmark(
    what: Landmark['what'],
    buffer: DmaBuf,
    holders: readonly ProcessRef[],
  ): void {
    this.landmarks.push({
      what,
      inode: buffer.inode,
      sizeBytes: BigInt(buffer.sizeBytes),
      holders,
    });
  }

  truth(): ScenarioTruth {
    return {
      leaks: [...this.leaks.values()].map((leak) => ({
        ...leak,
        buffers: [...leak.buffers],
      })),
      landmarks: [...this.landmarks],
    };
  }
}
