// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {Protection} from './address_space.js';
import {PAGE_SIZE, PROT_READ_WRITE} from './address_space.js';
import type {Fence} from './dma_buf.js';
import {DmaBuf} from './dma_buf.js';
import type {IoctlArgument} from './dma_buf_ioctl.js';
import {
  DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  DMA_BUF_NAME_LEN,
  DMA_BUF_SET_NAME,
  dmaBufIoctl,
  setName,
} from './dma_buf_ioctl.js';
import {DmaBufSubsystem, checkAlive} from './dma_buf_subsystem.js';
import {DrmDevice, DrmFile} from './drm.js';
import {EventQueue} from './event_queue.js';
import {exporterNamed, exporterNameOn} from './exporters.js';
import type {FdTable} from './fd_table.js';
import {FileFactory} from './files.js';
import {Importer} from './importer.js';
import {SharedInodeCounter} from './inode_allocator.js';
import {KernelError} from './kernel_error.js';
import type {OpenFile} from './open_file.js';
import {O_RDONLY, O_RDWR} from './open_file.js';
import {newProgramMemory} from './process_image.js';
import type {Process} from './process_table.js';
import {COMM_BYTES, ProcessTable} from './process_table.js';
import {Prng} from './prng.js';
import type {KernelProfile} from './profile.js';
import {checkAllRaw, checkRaw} from './raw_text.js';
import {SCM_MAX_FD, UnixSocket} from './unix_socket.js';
import type {NodeFs} from './vfs.js';
import {SimulatedVfs} from './vfs.js';

export interface SimulatedKernelOptions {
  readonly profile: KernelProfile;
  /** Decides everything that is left to chance: an integer. */
  readonly seed: number;
  /** /proc/sys/kernel/random/boot_id; by default made from the seed. */
  readonly bootId?: string;
  /** CLOCK_BOOTTIME at the start, ns; by default one minute. */
  readonly bootedForNs?: bigint;
  /** kernel.pid_max; a small one makes pids come back soon. */
  readonly pidMax?: number;
  /** State of the shared inode counter at the start: see the wrap at 2^32. */
  readonly sharedInodesFrom?: number;
}

export interface SpawnOptions {
  /** At most 15 bytes stay. By default the executable's last part. */
  readonly comm?: RawText;
  /** By default the executable alone. */
  readonly args?: readonly RawText[];
  readonly executable?: RawText;
  /** By default 0. */
  readonly uid?: number;
  /** Parent's pid, by default 1. */
  readonly parent?: number;
  /** CLOCK_BOOTTIME of its start, ns; by default now. */
  readonly startNs?: bigint;
  /** A thread of the kernel: no memory, no arguments, no descriptors. */
  readonly kernelThread?: boolean;
}

export interface ExportOptions {
  /** A heap (`system`) or driver; see exporters.ts for what is known of it. */
  readonly exporter: RawText;
  /** Rounded up to whole pages. */
  readonly sizeBytes: number;
  /** Set by DMA_BUF_SET_NAME right after; by default none. */
  readonly name?: RawText;
  /** By default O_RDWR. */
  readonly flags?: number;
  /** By default true. */
  readonly closeOnExec?: boolean;
}

export interface MapOptions {
  /** Bytes; by default all that follows the offset. */
  readonly length?: number;
  /** Bytes into the buffer, whole pages. */
  readonly offset?: number;
  /** By default read and write. */
  readonly protection?: Protection;
  /** MAP_FIXED_NOREPLACE at this address; by default the kernel chooses. */
  readonly address?: number;
}

const DEFAULT_UPTIME_NS = 60_000_000_000n;
const DEFAULT_PID_MAX = 32768;

/**
 * A simulated Linux kernel: processes, their descriptors and mappings, and the
 * dma-buf subsystem, in virtual time. Nothing in it depends on the machine it
 * runs on: the same operations with the same seed give the same bytes in
 * {@link vfs}.
 *
 * Every operation takes the id of the task that does it, a pid or a thread's
 * tid. One that a kernel would refuse throws a KernelError with the errno the
 * kernel returns, and changes nothing; but for {@link mprotect}, which the
 * kernel does piece by piece.
 *
 * Texts have one character a byte ({@link RawText}). A text with a character
 * above 255 throws a TypeError, and changes nothing either.
 */
