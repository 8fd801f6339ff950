// SPDX-License-Identifier: Apache-2.0
// What the puppet holds and what the tool reports, in a form in which the two
// can be held against each other.

import {parseDump} from '../../src/producer/cli/dump/dump_json.js';
import type {Manifest} from './lab.js';

/** Every way of holding a dma-buf, names that bite among them. */
export const SCENE = [
  'spawn producer comm=lab-producer',
  'spawn consumer comm=lab-consumer',
  'spawn mapper comm=lab-mapper',
  'spawn odd comm=hex:6c61622029206f6464',
  'spawn shell uid=2000 comm=lab-uid2000',
  'spawn importer comm=lab-importer',
  'spawn threads comm=lab-threads',
  'alloc producer plain exporter=auto size=65536 name=plain',
  'alloc producer gem exporter=vgem size=131072 name=gem',
  'alloc producer shared exporter=auto size=1048576 name=shared',
  'send producer consumer shared',
  'alloc producer gone exporter=auto size=2097152 name=sender-closed',
  'send producer consumer gone',
  'close producer gone',
  'alloc producer thrice exporter=auto size=12288 name=dup3',
  'dup producer thrice',
  'dup producer thrice fd=100',
  'alloc producer nameless exporter=auto size=4096',
  'alloc mapper maponly exporter=auto size=16384 name=maponly',
  'map mapper maponly',
  'close mapper maponly',
  'alloc mapper both exporter=auto size=8192 name=map+fd',
  'map mapper both',
  'alloc mapper partly exporter=auto size=32768 name=partly',
  'map mapper partly offset=0 length=8192',
  'map mapper partly offset=16384 length=4096',
  'close mapper partly',
  'alloc mapper split exporter=auto size=45056 name=split',
  'map mapper split',
  'split mapper split',
  'close mapper split',
  'alloc odd inherited exporter=auto size=40960 name=inherited',
  'map odd inherited',
  'fork odd child comm=lab-child',
  'alloc shell unprivileged exporter=auto size=36864 name=of-uid-2000',
  'alloc importer imported exporter=auto size=24576 name=imported',
  'import importer imported',
  'close importer imported',
  'alloc producer flying exporter=auto size=20480 name=in-flight',
  'sendhold producer consumer flying',
  'close producer flying',
  'alloc threads private exporter=auto size=28672 name=thread-private',
  'thread-private threads private',
  'alloc threads public exporter=auto size=4096 name=thread-public',
  ...[
    'tab\there',
    'nl\nhere',
    'nl-end\n',
    ' lead and trail ',
    'colon:here',
    'back\\slash',
    '\ncount:\t99',
    'x (deleted)',
    '/dmabuf:fake',
    '<none>',
    'esc\x1b[31m',
    'bad\xff\xfeutf8',
  ].map(
    (name, i) =>
      `alloc producer odd${i} exporter=auto size=4096 ` +
      `name=hex:${Buffer.from(name, 'latin1').toString('hex')}`,
  ),
];

/** One buffer in one process. */
export interface Truth {
  readonly pid: number;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly exporter: string;
  readonly name: string | undefined;
  readonly fdRefs: number;
  readonly mapRefs: number;
  readonly mappedBytes: bigint;
}

function byPidAndInode(a: Truth, b: Truth): number {
  return a.pid === b.pid ? Number(a.inode - b.inode) : a.pid - b.pid;
}

/** What the puppet did, in the order of pids and inodes. */
export function truthOf(manifest: Manifest): Truth[] {
  const buffers = new Map(manifest.buffers.map((each) => [each.inode, each]));
  return manifest.processes
    .flatMap(({pid, holdings}) =>
      holdings.map(({inode, fds, privateThread, vmas, mappedBytes}) => {
        const buffer = buffers.get(inode);
        if (buffer === undefined) throw new Error(`no buffer ${inode}`);
        return {
          pid,
          inode,
          sizeBytes: buffer.sizeBytes,
          exporter: buffer.exporter,
          name:
            buffer.name === undefined
              ? undefined
              : Buffer.from(buffer.name).toString('latin1'),
          fdRefs: fds.length + (privateThread?.fds.length ?? 0),
          mapRefs: vmas,
          mappedBytes,
        };
      }),
    )
    .filter(({fdRefs, mapRefs}) => fdRefs + mapRefs > 0)
    .sort(byPidAndInode);
}

/** What `dump --format json` says, in the same order. */
export function reported(json: string): Truth[] {
  const {snapshot} = parseDump(json);
  return [...snapshot.processes.values()]
    .flatMap(({process, holdings}) =>
      [...holdings.values()].map(
        ({buffer, fdRefs, mapRefs, mappedBytes}): Truth => ({
          pid: process.pid,
          inode: buffer.inode,
          sizeBytes: buffer.sizeBytes ?? -1n,
          exporter: buffer.exporter ?? '?',
          name: buffer.name?.raw,
          fdRefs,
          mapRefs,
          mappedBytes,
        }),
      ),
    )
    .sort(byPidAndInode);
}
