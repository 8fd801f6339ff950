// SPDX-License-Identifier: Apache-2.0
// A virtual machine with a real kernel, real dma-bufs and AOSP's adbd, reached
// with the real adb. QEMU emulates the processor (TCG): nothing special is asked
// of the machine.

import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {connect, createServer} from 'node:net';
import {dirname, join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {
  LabError,
  type Manifest,
  parseEvents,
  parseManifest,
  parseReply,
  type PuppetEvents,
  type PuppetReply,
} from './puppet_client.js';

export * from './puppet_client.js';

/** Debian kernels; `newest` is trixie-backports' (7.3 at the time of writing). */
export const KERNELS = ['6.1', '6.12', 'newest'] as const;
export type KernelName = (typeof KERNELS)[number];

export type LabAvailability =
  {readonly ok: true} | {readonly ok: false; readonly missing: string[]};

export interface BootOptions {
  readonly kernel: KernelName;
  /** The user adbd and its shells run as: 2000 as on an unrooted device. */
  readonly adbdUid?: number;
  /** A su program: both styles (true), `su 0 CMD` (aosp), `su -c` (magisk). */
  readonly su?: boolean | 'aosp' | 'magisk';
  /** false leaves debugfs unmounted, as Android's user builds do. */
  readonly debugfs?: boolean;
  /** A stand-in for `perfetto`, see guest/perfetto.c, or Perfetto itself. */
  readonly perfetto?: 'stand-in' | 'real';
  readonly memoryMb?: number;
  /** The port of this machine that leads to adbd; a free one if left out. */
  readonly port?: number;
}

export interface CommandResult {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface Lab {
  /** By which adb calls the device. */
  readonly serial: string;
  /** Of an adb server that serves this lab alone. */
  readonly adbPort: number;
  /** What a child process needs in its environment so that adb finds the lab. */
  readonly adbEnv: Readonly<Record<string, string>>;
  /** `uname -r` */
  readonly kernelRelease: string;
  /** Runs a shell command and gives its output; LabError if it fails. */
  shell(command: string): Promise<Buffer>;
  /** Runs a shell command, whatever its exit code. */
  run(command: string, stdin?: string): Promise<CommandResult>;
  /**
   * Has the puppet carry out commands (see puppet/puppet.c), one after the
   * other. Throws LabError if one fails, unless they may.
   */
  puppet(
    commands: readonly string[],
    options?: {readonly mayFail?: boolean},
  ): Promise<PuppetReply[]>;
  manifest(): Promise<Manifest>;
  events(): Promise<PuppetEvents>;
  /** Ends the machine and its adb server. */
  stop(): Promise<void>;
}

const HERE = dirname(fileURLToPath(import.meta.url));
const READY = 'LAB: adbd ready';
const FAILED = 'LAB: adbd failed';
const BOOT_TIMEOUT_MS = 240_000;
/** A port that adb takes for an emulator's shows up as a second device. */
const EMULATOR_PORTS = {first: 5554, last: 5585};

const CACHE =
  process.env['PERFETTO_DMABUF_CACHE'] ??
  join(HERE, '..', '..', '.cache', 'device-lab');

function imagePath(kernel: KernelName, file: string): string {
  return join(CACHE, 'image', kernel, file);
}

/** Whether Perfetto itself is there for `perfetto: 'real'`. */
export function hasRealPerfetto(): boolean {
  return existsSync(join(CACHE, 'perfetto'));
}

/**
 * Whether a lab with these kernels can be booted, and if not, what is missing
 * and how to get it. Changes nothing.
 */
export function labAvailability(
  kernels: readonly KernelName[] = ['6.1'],
): LabAvailability {
  if (process.platform !== 'linux') {
    return {ok: false, missing: ['a Linux machine']};
  }
  const script = join(HERE, 'packages.sh');
  const check = spawnSync(script, ['--check', ...kernels], {encoding: 'utf8'});
  if (check.status === 0) return {ok: true};
  const missing = check.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace('device-lab: missing: ', ''));
  if (check.error) missing.push(check.error.message);
  return {ok: false, missing: [...missing, 'run test/device-lab/packages.sh']};
}

/** Fetches what is missing and makes the image. Throws LabError if it cannot. */
export function prepareLab(kernel: KernelName): void {
  runScript('packages.sh', kernel);
  runScript('image.sh', kernel);
}

function runScript(script: string, kernel: KernelName): void {
  const result = spawnSync(join(HERE, script), [kernel], {encoding: 'utf8'});
  if (result.status === 0) return;
  throw new LabError(
    `${script} ${kernel}: ${result.error?.message ?? ''}` +
      `${result.stdout}${result.stderr}`,
  );
}

function listenOnce(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

/** A TCP port that nobody on this machine listens on just now. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = await listenOnce();
    if (port < EMULATOR_PORTS.first || port > EMULATOR_PORTS.last) return port;
  }
}

/** Starts a child that the kernel kills when we end, however we end. */
function spawnBound(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function hasEnded(child: ChildProcess): boolean {
  // In the child_process API a child that still runs has null here.
  return typeof child.exitCode === 'number' || Boolean(child.signalCode);
}

async function kill(child: ChildProcess): Promise<void> {
  if (hasEnded(child) || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

function kernelCommandLine(options: BootOptions): string {
  const words = [
    'console=ttyS0',
    'quiet',
    'panic=-1',
    'mitigations=off',
    'nokaslr',
  ];
  const {adbdUid, su, debugfs, perfetto} = options;
  if (adbdUid !== undefined) words.push(`lab.adbd_uid=${String(adbdUid)}`);
  if (su === true) words.push('lab.su=1');
  if (typeof su === 'string') words.push(`lab.su=${su}`);
  if (debugfs === false) words.push('lab.debugfs=0');
  if (perfetto === 'stand-in') words.push('lab.perfetto=1');
  if (perfetto === 'real') words.push('lab.perfetto=real');
  return words.join(' ');
}

function qemuArguments(options: BootOptions, port: number): string[] {
  const forward = `hostfwd=tcp:127.0.0.1:${String(port)}-:5555`;
  return [
    // Not microvm: Debian's kernels hang in half of its boots. Not thread=multi:
    // one processor may still run the breakpoint with which the kernel patched
    // its own code when the other has taken it away, and the kernel oopses
    // ("Oops: int3") in some of a hundred boots.
    ...['-M', 'q35', '-accel', 'tcg,thread=single', '-cpu', 'max'],
    ...['-smp', '2', '-m', String(options.memoryMb ?? 2048)],
    ...['-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio'],
    ...['-kernel', imagePath(options.kernel, 'vmlinux')],
    ...['-initrd', imagePath(options.kernel, 'initramfs.gz')],
    ...['-append', kernelCommandLine(options)],
    ...['-netdev', `user,id=n0,restrict=on,${forward}`],
    ...['-device', 'virtio-net-pci,netdev=n0,romfile='],
  ];
}

/**
 * Waits until the guest says that adbd listens. QEMU accepts connections long
 * before, and an adb that connects too early has the device offline for good.
 */
function awaitReady(qemu: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let serial = '';
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new LabError(`the lab did not boot: ${why}\n${serial}`));
    };
    const timer = setTimeout(() => {
      fail('timed out');
    }, BOOT_TIMEOUT_MS);
    const read = (chunk: Buffer) => {
      serial += chunk.toString('latin1');
      if (serial.includes(FAILED)) fail('adbd failed');
      if (!serial.includes(READY)) return;
      clearTimeout(timer);
      qemu.stdout?.off('data', read).resume();
      resolve();
    };
    qemu.stdout?.on('data', read);
    qemu.stderr?.on('data', (chunk: Buffer) => {
      serial += chunk.toString();
    });
    qemu.once('error', (error) => {
      fail(error.message);
    });
    qemu.once('close', () => {
      fail('QEMU ended');
    });
  });
}

async function startQemu(
  options: BootOptions,
  port: number,
): Promise<ChildProcess> {
  const qemu = spawnBound('qemu-system-x86_64', qemuArguments(options, port));
  try {
    await awaitReady(qemu);
    return qemu;
  } catch (error) {
    await kill(qemu);
    throw error;
  }
}

/** Calls adb as a client of the lab's own server. */
class AdbClient {
  constructor(
    readonly env: Readonly<Record<string, string>>,
    readonly serial: string,
  ) {}

  run(args: readonly string[], stdin = ''): Promise<CommandResult> {
    return new Promise((resolve, reject) => {
      const child = spawn('adb', args, {env: {...process.env, ...this.env}});
      const stdout: Buffer[] = [];
      let stderr = '';
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      // The command may end without having read all of it.
      child.stdin.on('error', () => undefined);
      child.stdin.end(stdin);
      child.once('error', reject);
      child.once('close', (code) => {
        resolve({stdout: Buffer.concat(stdout), stderr, exitCode: code ?? -1});
      });
    });
  }

  shell(command: string, stdin?: string): Promise<CommandResult> {
    return this.run(['-s', this.serial, 'shell', '-T', command], stdin);
  }

  /** Connects to the guest, trying again while the server starts. */
  async connect(): Promise<void> {
    let last = '';
    for (let tries = 0; tries < 100; tries++) {
      const connected = await this.run(['connect', this.serial]);
      const state = await this.run(['-s', this.serial, 'get-state']);
      if (state.stdout.toString().trim() === 'device') return;
      last = `${connected.stdout.toString()}${connected.stderr}${state.stderr}`;
      await delay(100);
    }
    throw new LabError(`adb does not reach ${this.serial}: ${last}`);
  }
}

/**
 * Waits until the adb server listens. A client that comes before starts a
 * server of its own, which nobody ends.
 */
async function awaitListening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await listens(port)) return;
    await delay(50);
  }
  throw new LabError(`the adb server does not listen on port ${String(port)}`);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => {
      end(true);
    });
    socket.once('error', () => {
      end(false);
    });
  });
}

