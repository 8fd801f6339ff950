// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it} from 'vitest';
import type {Snapshot} from '../../../src/core/model/index.js';
import type {Dump} from '../../../src/producer/cli/dump/dump.js';
import {renderDumpCsv} from '../../../src/producer/cli/dump/dump_csv.js';
import {
  renderDumpText,
  type GroupBy,
} from '../../../src/producer/cli/dump/dump_text.js';
import {displayWidth} from '../../../src/producer/cli/output/terminal.js';
import {STEERS_TERMINAL} from './fake_io.js';
import {
  buffer,
  holdings,
  HOSTILE_NAMES,
  PROVENANCE,
  snapshotOf,
} from './fake_source.js';

function dumpOf(snapshot: Snapshot, fields: Partial<Dump> = {}): Dump {
  return {
    provenance: PROVENANCE,
    snapshot,
    realOffsetNs: undefined,
    pids: undefined,
    ...fields,
  };
}

const WAYS: readonly GroupBy[] = ['process', 'buffer', 'exporter', 'name'];

function text(dump: Dump, by: GroupBy = 'process', width?: number): string {
  return renderDumpText(dump, {by, width});
}

const shared = buffer({inode: 12n, sizeBytes: 4097n, fileCount: 5n});
const mapped = buffer({
  inode: 7n,
  sizeBytes: 8192n,
  name: {raw: undefined, doubtful: false},
  fileCount: 1n,
});
const scene = snapshotOf(
  [
    holdings({pid: 40, cmdline: 'com.example.a'}, [
      {buffer: shared, fdRefs: 2},
    ]),
    holdings({pid: 41, cmdline: 'com.example.b'}, [
      {buffer: shared},
      {buffer: mapped, fdRefs: 0, mapRefs: 1, mappedBytes: 4096n},
    ]),
    holdings({pid: 42}, []),
  ],
  [buffer({inode: 99n, sizeBytes: 65536n, exporter: 'drm', fileCount: 1n})],
);

describe('dump as text', () => {
  it('by process', () => {
    expect(text(dumpOf(scene))).toBe(`\
Pixel 8 (3A), kernel 6.1.99, uid 0 (root)
At 1.020 s after boot, read in 20 ms
Total:             76.0 KiB in 3 buffers
Held by processes: 12.0 KiB in 2 buffers
Kernel-only:       64.0 KiB in 1 buffer
Mapped-only:       8.0 KiB in 1 buffer
Coverage:          2 processes, 0 unreadable, 0 vanished; all buffers from bufinfo

41 com.example.b  RSS 12.0 KiB  PSS 10.0 KiB  2 buffers
  INODE     SIZE  NAME     EXPORTER  FDS  MAPS   MAPPED  HOLDERS  KERNEL REFS
      7  8.0 KiB  (unset)  system      0     1  4.0 KiB        1            0
     12  4.0 KiB  frame    system      1     0      0 B        2            2

40 com.example.a  RSS 4.0 KiB  PSS 2.0 KiB  1 buffer
  INODE     SIZE  NAME   EXPORTER  FDS  MAPS  MAPPED  HOLDERS  KERNEL REFS
     12  4.0 KiB  frame  system      2     0     0 B        2            2

Held by no process (kernel-only)
  INODE      SIZE  NAME   EXPORTER  KERNEL REFS
     99  64.0 KiB  frame  drm                 1
`);
  });

  it('by buffer', () => {
    expect(text(dumpOf(scene), 'buffer').split('\n').slice(8)).toEqual([
      'INODE      SIZE  NAME     EXPORTER  FDS  MAPS  KERNEL REFS  HOLDERS  HELD BY',
      '   99  64.0 KiB  frame    drm         0     0            1        0',
      '    7   8.0 KiB  (unset)  system      0     1            0        1  41 com.example.b',
      '   12   4.0 KiB  frame    system      3     0            2        2  40 com.example.a, 41 com.example.b',
      '',
    ]);
  });

  it('by exporter and by name', () => {
    expect(text(dumpOf(scene), 'exporter').split('\n').slice(8)).toEqual([
      'EXPORTER      SIZE  BUFFERS  HELD BY NONE  HOLDERS',
      'drm       64.0 KiB        1      64.0 KiB        0',
      'system    12.0 KiB        2           0 B        2',
      '',
    ]);
    expect(text(dumpOf(scene), 'name').split('\n').slice(8)).toEqual([
      'NAME         SIZE  BUFFERS  HELD BY NONE  HOLDERS',
      'frame    68.0 KiB        2      64.0 KiB        2',
      '(unset)   8.0 KiB        1           0 B        1',
      '',
    ]);
  });

  it('of one process, even if it holds nothing', () => {
    const lines = text(dumpOf(scene, {pids: [42]})).split('\n');
    expect(lines).toContain('Only pid 42:');
    expect(lines.slice(9)).toEqual([
      '42 com.example.app  RSS 0 B  PSS 0 B  0 buffers',
      '',
      '',
    ]);
  });

  it('fits into the terminal', () => {
    const long = buffer({
      inode: 1n,
      name: {raw: 'x'.repeat(31), doubtful: false},
    });
    const dump = dumpOf(
      snapshotOf([
        holdings({pid: 1, cmdline: `com.${'y'.repeat(99)}`}, [{buffer: long}]),
      ]),
    );
    const rows = text(dump, 'buffer', 100)
      .split('\n')
      .filter((line) => /^ *(1|INODE) /.test(line));
    expect(rows).toHaveLength(2);
    for (const row of rows) expect(displayWidth(row)).toBeLessThan(101);
  });

  it('begins with a banner when simulated', () => {
    const provenance = {...PROVENANCE, simulated: true};
    expect(text(dumpOf(scene, {provenance}))).toMatch(
      /^=== SIMULATED DATA: this is no real device ===\n/,
    );
  });
});

