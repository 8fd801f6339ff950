// SPDX-License-Identifier: Apache-2.0
// The extension server by the rules of the UI, and its SQL and descriptors in
// the real trace processor.
import {execFile} from 'node:child_process';
import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {create, fromBinary} from '@bufbuild/protobuf';
import {FileDescriptorSetSchema} from '@bufbuild/protobuf/wkt';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {framedPacket} from '../../../src/producer/trace/descriptors.js';
import {ExtensionDescriptorSchema} from '../../../src/producer/trace/proto/perfetto/trace/extension_descriptor_pb.js';
import {
  installLink,
  PlaceError,
} from '../../../src/ui-plugin/extension-server/install_link.js';
import type {Macro} from '../../../src/ui-plugin/extension-server/macros.js';
import {serverFiles} from '../../../src/ui-plugin/extension-server/server_files.js';
import {readSqlModules} from '../../../src/ui-plugin/sql/sql_files.js';
import {everything, record} from '../../producer/trace/scene.js';
import {
  hasTraceProcessor,
  openTrace,
  type TraceDb,
} from '../../trace_processor/index.js';

const isHere = await hasTraceProcessor();

/**
 * What the UI runs as a trace opens (core/startup_command_allowlist.ts), with
 * the number of arguments that keeps it from asking the user.
 */
const ALLOWED: ReadonlyMap<string, number> = new Map([
  ['dev.perfetto.PinTracksByRegex', 2],
  ['dev.perfetto.ExpandTracksByRegex', 2],
  ['dev.perfetto.CollapseTracksByRegex', 2],
  ['dev.perfetto.AddDebugSliceTrack', 2],
  ['dev.perfetto.AddDebugSliceTrackWithPivot', 3],
  ['dev.perfetto.AddDebugCounterTrack', 2],
  ['dev.perfetto.AddDebugCounterTrackWithPivot', 3],
  ['dev.perfetto.CreateWorkspace', 1],
  ['dev.perfetto.SwitchWorkspace', 1],
  ['dev.perfetto.CopyTracksToWorkspaceByRegex', 3],
  ['dev.perfetto.CopyTracksToWorkspaceByRegexWithAncestors', 3],
  ['dev.perfetto.RunQuery', 1],
  ['dev.perfetto.RunQueryAndShowTab', 2],
  ['dev.perfetto.AddNoteAtTimestamp', 2],
]);

const files = serverFiles(await readSqlModules());

function json(path: string): unknown {
  return JSON.parse(files.get(path) ?? 'null');
}

const manifest = json('manifest') as {readonly namespace: string};
const {macros} = json('modules/default/macros') as {
  readonly macros: readonly Macro[];
};
const {sql_modules: sqlModules} = json('modules/default/sql_modules') as {
  readonly sql_modules: ReadonlyArray<{name: string; sql: string}>;
};
const {proto_descriptors: descriptors} = json(
  'modules/default/proto_descriptors',
) as {readonly proto_descriptors: readonly string[]};

describe('the files', () => {
  test('are those of the protocol', () => {
    expect([...files.keys()].sort()).toEqual([
      'manifest',
      'modules/default/macros',
      'modules/default/proto_descriptors',
      'modules/default/sql_modules',
      'org.kernel.dmabuf.sql',
    ]);
    expect(manifest).toEqual({
      name: 'perfetto-dmabuf',
      namespace: 'org.kernel.dmabuf',
      features: [
        {name: 'macros'},
        {name: 'sql_modules'},
        {name: 'proto_descriptors'},
      ],
      modules: [{id: 'default', name: 'Default'}],
    });
  });

  test('keep to the namespace', () => {
    const names = [
      ...macros.map(({id}) => id),
      ...sqlModules.map(({name}) => name),
    ];
    expect(names.length).toBeGreaterThan(10);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) {
      expect(name.startsWith(`${manifest.namespace}.`), name).toBe(true);
    }
  });

  test('hold the very SQL of the package', async () => {
    const modules = await readSqlModules();
    expect(sqlModules).toEqual(modules.map(({name, sql}) => ({name, sql})));
  });

  test('hold our extension alone', () => {
    const [text = ''] = descriptors;
    expect(descriptors).toHaveLength(1);
    const bytes = Buffer.from(text, 'base64');
    const {file} = fromBinary(FileDescriptorSetSchema, bytes);
    expect(
      file.map((each) => [
        each.package,
        each.extension.map(({number}) => number),
      ]),
    ).toEqual([['perfetto_dmabuf', [4900, 4901]]]);
  });
});

