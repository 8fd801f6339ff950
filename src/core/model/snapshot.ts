// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from './dma_buf.js';
import type {Process} from './process.js';

/** How one process holds one buffer. At least one of the counts is > 0. */
export interface Holding {
  readonly buffer: DmaBuf;
  /** Descriptors, in the process's table and in its threads' private ones. */
  readonly fdRefs: number;
  /** VMAs; a mapping split by mprotect counts once per piece. */
  readonly mapRefs: number;
  /** Sum of the VMAs' lengths, bytes. Not the memory held: see sizeBytes. */
  readonly mappedBytes: bigint;
}

/** What could be read of a process's holdings. */
export type ReadState =
  /** fds and maps were read. */
  | 'complete'
  /** One of fds and maps was refused (EACCES, EPERM). */
  | 'partial'
  /** Neither could be read; dmabuf_rss may still be known. */
  | 'unreadable';

export interface ProcessHoldings {
  readonly process: Process;
  readonly readState: ReadState;
  /** By inode. */
  readonly holdings: ReadonlyMap<bigint, Holding>;
  /** /proc/PID/dmabuf_rss, bytes (Android common kernels), when readable. */
  readonly kernelRssBytes: bigint | undefined;
  /** /proc/PID/dmabuf_pss, bytes, when readable. */
  readonly kernelPssBytes: bigint | undefined;
  /** BOOTTIME ns at which the holdings were last read from the device. */
  readonly asOfNs: bigint;
}

/** The kernel's own lists of all buffers, best first. */
export type KernelList = 'bufinfo' | 'bpf' | 'sysfs';

/** Which sources answered, and what stayed unseen. */
export interface Coverage {
  /**
   * The source of the list of all buffers; undefined when there was none.
   * `dmabuf_dump`: AOSP's tool, which reads BPF or sysfs and does not say which.
   */
  readonly kernelList: KernelList | 'dmabuf_dump' | undefined;
  /** True when `fileCount` and so kernel references are known. */
  readonly fileCounts: boolean;
  readonly processesSeen: number;
  /** fds or maps refused (EACCES, EPERM), wholly or in part. */
  readonly processesUnreadable: number;
  /** Gone between listing and reading. */
  readonly processesVanished: number;
  /**
   * True: there may be more holders, and nothing tells how many processes
   * were not read. So it is with a bug report that lists none, or whose list
   * is cut.
   */
  readonly holdersCut?: boolean;
  /** Inodes that two live buffers shared (kernels before 5.18). */
  readonly inodeCollisions: number;
  /** Sections that were cut, garbled, timed out or refused; empty when fine. */
  readonly problems: readonly string[];
}

/** How the sample was taken. */
export interface SampleCost {
  /** CPU time of the collector and its children on the device, ns. */
  readonly deviceCpuNs: bigint | undefined;
  /** Bytes that came over the transport for it. */
  readonly bytes: number;
  /** True when every process was read, not only those that had changed. */
  readonly fullScan: boolean;
  /** Processes whose fds or maps were read for this sample. */
  readonly processesScanned: number;
}

/**
 * The state of all dma-bufs at one sample. A sample is not an instant: it
 * lasted from `startNs` to `endNs`.
 */
export interface Snapshot {
  /** CLOCK_BOOTTIME of the device, ns. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** 0, 1, 2, ... of the recording. */
  readonly sequence: number;
  /** By inode; those the kernel lists and those only processes showed. */
  readonly buffers: ReadonlyMap<bigint, DmaBuf>;
  /** By pid. Processes without holdings are there too. */
  readonly processes: ReadonlyMap<number, ProcessHoldings>;
  readonly coverage: Coverage;
  readonly cost: SampleCost;
}
