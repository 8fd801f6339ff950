// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  rawFromBytes,
  type BufferName,
  type DmaBuf,
  type ProcessHoldings,
  type Snapshot,
} from '../../../src/core/model/index.js';
import type {Dump} from '../../../src/producer/cli/dump/dump.js';
import {
  DumpFormatError,
  parseDump,
  renderDumpJson,
} from '../../../src/producer/cli/dump/dump_json.js';
import {STEERS_TERMINAL} from './fake_io.js';
import {
  buffer,
  holdings,
  HOSTILE_NAMES,
  PROVENANCE,
  snapshotOf,
} from './fake_source.js';
import {violations} from './json_schema.js';

const schema: unknown = JSON.parse(
  readFileSync(
    new URL('../../../docs/dump.schema.json', import.meta.url),
    'utf8',
  ),
);

function dumpOf(snapshot: Snapshot, fields: Partial<Dump> = {}): Dump {
  return {
    provenance: PROVENANCE,
    snapshot,
    realOffsetNs: 99_000_000_000n,
    pids: undefined,
    ...fields,
  };
}

// -- arbitrary dumps ----------------------------------------------------------

const raw = fc.uint8Array({maxLength: 31}).map(rawFromBytes);
const u64 = fc.bigInt({min: 0n, max: 2n ** 64n - 1n});
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, {nil: undefined});

const anyName: fc.Arbitrary<BufferName | undefined> = maybe(
  fc.record({raw: maybe(raw), doubtful: fc.boolean()}),
);

const anyBuffer: fc.Arbitrary<DmaBuf> = fc.record({
  inode: u64,
  generation: fc.nat(3),
  sizeBytes: maybe(fc.bigInt({min: 0n, max: 2n ** 48n})),
  exporter: maybe(raw),
  name: anyName,
  fileCount: maybe(fc.bigInt({min: 0n, max: 1000n})),
});

function anyProcess(buffers: readonly DmaBuf[]): fc.Arbitrary<ProcessHoldings> {
  return fc
    .record({
      pid: fc.integer({min: 1, max: 4_194_304}),
      startTicks: maybe(u64),
      comm: maybe(raw),
      cmdline: maybe(raw),
      readState: fc.constantFrom('complete', 'partial', 'unreadable'),
      held: fc.subarray([...buffers]),
      refs: fc.record({
        fdRefs: fc.nat(9),
        mapRefs: fc.integer({min: 1, max: 9}),
        mappedBytes: fc.bigInt({min: 0n, max: 2n ** 40n}),
      }),
      kernelRssBytes: maybe(u64),
      kernelPssBytes: maybe(u64),
      asOfNs: u64,
    })
    .map(({pid, startTicks, comm, cmdline, held, refs, ...rest}) => ({
      ...rest,
      process: {pid, startTicks, comm, cmdline},
      holdings: new Map(
        held.map((each) => [each.inode, {buffer: each, ...refs}]),
      ),
    }));
}

const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .uniqueArray(anyBuffer, {maxLength: 6, selector: ({inode}) => inode})
  .chain((buffers) =>
    fc
      .uniqueArray(anyProcess(buffers), {
        maxLength: 5,
        selector: ({process}) => process.pid,
      })
      .map((processes) => snapshotOf(processes, buffers)),
  );

// -----------------------------------------------------------------------------