async function startAdbServer(
  adb: AdbClient,
  adbPort: number,
): Promise<ChildProcess> {
  const server = spawnBound('adb', ['nodaemon', 'server'], {
    ...process.env,
    ...adb.env,
    // Emulators of this machine are not ours: do not look for them.
    ADB_LOCAL_TRANSPORT_MAX_PORT: String(EMULATOR_PORTS.first - 1),
  });
  server.stdout?.resume();
  server.stderr?.resume();
  try {
    await awaitListening(adbPort);
    await adb.connect();
    return server;
  } catch (error) {
    await kill(server);
    throw error;
  }
}

class RunningLab implements Lab {
  kernelRelease = '';

  constructor(
    private readonly adb: AdbClient,
    readonly adbPort: number,
    private readonly children: readonly ChildProcess[],
  ) {}

  get serial(): string {
    return this.adb.serial;
  }

  get adbEnv(): Readonly<Record<string, string>> {
    return this.adb.env;
  }

  run(command: string, stdin?: string): Promise<CommandResult> {
    return this.adb.shell(command, stdin);
  }

  async shell(command: string): Promise<Buffer> {
    const {stdout, stderr, exitCode} = await this.run(command);
    if (exitCode === 0) return stdout;
    throw new LabError(`${command}: exit code ${String(exitCode)}: ${stderr}`);
  }

