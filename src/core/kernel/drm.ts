// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {PAGE_SIZE, pageAlign} from './address_space.js';
import type {DeviceAttachment, DmaBuf} from './dma_buf.js';
import type {DmaBufSubsystem} from './dma_buf_subsystem.js';
import {KernelError} from './kernel_error.js';
import type {FileIdentity, OpenFile} from './open_file.js';
import {O_ACCMODE, O_WRONLY, PlainFile} from './open_file.js';
import type {KernelProfile} from './profile.js';

/** DRM_FILE_PAGE_OFFSET_START of include/drm/drm_vma_manager.h, bytes. */
const FAKE_OFFSET_START = 0x1_0000_0000;

/** A GEM object: memory of the device, or a buffer it imported. */
interface GemObject {
  readonly sizeBytes: number;
  readonly fakeOffset: number;
  readonly shmem: OpenFile;
  /** `obj->dma_buf`, referenced as long as a handle is open. */
  dmaBuf: DmaBuf | undefined;
  /** Set for an import from another exporter. */
  attachment: DeviceAttachment | undefined;
  /** Open handles, of all files. */
  handles: number;
  /** The dma-buf this object was exported as is alive, and keeps it. */
  exported: boolean;
}

/**
 * The device vgem, whose driver does nothing but GEM: dumb buffers, PRIME
 * export and import (drivers/gpu/drm/drm_gem.c, drm_prime.c).
 */
export class DrmDevice {
  private readonly objectOfBuffer = new Map<DmaBuf, GemObject>();
  private readonly offsets = new OffsetSpace();

  constructor(
    private readonly profile: KernelProfile,
    private readonly dmaBufs: DmaBufSubsystem,
    private readonly newShmemFile: (
      name: RawText,
      sizeBytes: number,
    ) => OpenFile,
    readonly name: RawText = 'vgem',
  ) {}

  createObject(sizeBytes: number): GemObject {
    const size = pageAlign(sizeBytes);
    return {
      sizeBytes: size,
      fakeOffset: this.offsets.allocate(size),
      shmem: this.newShmemFile('drm mm object', size),
      dmaBuf: undefined,
      attachment: undefined,
      handles: 0,
      exported: false,
    };
  }

  /** The object as a dma-buf; exported at the first call. */
  exportObject(object: GemObject, flags: number, cpu: number): DmaBuf {
    if (object.dmaBuf !== undefined) return object.dmaBuf;
    const shmemMapped = this.profile.gemMapping === 'shmem';
    const buffer = this.dmaBufs.exportBuffer({
      exporter: 'drm',
      sizeBytes: object.sizeBytes,
      mapping: shmemMapped ? 'backing-file' : 'fake-offset',
      flags,
      cpu,
      backing: {
        fakeOffset: object.fakeOffset,
        file: object.shmem,
        onRelease: () => {
          this.objectOfBuffer.delete(buffer);
          object.exported = false;
          this.freeIfUnused(object);
        },
      },
    });
    object.exported = true;
    object.dmaBuf = buffer;
    buffer.get('kernel');
    this.objectOfBuffer.set(buffer, object);
    return buffer;
  }

  /**
   * The object of a buffer that this device exported, or a new object with the
   * device attached to the buffer.
   */
  importBuffer(buffer: DmaBuf): GemObject {
    const own = this.objectOfBuffer.get(buffer);
    const object = own ?? this.createObject(buffer.sizeBytes);
    if (own === undefined) {
      object.attachment = this.dmaBufs.attach(buffer, this.name);
      buffer.get('kernel');
    }
    if (object.dmaBuf === undefined) {
      object.dmaBuf = buffer;
      buffer.get('kernel');
    }
    return object;
  }

  handleClosed(object: GemObject): void {
    object.handles--;
    if (object.handles > 0) return;
    const buffer = object.dmaBuf;
    object.dmaBuf = undefined;
    if (buffer !== undefined && object.attachment !== undefined) {
      this.dmaBufs.detach(buffer, object.attachment);
      object.attachment = undefined;
      buffer.put('kernel');
    }
    buffer?.put('kernel');
    if (!object.exported) this.freeIfUnused(object);
  }