export class SimulatedKernel {
  readonly profile: KernelProfile;
  readonly bootId: string;
  readonly processes: ProcessTable;
  readonly dmaBufs: DmaBufSubsystem;
  /** /proc and /sys as root reads them. */
  readonly vfs: NodeFs;

  private readonly events = new EventQueue();
  private readonly prng: Prng;
  private readonly files: FileFactory;
  private readonly drm: DrmDevice;
  private nowNs: bigint;
  private isAdvancing = false;

  /** @throws RangeError for a seed that is no safe integer */
  constructor(options: SimulatedKernelOptions) {
    const {profile, seed} = options;
    if (!Number.isSafeInteger(seed)) {
      throw new RangeError(`seed ${seed}: give an integer`);
    }
    this.profile = profile;
    this.prng = new Prng(seed);
    this.bootId = options.bootId ?? this.prng.uuid();
    this.nowNs = options.bootedForNs ?? DEFAULT_UPTIME_NS;
    const inodes = new SharedInodeCounter(
      profile.cpus,
      options.sharedInodesFrom,
    );
    this.processes = new ProcessTable(options.pidMax ?? DEFAULT_PID_MAX);
    this.dmaBufs = new DmaBufSubsystem(profile, inodes);
    this.files = new FileFactory(profile, inodes);
    this.drm = new DrmDevice(profile, this.dmaBufs, (name, sizeBytes) =>
      this.files.shmem(name, sizeBytes),
    );
    this.vfs = this.vfsAs(0);
    this.spawn({comm: 'init', executable: '/system/bin/init', parent: 0});
  }

  // --- Time ---

  /** CLOCK_BOOTTIME, ns. */
  get now(): bigint {
    return this.nowNs;
  }

  /** Runs `event` once `delayNs` has passed. */
  after(delayNs: bigint, event: () => void): void {
    this.events.push(this.nowNs + (delayNs > 0n ? delayNs : 0n), event);
  }

  /**
   * Runs `event` every `periodNs`, the first time after `firstNs`, until it
   * returns false.
   */
  every(
    periodNs: bigint,
    event: () => boolean | undefined,
    firstNs: bigint = periodNs,
  ): void {
    if (periodNs <= 0n) throw new RangeError('a period must be positive');
    this.after(firstNs, () => {
      if (event() !== false) this.every(periodNs, event);
    });
  }

  /**
   * Lets time pass; scheduled events run in order, each at its own time. An
   * event takes no time: what it wants to do later it schedules. One that
   * throws ends this at its own time; those after it stay scheduled.
   *
   * @throws RangeError when `ns` is negative, or within an event
   */
  advance(ns: bigint): void {
    if (ns < 0n) throw new RangeError('time does not go backwards');
    if (this.isAdvancing) {
      throw new RangeError(
        'an event can not let time pass: schedule what comes later with after()',
      );
    }
    const until = this.nowNs + ns;
    this.isAdvancing = true;
    try {
      for (;;) {
        const event = this.events.popDue(until);
        if (event === undefined) break;
        if (event.atNs > this.nowNs) this.nowNs = event.atNs;
        event.run();
      }
      this.nowNs = until;
    } finally {
      this.isAdvancing = false;
    }
  }

  /** /proc and /sys as a reader with this user id sees them. */
  vfsAs(uid: number): NodeFs {
    return new SimulatedVfs(this, uid);
  }

  // --- Processes ---

  /**
   * A new process, with nothing open but what its program's start maps.
   *
   * @returns its pid
   * @throws KernelError EAGAIN when all pids are taken, ESRCH without parent
   */
  spawn(options: SpawnOptions): number {
    checkTexts(options);
    const executable = options.executable ?? '/system/bin/sh';
    const kernelThread = options.kernelThread ?? false;
    const parent = options.parent ?? 1;
    if (parent !== 0) this.processes.alive(parent);
    const process = this.processes.add({
      comm: (options.comm ?? basename(executable)).slice(0, COMM_BYTES),
      cmdline: kernelThread ? '' : toCmdline(options.args ?? [executable]),
      uid: options.uid ?? 0,
      parent,
      startNs: options.startNs ?? this.nowNs,
      kernelThread,
    });
    if (!kernelThread) this.loadProgram(process, executable);
    return process.pid;
  }