  async puppet(
    commands: readonly string[],
    options: {readonly mayFail?: boolean} = {},
  ): Promise<PuppetReply[]> {
    const lines = await this.puppetLines(commands);
    const replies = lines.map((line, i) => parseReply(commands[i] ?? '', line));
    const failed = replies.find((reply) => !reply.ok);
    if (failed && options.mayFail !== true) {
      throw new LabError(`puppet: ${failed.command}: ${failed.error ?? ''}`);
    }
    return replies;
  }

  async manifest(): Promise<Manifest> {
    const [line = ''] = await this.puppetLines(['manifest']);
    return parseManifest(line);
  }

  async events(): Promise<PuppetEvents> {
    const [line = ''] = await this.puppetLines(['events']);
    return parseEvents(line);
  }

  async stop(): Promise<void> {
    await Promise.all(this.children.map(kill));
  }

  private async puppetLines(commands: readonly string[]): Promise<string[]> {
    const {stdout, stderr} = await this.run(
      'puppet do -',
      commands.map((command) => `${command}\n`).join(''),
    );
    const lines = stdout.toString().split('\n').slice(0, -1);
    if (lines.length === commands.length) return lines;
    throw new LabError(
      `puppet: ${String(commands.length)} commands, ` +
        `${String(lines.length)} answers: ${stderr}`,
    );
  }
}

/**
 * Boots a machine and connects to it; some 5 s. It ends with this process at the
 * latest. Throws LabError if something is missing (see labAvailability) or if it
 * does not boot.
 */
export async function bootLab(options: BootOptions): Promise<Lab> {
  const availability = labAvailability([options.kernel]);
  if (!availability.ok) {
    throw new LabError(`missing: ${availability.missing.join('; ')}`);
  }
  runScript('image.sh', options.kernel);
  const port = options.port ?? (await freePort());
  const children = [await startQemu(options, port)];
  try {
    const adbPort = await freePort();
    const adb = new AdbClient(
      {ANDROID_ADB_SERVER_PORT: String(adbPort)},
      `127.0.0.1:${String(port)}`,
    );
    children.push(await startAdbServer(adb, adbPort));
    const lab = new RunningLab(adb, adbPort, children);
    lab.kernelRelease = (await lab.shell('uname -r')).toString().trim();
    return lab;
  } catch (error) {
    await Promise.all(children.map(kill));
    throw error;
  }
}
