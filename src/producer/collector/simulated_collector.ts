// SPDX-License-Identifier: Apache-2.0
import {
  KernelError,
  type ProcFs,
  type SimulatedKernel,
} from '../../core/kernel/index.js';
import type {RawText} from '../../core/model/index.js';
import {COLLECTOR_VERSION} from './script.js';

const S_IFMT = 0o170000;
/** UTC of the simulated kernel's boot: a Sunday nobody takes for a recording. */
const BOOT_REALTIME_NS = 946_728_000_000_000_000n;
const STEP_NS = 10_000_000n;

const PROPERTIES: ReadonlyMap<string, string> = new Map([
  ['ro.product.model', 'simulated phone'],
  ['ro.product.manufacturer', 'perfetto-dmabuf'],
  ['ro.build.fingerprint', 'perfetto-dmabuf/simulator'],
]);

/**
 * The device end of the collector's protocol (script.ts) over a simulated
 * kernel: prints what the script's shell, find, stat and grep would print
 * about its /proc and /sys.
 */
export class SimulatedCollector {
  private nonce: string | undefined;

  constructor(
    private readonly kernel: SimulatedKernel,
    private readonly vfs: ProcFs,
    /** pid of the collector's shell in the simulated kernel. */
    private readonly pid: number,
  ) {}

  hello(): RawText {
    return `perfetto-dmabuf collector ${COLLECTOR_VERSION} ${this.pid}\n`;
  }

  /** Answers one line; undefined when the collector ends. */
  answer(line: string): RawText | undefined {
    if (this.nonce === undefined) {
      this.nonce = line;
      return '';
    }
    const [sequence, step, ...args] = line.split(' ');
    if (step === 'end') return undefined;
    const {status, body} = this.run(step ?? '', args);
    const mark = `${this.nonce} ${sequence ?? ''} ${status} ${body.length}`;
    return `@${mark}\n${body}\n=${mark}\n`;
  }

  private run(
    step: string,
    args: readonly string[],
  ): {status: number; body: RawText} {
    switch (step) {
      case 'clock':
        return this.done(this.clock());
      case 'tick':
        return this.done(this.tick());
      case 'file': {
        const text = this.read(args[0] ?? '');
        return {status: text === undefined ? 1 : 0, body: text ?? ''};
      }
      case 'list':
        return this.done(lines(this.glob(args[0] ?? '')));
      case 'exist':
        return this.done(lines(args.filter((path) => this.exists(path))));
      case 'slurp':
        return this.done(this.slurp(args));
      case 'props':
        return this.done(
          lines(args.map((name) => `${name}=${PROPERTIES.get(name) ?? ''}`)),
        );
      case 'grep':
        return this.walk((said) => this.grep(this.glob(args[0] ?? ''), said));
      case 'counts':
        return this.walk((said) => this.stat(this.paths(args, 'fd'), said));
      case 'fds':
        return this.walk((said) =>
          this.fds(this.paths(args, 'fd'), isTypeless, said),
        );
      case 'links':
        return this.walk((said) =>
          this.fds(this.paths(args, 'fd'), isDmaBufLink, said),
        );
      case 'maps':
        return this.walk((said) => this.maps(this.paths(args, 'maps'), said));
      case 'tables':
        return this.walk((said) =>
          this.stat(
            this.paths(args, 'task').flatMap((task) =>
              this.glob(`${task}/[0-9]*/fd`),
            ),
            said,
          ),
        );
      case 'tablefds':
        return this.walk((said) =>
          this.fds(
            args.map((arg) => `/proc/${arg.replace('/', '/task/')}/fd`),
            isTypeless,
            said,
          ),
        );
      case 'stat':
        return this.walk((said) => this.stat(args, said));
      case 'mapfiles':
        return this.walk((said) =>
          this.stat(
            args.map((arg) => `/proc/${arg.replace('/', '/map_files/')}`),
            said,
          ),
        );
      default:
        return {status: 127, body: ''};
    }
  }

  private done(body: RawText): {status: number; body: RawText} {
    return {status: 0, body};
  }

  /** Runs a step that ends with what its commands said on stderr. */
  private walk(run: (said: string[]) => RawText): {
    status: number;
    body: RawText;
  } {
    const said: string[] = [];
    const body = run(said).replace(/\n$/, '');
    const errors = said.length === 0 ? '' : `\n${said.join('\n')}`;
    return {
      status: 0,
      body: `${body}\n-${this.nonce ?? ''} ${Math.min(said.length, 1)}${errors}`,
    };
  }

  private clock(): RawText {
    const real = BOOT_REALTIME_NS + this.kernel.now;
    const uptime = (this.kernel.now / STEP_NS) * STEP_NS;
    // No line of /proc/PID/stat: what simulating costs is no device's cost.
    return `${seconds(real, 6)} ${seconds(uptime, 2)} ${seconds(real + 1000n, 6)}`;
  }

  private tick(): RawText {
    let at = (this.kernel.now / STEP_NS) * STEP_NS;
    let text = '';
    for (let i = 0; i < 3; i++) {
      const next = at + STEP_NS;
      const real = BOOT_REALTIME_NS + next;
      text +=
        `${seconds(at, 2)} ${seconds(real - 10_000n, 6)} ` +
        `${seconds(next, 2)} ${seconds(real + 10_000n, 6)}\n`;
      at = next;
    }
    return text;
  }

