// SPDX-License-Identifier: Apache-2.0
// Scripts on the simulated kernel: every system call that the puppet makes
// (test/device-lab/puppet/actor.c, exporter.c), made of the simulator, those
// included that open a descriptor only for a while.
import {
  type AddressSpace,
  PAGE_SIZE,
  pageAlign,
  PROT_READ,
  PROT_READ_WRITE,
  type Protection,
} from '../../src/core/kernel/address_space.js';
import {
  type DmaBuf,
  KernelError,
  kernelProfile,
  SimulatedKernel,
} from '../../src/core/kernel/index.js';
import {O_RDONLY, O_RDWR, O_WRONLY} from '../../src/core/kernel/open_file.js';
import type {RawText} from '../../src/core/model/text.js';
import type {MachineUnderTest} from './machines.js';
import {
  isDmaBuf,
  type ObservedFd,
  type ObservedProcess,
  type ObservedStat,
  type ObservedTask,
  type Outcome,
  type Snapshot,
} from './observation.js';
import type {Access, Operation} from './script.js';

/** The puppet refuses, and the kernel never hears of it. */
class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** A system call that fails before it concerns anything simulated. */
class HostError extends Error {
  override readonly name = 'HostError';

  constructor(readonly errno: string) {
    super(errno);
  }
}

interface Mapping {
  readonly address: number;
  readonly length: number;
}

/** One buffer in one actor. */
interface Holding {
  readonly label: string;
  readonly buffer: DmaBuf;
  /** Oldest first. */
  readonly fds: number[];
  mappings: Mapping[];
  /** A GEM handle. */
  import: number | undefined;
  /** A thread with a table of its own, in which there is this buffer alone. */
  thread: number | undefined;
}

interface Actor {
  readonly name: string;
  readonly pid: number;
  zombie: boolean;
  /** The server's end of the socket that the actor listens to. */
  control: number;
  /** vgem's device file, open from the first use on. */
  drmFd: number | undefined;
  /** Stacks of threads that ended; the C library keeps them for the next. */
  spareStacks: number;
  holdings: Map<string, Holding>;
  /** Sockets that a message with a buffer waits in. */
  inboxes: {readonly fd: number; readonly label: string; buffer: DmaBuf}[];
}

/** Longer names do not fit the puppet's buffers. */
const MAX_TEXT_BYTES = 255;
const MAX_COMM_TEXT_BYTES = 63;
/** No process has more address space. */
const ADDRESS_SPACE_BYTES = 2 ** 47;
/** What the C library maps for a thread: 8 MiB, and a page to guard them. */
const STACK_BYTES = 8 * 1024 ** 2 + PAGE_SIZE;
const FLAGS = {r: O_RDONLY, w: O_WRONLY, rw: O_RDWR} as const;
const PROT_NONE = {read: false, write: false, execute: false};
const PROTECTIONS = {
  none: PROT_NONE,
  r: PROT_READ,
  rw: PROT_READ_WRITE,
} as const;
/** Where an actor listens. */
const CONTROL_FD = 3;

/** The simulator, with the puppet's actors on it. */
export class SimulatedMachine {
  private readonly kernel: SimulatedKernel;
  private readonly server: number;
  private readonly actors = new Map<string, Actor>();
  private readonly labelOfThread = new Map<number, string>();

  constructor(private readonly machine: MachineUnderTest) {
    this.kernel = new SimulatedKernel({
      profile: kernelProfile(machine.profile, {
        arch: 'x86_64',
        sysfsStats: false,
      }),
      seed: 1,
    });
    this.server = this.kernel.spawn({
      executable: '/system/bin/puppet',
      args: ['puppet', 'serve'],
    });
  }

  /** Names of the actors that are alive, in the order they came. */
  get alive(): string[] {
    return [...this.actors.values()]
      .filter(({zombie}) => !zombie)
      .map(({name}) => name);
  }

  get zombies(): string[] {
    return [...this.actors.values()]
      .filter(({zombie}) => zombie)
      .map(({name}) => name);
  }

  /** What an actor holds: labels, with what can be done with each. */
  holdingsOf(actor: string): readonly Holding[] {
    return [...(this.actors.get(actor)?.holdings.values() ?? [])];
  }

  inboxesOf(actor: string): readonly string[] {
    return this.actors.get(actor)?.inboxes.map(({label}) => label) ?? [];
  }

