// SPDX-License-Identifier: Apache-2.0
import type {BufinfoDialect} from '../formats/bufinfo.js';
import {BUFINFO_RFC_V1, bufinfoDialect} from '../formats/bufinfo.js';
import type {RawText} from '../model/text.js';

/** The kernels that can be simulated. */
export const PROFILE_NAMES = [
  'rfc-v1',
  '5.3',
  '5.10',
  '5.15',
  '6.1',
  '6.12',
  '7.x',
] as const;

export type ProfileName = (typeof PROFILE_NAMES)[number];

/** Every point in which the simulated kernels differ. */
export interface KernelProfile {
  readonly name: ProfileName;
  /** uname -r. */
  readonly release: string;
  /** uname -v. */
  readonly build: string;
  readonly arch: 'arm64' | 'x86_64';
  /** CPUs the tasks spread over; each takes inode numbers in batches. */
  readonly cpus: number;
  /**
   * Where a dma-buf's inode number comes from. `shared`: get_next_ino(), 32
   * bits, wraps, collides. `own`: a 64-bit counter from 1, since 5.18 and in
   * 5.15.y since May 2022 (370704e707a5, sent to stable 5.15).
   */
  readonly inodes: 'shared' | 'own';
  /**
   * What /proc shows as path. `deleted`: `/dmabuf (deleted)` for every buffer
   * (simple_dname, only in the series' first version). `named`: `/dmabuf:NAME`.
   */
  readonly pathText: 'deleted' | 'named';
  /** fdinfo has an `ino:` line (5.14). */
  readonly fdinfoIno: boolean;
  /** fdinfo of a unix socket has a `scm_fds:` line (5.6). */
  readonly fdinfoScmFds: boolean;
  /** Header, unset names and fences in bufinfo. */
  readonly bufinfo: BufinfoDialect;
  /** f_mode bits that every dma-buf file has besides FMODE_READ and _WRITE. */
  readonly fileModeBits: number;
  /** /sys/kernel/dmabuf/buffers is there (5.13 to 6.19, an option). */
  readonly sysfsStats: boolean;
  /** debugfs is mounted (not so on an Android user build). */
  readonly debugfs: boolean;
  /** st_size of /proc/PID/fd is the number of open descriptors (6.2). */
  readonly fdCountInStat: boolean;
  /** status has a `Kthread:` line (after 6.1, by 6.12). */
  readonly statusKthread: boolean;
  /** The BPF iterator over dma-bufs (6.16) is pinned, as Android does. */
  readonly bpfIterator: boolean;
  /** /proc/PID/dmabuf_rss, _rss_hwm and dmabuf_pss (Android common kernels). */
  readonly dmabufRss: boolean;
  /** DMA_BUF_SET_NAME works while devices are attached (not in 5.3 to 5.16). */
  readonly renameWhileAttached: boolean;
  /** DMA_BUF_SET_NAME_A and _B are known apart from SET_NAME (5.8). */
  readonly setNameA: boolean;
  /** DMA_BUF_GET_NAME (only in the series' first version). */
  readonly getName: boolean;
  /**
   * Each fence has one of four usages (5.19); before, a buffer has one
   * exclusive fence and any number of shared ones.
   */
  readonly fenceUsages: boolean;
  /** DMA_BUF_IOCTL_EXPORT_SYNC_FILE and _IMPORT_SYNC_FILE (6.0). */
  readonly syncFileIoctls: boolean;
  /** The system heap's interface: ION before dma-buf heaps (5.6). */
  readonly heaps: 'ion' | 'dma-heap';
  /**
   * What mapping a buffer that vgem exported shows: the shmem file behind it,
   * or the dma-buf at its fake offset.
   */
  readonly gemMapping: 'shmem' | 'fake-offset';
  /** dma-bufs may not be mapped to be executed, smaps says (not in 6.12). */
  readonly noExec: boolean;
  /** Columns of the number after `THPeligible:` in smaps: 1, 8 in 6.12. */
  readonly thpEligibleColumns: number;
  /** size_limit_mb of udmabuf as it is unless set: 64 MiB, later 2^31 MiB. */
  readonly udmabufMaxBytes: number;
  /** Minor numbers of the pseudo file systems' anonymous devices (major 0). */
  readonly minors: {
    readonly dmabuf: number;
    readonly sockfs: number;
    readonly pipefs: number;
    readonly anonInode: number;
    readonly shmem: number;
    readonly devtmpfs: number;
    readonly proc: number;
    readonly sysfs: number;
    readonly debugfs: number;
  };
  /** Mount ids, as fdinfo's `mnt_id:` shows them. */
  readonly mountIds: {
    readonly dmabuf: number;
    readonly sockfs: number;
    readonly pipefs: number;
    readonly anonInode: number;
    readonly shmem: number;
    readonly devtmpfs: number;
    readonly rootfs: number;
  };
}