  /**
   * A child with a copy of the descriptor table and of the mappings.
   *
   * @returns the child's pid
   * @throws KernelError ESRCH, EAGAIN, EPERM for a kernel thread
   */
  fork(pid: number): number {
    const {process, thread} = this.processes.task(pid);
    if (process.memory === undefined) {
      throw new KernelError('EPERM', `${pid} is a kernel thread`);
    }
    const child = this.processes.add({
      comm: thread.comm,
      cmdline: process.cmdline,
      uid: process.uid,
      parent: process.pid,
      startNs: this.nowNs,
      kernelThread: false,
    });
    this.mainThread(child).files = thread.files.copy(child.holdings);
    child.memory = process.memory.copy(child.holdings);
    child.holdings.noteActivity();
    return child.pid;
  }

  /**
   * Another program in the same process: other threads end, mappings go, and
   * descriptors marked close-on-exec are closed.
   *
   * @throws KernelError ESRCH, EPERM for a kernel thread
   */
  exec(
    pid: number,
    executable: RawText,
    args: readonly RawText[] = [executable],
  ): void {
    checkTexts({executable, args});
    const process = this.processes.alive(pid);
    if (process.memory === undefined) {
      throw new KernelError('EPERM', `${pid} is a kernel thread`);
    }
    this.endOtherThreads(process);
    const main = this.mainThread(process);
    main.files.closeOnExec();
    process.memory.clear();
    process.comm = main.comm = basename(executable).slice(0, COMM_BYTES);
    process.cmdline = toCmdline(args);
    this.loadProgram(process, executable);
  }

  /**
   * The process ends: all it held is let go. Its children go to init, which
   * reaps those that are zombies.
   *
   * @param options.reap false leaves a zombie until {@link reap} or until its
   *   parent ends
   * @throws KernelError ESRCH, EPERM for init
   */
  exit(pid: number, options: {reap?: boolean} = {}): void {
    const process = this.processes.alive(pid);
    if (pid === 1) throw new KernelError('EPERM', 'init can not exit');
    this.endOtherThreads(process);
    this.mainThread(process).files.release();
    process.memory?.clear();
    process.memory = undefined;
    process.cmdline = '';
    process.zombie = true;
    process.holdings.noteActivity();
    for (const child of this.processes.orphan(process)) {
      if (child.zombie) this.processes.remove(child);
    }
    if (options.reap !== false) this.processes.remove(process);
  }

  /**
   * The parent waits for a zombie, which goes.
   *
   * @throws KernelError ECHILD when it is no zombie
   */
  reap(pid: number): void {
    const process = this.processes.find(pid);
    if (process === undefined || !process.zombie) {
      throw new KernelError('ECHILD', `${pid} is no zombie`);
    }
    this.processes.remove(process);
  }

  /**
   * A thread of the process.
   *
   * @param options.unshareFiles it gets a descriptor table of its own, a copy
   * @returns its tid
   * @throws KernelError ESRCH, EAGAIN
   */
  startThread(
    pid: number,
    options: {comm?: RawText; unshareFiles?: boolean} = {},
  ): number {
    checkTexts(options);
    const {process, thread} = this.processes.task(pid);
    const {comm = thread.comm, unshareFiles = false} = options;
    const started = this.processes.addThread(
      process,
      comm.slice(0, COMM_BYTES),
      thread.files,
    );
    started.files = unshareFiles
      ? thread.files.copy(process.holdings)
      : thread.files.share();
    return started.tid;
  }

  /** @throws KernelError ESRCH, EINVAL for the main thread */
  endThread(tid: number): void {
    this.processes.removeThread(this.processes.task(tid).process, tid);
  }

  /**
   * Changes what a process says of itself, as zygote's children do.
   *
   * @param identity.comm renames the main thread; at most 15 bytes stay
   * @param identity.args overwrites its arguments
   * @throws KernelError ESRCH
   */
  identify(
    pid: number,
    identity: {comm?: RawText; args?: readonly RawText[]; uid?: number},
  ): void {
    checkTexts(identity);
    const process = this.processes.alive(pid);
    if (identity.comm !== undefined) {
      process.comm = identity.comm.slice(0, COMM_BYTES);
      this.mainThread(process).comm = process.comm;
    }
    if (identity.args !== undefined) process.cmdline = toCmdline(identity.args);
    if (identity.uid !== undefined) process.uid = identity.uid;
  }

