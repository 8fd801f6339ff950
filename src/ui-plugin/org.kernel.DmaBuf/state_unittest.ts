// SPDX-License-Identifier: Apache-2.0
import {
  matches,
  treeByBuffer,
  treeByProcess,
  type StateRow,
  type TreeNode,
} from './state';

const ROW: StateRow = {
  bufferId: 1,
  sliceId: 1,
  upid: 1,
  pid: 100n,
  processName: 'camera',
  inode: 4711n,
  name: 'preview',
  exporter: 'system',
  size: 4096n,
  fdRefs: 1,
  mapRefs: 0,
  since: 0n,
  pss: 2048,
  machineId: 0,
};

const SHARED: StateRow = {
  ...ROW,
  sliceId: 2,
  upid: 2,
  pid: 200n,
  processName: 'surfaceflinger',
};

const LARGE: StateRow = {
  ...SHARED,
  bufferId: 3,
  sliceId: 3,
  inode: 5000n,
  name: undefined,
  size: 8192n,
  pss: 8192,
};

const KERNEL_ONLY: StateRow = {
  ...ROW,
  bufferId: 4,
  sliceId: 4,
  upid: undefined,
  pid: undefined,
  processName: undefined,
  inode: 6000n,
  size: undefined,
  pss: undefined,
};

const ALL = [ROW, SHARED, LARGE, KERNEL_ONLY];

function lines(nodes: ReadonlyArray<TreeNode>, indent = ''): string[] {
  return nodes.flatMap((node) => [
    `${indent}${node.label}: ${node.bytes} B, PSS ${node.pss}, ` +
      `${node.buffers} buffers, ${node.unknownSizes} unknown`,
    ...lines(node.children, `${indent}  `),
  ]);
}

test('process, name, buffer; the largest first, kernel-only by itself', () => {
  expect(lines(treeByProcess(ALL))).toEqual([
    'surfaceflinger 200: 12288 B, PSS 10240, 2 buffers, 0 unknown',
    '  no name: 8192 B, PSS 8192, 1 buffers, 0 unknown',
    '    system 5000: 8192 B, PSS 8192, 1 buffers, 0 unknown',
    '  preview: 4096 B, PSS 2048, 1 buffers, 0 unknown',
    '    preview 4711: 4096 B, PSS 2048, 1 buffers, 0 unknown',
    'camera 100: 4096 B, PSS 2048, 1 buffers, 0 unknown',
    '  preview: 4096 B, PSS 2048, 1 buffers, 0 unknown',
    '    preview 4711: 4096 B, PSS 2048, 1 buffers, 0 unknown',
    'Kernel-only (no process holds it): 0 B, PSS undefined, 1 buffers, 1 unknown',
    '  preview: 0 B, PSS undefined, 1 buffers, 1 unknown',
    '    preview 6000: 0 B, PSS undefined, 1 buffers, 1 unknown',
  ]);
});

test('buffer, holders: a shared buffer counts once', () => {
  expect(lines(treeByBuffer([ROW, SHARED]))).toEqual([
    'preview 4711: 4096 B, PSS 4096, 1 buffers, 0 unknown',
    '  camera 100: 4096 B, PSS 2048, 1 buffers, 0 unknown',
    '  surfaceflinger 200: 4096 B, PSS 2048, 1 buffers, 0 unknown',
  ]);
});

test('a name that is set to be empty is not that of one without', () => {
  const nodes = treeByProcess([
    {...ROW, name: ''},
    {...ROW, bufferId: 9, name: undefined},
  ]);
  expect(nodes[0]?.children).toHaveLength(2);
});

test.each([
  ['', ALL],
  ['4711', [ROW, SHARED]],
  ['CAMERA', [ROW]],
  ['200', [SHARED, LARGE]],
  ['system', ALL],
  ['nothing of it', []],
])('a search for "%s"', (search, found) => {
  expect(ALL.filter((row) => matches(row, search))).toEqual(found);
});
