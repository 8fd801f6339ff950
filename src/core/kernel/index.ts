// SPDX-License-Identifier: Apache-2.0
export * from './address_space.js';
export * from './dma_buf.js';
export * from './dma_buf_ioctl.js';
export * from './importer.js';
export * from './kernel_error.js';
export * from './profile.js';
export * from './scenarios/index.js';
export * from './simulated_kernel.js';
export * from './simulation.js';
export {BOOT_REALTIME_NS} from './system_stat.js';
export type {OpenFile} from './open_file.js';
export type {FileStat, NodeFs, ProcFs} from './vfs.js';
export type {
  Descriptors,
  DirectoryNode,
  FileNode,
  LinkNode,
  VfsNode,
} from './vfs_node.js';