  // --- Descriptors ---

  /**
   * Opens a file that is no dma-buf.
   *
   * @returns the descriptor
   * @throws KernelError ESRCH, EMFILE
   */
  open(
    tid: number,
    path: RawText,
    options: {flags?: number; closeOnExec?: boolean; sizeBytes?: number} = {},
  ): number {
    checkRaw('a path', path);
    const {flags = O_RDONLY, closeOnExec = true, sizeBytes = 0} = options;
    const table = this.tableOf(tid);
    return table.install(this.files.open(path, flags, sizeBytes), closeOnExec);
  }

  /**
   * An eventfd, epoll, timer, ...
   *
   * @param label `[eventfd]`, as the link shows it
   * @param fdinfoTail lines of its own in fdinfo
   */
  openAnonymous(tid: number, label: RawText, fdinfoTail: RawText = ''): number {
    checkRaw('a label', label);
    checkRaw('fdinfo', fdinfoTail);
    const table = this.tableOf(tid);
    return table.install(this.files.anonymous(label, fdinfoTail), true);
  }

  /**
   * @returns the descriptors to read from and to write to
   * @throws KernelError ESRCH, EMFILE
   */
  pipe(tid: number): [number, number] {
    const table = this.tableOf(tid);
    table.reserve(2);
    const [read, write] = this.files.pipe(this.cpuOf(tid));
    return [table.install(read, true), table.install(write, true)];
  }

  /** @throws KernelError ESRCH, EBADF */
  close(tid: number, fd: number): void {
    this.tableOf(tid).close(fd);
  }

  /**
   * F_DUPFD: the lowest free descriptor not below `lowest`.
   *
   * @throws KernelError ESRCH, EBADF, EMFILE, EINVAL
   */
  dup(
    tid: number,
    fd: number,
    options: {lowest?: number; closeOnExec?: boolean} = {},
  ): number {
    const table = this.tableOf(tid);
    const file = table.file(fd);
    return table.install(file, options.closeOnExec ?? false, options.lowest);
  }

  /** @throws KernelError ESRCH, EBADF */
  dup2(tid: number, fd: number, newFd: number): number {
    const table = this.tableOf(tid);
    const file = table.file(fd);
    if (fd !== newFd) table.replace(newFd, file, false);
    return newFd;
  }

  /** The buffer of a descriptor. @throws KernelError ESRCH, EBADF, EINVAL */
  bufferOf(tid: number, fd: number): DmaBuf {
    const file = this.tableOf(tid).file(fd);
    if (file instanceof DmaBuf) return file;
    throw new KernelError('EINVAL', `descriptor ${fd} is no dma-buf`);
  }

  // --- Sockets ---

  /**
   * A pair of unix sockets, the second end for another task if one is given.
   *
   * @returns the descriptors of the two ends
   * @throws KernelError ESRCH, EMFILE
   */
  socketPair(tid: number, otherTid: number = tid): [number, number] {
    const table = this.tableOf(tid);
    const other = this.tableOf(otherTid);
    table.reserve(2);
    other.reserve(2);
    const [a, b] = this.files.socketPair(this.cpuOf(tid));
    return [table.install(a, true), other.install(b, true)];
  }

  /**
   * Sends descriptors (SCM_RIGHTS). Until somebody receives them no process
   * holds them for it.
   *
   * @throws KernelError ESRCH, EBADF, ENOTSOCK, EPIPE, EINVAL for none or more
   *   than SCM_MAX_FD, EOPNOTSUPP for a socket among them
   */
  sendFds(tid: number, socket: number, fds: readonly number[]): void {
    const table = this.tableOf(tid);
    const end = this.socketOf(table, socket);
    if (fds.length === 0) throw new KernelError('EINVAL', 'nothing to send');
    if (fds.length > SCM_MAX_FD) {
      throw new KernelError(
        'EINVAL',
        `a message has at most ${SCM_MAX_FD} descriptors, not ${fds.length}`,
      );
    }
    end.send(fds.map((fd) => table.file(fd)));
  }

