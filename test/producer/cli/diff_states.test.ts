// SPDX-License-Identifier: Apache-2.0
// What diff makes of its arguments, of recordings, and of any two states.
import {readFileSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {InvalidArgumentError} from 'commander';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import type {Provenance, Snapshot} from '../../../src/core/model/index.js';
import {kinshipOf} from '../../../src/producer/cli/diff/boot.js';
import {diffOf} from '../../../src/producer/cli/diff/diff.js';
import {renderDiffCsv} from '../../../src/producer/cli/diff/diff_csv.js';
import {renderDiffJson} from '../../../src/producer/cli/diff/diff_json.js';
import {renderDiffText} from '../../../src/producer/cli/diff/diff_text.js';
import {snapshotAtEnd} from '../../../src/producer/cli/diff/recorded_state.js';
import {parseSize} from '../../../src/producer/cli/diff/size.js';
import {
  listsAllBuffers,
  type LabelledState,
} from '../../../src/producer/cli/diff/state.js';
import {parseStateSpec} from '../../../src/producer/cli/diff/state_spec.js';
import {judge} from '../../../src/producer/cli/diff/verdict.js';
import {readRecording} from '../../../src/producer/trace/index.js';
import {anySnapshot} from '../../core/world.js';
import {everything, INTERVAL_NS, record, Scene} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {COVERAGE, PROVENANCE, snapshotOf} from './fake_source.js';
import {violations} from './json_schema.js';

const folder = temporaryFolder();

const schema: unknown = JSON.parse(
  readFileSync(
    new URL('../../../docs/diff.schema.json', import.meta.url),
    'utf8',
  ),
);

function stateOf(
  snapshot: Snapshot,
  fields: Partial<LabelledState> = {},
): LabelledState {
  return {
    label: 'a state',
    provenance: PROVENANCE,
    snapshot,
    listsAllBuffers: true,
    listsAllProcesses: true,
    realOffsetNs: undefined,
    recordedNs: undefined,
    recordingPath: undefined,
    isTimed: true,
    warnings: [],
    ...fields,
  };
}

describe('an argument', () => {
  const spec = (text: string, ...files: string[]) =>
    parseStateSpec(text, (path) => files.includes(path));

  it.each([
    ['live', {kind: 'live'}],
    ['a.json', {kind: 'file', path: 'a.json', moment: undefined}],
    ['./live', {kind: 'file', path: './live', moment: undefined}],
    ['t.pftrace@start', {path: 't.pftrace', moment: 'start'}],
    ['t.pftrace@end', {path: 't.pftrace', moment: 'end'}],
    ['t.pftrace@12.5s', {path: 't.pftrace', moment: 12_500_000_000n}],
    ['t.pftrace@12.5', {path: 't.pftrace', moment: 12_500_000_000n}],
    ['t.pftrace@900ms', {path: 't.pftrace', moment: 900_000_000n}],
    ['t.pftrace@0.000000001s', {path: 't.pftrace', moment: 1n}],
    ['a@b@3s', {path: 'a@b', moment: 3_000_000_000n}],
    ['@3s', {path: '@3s', moment: undefined}],
  ])('%s', (text, expected) => {
    expect(spec(text)).toMatchObject({text, ...expected});
  });

  it('is a file where there is one of the name', () => {
    expect(spec('x@3s', 'x@3s')).toMatchObject({
      path: 'x@3s',
      moment: undefined,
    });
  });

  it.each(['x@', 'x@soon', 'x@-1s', 'x@1h', 'x@1e9', 'x@1.s', 'x@0x1'])(
    '%s is refused',
    (text) => {
      expect(() => spec(text)).toThrow(/is no moment of x/);
    },
  );
});

describe('a size', () => {
  it.each([
    ['0', 0n],
    ['4096', 4096n],
    ['4096B', 4096n],
    ['64KiB', 65536n],
    ['10MiB', 10n << 20n],
    ['10mib', 10n << 20n],
    ['1.5 GiB', 3n << 29n],
    ['0.000001TiB', 1099511n],
    ['2TiB', 2n << 40n],
  ])('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    '',
    'x',
    '10MB',
    '10M',
    '-1',
    '1e3',
    '1..5',
    ' 1',
    '0x10',
    '1,5MiB',
  ])('%j is none', (text) => {
    expect(() => parseSize(text)).toThrow(InvalidArgumentError);
  });
});

