// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import type {BufferName} from '../../../src/core/model/index.js';
import {DeviceState} from '../../../src/producer/collector/device_state.js';

const INODE = 7n;

function listed(name: BufferName): Parameters<DeviceState['applyList']>[0] {
  return [{inode: INODE, sizeBytes: 4096n, exporter: 'system', name}];
}

describe('a name that the list leaves in doubt', () => {
  const bare: BufferName = {raw: '<none>', doubtful: true};
  const settled: BufferName = {raw: 'preview', doubtful: false};

  it('stays what fdinfo told while the list prints the same', () => {
    const state = new DeviceState({uniqueInodes: false, hasList: true});
    state.applyList(listed(bare));
    state.buffers.learn({inode: INODE, name: {raw: '<none>', doubtful: false}});
    state.applyList(listed(bare));
    expect(state.buffers.buffer(INODE)?.name).toEqual({
      raw: '<none>',
      doubtful: false,
    });
  });

  it('is new when fdinfo told another one in between', () => {
    const state = new DeviceState({uniqueInodes: false, hasList: true});
    state.applyList(listed(bare));
    state.buffers.learn({inode: INODE, name: settled});
    expect(state.buffers.buffer(INODE)?.name).toEqual(settled);
    // Renamed, and renamed back.
    state.applyList(listed(bare));
    expect(state.buffers.buffer(INODE)?.name).toEqual(bare);
  });
});