  /**
   * Receives the oldest message.
   *
   * @returns the new descriptors
   * @throws KernelError ESRCH, EBADF, ENOTSOCK, EAGAIN, EMFILE
   */
  receiveFds(tid: number, socket: number): number[] {
    const table = this.tableOf(tid);
    const end = this.socketOf(table, socket);
    const files = end.front();
    table.reserve(files.length);
    const fds = files.map((file) => table.install(file, true));
    end.consume();
    return fds;
  }

  /**
   * Hands a descriptor to another task at once, as a binder call does.
   *
   * @returns the receiver's descriptor
   * @throws KernelError ESRCH, EBADF, EMFILE
   */
  transfer(fromTid: number, fd: number, toTid: number): number {
    const file = this.tableOf(fromTid).file(fd);
    return this.tableOf(toTid).install(file, true);
  }

  // --- dma-bufs ---

  /**
   * Allocates from a heap, or has a driver export a buffer.
   *
   * @returns the descriptor
   * @throws KernelError ESRCH, EMFILE, EINVAL, ENOMEM, ENOENT
   */
  exportBuffer(tid: number, options: ExportOptions): number {
    const table = this.tableOf(tid);
    table.reserve(1);
    const buffer = this.newBuffer(options, this.cpuOf(tid));
    return table.install(buffer, options.closeOnExec ?? true);
  }

  /**
   * A driver exports a buffer for its own use: no process ever held it.
   *
   * @returns the importer's handle
   * @throws KernelError EINVAL, ENOMEM, ENOENT
   */
  exportToDriver(importer: Importer, options: ExportOptions): number {
    const buffer = this.newBuffer(options, 0);
    // The exporter's own reference, until the importer has one.
    buffer.get('kernel');
    const handle = importer.import(buffer, {attach: false});
    buffer.put('kernel');
    return handle;
  }

  /**
   * Gives a task a descriptor for a buffer that somebody else holds.
   *
   * @throws KernelError ESRCH, EMFILE, EBADF for a released buffer
   */
  installBuffer(tid: number, buffer: DmaBuf): number {
    checkAlive(buffer);
    return this.tableOf(tid).install(buffer, true);
  }

  /**
   * ioctl() on a dma-buf; requests are numbers of dma_buf_ioctl.ts.
   *
   * @returns the name for DMA_BUF_GET_NAME, the new descriptor for
   *   DMA_BUF_IOCTL_EXPORT_SYNC_FILE, else undefined
   * @throws KernelError ESRCH, EBADF, ENOTTY, EFAULT, EINVAL, EBUSY, EMFILE
   */
  ioctl(
    tid: number,
    fd: number,
    request: number,
    argument: IoctlArgument,
  ): RawText | number | undefined {
    const table = this.tableOf(tid);
    const buffer = this.ioctlTarget(table, fd);
    return dmaBufIoctl(this.dmaBufs, buffer, request, argument, {
      file: (other) => table.find(other)?.file,
      installSyncFile: (fences) => this.installSyncFile(table, fences),
    });
  }

  /** DMA_BUF_SET_NAME. @throws KernelError as {@link ioctl} */
  setName(tid: number, fd: number, name: RawText | undefined): void {
    this.ioctl(tid, fd, DMA_BUF_SET_NAME, name);
  }

  /**
   * DMA_BUF_IOCTL_EXPORT_SYNC_FILE: the buffer's pending fences as a file.
   *
   * @param flags DMA_BUF_SYNC_READ for those a reader waits for, _WRITE or both
   *   for a writer's
   * @returns the descriptor
   * @throws KernelError ESRCH, EBADF, EINVAL, EMFILE, ENOTTY for what is no
   *   dma-buf and before 6.0
   */
  exportSyncFile(tid: number, fd: number, flags: number): number {
    const request = DMA_BUF_IOCTL_EXPORT_SYNC_FILE;
    const made = this.ioctl(tid, fd, request, {flags});
    if (typeof made === 'number') return made;
    throw new RangeError('a sync file has a descriptor');
  }

  /**
   * DMA_BUF_IOCTL_IMPORT_SYNC_FILE: the buffer waits for the file's fences.
   *
   * @param flags DMA_BUF_SYNC_READ for readers' fences, _WRITE or both for a
   *   writer's
   * @throws KernelError ESRCH, EBADF for the buffer's descriptor, EINVAL for
   *   the other, open or not, ENOTTY for what is no dma-buf and before 6.0
   */
  importSyncFile(
    tid: number,
    fd: number,
    syncFileFd: number,
    flags: number,
  ): void {
    this.ioctl(tid, fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, {
      flags,
      fd: syncFileFd,
    });
  }