const FMODE_OPENED_LSEEK = 0x0008_0004;

const FIRST: KernelProfile = {
  name: 'rfc-v1',
  release: '5.0.0-rc8-dmabuf-inode-v1',
  build: '#1 SMP PREEMPT Wed Feb 27 04:29:50 UTC 2019',
  arch: 'arm64',
  cpus: 8,
  inodes: 'shared',
  pathText: 'deleted',
  fdinfoIno: false,
  fdinfoScmFds: false,
  // The second patch of the series put the names there.
  bufinfo: {...BUFINFO_RFC_V1, nameField: true},
  fileModeBits: FMODE_OPENED_LSEEK,
  sysfsStats: false,
  debugfs: true,
  fdCountInStat: false,
  statusKthread: false,
  bpfIterator: false,
  dmabufRss: false,
  renameWhileAttached: true,
  setNameA: false,
  getName: true,
  fenceUsages: false,
  syncFileIoctls: false,
  heaps: 'ion',
  gemMapping: 'shmem',
  noExec: false,
  thpEligibleColumns: 1,
  udmabufMaxBytes: 64 * 1024 ** 2,
  minors: {
    dmabuf: 10,
    sockfs: 8,
    pipefs: 11,
    anonInode: 12,
    shmem: 1,
    devtmpfs: 5,
    proc: 20,
    sysfs: 21,
    debugfs: 7,
  },
  mountIds: {
    dmabuf: 11,
    sockfs: 9,
    pipefs: 12,
    anonInode: 13,
    shmem: 5,
    devtmpfs: 24,
    rootfs: 22,
  },
};

const V5_3: KernelProfile = {
  ...FIRST,
  name: '5.3',
  bufinfo: bufinfoDialect('5.3'),
  release: '5.3.18',
  build: '#1 SMP PREEMPT Wed Dec 18 15:05:36 UTC 2019',
  pathText: 'named',
  renameWhileAttached: false,
  getName: false,
};

const V5_10: KernelProfile = {
  ...V5_3,
  name: '5.10',
  bufinfo: bufinfoDialect('5.10'),
  release: '5.10.236',
  build: '#1 SMP PREEMPT Fri May 2 05:44:37 UTC 2025',
  fdinfoScmFds: true,
  setNameA: true,
  heaps: 'dma-heap',
};

const V5_15: KernelProfile = {
  ...V5_10,
  name: '5.15',
  bufinfo: bufinfoDialect('5.15'),
  // Before 5.15.y got inode numbers of the dma-bufs' own: the later releases
  // number as 6.1 does, and no other profile has sysfs with shared numbers.
  release: '5.15.30',
  build: '#1 SMP PREEMPT Sat Mar 19 12:47:51 UTC 2022',
  fdinfoIno: true,
  sysfsStats: true,
  gemMapping: 'fake-offset',
};

const V6_1: KernelProfile = {
  ...V5_15,
  name: '6.1',
  release: '6.1.134',
  build: '#1 SMP PREEMPT Fri Apr 25 08:43:59 UTC 2025',
  inodes: 'own',
  bufinfo: bufinfoDialect('6.1'),
  renameWhileAttached: true,
  fenceUsages: true,
  syncFileIoctls: true,
};