describe('the state at a moment of a recording', () => {
  async function stateAt(
    snapshots: readonly Snapshot[],
    index: number,
  ): Promise<Snapshot> {
    const path = join(folder, 'moment.pftrace');
    await writeFile(path, Buffer.concat(record(snapshots)));
    return snapshotAtEnd(
      await readRecording(path, {untilNs: BigInt(index) * INTERVAL_NS}),
    );
  }

  /** What a trace keeps of a state. */
  function essence({buffers, processes, coverage, endNs}: Snapshot): unknown {
    return {
      endNs,
      kernelList: coverage.kernelList,
      buffers: [...buffers.values()]
        .map(({inode, generation, sizeBytes, exporter, name}) => ({
          inode,
          generation,
          sizeBytes,
          exporter,
          name: name?.raw,
        }))
        .sort((a, b) => Number(a.inode - b.inode)),
      holders: [...processes.values()]
        .filter(({holdings}) => holdings.size > 0)
        .map(({process, holdings}) => ({
          pid: process.pid,
          startTicks: process.startTicks,
          inodes: [...holdings.keys()].sort(),
        }))
        .sort((a, b) => a.pid - b.pid),
    };
  }

  it.each([0, 1, 2, 3, 4, 5])('is that of sample %i', async (index) => {
    const snapshots = everything();
    const state = await stateAt(snapshots, index);
    expect(essence(state)).toEqual(essence(snapshots[index] as Snapshot));
    for (const {readState} of state.processes.values()) {
      expect(readState).toBe('complete');
    }
  });

  it('has unknown what a process holds that cannot be read', async () => {
    const scene = new Scene();
    scene.start(10);
    scene.start(11, {readState: 'unreadable', kernelRssBytes: 12288n});
    scene.start(12, {readState: 'unreadable'});
    scene.alloc(1n);
    scene.hold(10, 1n);
    scene.sample();
    scene.process(10).readState = 'unreadable';
    scene.sample();
    const {processes, coverage} = await stateAt(scene.snapshots, 1);
    expect(coverage.processesUnreadable).toBe(3);
    expect([...processes.keys()].sort()).toEqual([10, 11]);
    expect(processes.get(10)).toMatchObject({
      readState: 'unreadable',
      kernelRssBytes: undefined,
    });
    expect(processes.get(11)).toMatchObject({
      readState: 'unreadable',
      kernelRssBytes: 12288n,
    });
    const first = await stateAt(scene.snapshots, 0);
    // Not one that is read only in part: its RSS is all that is seen of it.
    expect(first.processes.get(10)?.readState).toBe('complete');
  });

  it('has nothing of a process that is gone', async () => {
    const scene = new Scene();
    scene.start(11, {readState: 'unreadable', kernelRssBytes: 12288n});
    scene.sample();
    scene.exit(11);
    scene.sample();
    expect((await stateAt(scene.snapshots, 0)).processes.size).toBe(1);
    expect((await stateAt(scene.snapshots, 1)).processes.size).toBe(0);
  });
});

describe('the list of all buffers', () => {
  it.each([
    ['bufinfo', [], false, true],
    [undefined, [], false, false],
    ['bufinfo', ['bufinfo: cut'], false, false],
    ['bpf', ['BPF iterator: garbled'], false, false],
    ['sysfs', ['sysfs: cut'], false, false],
    ['bufinfo', ['maps: 1 lines could not be read'], false, true],
    ['bufinfo', ["the device's BOOTTIME is known to 12 ms"], false, true],
    ['dmabuf_dump', ['the report does not tell its time zone'], true, true],
    ['dmabuf_dump', ['a section is cut'], true, false],
  ] as const)('%s with %j', (kernelList, problems, isReport, isWhole) => {
    const coverage = {...COVERAGE, kernelList, problems};
    expect(listsAllBuffers(coverage, isReport)).toBe(isWhole);
  });
});