describe('what is not known', () => {
  const unread = buffer({
    inode: 3n,
    sizeBytes: undefined,
    exporter: undefined,
    name: undefined,
    fileCount: undefined,
  });
  const dump = dumpOf(
    snapshotOf(
      [
        holdings({pid: 1}, [{buffer: unread}], {readState: 'partial'}),
        holdings({pid: 2, cmdline: undefined, comm: undefined}, [], {
          readState: 'unreadable',
          kernelRssBytes: 8192n,
        }),
        holdings({pid: 3}, [], {readState: 'unreadable'}),
        holdings({pid: 4}, [{buffer: unread}, {buffer: shared}]),
      ],
      [],
      {kernelList: undefined, fileCounts: false, processesUnreadable: 3},
    ),
  );

  it('is ? in text', () => {
    const lines = text(dump).split('\n');
    expect(lines.slice(2, 7)).toEqual([
      'Total:             ?',
      'Held by processes: at least 4.0 KiB in 2 buffers, 1 of unknown size',
      'Kernel-only:       ?',
      'Mapped-only:       ?',
      'Coverage:          2 processes, 3 unreadable, 0 vanished; no list of ' +
        'all buffers, kernel references unknown',
    ]);
    expect(lines.slice(8)).toEqual([
      "2 pid 2  RSS 8.0 KiB  PSS ?  ? buffers (not readable: the sums are the kernel's)",
      '',
      '4 com.example.app  RSS >=4.0 KiB  PSS >=4.0 KiB  2 buffers',
      '  INODE     SIZE  NAME   EXPORTER  FDS  MAPS  MAPPED  HOLDERS  KERNEL REFS',
      '     12  4.0 KiB  frame  system      1     0     0 B      >=1          <=4',
      '      3        ?  ?      ?           1     0     0 B      >=2            ?',
      '',
      '1 com.example.app  RSS ?  PSS ?  1 buffer (only partly readable: there may be more)',
      '  INODE  SIZE  NAME  EXPORTER  FDS  MAPS  MAPPED  HOLDERS  KERNEL REFS',
      '      3     ?  ?     ?           1     ?       ?      >=2            ?',
      '',
      '',
    ]);
  });

  it('is at most, where processes could not be read', () => {
    const listed = dumpOf(
      snapshotOf([], [shared], {processesUnreadable: 2, fileCounts: true}),
    );
    expect(text(listed)).toContain(
      'Kernel-only:       at most 4.0 KiB in 1 buffer\n',
    );
    expect(text(listed)).toContain('Held by no process that could be read\n');
    expect(text(listed, 'buffer')).toMatch(/ \? +\? +<=5 +\?\n$/);
  });

  it('is an empty cell in CSV', () => {
    const rows = renderDumpCsv(dump, 'process')
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(','));
    const [titles = []] = rows;
    const records = rows
      .slice(1)
      .map((row) =>
        Object.fromEntries(row.map((cell, i) => [titles[i], cell])),
      );
    expect(records.every((row) => Object.keys(row).length === 20)).toBe(true);
    expect(records.map(({pid}) => pid)).toEqual(['2', '4', '4', '1', '3']);
    expect(records[0]).toMatchObject({
      read_state: 'unreadable',
      rss_bytes: '8192',
      pss_bytes: '',
      inode: '',
      fd_refs: '',
      holders: '',
    });
    expect(records[3]).toMatchObject({
      rss_bytes: '',
      pss_bytes: '',
      inode: '3',
      size_bytes: '',
      name: '',
      name_state: 'unknown',
      fd_refs: '1',
      map_refs: '',
      mapped_bytes: '',
      kernel_refs: '',
      simulated: 'false',
    });
    expect(renderDumpCsv(dump, 'exporter')).toBe(
      'exporter,bytes,buffers,unknown_sizes,kernel_only_bytes,holders,simulated\r\n' +
        'system,4097,1,0,,1,false\r\n' +
        ',,1,1,,2,false\r\n',
    );
  });
});