  /** Whether an actor holds a buffer of that label, or has it in a queue. */
  isLabelTaken(label: string): boolean {
    return [...this.actors.values()].some(
      ({holdings, inboxes}) =>
        holdings.has(label) || inboxes.some((each) => each.label === label),
    );
  }

  /** Carries out one operation, whatever comes of it. */
  perform(operation: Operation): Outcome {
    try {
      return {error: undefined, ...this.run(operation)};
    } catch (error) {
      if (error instanceof KernelError || error instanceof HostError) {
        return {error: error.errno};
      }
      if (error instanceof Refusal) return {error: 'refused'};
      throw error;
    } finally {
      this.tidy();
    }
  }

  /** What it all looks like now, after so many operations. */
  observe(operations: number): Snapshot {
    const actors = [...this.actors.values()];
    return {
      operations,
      bufinfo: this.kernel.vfs.read('/sys/kernel/debug/dma_buf/bufinfo'),
      processes: actors.map(({pid}) => this.observeProcess(pid)),
      names: {
        actorOf: new Map(actors.map(({pid, name}) => [pid, name])),
        labelOfThread: new Map(this.labelOfThread),
      },
    };
  }

  private observeProcess(pid: number): ObservedProcess {
    const {vfs} = this.kernel;
    const folder = `/proc/${pid}`;
    const threads = vfs
      .list(`${folder}/task`)
      .map(Number)
      .filter((tid) => tid !== pid);
    return {
      ...this.observeTask(folder, pid),
      maps: vfs.read(`${folder}/maps`),
      smaps: vfs.read(`${folder}/smaps`),
      mapFiles: vfs
        .list(`${folder}/map_files`)
        .map((name) => `${folder}/map_files/${name}`)
        .map((path) => ({link: vfs.readlink(path), stat: this.statOf(path)}))
        .filter(({link}) => isDmaBuf(link)),
      threads: threads.map((tid) =>
        this.observeTask(`${folder}/task/${tid}`, tid),
      ),
    };
  }

  private observeTask(folder: string, id: number): ObservedTask {
    const {vfs} = this.kernel;
    return {
      id,
      comm: vfs.read(`${folder}/comm`),
      cmdline: vfs.read(`${folder}/cmdline`),
      status: vfs.read(`${folder}/status`),
      stat: vfs.read(`${folder}/stat`),
      fdDirectory: this.statOf(`${folder}/fd`),
      fds: vfs.list(`${folder}/fd`).map((fd) => this.observeFd(folder, fd)),
    };
  }

  private observeFd(folder: string, fd: string): ObservedFd {
    const {vfs} = this.kernel;
    return {
      fd: Number(fd),
      link: vfs.readlink(`${folder}/fd/${fd}`),
      stat: this.statOf(`${folder}/fd/${fd}`),
      fdinfo: vfs.read(`${folder}/fdinfo/${fd}`),
    };
  }

  private statOf(path: string): ObservedStat {
    const {ino, size, blocks, mode} = this.kernel.vfs.stat(path);
    return {inode: ino, sizeBytes: size, blocks, mode};
  }

