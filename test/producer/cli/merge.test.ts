// SPDX-License-Identifier: Apache-2.0
import {mkdtempSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {BOOTED_AT, systemTrace} from '../archive/system_scene.js';
import {everything, record, SECOND, START_NS} from '../trace/scene.js';
import {temporaryFolder} from '../trace/temporary.js';
import {runCli} from './fake_io.js';

const root = temporaryFolder();

function files(system: Uint8Array): {folder: string; argv: string[]} {
  const folder = mkdtempSync(join(root, 'merge-'));
  const paths = ['s.pftrace', 'o.pftrace'].map((name) => join(folder, name));
  writeFileSync(paths[0] ?? '', system);
  writeFileSync(paths[1] ?? '', Buffer.concat(record(everything())));
  return {
    folder,
    argv: ['merge', ...paths, '-o', join(folder, 'out.tar')],
  };
}

it('says how far the clocks disagree and how to open it', async () => {
  const {folder, argv} = files(
    systemTrace({bootedAt: BOOTED_AT + 2_300_000n, dmabufRss: true}),
  );
  const {code, stdout, stderr} = await runCli(argv);
  expect({code, stdout}).toEqual({
    code: 0,
    stdout:
      `Wrote ${folder}/out.tar: one boot, wall clocks 2.3 ms apart\n` +
      `Open it: 'perfetto-dmabuf open ${folder}/out.tar', or go to ` +
      "https://ui.perfetto.dev, choose 'Open trace file' and take it\n",
  });
  expect(stderr).toBe(
    "Left out our dmabuf_rss counters: the kernel's own are in " +
      `${folder}/s.pftrace\n`,
  );
});

it('warns of traces that do not meet', async () => {
  const {argv} = files(systemTrace({firstNs: START_NS + 600n * SECOND}));
  const {code, stderr} = await runCli(argv);
  expect(code).toBe(0);
  expect(stderr).toMatch(/warning: the two do not overlap: 9 min 59 s lie/);
});

it('different boots are one line and no archive', async () => {
  const {argv} = files(systemTrace({bootedAt: BOOTED_AT - 99n * SECOND}));
  const {code, stdout, stderr} = await runCli(argv);
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toMatch(
    /^perfetto-dmabuf: \S+ and \S+ are of different boots/,
  );
  expect(stderr.split('\n')).toHaveLength(2);
});

it('needs an output', async () => {
  const {code, stderr} = await runCli(['merge', 'a', 'b']);
  expect(code).toBe(2);
  expect(stderr).toMatch(/required option '-o, --output <file>'/);
});
