// SPDX-License-Identifier: Apache-2.0
// What was written into an archive is read back from it.
import {mkdtempSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {pack} from 'tar-stream';
import {describe, expect, test} from 'vitest';
import {writeCombined} from '../../../src/producer/archive/combined.js';
import {readRecording} from '../../../src/producer/trace/index.js';
import {runCli} from '../cli/fake_io.js';
import {everything, record} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {systemTrace} from './system_scene.js';

const root = temporaryFolder();

async function archive(
  system: Uint8Array | undefined = systemTrace(),
): Promise<{ours: string; tar: string}> {
  const folder = mkdtempSync(join(root, 'tar-'));
  const ours = join(folder, 'ours.pftrace');
  const systemPath = join(folder, 'system.pftrace');
  const tar = join(folder, 'x.tar');
  writeFileSync(ours, Buffer.concat(record(everything())));
  writeFileSync(systemPath, system);
  await writeCombined(tar, {ours, system: systemPath});
  return {ours, tar};
}

describe('a recording in an archive', () => {
  test('is read as the recording itself', async () => {
    const {ours, tar} = await archive();
    expect(await readRecording(tar)).toEqual(await readRecording(ours));
  });

  test('behind a system trace bigger than any buffer', async () => {
    const {ours, tar} = await archive(
      Buffer.concat([systemTrace(), Buffer.alloc(5_000_000)]),
    );
    expect(await readRecording(tar)).toEqual(await readRecording(ours));
  });

  test('that is cut is read up to there', async () => {
    const {ours, tar} = await archive();
    const whole = readFileSync(ours);
    const at = readFileSync(tar).indexOf(whole.subarray(0, 64));
    truncateSync(tar, at + whole.length - 100);
    const cut = await readRecording(tar);
    expect(cut.warnings).toContainEqual(
      expect.stringMatching(/^the file is cut in the packet at byte \d+$/),
    );
    expect(cut.ended).toBeUndefined();
  });

  test('is what `report` tells of', async () => {
    const {ours, tar} = await archive();
    const {code, stdout} = await runCli(['report', '--format', 'json', tar]);
    expect(code).toBe(0);
    const alone = await runCli(['report', '--format', 'json', ours]);
    expect(stdout.replaceAll(tar, ours)).toBe(alone.stdout);
  });
});

test.each([
  ['others', 'else.pftrace'],
  ['nothing but a name in a folder', 'a/zz_dmabuf.pftrace'],
])('an archive of %s is refused with the fix', async (_what, name) => {
  const path = join(mkdtempSync(join(root, 'tar-')), 'x.tar');
  const tar = pack();
  tar.entry({name}, 'content');
  tar.finalize();
  const pieces: Uint8Array[] = [];
  for await (const piece of tar) pieces.push(piece as Uint8Array);
  writeFileSync(path, Buffer.concat(pieces));
  await expect(readRecording(path)).rejects.toThrow(
    `${path} is no Perfetto trace: it is a tar archive, unpack it first`,
  );
});
