// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {
  kernelReleaseOf,
  readAlarmClock,
  readDumpstateLine,
  readHeaderField,
  readProperty,
  uptimeOf,
} from '../../../src/core/formats/index.js';

describe('lines that divide a report', () => {
  it.each([
    [
      '== dumpstate: 2023-04-27 23:50:35',
      {kind: 'report', localMs: Date.UTC(2023, 3, 27, 23, 50, 35)},
    ],
    ['== dumpstate: done (id 1)', {kind: 'done'}],
    [
      '------ Dmabuf dump (dmabuf_dump) ------',
      {kind: 'section', title: 'Dmabuf dump', source: 'dmabuf_dump'},
    ],
    [
      '------ dmabuf info (/d/dma_buf/bufinfo: 1970-01-01 01:00:00) ------',
      {
        kind: 'section',
        title: 'dmabuf info',
        source: '/d/dma_buf/bufinfo: 1970-01-01 01:00:00',
      },
    ],
    [
      "------ 0.051s was the duration of 'Dmabuf dump' ------",
      {kind: 'section-end', title: 'Dmabuf dump', durationMs: 51},
    ],
    ['DUMP OF SERVICE meminfo:', {kind: 'service', name: 'meminfo'}],
    ['DUMP OF SERVICE HIGH meminfo:', {kind: 'service', name: 'meminfo'}],
    [
      '--------- 24.741s was the duration of dumpsys meminfo, ending at: 2023-04-27 23:51:38',
      {
        kind: 'service-end',
        name: 'meminfo',
        durationMs: 24741,
        localMs: Date.UTC(2023, 3, 27, 23, 51, 38),
      },
    ],
    [
      '--------- 0.102s was the duration of dumpsys input',
      {kind: 'service-end', name: 'input', durationMs: 102, localMs: undefined},
    ],
  ])('%s', (line, expected) => {
    expect(readDumpstateLine(line)).toEqual(expected);
    expect(readDumpstateLine(`${line}\r`)).toEqual(expected);
  });

  it.each([
    [
      "*** command 'dmabuf_dump' timed out after 10.012s (killing pid 1234)",
      'timed-out',
    ],
    [
      '*** dmabuf_dump: Timed out after 10.012s (killing pid 1234)',
      'timed-out',
    ],
    ["*** SERVICE 'meminfo' DUMP TIMEOUT (60000ms) EXPIRED ***", 'timed-out'],
    ["*** command 'dmabuf_dump' failed: exit code 1", 'failed'],
    ["*** command 'dmabuf_dump' failed: killed by signal 9", 'failed'],
    ['*** exec(dmabuf_dump): No such file or directory', 'failed'],
    ['*** /d/dma_buf/bufinfo: No such file or directory', 'missing'],
  ])('%s', (text, why) => {
    expect(readDumpstateLine(text)).toEqual({kind: 'failure', why, text});
  });

  it.each([
    '------------------------------------',
    '----------------------- DMA-BUF per-buffer stats -----------------------',
    '04-27 23:50:35.000  1000  1000 I ------ Dmabuf dump (dmabuf_dump) ------',
    '=====',
    '',
    '== dumpstate: yesterday',
  ])('and others: %s', (line) => {
    expect(readDumpstateLine(line)).toBeUndefined();
  });

  it('take any text', () => {
    fc.assert(
      fc.property(
        fc.string({unit: fc.constantFrom(..."-=*D du(')0:sOFSERVIC")}),
        (line) => {
          readDumpstateLine(line);
          readAlarmClock(line);
          readHeaderField(line);
        },
      ),
    );
  });

  it('days are counted as calendars count them', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('1970-01-01'),
          max: new Date('2199-12-31'),
          noInvalidDate: true,
        }),
        (date) => {
          const text = date.toISOString().slice(0, 19).replace('T', ' ');
          expect(readDumpstateLine(`== dumpstate: ${text}`)).toEqual({
            kind: 'report',
            localMs: Math.floor(date.getTime() / 1000) * 1000,
          });
        },
      ),
    );
  });
});

describe('the header', () => {
  it('names the build, the kernel and the time since boot', () => {
    expect(
      readHeaderField(
        "Build fingerprint: 'google/oriole/oriole:14/X/1:user/k'",
      ),
    ).toEqual({
      name: 'Build fingerprint',
      value: 'google/oriole/oriole:14/X/1:user/k',
    });
    expect(
      kernelReleaseOf('Linux version 5.10.157-android13-4 (build-user@x) #1'),
    ).toBe('5.10.157-android13-4');
    expect(
      uptimeOf('up 1 week, 0 days, 2 hours, 51 minutes,  load average: 15.21'),
    ).toBe(((7 * 24 + 2) * 60 + 51) * 60_000);
    expect(uptimeOf('unknown')).toBeUndefined();
    expect(readProperty('[ro.product.model]: [Pixel [6]]')).toEqual({
      name: 'ro.product.model',
      value: 'Pixel [6]',
    });
  });

  it('dumpsys alarm has all clocks', () => {
    const localMs = Date.UTC(2023, 3, 27, 23, 50, 35);
    expect(
      readAlarmClock(
        '  nowRTC=1682632235123=2023-04-27 23:50:35.123 nowELAPSED=+1d2h51m7s456ms',
      ),
    ).toEqual({
      realMs: 1682632235123,
      bootMs: ((26 * 60 + 51) * 60 + 7) * 1000 + 456,
      localMs,
    });
    expect(
      readAlarmClock(
        'nowRTC=1682632235123=2023-04-27 23:50:35 nowELAPSED=31272025',
      )?.bootMs,
    ).toBe(31272025);
    expect(
      readAlarmClock('nowRTC=1=2023-04-27 23:50:35 nowELAPSED=x'),
    ).toBeUndefined();
  });
});
