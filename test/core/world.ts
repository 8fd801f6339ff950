// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import type {
  DmaBuf,
  Holding,
  ProcessHoldings,
  ReadState,
  Snapshot,
} from '../../src/core/model/index.js';

/** A buffer with defaults; `inode` alone makes it another one. */
export function buffer(
  inode: bigint,
  facts: Partial<Omit<DmaBuf, 'inode'>> = {},
): DmaBuf {
  return {
    inode,
    generation: 0,
    sizeBytes: 4096n,
    exporter: 'system',
    name: {raw: `buffer-${inode}`, doubtful: false},
    fileCount: undefined,
    ...facts,
  };
}

export function hold(
  held: DmaBuf,
  refs: {fds?: number; maps?: number; mapped?: bigint} = {},
): Holding {
  const {fds = 1, maps = 0, mapped = 0n} = refs;
  return {buffer: held, fdRefs: fds, mapRefs: maps, mappedBytes: mapped};
}

export function process(
  pid: number,
  holdings: readonly Holding[],
  facts: {
    startTicks?: bigint;
    readState?: ReadState;
    rss?: bigint;
    pss?: bigint;
  } = {},
): ProcessHoldings {
  const {startTicks = 1n, readState = 'complete', rss, pss} = facts;
  return {
    process: {pid, startTicks, comm: `comm-${pid}`, cmdline: undefined},
    readState,
    holdings: new Map(holdings.map((each) => [each.buffer.inode, each])),
    kernelRssBytes: rss,
    kernelPssBytes: pss,
    asOfNs: 0n,
  };
}

export function snapshot(
  buffers: readonly DmaBuf[],
  processes: readonly ProcessHoldings[],
  facts: {kernelList?: 'bufinfo' | undefined; unreadable?: number} = {
    kernelList: 'bufinfo',
  },
): Snapshot {
  return {
    startNs: 0n,
    endNs: 1n,
    sequence: 0,
    buffers: new Map(buffers.map((each) => [each.inode, each])),
    processes: new Map(processes.map((each) => [each.process.pid, each])),
    coverage: {
      kernelList: facts.kernelList,
      fileCounts: facts.kernelList === 'bufinfo',
      processesSeen: processes.length,
      processesUnreadable: facts.unreadable ?? 0,
      processesVanished: 0,
      inodeCollisions: 0,
      problems: [],
    },
    cost: {
      deviceCpuNs: undefined,
      bytes: 0,
      fullScan: true,
      processesScanned: 0,
    },
  };
}

/** Any snapshot of few buffers and processes, so that they often collide. */
export const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .uniqueArray(
    fc.record({
      inode: fc.bigInt(1n, 8n),
      generation: fc.nat(1),
      sizeBytes: fc.option(fc.bigInt(0n, 1n << 62n), {nil: undefined}),
      exporter: fc.constantFrom('system', 'drm', undefined),
      name: fc.constantFrom(undefined, 'a', 'b'),
      fileCount: fc.option(fc.bigInt(0n, 9n), {nil: undefined}),
    }),
    {selector: ({inode}) => inode},
  )
  .chain((facts) => {
    const buffers = facts.map(({name, ...rest}) => ({
      ...rest,
      name: name === undefined ? undefined : {raw: name, doubtful: false},
    }));
    const holding = (held: DmaBuf): fc.Arbitrary<Holding | undefined> =>
      fc.option(
        fc
          .record({fds: fc.nat(2), maps: fc.nat(2), mapped: fc.bigInt(0n, 99n)})
          .filter(({fds, maps}) => fds + maps > 0)
          .map((refs) => hold(held, refs)),
        {nil: undefined},
      );
    const someone = fc
      .record({
        pid: fc.integer({min: 1, max: 5}),
        startTicks: fc.bigInt(1n, 2n),
        readState: fc.constantFrom<ReadState>('complete', 'unreadable'),
        rss: fc.bigInt(0n, 9999n),
        holdings: fc.tuple(...buffers.map(holding)),
      })
      .map(({pid, holdings, ...rest}) =>
        process(
          pid,
          holdings.filter((each) => each !== undefined),
          rest,
        ),
      );
    return fc
      .uniqueArray(someone, {selector: (each) => each.process.pid})
      .map((processes) => snapshot(buffers, processes));
  });
