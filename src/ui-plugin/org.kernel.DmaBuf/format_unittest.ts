// SPDX-License-Identifier: Apache-2.0
import {Time} from '../../base/time';
import {
  formatBytes,
  formatChange,
  formatDuration,
  formatTime,
  type TimeAxis,
} from './format';

test('bytes are written in binary units', () => {
  expect(formatBytes(0n)).toBe('0 B');
  expect(formatBytes(1023n)).toBe('1023 B');
  expect(formatBytes(1024n)).toBe('1.0 KiB');
  expect(formatBytes(12_582_912n)).toBe('12.0 MiB');
  expect(formatBytes(1n << 62n)).toBe('4194304.0 TiB');
  expect(formatBytes(409_600.5)).toBe('400.0 KiB');
});

test('what rounds up to the next unit is written in it', () => {
  expect(formatBytes(1024n * 1024n - 1n)).toBe('1.0 MiB');
});

test('what is not known is not zero', () => {
  expect(formatBytes(undefined)).toBe('unknown');
  expect(formatChange(undefined)).toBe('unknown');
  expect(formatDuration(undefined)).toBe('unknown');
});

test('a change has its sign', () => {
  expect(formatChange(2048n)).toBe('+2.0 KiB');
  expect(formatChange(-2048n)).toBe('-2.0 KiB');
  expect(formatChange(0n)).toBe('0 B');
});

test('durations', () => {
  expect(formatDuration(999n)).toBe('999 ns');
  expect(formatDuration(1_500n)).toBe('1.5 us');
  expect(formatDuration(250_000_000n)).toBe('250.0 ms');
  expect(formatDuration(2_340_000_000n)).toBe('2.34 s');
  expect(formatDuration(123_500_000_000n)).toBe('2 min 3.50 s');
});

test('a time is what the axis shows, exact to the microsecond', () => {
  const origin = 620_000_000_004_001n;
  const axis: TimeAxis = {
    timeline: {toDomainTime: (ts) => Time.fromRaw(ts - origin)},
  };
  const at = (ns: bigint): string =>
    formatTime(axis, Time.fromRaw(origin + ns));
  expect(at(19_750_000_000n)).toBe('19.750000 s');
  expect(at(-1_000n)).toBe('-0.000001 s');
});
