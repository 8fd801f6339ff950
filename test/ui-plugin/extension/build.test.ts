// SPDX-License-Identifier: Apache-2.0
import {mkdtemp, readFile, readdir, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {buildExtension} from '../../../src/ui-plugin/extension/build.js';

describe('the built extension', () => {
  let folder: string;
  let manifest: Record<string, unknown>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'extension-'));
    await buildExtension(folder);
    manifest = JSON.parse(
      await readFile(join(folder, 'manifest.json'), 'utf8'),
    ) as Record<string, unknown>;
  });

  afterAll(() => rm(folder, {recursive: true, force: true}));

  it('asks for no permission but to be on the pages of the UI', () => {
    expect(Object.keys(manifest).sort()).toEqual([
      'content_scripts',
      'description',
      'manifest_version',
      'minimum_chrome_version',
      'name',
      'version',
    ]);
    expect(manifest['manifest_version']).toBe(3);
    expect(manifest['content_scripts']).toEqual([
      {
        matches: [
          'https://ui.perfetto.dev/*',
          'http://localhost/*',
          'http://127.0.0.1/*',
        ],
        js: ['main_world.js'],
        css: ['main_world.css'],
        run_at: 'document_start',
        world: 'MAIN',
      },
    ]);
  });

  it('holds all that it names, and the licence', async () => {
    expect((await readdir(folder)).sort()).toEqual([
      'LICENSE',
      'main_world.css',
      'main_world.js',
      'manifest.json',
    ]);
  });

  it('has the version of the package', async () => {
    const {version} = JSON.parse(await readFile('package.json', 'utf8')) as {
      version: string;
    };
    expect(manifest['version']).toBe(version);
  });

  it('holds the plugin, and loads no code from elsewhere', async () => {
    const script = await readFile(join(folder, 'main_world.js'), 'utf8');
    expect(script).toContain('org.kernel.DmaBuf');
    expect(script).not.toMatch(/\b(import|importScripts|eval|fetch)\(/);
    expect(script).not.toMatch(/\brequire\(/);
  });
});
