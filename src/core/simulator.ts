// SPDX-License-Identifier: Apache-2.0
/**
 * `perfetto-dmabuf/simulator`: a simulated kernel's dma-buf side, for tests and
 * demos. Pure: runs in a browser as in Node. See docs/simulator.md.
 */

// A scenario on a kernel, and what there is to choose from.
export {
  DEFAULT_PROFILE,
  startSimulation,
  type Simulation,
  type SimulationOptions,
} from './kernel/simulation.js';
export {
  MAX_SCALE,
  MIN_SCALE,
  SCENARIOS,
  ScenarioError,
  scenarioNamed,
  type Landmark,
  type Leak,
  type LeakCause,
  type LeakedBuffer,
  type ProcessRef,
  type Scenario,
  type ScenarioOptions,
  type ScenarioRun,
  type ScenarioTruth,
} from './kernel/scenarios/index.js';
export {
  PROFILE_NAMES,
  UnknownProfileError,
  androidKernelProfile,
  kernelProfile,
  type KernelProfile,
  type ProfileName,
} from './kernel/profile.js';

// The kernel: system calls, drivers, /proc and /sys.
export {
  SimulatedKernel,
  type ExportOptions,
  type MapOptions,
  type SimulatedKernelOptions,
  type SpawnOptions,
} from './kernel/simulated_kernel.js';
export {ERRNO, KernelError, type ErrnoName} from './kernel/kernel_error.js';
export {
  PROT_READ,
  PROT_READ_WRITE,
  type Protection,
} from './kernel/address_space.js';
export {
  DMA_BUF_GET_NAME,
  DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_NAME_LEN,
  DMA_BUF_SET_NAME,
  DMA_BUF_SET_NAME_A,
  DMA_BUF_SET_NAME_B,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_READ,
  DMA_BUF_SYNC_WRITE,
  type IoctlArgument,
} from './kernel/dma_buf_ioctl.js';
export {
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  type DeviceNumber,
  type OpenFile,
} from './kernel/open_file.js';
export type {DmaBuf, Fence} from './kernel/dma_buf.js';
export type {DmaBufSubsystem} from './kernel/dma_buf_subsystem.js';
export type {Importer} from './kernel/importer.js';
export type {Process, ProcessTable, Thread} from './kernel/process_table.js';
export type {FileStat, NodeFs, ProcFs} from './kernel/vfs.js';
export type {
  Descriptors,
  DirectoryNode,
  FileNode,
  LinkNode,
  VfsNode,
} from './kernel/vfs_node.js';
export type {
  BufinfoDialect,
  BufinfoFence,
  FenceForm,
} from './formats/bufinfo.js';
// Texts of the kernel have one character a byte.
export {toDisplay, toRaw, type RawText} from './model/text.js';
