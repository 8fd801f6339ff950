// SPDX-License-Identifier: Apache-2.0
import {
  BOOT_REALTIME_NS,
  KernelError,
  type NodeFs,
  type SimulatedKernel,
} from '../../core/kernel/index.js';
import type {RawText} from '../../core/model/index.js';
import {COLLECTOR_VERSION} from './script.js';
import {Listing, Place, ProcessPlaces} from './simulated_places.js';

const STEP_NS = 10_000_000n;

const PROPERTIES: ReadonlyMap<string, string> = new Map([
  ['ro.product.model', 'simulated phone'],
  ['ro.product.manufacturer', 'perfetto-dmabuf'],
  ['ro.build.fingerprint', 'perfetto-dmabuf/simulator'],
]);

const SELF = '/proc/self/';
const OF_ALL_PROCESSES = /^\/proc\/\[0-9\]\*\/([a-z_]+)$/;

interface Body {
  readonly status: number;
  /** The body in pieces: it is long, and put together once. */
  readonly parts: RawText[];
}

/**
 * The device end of the collector's protocol (script.ts) over a simulated
 * kernel: prints what the script's shell, find, stat and grep would print
 * about its /proc and /sys.
 */
export class SimulatedCollector {
  private nonce: string | undefined;
  private readonly processes: ProcessPlaces;
  /** Of steps about all processes, by command and file. */
  private readonly listings = new Map<string, Listing>();
  /** /proc/self and the directory that it leads to. */
  private readonly self: string;