  private run(operation: Operation): Omit<Outcome, 'error'> {
    switch (operation.verb) {
      case 'spawn':
        return this.spawn(operation.actor, operation.uid, operation.comm);
      case 'reap':
        return this.reap(operation.actor);
    }
    const actor = this.living(operation.actor);
    switch (operation.verb) {
      case 'fork':
        return this.fork(actor, operation.child, operation.comm);
      case 'comm':
        this.rename(actor.pid, operation.comm);
        return {};
      case 'exec':
        return this.exec(actor);
      case 'exit':
      case 'kill':
        return this.exit(actor, true);
      case 'zombie':
        return this.exit(actor, false);
      case 'alloc':
        return this.alloc(
          actor,
          operation.label,
          operation.exporter,
          operation.sizeBytes,
          operation.name,
          operation.access,
        );
      case 'send':
        return this.send(actor, this.living(operation.to), operation.label);
      case 'sendhold':
        return this.sendHold(actor, this.living(operation.to), operation.label);
      case 'receive':
        return this.receive(actor, operation.label);
    }
    const holding = actor.holdings.get(operation.label);
    if (holding === undefined) throw new Refusal('holds no such buffer');
    switch (operation.verb) {
      case 'split':
        return this.split(
          actor,
          holding,
          operation.page,
          PROTECTIONS[operation.protection],
        );
      case 'punch':
        return this.punch(actor, holding, operation.page);
      case 'unmap':
        this.unmapAll(actor, holding);
        return ofBuffer(holding);
      case 'drop-import':
        return this.dropImport(actor, holding);
      case 'thread-exit':
        return this.endThread(actor, holding);
    }
    const [first] = holding.fds;
    if (first === undefined) throw new Refusal('has no descriptor');
    const {pid} = actor;
    switch (operation.verb) {
      case 'name':
        checkLength(operation.name);
        this.kernel.setName(pid, first, operation.name);
        return ofBuffer(holding);
      case 'ioctl': {
        const {request, payload, fd = first} = operation;
        const argument =
          payload !== undefined && 'text' in payload ? payload.text : payload;
        if (typeof argument === 'string') checkLength(argument);
        this.kernel.ioctl(pid, fd, request, argument);
        return ofBuffer(holding);
      }
      case 'seek': {
        const {offset, whence, fd = first} = operation;
        return {position: BigInt(this.kernel.seek(pid, fd, offset, whence))};
      }
      case 'dup': {
        const {lowest, closeOnExec} = operation;
        const fd = this.kernel.dup(pid, first, {lowest, closeOnExec});
        holding.fds.push(fd);
        return {...ofBuffer(holding), fd};
      }
      case 'dup2':
        return this.dup2(actor, holding, first, operation.over);
      case 'map':
        return this.map(actor, holding, first, operation);
      case 'close':
        return this.close(actor, holding, operation.which);
      case 'import':
        if (holding.import !== undefined) throw new Refusal('imported already');
        holding.import = this.kernel.drmImport(pid, this.drm(actor), first);
        return ofBuffer(holding);
      case 'thread-private':
        return this.startThread(actor, holding);
    }
  }

  // --- Processes ---

  private living(name: string): Actor {
    const actor = this.actors.get(name);
    if (actor === undefined || actor.zombie) throw new Refusal('no such actor');
    return actor;
  }

  private add(name: string, pid: number): Actor {
    const actor: Actor = {
      name,
      pid,
      zombie: false,
      control: this.connect(pid),
      drmFd: undefined,
      spareStacks: 0,
      holdings: new Map(),
      inboxes: [],
    };
    this.actors.set(name, actor);
    return actor;
  }

  /** Gives an actor its socket, in place of one that it may have inherited. */
  private connect(pid: number): number {
    const {kernel} = this;
    const [control, end] = kernel.socketPair(this.server, pid);
    // The end might have the right number already, but is close-on-exec.
    const copy = kernel.dup(pid, end);
    kernel.dup2(pid, copy, CONTROL_FD);
    for (const fd of [end, copy]) {
      if (fd !== CONTROL_FD) kernel.close(pid, fd);
    }
    return control;
  }

  private rename(pid: number, comm: RawText): void {
    checkLength(comm, MAX_COMM_TEXT_BYTES);
    this.kernel.identify(pid, {comm});
  }

  private spawn(
    name: string,
    uid: number | undefined,
    comm: RawText = name,
  ): Omit<Outcome, 'error'> {
    if (this.actors.has(name)) throw new Refusal('there is one already');
    const pid = this.kernel.spawn({
      executable: '/system/bin/puppet',
      args: ['puppet', 'serve'],
      parent: this.server,
    });
    // Standard input, output and error, as the guest's init opens them.
    this.kernel.open(pid, '/dev/null', {closeOnExec: false});
    const log = {flags: O_WRONLY, closeOnExec: false};
    const output = this.kernel.open(pid, '/var/log/puppet.log', log);
    this.kernel.dup(pid, output);
    this.add(name, pid);
    this.rename(pid, comm);
    if (uid !== undefined) this.kernel.identify(pid, {uid});
    return {};
  }

  private fork(
    parent: Actor,
    name: string,
    comm: RawText = name,
  ): Omit<Outcome, 'error'> {
    if (this.actors.has(name)) throw new Refusal('there is one already');
    const {kernel} = this;
    const child = this.add(name, kernel.fork(parent.pid));
    // The C library keeps the stacks of threads that did not come along.
    child.spareStacks = parent.spareStacks + threadsOf(parent);
    // A child gives up what its parent answers for.
    if (parent.drmFd !== undefined) kernel.close(child.pid, parent.drmFd);
    for (const {fd} of parent.inboxes) kernel.close(child.pid, fd);
    for (const [label, holding] of parent.holdings) {
      child.holdings.set(label, {
        ...holding,
        fds: [...holding.fds],
        mappings: holding.mappings.map((mapping) => ({...mapping})),
        import: undefined,
        thread: undefined,
      });
    }
    this.rename(child.pid, comm);
    return {};
  }