  private slurp(paths: readonly string[]): RawText {
    let body = '';
    for (const path of paths) {
      const text = this.read(path);
      if (text === undefined || text === '') continue;
      // As the shell's read does: up to the first NUL.
      const nul = text.indexOf('\0');
      const kept = nul === -1 ? text : text.slice(0, nul);
      body += `${path} ${kept.length}\n${kept}\n`;
    }
    return body;
  }

  private grep(paths: readonly string[], said: string[]): RawText {
    return this.prefixed(paths, () => true, said);
  }

  private maps(paths: readonly string[], said: string[]): RawText {
    return this.prefixed(paths, (line) => line.includes('/dmabuf'), said);
  }

  private prefixed(
    paths: readonly string[],
    wanted: (line: RawText) => boolean,
    said: string[],
  ): RawText {
    let body = '';
    for (const path of paths) {
      const text = this.attempt('grep', path, said, () => this.vfs.read(path));
      if (text === undefined || text === '') continue;
      for (const line of text.replace(/\n$/, '').split('\n')) {
        if (wanted(line)) body += `${path}:${line}\n`;
      }
    }
    return body;
  }

  private stat(paths: readonly string[], said: string[]): RawText {
    let body = '';
    for (const path of paths) {
      const stat = this.attempt('stat', path, said, () => this.vfs.stat(path));
      if (stat !== undefined) body += `${stat.ino} ${stat.size} ${path}\n`;
    }
    return body;
  }

  private fds(
    directories: readonly string[],
    wanted: (vfs: ProcFs, path: string, mode: number, size: bigint) => boolean,
    said: string[],
  ): RawText {
    let body = '';
    for (const directory of directories) {
      const names = this.attempt('find', directory, said, () =>
        this.vfs.list(directory),
      );
      for (const name of names ?? []) {
        const path = `${directory}/${name}`;
        const stat = this.attempt('find', path, said, () =>
          this.vfs.stat(path),
        );
        if (stat === undefined) continue;
        if (!wanted(this.vfs, path, stat.mode, stat.size)) continue;
        body += `${stat.ino}${path}\n`;
      }
    }
    return body;
  }

  /** Does what a command does, or says what it would say on stderr. */
  private attempt<T>(
    command: string,
    path: string,
    said: string[],
    run: () => T,
  ): T | undefined {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      said.push(`${command}: ${path}: ${complaint(error)}`);
      return undefined;
    }
  }

  private read(path: string): RawText | undefined {
    try {
      return this.vfs.read(path.replace('/proc/self/', `/proc/${this.pid}/`));
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  }

  private exists(path: string): boolean {
    try {
      // Only who may search a folder finds the dot in it.
      if (path.endsWith('/.')) this.vfs.list(path);
      this.vfs.stat(path.replace('/proc/self/', `/proc/${this.pid}/`));
      return true;
    } catch (error) {
      if (error instanceof KernelError) return error.errno === 'EINVAL';
      throw error;
    }
  }

  private paths(pids: readonly string[], rest: string): string[] {
    return pids.length === 0
      ? this.glob(`/proc/[0-9]*/${rest}`)
      : pids.map((pid) => `/proc/${pid}/${rest}`);
  }

  /** A shell's pathname expansion of `*` and `[0-9]*` as whole components. */
  private glob(pattern: string): string[] {
    let paths = [''];
    for (const part of pattern.split('/').slice(1)) {
      if (part !== '*' && part !== '[0-9]*') {
        paths = paths.map((path) => `${path}/${part}`);
        continue;
      }
      paths = paths.flatMap((path) =>
        this.names(path)
          .filter((name) => part === '*' || /^[0-9]/.test(name))
          .sort()
          .map((name) => `${path}/${name}`),
      );
    }
    if (pattern.endsWith('*') || !/[*]/.test(pattern)) {
      return paths.length === 0 ? [pattern] : paths;
    }
    const matching = paths.filter((path) => this.exists(path));
    return matching.length === 0 ? [pattern] : matching;
  }

  private names(directory: string): string[] {
    try {
      return this.vfs.list(directory);
    } catch (error) {
      if (error instanceof KernelError) return [];
      throw error;
    }
  }
}

/** As the script's find: no type bits, and a size. */
function isTypeless(
  _vfs: ProcFs,
  _path: string,
  mode: number,
  size: bigint,
): boolean {
  return (mode & S_IFMT) === 0 && size > 0n;
}

function isDmaBufLink(vfs: ProcFs, path: string): boolean {
  return vfs.readlink(path).startsWith('/dmabuf');
}

function complaint({errno}: KernelError): string {
  switch (errno) {
    case 'EACCES':
      return 'Permission denied';
    case 'EPERM':
      return 'Operation not permitted';
    case 'ESRCH':
      return 'No such process';
    default:
      return 'No such file or directory';
  }
}

function lines(texts: readonly RawText[]): RawText {
  return texts.map((text) => `${text}\n`).join('');
}

/** ns as `SECONDS.FRACTION`. */
function seconds(ns: bigint, digits: number): string {
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, '0');
  return `${ns / 1_000_000_000n}.${fraction.slice(0, digits)}`;
}
