// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {Fence} from './dma_buf.js';
import type {InodeAllocator} from './inode_allocator.js';
import {OwnInodeCounter} from './inode_allocator.js';
import type {DeviceNumber, FileIdentity} from './open_file.js';
import {O_RDONLY, O_RDWR, O_WRONLY, PlainFile} from './open_file.js';
import type {KernelProfile} from './profile.js';
import {SyncFile} from './sync_file.js';
import {UnixSocket} from './unix_socket.js';

const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFREG = 0o100000;
const S_IFSOCK = 0o140000;

/** Where phones have their system partition: a device-mapper disk. */
const DISK: DeviceNumber = {major: 0xfe, minor: 5};

/** O_LARGEFILE, which the kernel adds to what 64-bit programs open. */
const O_LARGEFILE = {arm64: 0o400000, x86_64: 0o100000} as const;

/** Makes the open files that are no dma-bufs. */
export class FileFactory {
  private readonly diskInodes = new Map<RawText, bigint>();
  private readonly devInodes = new Map<RawText, bigint>();
  private readonly libraries = new Map<RawText, PlainFile>();
  private readonly shmemInodes = new OwnInodeCounter();

  constructor(
    private readonly profile: KernelProfile,
    private readonly sharedInodes: InodeAllocator,
  ) {}

  /** A file on disk, or below /dev a character device. */
  open(path: RawText, flags: number, sizeBytes: number): PlainFile {
    return new PlainFile(this.pathIdentity(path, flags), path, sizeBytes);
  }

  /** Identity of what is opened by a path. */
  pathIdentity(path: RawText, flags: number): FileIdentity {
    const statusFlags = flags | O_LARGEFILE[this.profile.arch];
    if (path.startsWith('/dev/')) {
      return {
        inode: numberOf(this.devInodes, path),
        device: {major: 0, minor: this.profile.minors.devtmpfs},
        mode: S_IFCHR | 0o666,
        mountId: this.profile.mountIds.devtmpfs,
        statusFlags,
      };
    }
    return {
      inode: numberOf(this.diskInodes, path),
      device: DISK,
      mode: S_IFREG | 0o644,
      mountId: this.profile.mountIds.rootfs,
      statusFlags,
    };
  }

  /** A binary or library; all who map it share one open file. */
  library(path: RawText): PlainFile {
    let file = this.libraries.get(path);
    if (file === undefined) {
      // Believable, and the same for the same path in every run.
      const sizeBytes = 0x8000 + path.length * 0x1800;
      file = this.open(path, O_RDONLY, sizeBytes);
      this.libraries.set(path, file);
    }
    return file;
  }

  /** An anonymous inode's file, such as `[eventpoll]`; all share the inode. */
  anonymous(label: RawText, fdinfoTail: RawText): PlainFile {
    const identity = this.anonymousIdentity(O_RDWR);
    return new PlainFile(identity, `anon_inode:${label}`, 0, fdinfoTail);
  }

  /** Opened with no flags: sync_file_alloc() asks for none. */
  syncFile(fences: readonly Fence[]): SyncFile {
    return new SyncFile(this.anonymousIdentity(O_RDONLY), fences);
  }

  private anonymousIdentity(statusFlags: number): FileIdentity {
    const {minors, mountIds} = this.profile;
    return {
      inode: numberOf(this.devInodes, 'anon_inode'),
      device: {major: 0, minor: minors.anonInode},
      mode: 0o600,
      mountId: mountIds.anonInode,
      statusFlags,
    };
  }

  /** The ends to read from and to write to: one inode, opened twice. */
  pipe(cpu: number): [PlainFile, PlainFile] {
    const inode = this.sharedInodes.next(cpu);
    const {minors, mountIds} = this.profile;
    const end = (statusFlags: number): PlainFile =>
      new PlainFile(
        {
          inode,
          device: {major: 0, minor: minors.pipefs},
          mode: S_IFIFO | 0o600,
          mountId: mountIds.pipefs,
          statusFlags,
        },
        `pipe:[${inode}]`,
      );
    return [end(O_RDONLY), end(O_WRONLY)];
  }

  socketPair(cpu: number): [UnixSocket, UnixSocket] {
    const identity = (): FileIdentity => ({
      inode: this.sharedInodes.next(cpu),
      device: {major: 0, minor: this.profile.minors.sockfs},
      mode: S_IFSOCK | 0o777,
      mountId: this.profile.mountIds.sockfs,
      statusFlags: O_RDWR,
    });
    return UnixSocket.pair(this.profile, identity(), identity());
  }

  /** An unlinked file in the kernel's own tmpfs. */
  shmem(name: RawText, sizeBytes: number): PlainFile {
    return new PlainFile(
      {
        inode: this.shmemInodes.next(),
        device: {major: 0, minor: this.profile.minors.shmem},
        mode: S_IFREG | 0o777,
        mountId: this.profile.mountIds.shmem,
        statusFlags: O_RDWR,
      },
      `/${name} (deleted)`,
      sizeBytes,
    );
  }
}

function numberOf(inodes: Map<RawText, bigint>, path: RawText): bigint {
  let inode = inodes.get(path);
  if (inode === undefined) {
    inode = BigInt(inodes.size + 100);
    inodes.set(path, inode);
  }
  return inode;
}