  /**
   * lseek() on a dma-buf.
   *
   * @returns the size for the end, 0 for the start
   * @throws KernelError ESRCH, EBADF, EINVAL
   */
  seek(
    tid: number,
    fd: number,
    offset: number,
    whence: 'set' | 'current' | 'end',
  ): number {
    return this.dmaBufs.seek(this.bufferOf(tid, fd), offset, whence);
  }

  /**
   * Maps a buffer, shared.
   *
   * @returns the address
   * @throws KernelError ESRCH, EBADF, EINVAL, EACCES, ENOMEM; EEXIST where
   *   the address asked for is taken
   */
  mmap(tid: number, fd: number, options: MapOptions = {}): number {
    const {process} = this.processes.task(tid);
    const buffer = this.bufferOf(tid, fd);
    const {offset = 0, protection = PROT_READ_WRITE} = options;
    const asked = options.length ?? buffer.sizeBytes - offset;
    if (!Number.isSafeInteger(asked) || asked <= 0 || offset < 0) {
      throw new KernelError('EINVAL', `${asked} bytes at ${offset}`);
    }
    if (offset % PAGE_SIZE !== 0) {
      throw new KernelError('EINVAL', `offset ${offset} is not page aligned`);
    }
    const length = Math.ceil(asked / PAGE_SIZE) * PAGE_SIZE;
    this.dmaBufs.checkMap(buffer, length, offset, protection.write);
    const file: OpenFile =
      buffer.mapping === 'backing-file'
        ? (buffer.backingFile ?? buffer)
        : buffer;
    return this.memoryOf(process).map({
      length,
      protection,
      shared: true,
      mayWrite: buffer.isWritable,
      offset:
        offset + (buffer.mapping === 'fake-offset' ? buffer.fakeOffset : 0),
      file,
      ...(options.address === undefined ? {} : {address: options.address}),
    });
  }

  /**
   * Unmaps a range of addresses, whole mappings or parts.
   *
   * @throws KernelError ESRCH, EINVAL for what is no range of the address
   *   space
   */
  munmap(tid: number, address: number, length: number): void {
    this.memoryOf(this.processes.task(tid).process).unmap(address, length);
  }

  /**
   * Changes a range's protection; this splits mappings. What lies before a
   * hole, or before what may not be written, is changed although it fails: as
   * mprotect(2) does.
   *
   * @throws KernelError ESRCH, EINVAL, ENOMEM, EACCES
   */
  mprotect(
    tid: number,
    address: number,
    length: number,
    protection: Protection,
  ): void {
    this.memoryOf(this.processes.task(tid).process).protect(
      address,
      length,
      protection,
    );
  }

  /** A driver that can import buffers, by its device's name. */
  newImporter(device: RawText): Importer {
    return new Importer(this.dmaBufs, device);
  }

  // --- vgem ---

  /** Opens /dev/dri/card0. @throws KernelError ESRCH, EMFILE */
  openDrm(tid: number): number {
    const path = '/dev/dri/card0';
    const identity = this.files.pathIdentity(path, O_RDWR);
    return this.tableOf(tid).install(
      new DrmFile(identity, path, this.drm),
      true,
    );
  }

  /** @returns the GEM handle. @throws KernelError ESRCH, EBADF, EINVAL */
  drmCreateDumb(tid: number, drmFd: number, sizeBytes: number): number {
    return this.drmOf(tid, drmFd).createDumb(sizeBytes);
  }

  /**
   * PRIME export.
   *
   * @returns the descriptor
   * @throws KernelError ESRCH, EBADF, ENOENT, EMFILE
   */
  drmExport(
    tid: number,
    drmFd: number,
    handle: number,
    options: {flags?: number; closeOnExec?: boolean} = {},
  ): number {
    const table = this.tableOf(tid);
    const {flags = O_RDWR, closeOnExec = true} = options;
    table.reserve(1);
    const drm = this.drmOf(tid, drmFd);
    const buffer = drm.exportHandle(handle, flags, this.cpuOf(tid));
    return table.install(buffer, closeOnExec);
  }