  private exec(actor: Actor): Omit<Outcome, 'error'> {
    this.kernel.exec(actor.pid, '/proc/self/exe', ['puppet', 'go-on']);
    actor.spareStacks = 0;
    actor.holdings.clear();
    actor.inboxes = [];
    actor.drmFd = undefined;
    return {};
  }

  /** Orphans go to the server (PR_SET_CHILD_SUBREAPER), zombies too. */
  private adoptChildren(pid: number): void {
    const {processes} = this.kernel;
    const server = processes.alive(this.server);
    const {children} = processes.alive(pid);
    for (const child of children) {
      child.parent = this.server;
      server.children.add(child);
    }
    children.clear();
  }

  private exit(actor: Actor, reap: boolean): Omit<Outcome, 'error'> {
    this.adoptChildren(actor.pid);
    this.kernel.exit(actor.pid, {reap});
    this.kernel.close(this.server, actor.control);
    actor.holdings.clear();
    actor.inboxes = [];
    actor.zombie = true;
    if (reap) this.actors.delete(actor.name);
    return {};
  }

  private reap(name: string): Omit<Outcome, 'error'> {
    const actor = this.actors.get(name);
    if (actor?.zombie !== true) throw new Refusal('there is no such zombie');
    this.kernel.reap(actor.pid);
    this.actors.delete(name);
    return {};
  }

  // --- Buffers ---

  private alloc(
    actor: Actor,
    label: string,
    exporter: string,
    sizeBytes: number,
    name: RawText | undefined,
    access: Access,
  ): Omit<Outcome, 'error'> {
    if (name !== undefined) checkLength(name);
    if (this.isLabelTaken(label)) throw new Refusal('the label is taken');
    const {pid} = actor;
    const fd = this.export(actor, exporter, sizeBytes, FLAGS[access]);
    const holding: Holding = {
      label,
      buffer: this.kernel.bufferOf(pid, fd),
      fds: [fd],
      mappings: [],
      import: undefined,
      thread: undefined,
    };
    if (name !== undefined) {
      try {
        this.kernel.setName(pid, fd, name);
      } catch (error) {
        this.kernel.close(pid, fd);
        throw error;
      }
    }
    actor.holdings.set(label, holding);
    return {...ofBuffer(holding), fd};
  }

  private export(
    actor: Actor,
    wanted: string,
    sizeBytes: number,
    flags: number,
  ): number {
    const {kernel} = this;
    const {pid} = actor;
    const {exporters} = this.machine;
    const exporter =
      wanted === 'auto'
        ? exporters[0]
        : exporters.find((each) => each === wanted);
    if (exporter === undefined) throw new HostError('ENODEV');
    if (exporter === 'vgem') {
      const drm = this.drm(actor);
      const handle = kernel.drmCreateDumb(pid, drm, sizeBytes);
      try {
        return kernel.drmExport(pid, drm, handle, {flags});
      } finally {
        kernel.drmCloseHandle(pid, drm, handle);
      }
    }
    const meanwhile =
      exporter === 'udmabuf'
        ? ['/dev/udmabuf', '/memfd:puppet-udmabuf (deleted)']
        : [`/dev/dma_heap/${exporter}`];
    const open = meanwhile.map((path) => kernel.open(pid, path));
    try {
      const asked = exporter === 'udmabuf' ? O_RDWR : flags;
      return kernel.exportBuffer(pid, {exporter, sizeBytes, flags: asked});
    } finally {
      for (const fd of open) kernel.close(pid, fd);
    }
  }

  private drm(actor: Actor): number {
    return (actor.drmFd ??= this.kernel.openDrm(actor.pid));
  }

  private dup2(
    actor: Actor,
    holding: Holding,
    fd: number,
    label: string,
  ): Omit<Outcome, 'error'> {
    const over = actor.holdings.get(label);
    const replaced = over?.fds.at(-1);
    if (over === undefined || replaced === undefined) throw new Refusal('none');
    this.kernel.dup2(actor.pid, fd, replaced);
    over.fds.pop();
    holding.fds.push(replaced);
    return {...ofBuffer(holding), fd: replaced};
  }

