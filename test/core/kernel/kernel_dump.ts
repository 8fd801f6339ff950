// SPDX-License-Identifier: Apache-2.0
import type {SimulatedKernel} from '../../../src/core/kernel/simulated_kernel.js';
import type {ProcFs} from '../../../src/core/kernel/vfs.js';
import {KernelError} from '../../../src/core/kernel/kernel_error.js';

/** Every file, link and directory below `path` as text, for comparison. */
export function dumpTree(vfs: ProcFs, path: string): string {
  const {mode, ino, size, dev} = vfs.stat(path);
  const head = `${path} ${mode.toString(8)} ${ino} ${size} ${dev.minor}`;
  if ((mode & 0o170000) === 0o040000 && !isLink(vfs, path)) {
    const names = vfs.list(path);
    return [head, ...names.map((n) => dumpTree(vfs, `${path}/${n}`))].join(
      '\n',
    );
  }
  return `${head}\n${isLink(vfs, path) ? vfs.readlink(path) : vfs.read(path)}`;
}

function isLink(vfs: ProcFs, path: string): boolean {
  try {
    vfs.readlink(path);
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.errno === 'EINVAL') return false;
    throw error;
  }
}

/** Everything a reader can see of the kernel. */
export function dumpKernel(kernel: SimulatedKernel): string {
  return `${dumpTree(kernel.vfs, '/proc')}\n${dumpTree(kernel.vfs, '/sys')}`;
}
