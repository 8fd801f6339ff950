// SPDX-License-Identifier: Apache-2.0
import {readFileSync} from 'node:fs';
import {posix, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import vm from 'node:vm';
import ts from 'typescript';
import {beforeAll, describe, expect, it} from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SPECIFIER = 'perfetto-dmabuf/simulator';
const ENTRY = resolve(ROOT, 'src/core/simulator.ts');
const CONFIG = resolve(ROOT, 'test/core/browser/tsconfig.json');

interface Example {
  readonly title: string;
  readonly file: string;
  readonly source: string;
  readonly prints: string;
}

/** The programs of docs/simulator.md, each with what it says it prints. */
const examples: readonly Example[] = [
  ...readFileSync(resolve(ROOT, 'docs/simulator.md'), 'utf8').matchAll(
    /```ts\n([^]*?)```\n+```\n([^]*?)```/g,
  ),
].map(([, source = '', prints = ''], i) => ({
  title: `example ${i + 1}`,
  file: resolve(ROOT, `docs/simulator_example_${i}.ts`),
  source,
  prints,
}));

/** A program that names what the signatures have: it has to compile. */
const NAMES = {
  file: resolve(ROOT, 'docs/simulator_names.ts'),
  source: `
    import {
      O_RDONLY, SimulatedKernel, kernelProfile,
      type BufinfoDialect, type DeviceNumber, type NodeFs, type OpenFile,
      type Thread, type VfsNode,
    } from '${SPECIFIER}';
    const bufinfo: BufinfoDialect = kernelProfile('5.10').bufinfo;
    export const kernel = new SimulatedKernel({
      profile: kernelProfile('6.1', {bufinfo}),
      seed: 1,
    });
    kernel.open(1, '/dev/null', {flags: O_RDONLY});
    const vfs: NodeFs = kernel.vfs;
    export const node: VfsNode = vfs.lookup('/proc/1/fd');
    export const file: OpenFile | undefined =
      node.kind === 'directory' ? node.descriptors?.find(0) : undefined;
    export const device: DeviceNumber = vfs.stat('/proc/1/fd/0').dev;
    export const thread: Thread | undefined =
      kernel.processes.list()[0]?.threads.get(1);
  `,
};

/** The core as a browser's project has it: types of the DOM, none of Node. */
function browserProgram(): ts.Program {
  const {config} = ts.readConfigFile(CONFIG, ts.sys.readFile) as {
    config: unknown;
  };
  const parsed = ts.parseJsonConfigFileContent(
    config,
    ts.sys,
    resolve(CONFIG, '..'),
  );
  const options: ts.CompilerOptions = {
    ...parsed.options,
    paths: {[SPECIFIER]: [ENTRY]},
  };
  const host = ts.createCompilerHost(options);
  const {readFile, fileExists} = host;
  const texts = new Map(
    [...examples, NAMES].map(({file, source}) => [file, source]),
  );
  host.readFile = (file) => texts.get(resolve(file)) ?? readFile(file);
  host.fileExists = (file) => texts.has(resolve(file)) || fileExists(file);
  return ts.createProgram(
    [...parsed.fileNames, ...texts.keys()],
    options,
    host,
  );
}

/** Runs a program where there is nothing but the language and a console. */
function runAlone(source: string): string {
  let printed = '';
  const context = vm.createContext({
    console: {
      log: (...values: unknown[]) => {
        printed += `${values.map(String).join(' ')}\n`;
      },
    },
  });
  const modules = new Map<string, {exports: object}>();
  const load = (file: string): object => {
    const known = modules.get(file);
    if (known !== undefined) return known.exports;
    const module = {exports: {}};
    modules.set(file, module);
    evaluate(readFileSync(file, 'utf8'), file, module);
    return module.exports;
  };
  const evaluate = (
    text: string,
    file: string,
    module: {exports: object},
  ): void => {
    const {outputText} = ts.transpileModule(text, {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.CommonJS,
      },
    });
    const require = (name: string): object => {
      if (name === SPECIFIER) return load(ENTRY);
      if (!name.startsWith('.')) throw new Error(`${file} imports ${name}`);
      const target = posix.join(posix.dirname(file), name);
      return load(target.replace(/\.js$/, '.ts'));
    };
    const wrapped = `(function (require, module, exports) {${outputText}\n})`;
    const run = vm.runInContext(wrapped, context, {filename: file}) as (
      ...args: unknown[]
    ) => void;
    run(require, module, module.exports);
  };
  evaluate(source, 'example.ts', {exports: {}});
  return printed;
}