  private close(
    actor: Actor,
    holding: Holding,
    which: 'newest' | 'all' | number,
  ): Omit<Outcome, 'error'> {
    const {fds} = holding;
    const wanted = typeof which === 'number' ? [which] : fds.slice(-1);
    const closing =
      which === 'all'
        ? [...fds].reverse()
        : wanted.filter((fd) => fds.includes(fd));
    for (const fd of closing) {
      this.kernel.close(actor.pid, fd);
      fds.splice(fds.lastIndexOf(fd), 1);
    }
    const fd = closing.at(-1);
    if (fd === undefined) throw new Refusal('no such descriptor');
    return {...ofBuffer(holding), fd};
  }

  private send(from: Actor, to: Actor, label: string): Omit<Outcome, 'error'> {
    const sent = from.holdings.get(label);
    const last = sent?.fds.at(-1);
    if (sent === undefined || last === undefined) throw new Refusal('no fd');
    // The socket that it comes through is open while it is received.
    const socket = this.kernel.open(to.pid, '/dev/null');
    const fd = this.kernel.transfer(from.pid, last, to.pid);
    this.kernel.close(to.pid, socket);
    return this.take(to, label, sent.buffer, fd);
  }

  private sendHold(
    from: Actor,
    to: Actor,
    label: string,
  ): Omit<Outcome, 'error'> {
    const sent = from.holdings.get(label);
    const last = sent?.fds.at(-1);
    if (sent === undefined || last === undefined) throw new Refusal('no fd');
    const {kernel, server} = this;
    const copy = kernel.transfer(from.pid, last, server);
    const [end, fd] = kernel.socketPair(server, to.pid);
    kernel.sendFds(server, end, [copy]);
    kernel.close(server, copy);
    kernel.close(server, end);
    to.inboxes.push({fd, label, buffer: sent.buffer});
    return {};
  }

  private receive(actor: Actor, label: string): Omit<Outcome, 'error'> {
    const index = actor.inboxes.findIndex((each) => each.label === label);
    const inbox = actor.inboxes[index];
    if (inbox === undefined) throw new Refusal('not in flight to it');
    const [fd] = this.kernel.receiveFds(actor.pid, inbox.fd);
    if (fd === undefined) throw new Refusal('nothing came');
    this.kernel.close(actor.pid, inbox.fd);
    // The last one takes its place, as in the puppet's array.
    const last = actor.inboxes.pop();
    if (last !== undefined && last !== inbox) actor.inboxes[index] = last;
    return this.take(actor, label, inbox.buffer, fd);
  }

  private take(
    actor: Actor,
    label: string,
    buffer: DmaBuf,
    fd: number,
  ): Omit<Outcome, 'error'> {
    let holding = actor.holdings.get(label);
    if (holding === undefined) {
      holding = {
        label,
        buffer,
        fds: [],
        mappings: [],
        import: undefined,
        thread: undefined,
      };
      actor.holdings.set(label, holding);
    }
    holding.fds.push(fd);
    return {...ofBuffer(holding), fd};
  }

  private map(
    actor: Actor,
    holding: Holding,
    fd: number,
    options: {
      readonly offset: number;
      readonly length: number | undefined;
      readonly writable: boolean;
    },
  ): Omit<Outcome, 'error'> {
    const {offset, writable} = options;
    const length = options.length ?? holding.buffer.sizeBytes - offset;
    // The puppet first reserves the addresses, with a page on either side.
    if (length < 0 || length > ADDRESS_SPACE_BYTES) {
      throw new HostError('ENOMEM');
    }
    const memory = this.memoryOf(actor);
    const room = length + 2 * PAGE_SIZE;
    const first = memory.map({
      length: room,
      protection: PROT_NONE,
      shared: false,
    });
    const address = first + PAGE_SIZE;
    try {
      if (length > 0) memory.unmap(address, pageAlign(length));
      this.kernel.mmap(actor.pid, fd, {
        address,
        offset,
        length,
        ...(writable ? {} : {protection: PROT_READ}),
      });
    } catch (error) {
      memory.unmap(first, room);
      throw error;
    }
    holding.mappings.push({address, length});
    return ofBuffer(holding);
  }

  private memoryOf({pid}: Actor): AddressSpace {
    const {memory} = this.kernel.processes.alive(pid);
    if (memory === undefined) throw new RangeError(`${pid} has no memory`);
    return memory;
  }