  /** PRIME import. @returns the GEM handle */
  drmImport(tid: number, drmFd: number, fd: number): number {
    return this.drmOf(tid, drmFd).importBuffer(this.bufferOf(tid, fd));
  }

  /** @throws KernelError ESRCH, EBADF, ENOENT */
  drmCloseHandle(tid: number, drmFd: number, handle: number): void {
    this.drmOf(tid, drmFd).closeHandle(handle);
  }

  // --- The rest ---

  private newBuffer(options: ExportOptions, cpu: number): DmaBuf {
    checkRaw("an exporter's name", options.exporter);
    checkRaw("a buffer's name", options.name);
    const exporter = exporterNamed(options.exporter);
    if ((options.name ?? '').length >= DMA_BUF_NAME_LEN) {
      throw new KernelError('EINVAL', 'a name has at most 31 bytes');
    }
    const {udmabufMaxBytes} = this.profile;
    if (exporter.name === 'udmabuf' && options.sizeBytes > udmabufMaxBytes) {
      throw new KernelError(
        'EINVAL',
        `udmabuf exports at most ${udmabufMaxBytes} bytes`,
      );
    }
    const buffer = this.dmaBufs.exportBuffer({
      exporter: exporterNameOn(this.profile, exporter),
      sizeBytes: options.sizeBytes,
      mapping: exporter.mapping,
      flags: options.flags ?? O_RDWR,
      cpu,
    });
    if (options.name !== undefined) {
      setName(this.profile, buffer, options.name);
    }
    return buffer;
  }

  private ioctlTarget(table: FdTable, fd: number): DmaBuf {
    const file = table.file(fd);
    if (file instanceof DmaBuf) return file;
    throw new KernelError('ENOTTY', `descriptor ${fd} is no dma-buf`);
  }

  private installSyncFile(table: FdTable, fences: readonly Fence[]): number {
    table.reserve(1);
    return table.install(this.files.syncFile(fences), true);
  }

  private loadProgram(process: Process, executable: RawText): void {
    const before = process.memory;
    process.memory = newProgramMemory(
      this.profile,
      this.prng,
      process.holdings,
      executable,
      (path) => this.files.library(path),
    );
    if (before !== undefined) process.memory.replaces(before);
    process.holdings.noteActivity();
  }

  private endOtherThreads(process: Process): void {
    for (const tid of [...process.threads.keys()]) {
      if (tid !== process.pid) this.processes.removeThread(process, tid);
    }
  }

  private mainThread(process: Process) {
    const thread = process.threads.get(process.pid);
    if (thread === undefined) throw new RangeError('no main thread');
    return thread;
  }

  private tableOf(tid: number): FdTable {
    const {process, thread} = this.processes.task(tid);
    if (process.kernelThread) {
      throw new KernelError('EBADF', `${tid} is a kernel thread`);
    }
    return thread.files;
  }

  private cpuOf(tid: number): number {
    return this.processes.task(tid).process.cpu;
  }

  private memoryOf(process: Process) {
    if (process.memory === undefined) {
      throw new KernelError('EINVAL', `${process.pid} is a kernel thread`);
    }
    return process.memory;
  }

  private socketOf(table: FdTable, fd: number): UnixSocket {
    const file = table.file(fd);
    if (file instanceof UnixSocket) return file;
    throw new KernelError('ENOTSOCK', `descriptor ${fd} is no socket`);
  }

  private drmOf(tid: number, fd: number): DrmFile {
    const file = this.tableOf(tid).file(fd);
    if (file instanceof DrmFile) return file;
    throw new KernelError('ENOTTY', `descriptor ${fd} is no DRM device`);
  }
}

function checkTexts(texts: {
  readonly comm?: RawText;
  readonly args?: readonly RawText[];
  readonly executable?: RawText;
}): void {
  checkRaw("a task's name", texts.comm);
  checkAllRaw('an argument', texts.args);
  checkRaw("a program's path", texts.executable);
}

function basename(path: RawText): RawText {
  return path.slice(path.lastIndexOf('/') + 1);
}

function toCmdline(args: readonly RawText[]): RawText {
  return args.map((arg) => `${arg}\0`).join('');
}
