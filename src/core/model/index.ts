// SPDX-License-Identifier: Apache-2.0
export * from './dma_buf.js';
export * from './inode_key.js';
export * from './inode_map.js';
export * from './process.js';
export * from './provenance.js';
export * from './snapshot.js';
export * from './text.js';