  /** Three mappings take the place of one. */
  private split(
    actor: Actor,
    holding: Holding,
    page: number,
    protection: Protection,
  ): Omit<Outcome, 'error'> {
    const index = splittable(holding, page);
    const address = this.addressOf(holding, index, page);
    this.kernel.mprotect(actor.pid, address, PAGE_SIZE, protection);
    partMapping(holding, index, page * PAGE_SIZE, page * PAGE_SIZE);
    partMapping(holding, index + 1, PAGE_SIZE, PAGE_SIZE);
    return ofBuffer(holding);
  }

  /** Two mappings take the place of one. */
  private punch(
    actor: Actor,
    holding: Holding,
    page: number,
  ): Omit<Outcome, 'error'> {
    const index = splittable(holding, page);
    const address = this.addressOf(holding, index, page);
    this.kernel.munmap(actor.pid, address, PAGE_SIZE);
    partMapping(holding, index, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
    return ofBuffer(holding);
  }

  private addressOf({mappings}: Holding, index: number, page: number): number {
    return (mappings[index]?.address ?? 0) + page * PAGE_SIZE;
  }

  private unmapAll(actor: Actor, holding: Holding): void {
    for (const {address, length} of holding.mappings.splice(0)) {
      const room = length + 2 * PAGE_SIZE;
      this.kernel.munmap(actor.pid, address - PAGE_SIZE, room);
    }
  }

  private dropImport(actor: Actor, holding: Holding): Omit<Outcome, 'error'> {
    if (holding.import === undefined) throw new Refusal('not imported');
    this.kernel.drmCloseHandle(actor.pid, this.drm(actor), holding.import);
    holding.import = undefined;
    return ofBuffer(holding);
  }

  private startThread(actor: Actor, holding: Holding): Omit<Outcome, 'error'> {
    const fd = holding.fds.at(-1);
    if (holding.thread !== undefined) throw new Refusal('one already');
    const {kernel} = this;
    const {pid} = actor;
    if (actor.spareStacks > 0) {
      actor.spareStacks--;
    } else {
      this.memoryOf(actor).map({
        length: STACK_BYTES,
        protection: PROT_READ_WRITE,
        shared: false,
      });
    }
    const tid = kernel.startThread(pid, {
      comm: 'private-fds',
      unshareFiles: true,
    });
    for (const other of kernel.vfs.list(`/proc/${pid}/task/${tid}/fd`)) {
      if (Number(other) !== fd) kernel.close(tid, Number(other));
    }
    holding.thread = tid;
    this.labelOfThread.set(tid, holding.label);
    return {};
  }

  private endThread(actor: Actor, holding: Holding): Omit<Outcome, 'error'> {
    if (holding.thread === undefined) throw new Refusal('no such thread');
    this.kernel.endThread(holding.thread);
    actor.spareStacks++;
    holding.thread = undefined;
    return ofBuffer(holding);
  }

  /** Forgets holdings that hold nothing any more. */
  private tidy(): void {
    for (const {holdings} of this.actors.values()) {
      for (const [label, {fds, mappings, import: imported, thread}] of [
        ...holdings,
      ]) {
        const held = fds.length + mappings.length > 0;
        if (!held && imported === undefined && thread === undefined) {
          holdings.delete(label);
        }
      }
    }
  }
}

function threadsOf({holdings}: Actor): number {
  return [...holdings.values()].filter(({thread}) => thread !== undefined)
    .length;
}

function ofBuffer({buffer}: Holding): Omit<Outcome, 'error'> {
  return {inode: buffer.inode, sizeBytes: BigInt(buffer.sizeBytes)};
}

/** Index of the first mapping with pages on both sides of that one. */
function splittable({mappings}: Holding, page: number): number {
  const index = mappings.findIndex(
    ({length}) => page > 0 && length >= (page + 2) * PAGE_SIZE,
  );
  if (index < 0) throw new Refusal('no mapping that large');
  return index;
}

/** What is below an offset, and what begins at another, replace a mapping. */
function partMapping(
  {mappings}: Holding,
  index: number,
  below: number,
  from: number,
): void {
  const [whole] = mappings.slice(index);
  if (whole === undefined) return;
  const {address, length} = whole;
  mappings.splice(
    index,
    1,
    {address, length: below},
    {address: address + from, length: length - from},
  );
}

function checkLength(text: RawText, maximum = MAX_TEXT_BYTES): void {
  if (text.length > maximum) throw new Refusal('too long');
}