describe('dump as CSV', () => {
  it('by process has a row for each holding and each unheld buffer', () => {
    expect(renderDumpCsv(dumpOf(scene), 'process').split('\r\n')).toEqual([
      'pid,start_ticks,process,read_state,rss_bytes,pss_bytes,inode,generation,' +
        'size_bytes,name,name_hex,name_state,name_doubtful,exporter,fd_refs,' +
        'map_refs,mapped_bytes,holders,kernel_refs,simulated',
      '41,7,com.example.b,complete,12289,10240.5,7,0,8192,,,unset,false,' +
        'system,0,1,4096,1,0,false',
      '41,7,com.example.b,complete,12289,10240.5,12,0,4097,frame,6672616d65,' +
        'set,false,system,1,0,0,2,2,false',
      '40,7,com.example.a,complete,4097,2048.5,12,0,4097,frame,6672616d65,' +
        'set,false,system,2,0,0,2,2,false',
      ',,,,,,99,0,65536,frame,6672616d65,set,false,drm,,,,0,1,false',
      '',
    ]);
  });

  it('by buffer and by name', () => {
    expect(renderDumpCsv(dumpOf(scene), 'buffer').split('\r\n')[3]).toBe(
      '12,0,4097,frame,6672616d65,set,false,system,3,0,2,2,false,40 41,false',
    );
    expect(renderDumpCsv(dumpOf(scene), 'name').split('\r\n')).toEqual([
      'name,name_hex,name_state,name_doubtful,bytes,buffers,unknown_sizes,' +
        'kernel_only_bytes,holders,simulated',
      'frame,6672616d65,set,false,69633,2,0,65536,2,false',
      ',,unset,false,8192,1,0,0,1,false',
      '',
    ]);
  });
});

describe('hostile names', () => {
  const hostile = snapshotOf(
    HOSTILE_NAMES.map((name, i) =>
      holdings({pid: 1000 + i, cmdline: name, comm: name}, [
        {
          buffer: buffer({
            inode: BigInt(i + 1),
            name: {raw: name, doubtful: false},
            exporter: name,
          }),
        },
      ]),
    ),
  );

  it.each(WAYS)('by %s steer no terminal and forge no line', (by) => {
    const plain = snapshotOf(
      HOSTILE_NAMES.map((_, i) =>
        holdings({pid: 1000 + i, cmdline: 'app', comm: 'app'}, [
          {
            buffer: buffer({
              inode: BigInt(i + 1),
              name: {raw: `n${i}`, doubtful: false},
              exporter: `e${i}`,
            }),
          },
        ]),
      ),
    );
    const printed = text(dumpOf(hostile), by);
    expect(printed).not.toMatch(STEERS_TERMINAL);
    expect(printed.split('\n')).toHaveLength(
      text(dumpOf(plain), by).split('\n').length,
    );
    const csv = renderDumpCsv(dumpOf(hostile), by);
    expect(csv.replaceAll('\r\n', '\n')).not.toMatch(STEERS_TERMINAL);
    expect(csv.split('\r\n')).toHaveLength(HOSTILE_NAMES.length + 2);
    expect(csv).not.toMatch(/(^|,|")[=+\-@]/m);
  });

  it('are told from what means something else', () => {
    const printed = text(dumpOf(hostile), 'name');
    for (const label of ['""', '"?"', '"(unset)"', '" lead and trail "']) {
      expect(printed).toContain(`\n${label} `);
    }
  });

  it('are in CSV as bytes too', () => {
    const csv = renderDumpCsv(dumpOf(hostile), 'name');
    for (const name of HOSTILE_NAMES) {
      expect(csv).toContain(`,${Buffer.from(name, 'latin1').toString('hex')},`);
    }
  });
});