  private freeIfUnused(object: GemObject): void {
    if (object.handles > 0 || object.exported) return;
    this.offsets.free(object.fakeOffset);
  }
}

/** One open of /dev/dri/cardN, with the GEM handles made through it. */
export class DrmFile extends PlainFile {
  private readonly handles = new Map<number, GemObject>();
  /** The file's cache of PRIME buffers; each entry holds a reference. */
  private readonly primeBuffers = new Map<DmaBuf, number>();

  constructor(
    identity: FileIdentity,
    path: RawText,
    private readonly device: DrmDevice,
  ) {
    super(identity, path);
  }

  /** DRM_IOCTL_MODE_CREATE_DUMB. */
  createDumb(sizeBytes: number): number {
    // drm_mode_create_dumb() refuses what does not fit 32 bits.
    const valid = Number.isSafeInteger(sizeBytes) && sizeBytes > 0;
    if (!valid || pageAlign(sizeBytes) > 0xffff_ffff) {
      throw new KernelError('EINVAL', `${sizeBytes} bytes`);
    }
    return this.newHandle(this.device.createObject(sizeBytes));
  }

  /** DRM_IOCTL_PRIME_HANDLE_TO_FD, without the descriptor. */
  exportHandle(handle: number, flags: number, cpu: number): DmaBuf {
    // Of the flags DRM_CLOEXEC and DRM_RDWR alone are known.
    if ((flags & O_ACCMODE) === O_WRONLY) {
      throw new KernelError('EINVAL', 'DRM exports nothing write-only');
    }
    const object = this.object(handle);
    const buffer = this.device.exportObject(object, flags, cpu);
    this.cache(buffer, handle);
    return buffer;
  }

  /** DRM_IOCTL_PRIME_FD_TO_HANDLE. */
  importBuffer(buffer: DmaBuf): number {
    const known = this.primeBuffers.get(buffer);
    if (known !== undefined) return known;
    const handle = this.newHandle(this.device.importBuffer(buffer));
    this.cache(buffer, handle);
    return handle;
  }

  /** DRM_IOCTL_GEM_CLOSE. */
  closeHandle(handle: number): void {
    const object = this.object(handle);
    this.handles.delete(handle);
    for (const [buffer, of] of this.primeBuffers) {
      if (of !== handle) continue;
      this.primeBuffers.delete(buffer);
      this.device.handleClosed(object);
      buffer.put('kernel');
      return;
    }
    this.device.handleClosed(object);
  }

  protected override released(): void {
    for (const handle of [...this.handles.keys()]) this.closeHandle(handle);
  }

  private object(handle: number): GemObject {
    const object = this.handles.get(handle);
    if (object === undefined) {
      throw new KernelError('ENOENT', `${this.path} has no handle ${handle}`);
    }
    return object;
  }

  private newHandle(object: GemObject): number {
    let handle = 1;
    while (this.handles.has(handle)) handle++;
    this.handles.set(handle, object);
    object.handles++;
    return handle;
  }

  private cache(buffer: DmaBuf, handle: number): void {
    if (this.primeBuffers.has(buffer)) return;
    this.primeBuffers.set(buffer, handle);
    buffer.get('kernel');
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * The fake offsets at which a device's objects are mapped: the smallest hole
 * that fits, from the bottom up (drm_mm, DRM_MM_INSERT_BEST).
 */
class OffsetSpace {
  private readonly used: Range[] = [];

  allocate(sizeBytes: number): number {
    let best: {start: number; index: number; hole: number} | undefined;
    let start = FAKE_OFFSET_START;
    for (let index = 0; index <= this.used.length; index++) {
      const next = this.used[index];
      const hole = (next?.start ?? Number.MAX_SAFE_INTEGER) - start;
      if (hole >= sizeBytes && (best === undefined || hole < best.hole)) {
        best = {start, index, hole};
      }
      if (next !== undefined) start = next.end;
    }
    if (best === undefined) throw new KernelError('ENOMEM', 'no fake offset');
    const end = best.start + Math.max(sizeBytes, PAGE_SIZE);
    this.used.splice(best.index, 0, {start: best.start, end});
    return best.start;
  }

  free(start: number): void {
    const index = this.used.findIndex((range) => range.start === start);
    if (index >= 0) this.used.splice(index, 1);
  }
}
