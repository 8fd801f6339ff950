// SPDX-License-Identifier: Apache-2.0
import type {Fence} from './dma_buf.js';
import type {FileIdentity} from './open_file.js';
import {PlainFile} from './open_file.js';

/** Fences as a file (drivers/dma-buf/sync_file.c). */
export class SyncFile extends PlainFile {
  constructor(
    identity: FileIdentity,
    readonly fences: readonly Fence[],
  ) {
    super(identity, 'anon_inode:sync_file');
  }
}