const V6_12: KernelProfile = {
  ...V6_1,
  name: '6.12',
  bufinfo: bufinfoDialect('6.12'),
  thpEligibleColumns: 8,
  release: '6.12.23',
  build: '#1 SMP PREEMPT Thu Apr 10 12:44:49 UTC 2025',
  fdCountInStat: true,
  statusKthread: true,
  minors: {...FIRST.minors, dmabuf: 11, sockfs: 9, devtmpfs: 6, pipefs: 10},
  mountIds: {
    ...FIRST.mountIds,
    dmabuf: 12,
    sockfs: 10,
    devtmpfs: 26,
    pipefs: 11,
  },
};

const V7: KernelProfile = {
  ...V6_12,
  name: '7.x',
  release: '7.3.4',
  build: '#1 SMP PREEMPT_DYNAMIC Sun Nov 15 09:12:20 UTC 2026',
  bufinfo: bufinfoDialect('7.3'),
  // Bit 25 joined the flags of every anonymous file after 6.12.
  fileModeBits: 0x0200_0000 | FMODE_OPENED_LSEEK,
  sysfsStats: false,
  noExec: true,
  udmabufMaxBytes: 0x7fff_ffff * 1024 ** 2,
  minors: {...FIRST.minors, dmabuf: 14, sockfs: 12, devtmpfs: 9, anonInode: 15},
  mountIds: {
    ...FIRST.mountIds,
    dmabuf: 16,
    sockfs: 14,
    devtmpfs: 30,
    anonInode: 17,
  },
};

const PROFILES: ReadonlyMap<string, KernelProfile> = new Map(
  [FIRST, V5_3, V5_10, V5_15, V6_1, V6_12, V7].map((profile) => [
    profile.name,
    profile,
  ]),
);

/** No kernel of that name can be simulated. */
export class UnknownProfileError extends Error {
  override readonly name = 'UnknownProfileError';

  constructor(profile: string) {
    super(
      `unknown kernel profile '${profile}': one of ${PROFILE_NAMES.join(', ')}`,
    );
  }
}

/**
 * The upstream kernel of that name.
 *
 * @param overrides single points to differ in, such as `{sysfsStats: false}`
 * @throws UnknownProfileError
 */
export function kernelProfile(
  name: string,
  overrides: Partial<KernelProfile> = {},
): KernelProfile {
  const profile = PROFILES.get(name);
  if (profile === undefined) throw new UnknownProfileError(name);
  return {...profile, ...overrides};
}

const ANDROID_RELEASES: Partial<Record<ProfileName, string>> = {
  '5.10': 'android13-4-g2f1dc9a7b6e0-ab12',
  '5.15': 'android13-3-g8d4c01f73a52-ab10',
  '6.1': 'android14-11-g5c2e8b9f1d04-ab13',
  '6.12': 'android16-5-g7e61a3c0d9b8-ab14',
};

/**
 * The Android common kernel of that name: as upstream, with sysfs statistics
 * from android13-5.10 on (while they last), with dmabuf_rss and dmabuf_pss
 * from android14-6.1 on, and with a pinned BPF iterator where there is one.
 *
 * @throws UnknownProfileError
 */
export function androidKernelProfile(
  name: string,
  overrides: Partial<KernelProfile> = {},
): KernelProfile {
  const base = kernelProfile(name);
  const suffix = ANDROID_RELEASES[base.name];
  return {
    ...base,
    release: suffix === undefined ? base.release : `${base.release}-${suffix}`,
    sysfsStats: base.sysfsStats || base.name === '5.10',
    dmabufRss: ['6.1', '6.12', '7.x'].includes(base.name),
    bpfIterator: base.name === '7.x',
    ...overrides,
  };
}

/** What /proc shows as the path of a dma-buf: readlink of an fd, and maps. */
export function dmaBufPath(
  profile: KernelProfile,
  name: RawText | undefined,
): RawText {
  return profile.pathText === 'named'
    ? `/dmabuf:${name ?? ''}`
    : '/dmabuf (deleted)';
}