describe('the JSON of dump', () => {
  it('is read back as what it was', () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const dump = dumpOf(snapshot);
        expect(parseDump(renderDumpJson(dump))).toEqual(dump);
      }),
    );
  });

  it('is what docs/dump.schema.json says', () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const json: unknown = JSON.parse(renderDumpJson(dumpOf(snapshot)));
        expect(violations(json, schema)).toEqual([]);
      }),
    );
  });

  it('steers no terminal, whatever the names', () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        expect(renderDumpJson(dumpOf(snapshot))).not.toMatch(STEERS_TERMINAL);
      }),
    );
  });

  it.each(HOSTILE_NAMES.map((name) => [name]))('keeps the name %j', (name) => {
    const held = buffer({inode: 1n, name: {raw: name, doubtful: false}});
    const dump = dumpOf(snapshotOf([holdings({pid: 1}, [{buffer: held}])]));
    const json = renderDumpJson(dump);
    expect(parseDump(json).snapshot.buffers.get(1n)?.name?.raw).toBe(name);
    const [written] = (
      JSON.parse(json) as {buffers: {name: string; nameHex: string}[]}
    ).buffers;
    expect(written?.nameHex).toBe(Buffer.from(name, 'latin1').toString('hex'));
    expect(written?.name).toBe(Buffer.from(name, 'latin1').toString());
  });

  it('leaves out what is not known', () => {
    const unknown = buffer({
      inode: 2n ** 63n,
      sizeBytes: undefined,
      exporter: undefined,
      name: undefined,
      fileCount: undefined,
    });
    const snapshot = snapshotOf(
      [
        holdings({pid: 1}, [{buffer: unknown}]),
        holdings(
          {pid: 2, startTicks: undefined, comm: undefined, cmdline: undefined},
          [],
          {readState: 'unreadable', asOfNs: 5n},
        ),
        holdings({pid: 3}, [{buffer: unknown, fdRefs: 2}], {
          readState: 'partial',
          kernelRssBytes: 8192n,
        }),
      ],
      [],
      {kernelList: undefined, fileCounts: false, processesUnreadable: 2},
    );
    const json = JSON.parse(renderDumpJson(dumpOf(snapshot))) as {
      buffers: unknown[];
      processes: unknown[];
      totals: Record<string, unknown>;
    };
    expect(json.buffers).toEqual([
      {
        inode: '9223372036854775808',
        generation: 0,
        nameState: 'unknown',
        holders: 2,
        fdRefs: 3,
        mapRefs: 0,
        mappedOnly: false,
      },
    ]);
    expect(json.processes).toEqual([
      // It holds something, and how big that is nobody knows.
      {
        pid: 1,
        startTicks: '7',
        comm: 'app',
        cmdline: 'com.example.app',
        readState: 'complete',
        unknownSizes: 1,
        asOfNs: '5',
        holdings: [
          {
            inode: '9223372036854775808',
            fdRefs: 1,
            mapRefs: 0,
            mappedBytes: '0',
          },
        ],
      },
      {
        pid: 2,
        readState: 'unreadable',
        unknownSizes: 0,
        asOfNs: '5',
        holdings: [],
      },
      // Its maps were refused: that none were seen says nothing.
      {
        pid: 3,
        startTicks: '7',
        comm: 'app',
        cmdline: 'com.example.app',
        readState: 'partial',
        rssBytes: '8192',
        unknownSizes: 1,
        kernelRssBytes: '8192',
        asOfNs: '5',
        holdings: [{inode: '9223372036854775808', fdRefs: 2}],
      },
    ]);
    expect(json.totals).toEqual({
      held: {buffers: 1, unknownSizes: 1},
      kernelOnlyIsUpperBound: true,
      byExporter: [{buffers: 1, unknownSizes: 1}],
      byName: [{buffers: 1, unknownSizes: 1}],
    });
  });

  it('tells unset from empty', () => {
    const snapshot = snapshotOf(
      [],
      [
        buffer({inode: 1n, name: {raw: undefined, doubtful: false}}),
        buffer({inode: 2n, name: {raw: '', doubtful: true}}),
      ],
    );
    const {buffers} = JSON.parse(renderDumpJson(dumpOf(snapshot))) as {
      buffers: Record<string, unknown>[];
    };
    expect(
      buffers.map(({nameState, name, nameDoubtful}) => ({
        nameState,
        name,
        nameDoubtful,
      })),
    ).toEqual([
      {nameState: 'unset', name: undefined, nameDoubtful: false},
      {nameState: 'set', name: '', nameDoubtful: true},
    ]);
  });

  it('with --pid lists those processes, and totals of all', () => {
    const shared = buffer({inode: 1n});
    const other = buffer({inode: 2n, sizeBytes: 8192n});
    const snapshot = snapshotOf([
      holdings({pid: 1}, [{buffer: shared}]),
      holdings({pid: 2}, [{buffer: shared}, {buffer: other}]),
    ]);
    const json = renderDumpJson(dumpOf(snapshot, {pids: [1]}));
    expect(JSON.parse(json)).toMatchObject({
      pids: [1],
      totals: {held: {bytes: '12288'}},
      processes: [{pid: 1, rssBytes: '4096', pssBytes: 2048}],
      buffers: [{inode: '1', holders: 2}],
    });
    expect(violations(JSON.parse(json), schema)).toEqual([]);
    expect(parseDump(json).pids).toEqual([1]);
  });
});

describe('parseDump', () => {
  const good = JSON.parse(
    renderDumpJson(
      dumpOf(snapshotOf([holdings({pid: 1}, [{buffer: buffer({inode: 1n})}])])),
    ),
  ) as Record<string, unknown>;

  it.each<[string, unknown, RegExp]>([
    ['text', 'hello', /not JSON/],
    ['another format', {format: 'other'}, /no dump: write one with/],
    ['an array', [], /dump is not an object/],
    ['a later version', {...good, version: 2}, /version 2.*update/],
    ['no buffers', {...good, buffers: undefined}, /dump has no buffers/],
    [
      'a number for a size',
      {...good, buffers: [{inode: 1}]},
      /dump\.buffers\[0\]\.inode is not decimal digits/,
    ],
    [
      'a holding of nothing',
      {...good, buffers: []},
      /pid 1 holds inode 1, which is not among the buffers/,
    ],
    [
      'a buffer twice',
      {...good, buffers: [good['buffers'], good['buffers']].flat()},
      /inode 1 is in it twice/,
    ],
    [
      'a process twice',
      {...good, processes: [good['processes'], good['processes']].flat()},
      /pid 1 is in it twice/,
    ],
    [
      'a fraction of a pid',
      {...good, pids: [1.5]},
      /dump\.pids\[0\] is not a whole number/,
    ],
    [
      'a coverage of its own',
      {...good, coverage: {kernelList: 'guess'}},
      /dump\.coverage\.kernelList is not one of bufinfo, bpf, sysfs/,
    ],
  ])('refuses %s', (_what, value, message) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    expect(() => parseDump(text)).toThrow(DumpFormatError);
    expect(() => parseDump(text)).toThrow(message);
  });

  it('takes no notice of what it does not know', () => {
    expect(() => parseDump(JSON.stringify({...good, extra: 1}))).not.toThrow();
  });
});
