// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {DeviceAttachment, DmaBuf} from './dma_buf.js';
import type {DmaBufSubsystem} from './dma_buf_subsystem.js';
import {checkAlive} from './dma_buf_subsystem.js';
import {KernelError} from './kernel_error.js';
import {checkRaw} from './raw_text.js';

interface Import {
  readonly buffer: DmaBuf;
  readonly refs: number;
  readonly attachment: DeviceAttachment | undefined;
}

/**
 * A driver that imports buffers: a display controller, a codec, an image
 * signal processor. What it imported it holds by references of the kernel's
 * own, which no process shows.
 */
export class Importer {
  private readonly imports = new Map<number, Import>();
  private lastHandle = 0;

  /**
   * @param device dev_name(), as bufinfo lists it among attached devices
   * @throws TypeError for a name with a character above 255
   */
  constructor(
    private readonly dmaBufs: DmaBufSubsystem,
    readonly device: RawText,
  ) {
    checkRaw("a device's name", device);
  }

  /**
   * Takes references to a buffer and attaches the device.
   *
   * @param options.refs file references the driver takes, 1 if not given
   * @param options.attach false for a driver that only keeps references
   * @returns a handle for {@link release}
   * @throws KernelError EINVAL for fewer than one reference, EBADF for a
   *   released buffer
   */
  import(
    buffer: DmaBuf,
    options: {refs?: number; attach?: boolean} = {},
  ): number {
    const {refs = 1, attach = true} = options;
    if (!Number.isInteger(refs) || refs < 1) {
      throw new KernelError('EINVAL', `${refs} references can not be taken`);
    }
    checkAlive(buffer);
    for (let i = 0; i < refs; i++) buffer.get('kernel');
    const attachment = attach
      ? this.dmaBufs.attach(buffer, this.device)
      : undefined;
    const handle = ++this.lastHandle;
    this.imports.set(handle, {buffer, refs, attachment});
    return handle;
  }

  /** @throws KernelError EINVAL for a handle that is not held */
  release(handle: number): void {
    const held = this.imports.get(handle);
    if (held === undefined) {
      throw new KernelError('EINVAL', `${this.device} has no import ${handle}`);
    }
    this.imports.delete(handle);
    if (held.attachment !== undefined) {
      this.dmaBufs.detach(held.buffer, held.attachment);
    }
    for (let i = 0; i < held.refs; i++) held.buffer.put('kernel');
  }

  releaseAll(): void {
    for (const handle of [...this.imports.keys()]) this.release(handle);
  }
}