describe('perfetto-dmabuf/simulator', () => {
  let program: ts.Program;
  beforeAll(() => {
    program = browserProgram();
  });

  it('has examples', () => {
    expect(examples).toHaveLength(2);
  });

  it('needs no types but those of a browser', () => {
    expect(ts.getPreEmitDiagnostics(program).map(toLine)).toEqual([]);
    const files = program.getSourceFiles().map(({fileName}) => fileName);
    expect(files).toContain(ENTRY);
    expect(files.filter((file) => file.includes('@types/node'))).toEqual([]);
  });

  it.each(examples)('does what docs/simulator.md says: $title', (example) => {
    expect(runAlone(example.source)).toBe(example.prints);
  });

  it('has the flags of open', () => {
    // A 64-bit kernel adds O_LARGEFILE.
    const printed = runAlone(`
      import {
        O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, SimulatedKernel, kernelProfile,
      } from '${SPECIFIER}';
      const kernel = new SimulatedKernel({profile: kernelProfile('6.1'), seed: 1});
      const flags = O_WRONLY | O_NONBLOCK;
      const fd = kernel.open(1, '/dev/kmsg', {flags, closeOnExec: false});
      console.log(kernel.vfs.read('/proc/1/fdinfo/' + fd).split('\\n')[1]);
      console.log(O_RDONLY, O_RDWR);
    `);
    expect(printed).toBe('flags:\t0404001\n0 2\n');
  });

  it('plays every scenario without anything of Node', () => {
    const printed = runAlone(`
      import {SCENARIOS, startSimulation} from '${SPECIFIER}';
      for (const {name} of SCENARIOS) {
        const {kernel} = startSimulation({scenario: name});
        kernel.advance(1_000_000_000n);
        const text = kernel.vfs.read('/sys/kernel/debug/dma_buf/bufinfo');
        console.log(name, text.includes('Total ' + kernel.dmaBufs.count));
      }
      console.log(typeof process, typeof Buffer, typeof setTimeout);
    `);
    const lines = printed.trimEnd().split('\n');
    expect(lines.pop()).toBe('undefined undefined undefined');
    expect(lines).toHaveLength(9);
    for (const line of lines) expect(line).toMatch(/ true$/);
  });

  it('tells what is wrong, and goes on', () => {
    const printed = runAlone(`
      import {startSimulation} from '${SPECIFIER}';
      const attempt = (options) => {
        try {
          startSimulation(options);
        } catch (error) {
          console.log(error.name + ': ' + error.message);
        }
      };
      attempt({scenario: 'tea-break'});
      attempt({profile: '2.4'});
      attempt({scale: 1e9});
      attempt({scale: NaN});
      attempt({scale: 0.009});
      attempt({seed: -1});
      attempt({seed: 0.5});
      attempt({seed: NaN});
      const {kernel} = startSimulation();
      try {
        kernel.close(1, 99);
      } catch (error) {
        console.log(error.name + ': ' + error.message);
      }
      kernel.advance(1_000_000_000n);
      console.log(kernel.dmaBufs.count > 0);
    `);
    expect(printed.trimEnd().split('\n')).toEqual([
      expect.stringMatching(
        /^ScenarioError: unknown scenario 'tea-break': one of camera-preview, /,
      ),
      expect.stringMatching(
        /^UnknownProfileError: unknown kernel profile '2.4': one of rfc-v1, /,
      ),
      'ScenarioError: scale 1000000000: give a number from 0.01 to 100',
      'ScenarioError: scale NaN: give a number from 0.01 to 100',
      'ScenarioError: scale 0.009: give a number from 0.01 to 100',
      'ScenarioError: seed -1: give an integer from 0 on',
      'ScenarioError: seed 0.5: give an integer from 0 on',
      'ScenarioError: seed NaN: give an integer from 0 on',
      'KernelError: EBADF: descriptor 99 is not open',
      'true',
    ]);
  });
});

function toLine({messageText, file, start}: ts.Diagnostic): string {
  const text = ts.flattenDiagnosticMessageText(messageText, '\n');
  return `${file?.fileName ?? ''}:${start ?? ''}: ${text}`;
}
