// SPDX-License-Identifier: Apache-2.0
// The device side of adb, small: enough for a real adb server to take it for a
// device on the network, and able to fail in the ways in which devices fail.
// Protocol: packages/modules/adb, docs/dev/protocol.md.
import type {ChildProcessByStdio} from 'node:child_process';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import type {AddressInfo, Server, Socket} from 'node:net';
import {createServer} from 'node:net';
import type {Readable, Writable} from 'node:stream';

export interface FakeAdbdOptions {
  /** What it answers a connection with; `accept` unless told. */
  readonly handshake?: 'accept' | 'demand-auth' | 'silence' | 'garbage';
  /** The state that it connects in; `device` unless told. */
  readonly banner?: 'device' | 'recovery' | 'sideload';
  readonly model?: string;
  /** Environment of the commands that it runs. */
  readonly env?: NodeJS.ProcessEnv;
  /** Whether it knows exec:; yes unless told. */
  readonly exec?: boolean;
  /** What root: does: these words are said, or the service is not there. */
  readonly root?: RootBehaviour;
}

export interface RootBehaviour {
  readonly says: string;
  /** What happens when it was said. */
  readonly then?: (adbd: FakeAdbd) => void;
}

const VERSION = 0x01000001;
const MAX_DATA = 256 * 1024;
const HEADER_BYTES = 24;
const AUTH_TOKEN = 1;

/** A message of the adb protocol. */
interface Message {
  readonly command: string;
  readonly arg0: number;
  readonly arg1: number;
  readonly data: Buffer;
}

export class FakeAdbd {
  options: FakeAdbdOptions;
  /** Services that were asked for, in order. */
  readonly services: string[] = [];
  /** Resolves when an adb server has connected for the first time. */
  readonly connected: Promise<void>;
  private noteConnected: () => void = () => undefined;
  private readonly connections = new Set<HostConnection>();
  private server: Server | undefined;

  private constructor(options: FakeAdbdOptions) {
    this.options = options;
    this.connected = new Promise((resolve) => {
      this.noteConnected = resolve;
    });
  }

  static async listen(options: FakeAdbdOptions = {}): Promise<FakeAdbd> {
    const adbd = new FakeAdbd(options);
    await adbd.listenOn(0);
    return adbd;
  }

  get port(): number {
    return (this.server?.address() as AddressInfo).port;
  }