describe.each(macros.map((macro) => [macro.name, macro] as const))(
  'the macro "%s"',
  (_, {id, name, run}) => {
    test('is made of commands that may run unasked', () => {
      expect(Object.keys({id, name, run})).toHaveLength(3);
      expect(run.length).toBeGreaterThan(0);
      for (const command of run) {
        expect(Object.keys(command).sort()).toEqual(['args', 'id']);
        expect(command.args).toHaveLength(ALLOWED.get(command.id) ?? NaN);
        for (const arg of command.args) expect(typeof arg).toBe('string');
      }
    });
  },
);

describe.skipIf(!isHere)('in a trace', () => {
  let db: TraceDb;
  beforeAll(async () => {
    db = await openTrace(Buffer.concat(record(everything())));
    await db.registerSqlPackage({
      name: manifest.namespace,
      modules: sqlModules,
    });
  });
  afterAll(() => db.close());

  test.each(macros.map((macro) => [macro.name, macro] as const))(
    'the SQL of "%s" gives the columns that its commands want',
    async (_, {run}) => {
      for (const {id, args} of run) {
        const [sql = '', pivot = ''] = args;
        switch (id) {
          case 'dev.perfetto.RunQuery':
          case 'dev.perfetto.RunQueryAndShowTab':
            await db.query(sql);
            break;
          case 'dev.perfetto.AddDebugSliceTrackWithPivot':
            await db.query(`SELECT ts, dur, name, ${pivot} FROM (${sql})`);
            expect(
              await db.query(`
                SELECT * FROM (${sql})
                WHERE ts IS NULL OR dur < 0 OR name IS NULL
                  OR ${pivot} IS NULL`),
            ).toEqual([]);
            break;
          default:
        }
      }
    },
  );

  test('they find what there is to find', async () => {
    const sqlOf = (id: string, command: string): string =>
      macros
        .find((macro) => macro.id.endsWith(`.${id}`))
        ?.run.find((each) => each.id.endsWith(`.${command}`))?.args[0] ?? '';
    const holders = await db.query(
      sqlOf('LargestHolders', 'RunQueryAndShowTab'),
    );
    expect(holders.map((row) => row['process_name'])).toEqual([
      'surfaceflinger',
      'newcomer',
    ]);
    const [buffer] = await db.query(
      sqlOf('LargestBuffers', 'RunQueryAndShowTab'),
    );
    expect(buffer).toMatchObject({inode: 2, name: 'preview', size: 12_288});
    const growth = await db.query(sqlOf('Growth', 'RunQueryAndShowTab'));
    expect(growth[0]).toMatchObject({
      process_name: 'surfaceflinger',
      change_bytes: 12_288,
    });
    const unheld = await db.query(
      sqlOf('KernelOnly', 'AddDebugSliceTrackWithPivot'),
    );
    expect(unheld).toMatchObject([{name: 'vgem 9', exporter: 'vgem'}]);
  });

  test('the patterns match our tracks and no others', async () => {
    const rows = await db.query(`
      SELECT t.name, r.name AS root, p.name AS process, p.pid FROM track AS t
      LEFT JOIN track AS r ON t.parent_id = r.id
      LEFT JOIN process_track AS pt ON pt.id = t.id
      LEFT JOIN process_counter_track AS ct ON ct.id = t.id
      LEFT JOIN process AS p ON p.upid = IFNULL(pt.upid, ct.upid)
      WHERE t.name IS NOT NULL`);
    const tracks = rows.map(({name, root, process, pid}) => {
      const group =
        process === undefined ? undefined : `${String(process)} ${String(pid)}`;
      const parent = root ?? group;
      return {
        name: String(name),
        path: parent === undefined ? name : `${String(parent)} > ${name}`,
      };
    });
    const matched = (id: string): string[] => {
      const pin = macros
        .find((macro) => macro.id.endsWith(`.${id}`))
        ?.run.find(({args}) => args.length > 1);
      const regex = new RegExp(pin?.args[0] ?? 'nothing');
      const by = pin?.args.at(-1) === 'path' ? 'path' : 'name';
      const found = tracks.filter((track) => regex.test(String(track[by])));
      return [...new Set(found.map(({name}) => name))].sort();
    };
    expect(matched('PinTotals')).toEqual([
      'Held by processes',
      'Kernel-only',
      'Mapped-only',
      'Total',
    ]);
    expect(matched('PinExporters')).toEqual([
      'Exporter: system',
      'Exporter: vgem',
    ]);
    expect(matched('PinPss')).toEqual(['dma-buf PSS']);
    expect(matched('PinBuffers')).toEqual(['dma-buf buffers']);
    expect(matched('Workspace')).toEqual(
      expect.arrayContaining(['Total', 'Buffers', 'Samples', 'dma-buf PSS']),
    );
    expect(matched('Workspace')).not.toContain('DMA-BUF');
    expect(matched('Workspace')).not.toContain('mem.dmabuf_rss');
  });
});