describe('two states are of one boot', () => {
  const some = snapshotOf([]);
  const reasonOf = (
    a: Partial<LabelledState> & {provenance?: Provenance},
    b: Partial<LabelledState> & {provenance?: Provenance},
  ): string => kinshipOf(stateOf(some, a), stateOf(some, b)).reason;
  const from = (fields: Partial<Provenance>): {provenance: Provenance} => ({
    provenance: {...PROVENANCE, ...fields},
  });
  const report = from({source: 'bugreport', bootId: undefined});

  it.each<[string, Partial<LabelledState>, Partial<LabelledState>, string]>([
    ['one boot id', {}, {}, 'same boot'],
    ['another', {}, from({bootId: 'b'}), 'other boots'],
    [
      'of another device',
      {},
      from({bootId: 'b', device: 'd'}),
      'other devices',
    ],
    ['none', {}, from({bootId: undefined}), 'boot unknown'],
    [
      'one recording without any',
      {...from({bootId: undefined}), recordingPath: '/t'},
      {...from({bootId: undefined}), recordingPath: '/t'},
      'same recording',
    ],
    ['a simulator', {}, from({simulated: true}), 'simulated and real'],
    [
      'two simulations with one seed',
      from({simulated: true, device: 'x'}),
      from({simulated: true, device: 'y'}),
      'other devices',
    ],
    [
      'a report of that boot time',
      {realOffsetNs: 9_000_000_000n},
      {...report, realOffsetNs: 10_000_000_000n},
      'same boot time',
    ],
    [
      'a report of another boot time',
      {realOffsetNs: 9_000_000_000n},
      {...report, realOffsetNs: 19_000_000_000n},
      'boot unknown',
    ],
    [
      'a report of another build',
      {realOffsetNs: 9n},
      {
        ...from({bootId: undefined, buildFingerprint: 'other'}),
        realOffsetNs: 9n,
      },
      'boot unknown',
    ],
    ['a report without a time', {realOffsetNs: 9n}, report, 'boot unknown'],
  ])('%s', (_what, a, b, reason) => {
    expect(reasonOf(a, b)).toBe(reason);
    expect(reasonOf(b, a)).toBe(reason);
  });

  it.each([
    ['5.17.3', true],
    ['5.18.0', false],
    ['5.4.210-android', true],
    ['4.19', true],
    ['6.1.99', false],
    ['7.0', false],
    [undefined, false],
    ['next', false],
  ])('in which kernel %s gives inodes out again: %s', (release, reuses) => {
    const kin = kinshipOf(stateOf(some, from({kernelRelease: release})), {
      ...stateOf(some),
    });
    expect(kin.comparability.reusesInodes).toBe(reuses);
  });
});

describe('any two states', () => {
  const anyState = fc
    .record({
      snapshot: anySnapshot,
      listsAllBuffers: fc.boolean(),
      listsAllProcesses: fc.boolean(),
      bootId: fc.constantFrom('a', 'b', undefined),
      unreadable: fc.nat(1),
    })
    .map(({snapshot, bootId, unreadable, ...rest}) =>
      stateOf(
        {
          ...snapshot,
          coverage: {...snapshot.coverage, processesUnreadable: unreadable},
        },
        {...rest, provenance: {...PROVENANCE, bootId}},
      ),
    );

  it('are what docs/diff.schema.json says', () => {
    fc.assert(
      fc.property(
        anyState,
        anyState,
        fc.bigInt(0n, 1n << 62n),
        (a, b, limit) => {
          const diff = diffOf(a, b);
          const verdict = judge(diff.difference, limit);
          const json: unknown = JSON.parse(renderDiffJson(diff, verdict));
          expect(violations(json, schema)).toEqual([]);
        },
      ),
    );
  });

  it('fit each format', () => {
    fc.assert(
      fc.property(anyState, anyState, (a, b) => {
        const diff = diffOf(a, b);
        const text = renderDiffText(diff, {
          by: undefined,
          top: 3,
          width: undefined,
        });
        expect(text).not.toMatch(/undefined|NaN/);
        for (const by of ['process', 'name', 'exporter', 'buffer'] as const) {
          const rows = renderDiffCsv(diff, by).trimEnd().split('\r\n');
          const columns = new Set(rows.map((row) => row.split(',').length));
          expect(columns.size).toBe(1);
        }
      }),
    );
  });

  it('of which one did not see all never pass for allocated or freed', () => {
    fc.assert(
      fc.property(anyState, anyState, (a, b) => {
        const {buffers, total} = diffOf(a, b).difference;
        if (!a.listsAllBuffers || !b.listsAllBuffers) {
          expect(total.growth).toBeUndefined();
        }
        if (buffers === undefined) return;
        if (!a.listsAllBuffers) expect(buffers.allocated).toEqual([]);
        if (!b.listsAllBuffers) expect(buffers.freed).toEqual([]);
      }),
    );
  });
});