  /** As the adb server calls it once it was told to connect to it. */
  get serial(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The cable is pulled out: every connection breaks. */
  drop(): void {
    for (const connection of this.connections) connection.socket.destroy();
  }

  /** The device goes away and does not come back by itself. */
  async close(): Promise<void> {
    const server = this.server;
    this.server = undefined;
    this.drop();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  /** The device is back after close(), on another port unless told which. */
  async listenOn(port: number): Promise<void> {
    const server = createServer({noDelay: true}, (socket) => {
      const connection = new HostConnection(socket, this);
      this.connections.add(connection);
      this.noteConnected();
      socket.on('close', () => this.connections.delete(connection));
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    this.server = server;
  }
}

/** The connection to one adb server. */
class HostConnection {
  private input: Buffer = Buffer.alloc(0);
  private readonly streams = new Map<number, CommandStream>();
  private nextId = 1;

  constructor(
    readonly socket: Socket,
    private readonly adbd: FakeAdbd,
  ) {
    socket.on('error', () => undefined);
    socket.on('data', (data) => this.receive(data));
    socket.on('close', () => {
      for (const stream of this.streams.values()) stream.hangUp();
    });
  }

  send(command: string, arg0: number, arg1: number, data: Uint8Array): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(command, 0, 'latin1');
    header.writeUInt32LE(arg0, 4);
    header.writeUInt32LE(arg1, 8);
    header.writeUInt32LE(data.length, 12);
    // The checksum is not looked at from protocol version 0x01000001 on.
    const magic = (header.readUInt32LE(0) ^ 0xffffffff) >>> 0;
    header.writeUInt32LE(magic, 20);
    this.socket.write(Buffer.concat([header, data]));
  }

  private receive(data: Buffer): void {
    this.input = Buffer.concat([this.input, data]);
    while (this.input.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + this.input.readUInt32LE(12);
      if (this.input.length < end) return;
      this.handle({
        command: this.input.toString('latin1', 0, 4),
        arg0: this.input.readUInt32LE(4),
        arg1: this.input.readUInt32LE(8),
        data: this.input.subarray(HEADER_BYTES, end),
      });
      this.input = this.input.subarray(end);
    }
  }

  private handle({command, arg0, arg1, data}: Message): void {
    switch (command) {
      case 'CNXN':
        return this.shakeHands();
      case 'AUTH':
        // No key is ever good enough, and nobody answers the question.
        return this.send('AUTH', AUTH_TOKEN, 0, Buffer.alloc(20, 7));
      case 'OPEN':
        return this.openService(data.toString().replace(/\0+$/, ''), arg0);
      case 'OKAY':
        return this.streams.get(arg1)?.accepted();
      case 'WRTE':
        return this.streams.get(arg1)?.input(data);
      case 'CLSE':
        return this.streams.get(arg1)?.hangUp();
    }
  }

  private shakeHands(): void {
    const {handshake, banner, model} = this.adbd.options;
    switch (handshake) {
      case 'demand-auth':
        return this.send('AUTH', AUTH_TOKEN, 0, Buffer.alloc(20, 7));
      case 'silence':
        return;
      case 'garbage':
        this.socket.write(Buffer.alloc(HEADER_BYTES * 4, 'no adb here '));
        return;
      default: {
        const properties = `ro.product.name=fake;ro.product.model=${model ?? 'Fake Phone'};ro.product.device=fake`;
        const text = `${banner ?? 'device'}::${properties};features=cmd,stat_v2`;
        this.send('CNXN', VERSION, MAX_DATA, Buffer.from(text));
      }
    }
  }

  private openService(service: string, remoteId: number): void {
    this.adbd.services.push(service);
    const {exec, env, root} = this.adbd.options;
    const id = this.nextId++;
    if (service.startsWith('exec:') && exec !== false) {
      this.send('OKAY', id, remoteId, Buffer.alloc(0));
      const stream = new CommandStream(this, id, remoteId);
      this.streams.set(id, stream);
      stream.run(service.slice('exec:'.length), env);
    } else if (service === 'root:' && root) {
      this.send('OKAY', id, remoteId, Buffer.alloc(0));
      this.send('WRTE', id, remoteId, Buffer.from(`${root.says}\n`));
      this.send('CLSE', id, remoteId, Buffer.alloc(0));
      // A real adbd leaves the words time to be read, too.
      setTimeout(() => root.then?.(this.adbd), 50);
    } else {
      this.send('CLSE', 0, remoteId, Buffer.alloc(0));
    }
  }
}

/** A running command; the other side accepts one packet at a time. */
class CommandStream {
  private process:
    ChildProcessByStdio<Writable, Readable, Readable> | undefined;
  private readonly packets: Buffer[] = [];
  private mayWrite = true;
  private ended = false;
  private closed = false;

  constructor(
    private readonly connection: HostConnection,
    private readonly id: number,
    private readonly remoteId: number,
  ) {}

  run(command: string, env: NodeJS.ProcessEnv | undefined): void {
    // In a session of its own, as on adbd's pty, so that all that it started
    // can be hung up. There stderr is on the pty, too.
    const child = spawn('/bin/sh', ['-c', command], {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(env ? {env} : {}),
    });
    this.process = child;
    child.stdin.on('error', () => undefined);
    for (const output of [child.stdout, child.stderr]) {
      output.on('data', (data: Buffer) => this.output(data));
    }
    child.on('close', () => {
      this.ended = true;
      this.pump();
    });
  }

  input(data: Buffer): void {
    // Not to acknowledge before the command has taken it is back-pressure.
    this.process?.stdin.write(Buffer.from(data), () => {
      if (!this.closed) this.reply('OKAY', Buffer.alloc(0));
    });
  }

  accepted(): void {
    this.mayWrite = true;
    this.pump();
  }

  hangUp(): void {
    this.closed = true;
    const pid = this.process?.pid;
    if (pid === undefined || this.ended) return;
    try {
      process.kill(-pid, 'SIGHUP');
    } catch {
      // It has just ended by itself.
    }
    this.process?.stdin.destroy();
  }

  private output(data: Buffer): void {
    for (let start = 0; start < data.length; start += MAX_DATA) {
      this.packets.push(data.subarray(start, start + MAX_DATA));
    }
    this.pump();
  }

  private pump(): void {
    if (this.closed) return;
    if (this.mayWrite) {
      const packet = this.packets.shift();
      if (packet) {
        this.mayWrite = false;
        this.reply('WRTE', packet);
      } else if (this.ended) {
        this.closed = true;
        this.reply('CLSE', Buffer.alloc(0));
      }
    }
    for (const output of [this.process?.stdout, this.process?.stderr]) {
      if (this.packets.length > 8) output?.pause();
      else output?.resume();
    }
  }

  private reply(command: string, data: Buffer): void {
    this.connection.send(command, this.id, this.remoteId, data);
  }
}
