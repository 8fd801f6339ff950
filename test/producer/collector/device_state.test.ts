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

describe('a buffer that the list has no more', () => {
  const other = {inode: 8n, sizeBytes: 4096n, exporter: 'system'};
  const gone = {inode: INODE, sizeBytes: 4096n, exporter: 'system'};

  function held(): {
    state: DeviceState;
    process: ReturnType<DeviceState['startProcess']>;
  } {
    const state = new DeviceState({uniqueInodes: true, hasList: true});
    const process = state.startProcess(5, 50n, 0n);
    state.applyList([gone, other]);
    state.setTable(
      process,
      'fd',
      new Map([
        [3, 7],
        [4, 8],
        [6, 7],
      ]),
    );
    return {state, process};
  }

  it('is held by nobody', () => {
    const {state, process} = held();
    state.applyList([other]);
    expect(state.buffers.buffer(INODE)).toBe(undefined);
    expect(process.tables.get('fd')?.get(3)).toBe(undefined);
    expect(process.tables.get('fd')?.get(4)?.key).toBe(8);
  });

  it('leaves descriptors that the next reading has to explain', () => {
    const {state, process} = held();
    const table = process.tables.get('fd');
    if (table === undefined) throw new Error('no table');
    table.reading = {version: 9, gone: []};
    state.applyList([other]);
    expect(table.reading).toEqual({version: 9, gone: [3, 6]});
    state.changeTable(process, 'fd', [{fd: 4, inode: 8}], []);
    expect(table.reading).toBe(undefined);
  });

  it('is told again by a list that was cut', () => {
    const {state} = held();
    state.applyList([other], false);
    expect(state.buffers.buffer(INODE)?.inode).toBe(INODE);
    state.applyList([gone, other]);
    expect(state.buffers.unlisted()).toEqual([]);
    state.applyList([other]);
    expect(state.buffers.buffer(INODE)).toBe(undefined);
  });
});
