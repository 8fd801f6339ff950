// SPDX-License-Identifier: Apache-2.0
import {randomBytes} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from 'vitest';
import {
  pullFile,
  requestBugReport,
  type BugReportProgress,
} from '../../../src/producer/bugreport/take.js';
import {openFileSink} from '../../../src/producer/trace/index.js';
import {temporaryFolder} from '../trace/temporary.js';
import {bugreportz, shellFunction, ShellDevice} from './stand_in_bugreportz.js';

const folder = temporaryFolder();
const signal = new AbortController().signal;

function device(body: string): ShellDevice {
  return new ShellDevice(shellFunction('bugreportz', body));
}

describe('asking for a bug report', () => {
  it('tells how far it is, and then where it is', async () => {
    const seen: BugReportProgress[] = [];
    const path = await requestBugReport(
      device(bugreportz('/bugreports/a b.zip')),
      {
        signal,
        onProgress: (progress) => seen.push(progress),
      },
    );
    expect(path).toBe('/bugreports/a b.zip');
    expect(seen.map(({done}) => done)).toEqual([10, 40, 70, 100]);
    expect(seen[0]?.total).toBe(100);
  });

  it.each([
    ['it fails', 'echo "FAIL:no space left"; return 1', /\(no space left\)/],
    ['it has none', 'command no-such-bugreportz -p', /has no bugreportz/],
    ['it says nothing', ':', /made no bug report/],
    ['it says something else', 'echo hello', /\(hello\)/],
    ['it names no path', 'echo "OK:relative"', /which is no path/],
    [
      'it steers the terminal',
      `printf 'FAIL:\\033[31mx\\n'`,
      /made no bug report \( \[31mx\)/,
    ],
  ])('%s: says so', async (_name, body, message) => {
    const work = requestBugReport(device(body), {signal});
    await expect(work).rejects.toMatchObject({name: 'DeviceError'});
    await expect(work).rejects.toThrow(message);
  });

  it('the connection that ends in the midst is no report', async () => {
    await expect(
      requestBugReport(device('echo "BEGIN:/a.zip"; exit 1'), {signal}),
    ).rejects.toThrow(/its answer was cut/);
  });

  it('gives up a device that falls silent', async () => {
    await expect(
      requestBugReport(device('echo "BEGIN:/a.zip"; sleep 60'), {
        signal,
        stallMs: 300,
      }),
    ).rejects.toMatchObject({code: 'timeout'});
  });

  it('stops waiting when asked to', async () => {
    const asked = new AbortController();
    const work = requestBugReport(device('echo "BEGIN:/a.zip"; sleep 60'), {
      signal: asked.signal,
    });
    setTimeout(() => asked.abort(), 200);
    await expect(work).rejects.toMatchObject({name: 'AbortError'});
  });
});

describe('fetching it', () => {
  it('brings every byte', async () => {
    const data = randomBytes(3_000_000);
    const from = join(folder, "it's here.zip");
    writeFileSync(from, data);
    const to = join(folder, 'to.zip');
    const sink = await openFileSink(to);
    const seen: number[] = [];
    const bytes = await pullFile(device(':'), from, sink, {
      signal,
      onProgress: (done) => seen.push(done),
    });
    await sink.close();
    expect(bytes).toBe(data.length);
    expect(readFileSync(to)).toEqual(data);
    expect(seen.at(-1)).toBe(data.length);
  });

  it('a file that cannot be read', async () => {
    const sink = await openFileSink(join(folder, 'none'));
    await expect(
      pullFile(device(':'), '/no/such.zip', sink, {signal}),
    ).rejects.toThrow(/cannot be read/);
    await sink.close();
  });

  it('less than there is, is not it', async () => {
    const from = join(folder, 'x');
    writeFileSync(from, 'abcdef');
    const sink = await openFileSink(join(folder, 'y'));
    const short = new ShellDevice(shellFunction('cat', 'printf abc'));
    await expect(pullFile(short, from, sink, {signal})).rejects.toThrow(
      /3 of 6 bytes/,
    );
    await sink.close();
  });
});
