// SPDX-License-Identifier: Apache-2.0
import type {BufinfoFence} from '../formats/bufinfo.js';
import type {RawText} from '../model/text.js';
import type {HoldingRecord} from './holdings.js';
import type {FileKind} from './open_file.js';
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

export interface DmaBufOptions {
  readonly inode: bigint;
  readonly kind: FileKind;
  /** f_flags. */
  readonly statusFlags: number;
  /** Unique over the kernel's life, unlike the inode before 5.18. */
  readonly serial: number;
  readonly exporter: RawText;
  readonly sizeBytes: number;
  readonly mapping: MapBehaviour;
  readonly owner: DmaBufOwner;
  readonly changes: ChangeCounter;
  /** Undefined for all but GEM's. */
  readonly backing: DmaBufBacking | undefined;
}

/** Other than before when something the list of buffers tells is. */
export interface ChangeCounter {
  count: number;
}

/** What some drivers have behind a buffer. */
export interface DmaBufBacking {
  /** Bytes; where mapping is `fake-offset`. */
  readonly fakeOffset: number;
  /** The shmem file; where mapping is `backing-file`. */
  readonly file: OpenFile | undefined;
  /** The exporter's own, run last when the buffer is released. */
  readonly onRelease: (() => void) | undefined;
}

/** Whom a buffer tells that its last reference went. */
export interface DmaBufOwner {
  readonly profile: KernelProfile;
  /** It has another name, and is mapped somewhere. */
  renamedMapping(): void;
  released(buffer: DmaBuf): void;
}

const NO_ATTACHMENTS: ReadonlySet<DeviceAttachment> = new Set();
const NO_FENCES: readonly Fence[] = [];

/** One buffer: `struct dma_buf` and its file. */
export class DmaBuf extends OpenFile {
  readonly serial: number;
  readonly exporter: RawText;
  readonly sizeBytes: number;
  readonly mapping: MapBehaviour;
  /** Processes that hold it by a descriptor or a mapping. */
  holders = 0;
  /** The first of their records, linked. */
  firstHolding: HoldingRecord | undefined = undefined;
  /** The CPU has begun to access it once (DMA_BUF_IOCTL_SYNC). */
  isAccessed = false;
  private readonly owner: DmaBufOwner;
  private readonly changes: ChangeCounter;
  private readonly backing: DmaBufBacking | undefined;
  private knownName: RawText | undefined = undefined;
  private knownPath: RawText | undefined = undefined;
  /** Made for the few buffers that ever have one. */
  private attached: Set<DeviceAttachment> | undefined = undefined;
  private fencesOf: readonly Fence[] | undefined = undefined;
  private isLocked = false;

  constructor(options: DmaBufOptions) {
    super(options.inode, options.kind, options.statusFlags);
    this.serial = options.serial;
    this.exporter = options.exporter;
    this.sizeBytes = options.sizeBytes;
    this.mapping = options.mapping;
    this.owner = options.owner;
    this.changes = options.changes;
    this.backing = options.backing;
  }

  /** Undefined until DMA_BUF_SET_NAME; may be empty afterwards. */
  get name(): RawText | undefined {
    return this.knownName;
  }

  set name(name: RawText | undefined) {
    this.knownName = name;
    this.knownPath = undefined;
    if (this.refsOf('map') > 0) this.owner.renamedMapping();
    this.changes.count++;
  }

  /** Somebody waits in ww_mutex for long: bufinfo of 5.3 skips the buffer. */
  get locked(): boolean {
    return this.isLocked;
  }

  set locked(locked: boolean) {
    this.isLocked = locked;
    this.changes.count++;
  }

  /** Attached devices in the order they attached. */
  get attachments(): ReadonlySet<DeviceAttachment> {
    return this.attached ?? NO_ATTACHMENTS;
  }

  get fences(): readonly Fence[] {
    return this.fencesOf ?? NO_FENCES;
  }

  set fences(fences: readonly Fence[]) {
    this.fencesOf = fences;
    this.changes.count++;
  }

  attach(attachment: DeviceAttachment): void {
    this.attached ??= new Set();
    this.attached.add(attachment);
    this.changes.count++;
  }

  /** @returns false when it is not attached */
  detach(attachment: DeviceAttachment): boolean {
    this.changes.count++;
    return this.attached?.delete(attachment) ?? false;
  }

  get fakeOffset(): number {
    return this.backing?.fakeOffset ?? 0;
  }

  get backingFile(): OpenFile | undefined {
    return this.backing?.file;
  }

  override get path(): RawText {
    this.knownPath ??= dmaBufPath(this.owner.profile, this.knownName);
    return this.knownPath;
  }

  /** Its fdinfo lines are rendered from its fields: see procfs. */
  override get fdinfoTail(): RawText {
    return '';
  }

  protected override refsChanged(): void {
    this.changes.count++;
  }

  protected override released(): void {
    this.owner.released(this);
    this.backing?.onRelease?.();
  }
}
