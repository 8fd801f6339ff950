// SPDX-License-Identifier: Apache-2.0
import type {BufinfoFence} from '../formats/bufinfo.js';
import type {RawText} from '../model/text.js';
import type {FileIdentity} from './open_file.js';
import {OpenFile} from './open_file.js';
import type {KernelProfile} from './profile.js';
import {dmaBufPath} from './profile.js';

/** What happens when somebody maps a buffer. */
export type MapBehaviour =
  /** The VMA shows the dma-buf at the offset asked for. */
  | 'direct'
  /** As direct, from the GEM object's fake offset on. */
  | 'fake-offset'
  /** The VMA shows, and holds, the shmem file behind the buffer. */
  | 'backing-file'
  /** The exporter has no mmap operation: EINVAL. */
  | 'refused';

/** A device that a driver attached to a buffer. */
export interface DeviceAttachment {
  /** dev_name(), as bufinfo lists it. */
  readonly device: RawText;
}

/** A fence in a buffer's reservation object; it signals one day. */
export type Fence = Omit<BufinfoFence, 'signalled'> & {signalled: boolean};

/** What bufinfo printed for a buffer, and the state it printed it of. */
export interface RenderedBuffer {
  readonly refCount: number;
  readonly name: RawText | undefined;
  readonly text: RawText;
}

export interface DmaBufOptions {
  readonly profile: KernelProfile;
  /** Unique over the kernel's life, unlike the inode before 5.18. */
  readonly serial: number;
  readonly exporter: RawText;
  readonly sizeBytes: number;
  readonly mapping: MapBehaviour;
  /** Bytes; where mapping is `fake-offset`. */
  readonly fakeOffset: number;
  /** The shmem file; where mapping is `backing-file`. */
  readonly backingFile: OpenFile | undefined;
  readonly owner: DmaBufOwner;
  /** The exporter's own, run last. */
  readonly onRelease: (() => void) | undefined;
}

/** Whom a buffer tells that its last reference went. */
export interface DmaBufOwner {
  released(buffer: DmaBuf): void;
}

const NO_ATTACHMENTS: ReadonlySet<DeviceAttachment> = new Set();
const NO_FENCES: readonly Fence[] = [];

/** One buffer: `struct dma_buf` and its file. */
export class DmaBuf extends OpenFile {
  /** Undefined until DMA_BUF_SET_NAME; may be empty afterwards. */
  name: RawText | undefined = undefined;
  /** Made for the few buffers that ever have one. */
  private attached: Set<DeviceAttachment> | undefined = undefined;
  private fencesOf: Fence[] | undefined = undefined;
  /** Somebody waits in ww_mutex for long: bufinfo of 5.3 skips the buffer. */
  locked = false;
  /** Processes that hold it by a descriptor or a mapping. */
  holders = 0;
  /** Kept for the next reading of bufinfo. */
  rendered: RenderedBuffer | undefined = undefined;
  private knownPath: {name: RawText | undefined; path: RawText} | undefined =
    undefined;

  constructor(
    identity: FileIdentity,
    private readonly options: DmaBufOptions,
  ) {
    super(identity);
  }

  /** Attached devices in the order they attached. */
  get attachments(): ReadonlySet<DeviceAttachment> {
    return this.attached ?? NO_ATTACHMENTS;
  }

  get fences(): readonly Fence[] {
    return this.fencesOf ?? NO_FENCES;
  }

  /** Has neither attachments nor fences, and can be locked. */
  get isPlain(): boolean {
    const {attached, fencesOf, locked} = this;
    return (
      !locked &&
      fencesOf === undefined &&
      (attached === undefined || attached.size === 0)
    );
  }

  attach(attachment: DeviceAttachment): void {
    this.attached ??= new Set();
    this.attached.add(attachment);
  }

  /** @returns false when it is not attached */
  detach(attachment: DeviceAttachment): boolean {
    return this.attached?.delete(attachment) ?? false;
  }

  addFence(fence: Fence): void {
    this.fencesOf ??= [];
    this.fencesOf.push(fence);
  }

  get serial(): number {
    return this.options.serial;
  }

  get inode(): bigint {
    return this.identity.inode;
  }

  get exporter(): RawText {
    return this.options.exporter;
  }

  get mapping(): MapBehaviour {
    return this.options.mapping;
  }

  get fakeOffset(): number {
    return this.options.fakeOffset;
  }

  get backingFile(): OpenFile | undefined {
    return this.options.backingFile;
  }

  override get sizeBytes(): number {
    return this.options.sizeBytes;
  }

  override get path(): RawText {
    const {name, knownPath} = this;
    if (knownPath !== undefined && knownPath.name === name) {
      return knownPath.path;
    }
    const path = dmaBufPath(this.options.profile, name);
    this.knownPath = {name, path};
    return path;
  }

  /** Its fdinfo lines are rendered from its fields: see procfs. */
  override get fdinfoTail(): RawText {
    return '';
  }

  protected override released(): void {
    this.options.owner.released(this);
    this.options.onRelease?.();
  }
}