describe.skipIf(!isHere)('the package as one text', () => {
  test('stands before a query, without a package', async () => {
    const db = await openTrace(Buffer.concat(record(everything())));
    try {
      const text = files.get('org.kernel.dmabuf.sql') ?? '';
      expect(
        await db.query(`${text}
          SELECT COUNT() AS n FROM dmabuf_holding WHERE is_open`),
      ).toEqual([{n: 2}]);
    } finally {
      db.close();
    }
  });
});

describe.skipIf(!isHere)('the descriptors', () => {
  const [text = ''] = descriptors;
  const served = framedPacket({
    data: {
      case: 'extensionDescriptor',
      value: create(ExtensionDescriptorSchema, {
        descriptor: {
          case: 'extensionSet',
          value: fromBinary(
            FileDescriptorSetSchema,
            Buffer.from(text, 'base64'),
          ),
        },
      }),
    },
  });

  test('do no harm beside those of a recording', async () => {
    const pieces = [served, ...record(everything())];
    const db = await openTrace(Buffer.concat(pieces));
    try {
      expect(await db.importErrors()).toEqual([]);
      expect(
        await db.query(`
          SELECT COUNT(EXTRACT_ARG(arg_set_id, 'dma_buf.inode')) AS n
          FROM slice WHERE category = 'dma_buf'`),
      ).toEqual([{n: 9}]);
    } finally {
      db.close();
    }
  });
});

describe('the install link', () => {
  test('carries the place as the UI reads it', () => {
    const link = installLink({
      type: 'github',
      repo: 'someone/somewhere',
      ref: 'main',
      path: '/extension-server',
    });
    const [start, encoded = ''] = link.split('addServer=');
    expect(start).toBe(
      'https://ui.perfetto.dev/#!/?dev.perfetto.ExtensionServers:',
    );
    const text = Buffer.from(decodeURIComponent(encoded), 'base64').toString();
    expect(JSON.parse(text)).toEqual({
      type: 'github',
      repo: 'someone/somewhere',
      ref: 'main',
      path: '/extension-server',
      enabledModules: ['default'],
      enabled: true,
      auth: {type: 'none'},
    });
  });

  test.each([
    [{type: 'github', repo: 'nothing', ref: 'main', path: '/'}, /"nothing"/],
    [{type: 'github', repo: 'a/b', ref: '', path: '/'}, /branch/],
    [{type: 'https', url: 'http://example.org'}, /https/],
    [{type: 'https', url: 'nonsense'}, /"nonsense"/],
  ] as const)('refuses %o', (place, message) => {
    expect(() => installLink(place)).toThrow(PlaceError);
    expect(() => installLink(place)).toThrow(message);
  });
});

describe('the build', () => {
  const run = promisify(execFile);
  const script = fileURLToPath(
    new URL(
      '../../../src/ui-plugin/extension-server/build.ts',
      import.meta.url,
    ),
  );
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmabuf-server-'));
  });
  afterAll(() => rm(folder, {recursive: true}));

  const build = (...args: string[]) =>
    run(process.execPath, ['--import', 'tsx', script, ...args]);

  test('writes the files and says the link', async () => {
    const {stdout} = await build('--out', folder, '--github', 'a/b');
    expect(stdout).toContain('Wrote 5 files');
    expect(stdout).toContain(
      installLink({type: 'github', repo: 'a/b', ref: 'main', path: '/'}),
    );
    const written = (await readdir(folder, {recursive: true})).filter((path) =>
      files.has(path),
    );
    expect(written.sort()).toEqual([...files.keys()].sort());
    for (const path of written) {
      expect(await readFile(join(folder, path), 'utf8')).toBe(files.get(path));
    }
  });

  test.each([
    [['--url', 'http://example.org'], 'is no https:// address'],
    [['--github', 'a/b', '--url', 'https://x.org'], 'give one'],
    [['--nope'], '--nope'],
  ])('%j is refused in a line', async (args, message) => {
    const failed = build('--out', join(folder, 'none'), ...args);
    await expect(failed).rejects.toMatchObject({code: 2});
    const {stderr} = await failed.catch((error: {stderr: string}) => error);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});