  constructor(
    private readonly kernel: SimulatedKernel,
    private readonly vfs: NodeFs,
    /** pid of the collector's shell in the simulated kernel. */
    private readonly pid: number,
  ) {
    this.processes = new ProcessPlaces(kernel, vfs);
    this.self = `/proc/${pid}/`;
  }

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
    const {status, parts} = this.run(step ?? '', args);
    let length = 0;
    for (const part of parts) length += part.length;
    const mark = `${this.nonce} ${sequence ?? ''} ${status} ${length}`;
    parts[0] = `@${mark}\n${parts[0] ?? ''}`;
    parts.push(`\n=${mark}\n`);
    return parts.join('');
  }

  private run(step: string, args: readonly string[]): Body {
    switch (step) {
      case 'clock':
        return this.done(this.clock());
      case 'tick':
        return this.done(this.tick());
      case 'file':
        return this.file(args[0] ?? '');
      case 'list':
        return this.done(lines(this.glob(args[0] ?? '')));
      case 'exist':
        return this.done(lines(args.filter((path) => this.exists(path))));
      case 'slurp':
        return {status: 0, parts: this.slurp(args)};
      case 'props':
        return this.done(
          lines(args.map((name) => `${name}=${PROPERTIES.get(name) ?? ''}`)),
        );
      case 'grep':
        return this.grep(this.matching(args[0] ?? ''), '');
      case 'counts':
        return this.stats(this.places(args, 'fd'));
      case 'fds':
        return this.fds(this.places(args, 'fd'));
      case 'links':
        return this.walk('find', this.places(args, 'fd'), (place, parts) => {
          place.links(parts);
        });
      case 'maps':
        return this.grep(this.places(args, 'maps'), '/dmabuf');
      case 'tables':
        return this.stats(
          this.places(args, 'task').flatMap(({path}) =>
            this.placesAt(this.glob(`${path}/[0-9]*/fd`)),
          ),
        );
      case 'tablefds':
        return this.fds(this.under(args, 'task', '/fd'));
      case 'stat':
        return this.stats(this.placesAt(args));
      case 'mapfiles':
        return this.stats(this.under(args, 'map_files', ''));
      default:
        return {status: 127, parts: []};
    }
  }

  private done(body: RawText): Body {
    return {status: 0, parts: [body]};
  }

  private file(path: string): Body {
    const parts = this.readPieces(path);
    return {status: parts === undefined ? 1 : 0, parts: parts ?? ['']};
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

  private slurp(paths: readonly string[]): RawText[] {
    const parts: RawText[] = [];
    for (const path of paths) {
      const text = this.read(path);
      if (text === undefined || text === '') continue;
      // As the shell's read does: up to the first NUL.
      const nul = text.indexOf('\0');
      const kept = nul === -1 ? text : text.slice(0, nul);
      parts.push(path, ` ${kept.length}\n`, kept, '\n');
    }
    return parts;
  }

  private stats(places: readonly Place[]): Body {
    return this.list('stat', '', places, (place) => place.stat());
  }

  private fds(places: readonly Place[]): Body {
    return this.walk('find', places, (place, parts) => {
      place.fds(parts);
    });
  }

  private grep(places: readonly Place[], word: string): Body {
    return this.list('grep', word, places, (place) => place.grep(word));
  }

  /** The same for what prints one text about each place. */
  private list(
    command: string,
    word: string,
    places: readonly Place[],
    print: (place: Place) => RawText,
  ): Body {
    if (this.processes.areAll(places)) {
      const key = `${command} ${word} ${places[0]?.name ?? ''}`;
      let listing = this.listings.get(key);
      if (listing === undefined) {
        listing = new Listing(this.kernel.processes.activity, print);
        this.listings.set(key, listing);
      }
      try {
        return this.walked([...listing.of(places)], []);
      } catch (error) {
        // Who refused is said with the others.
        if (!(error instanceof KernelError)) throw error;
      }
    }
    return this.walk(command, places, (place, parts) => {
      parts.push(print(place));
    });
  }

  /** Runs a command whose step ends with what it said on stderr. */
  private walk(
    command: string,
    places: readonly Place[],
    print: (place: Place, parts: RawText[]) => void,
  ): Body {
    const said: string[] = [];
    const parts: RawText[] = [];
    for (const place of places) {
      try {
        print(place, parts);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        said.push(`\n${command}: ${place.path}: ${complaint(error)}`);
      }
    }
    return this.walked(parts, said);
  }

  private walked(parts: RawText[], said: readonly string[]): Body {
    if (!parts.some(({length}) => length > 0)) parts.push('\n');
    const status = Math.min(said.length, 1);
    parts.push(`-${this.nonce ?? ''} ${status}`, ...said);
    return {status: 0, parts};
  }

  private read(path: string): RawText | undefined {
    return unlessRefused(() => this.vfs.read(this.resolved(path)));
  }

  private readPieces(path: string): RawText[] | undefined {
    return unlessRefused(() => {
      const node = this.vfs.lookup(this.resolved(path));
      return node.kind === 'file' && node.pieces !== undefined
        ? node.pieces()
        : [this.vfs.read(this.resolved(path))];
    });
  }

  private exists(path: string): boolean {
    try {
      // Only who may search a folder finds the dot in it.
      if (path.endsWith('/.')) this.vfs.list(path);
      this.vfs.stat(this.resolved(path));
      return true;
    } catch (error) {
      if (error instanceof KernelError) return error.errno === 'EINVAL';
      throw error;
    }
  }

  private resolved(path: string): string {
    return path.startsWith(SELF) ? this.self + path.slice(SELF.length) : path;
  }

  /** A file of the processes, or of all. */
  private places(pids: readonly string[], rest: string): readonly Place[] {
    return pids.length === 0
      ? this.processes.all(rest)
      : pids.map((pid) => this.processes.of(pid, rest));
  }

  private placesAt(paths: readonly string[]): Place[] {
    return paths.map((path) => new Place(this.vfs, path));
  }

  /** `PID/NAME` → `/proc/PID/FOLDER/NAMEREST` */
  private under(
    args: readonly string[],
    folder: string,
    rest: string,
  ): Place[] {
    return this.placesAt(
      args.map((arg) => `/proc/${arg.replace('/', `/${folder}/`)}${rest}`),
    );
  }

  private matching(pattern: string): readonly Place[] {
    const rest = OF_ALL_PROCESSES.exec(pattern)?.[1];
    return rest === undefined
      ? this.placesAt(this.glob(pattern))
      : this.processes.all(rest);
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
    return unlessRefused(() => this.vfs.list(directory)) ?? [];
  }
}

/** Undefined where the simulated kernel refuses, whatever its reason. */
function unlessRefused<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
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
