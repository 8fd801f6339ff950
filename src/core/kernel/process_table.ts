// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import type {AddressSpace} from './address_space.js';
import {FdTable} from './fd_table.js';
import {Holdings} from './holdings.js';
import {KernelError} from './kernel_error.js';

/** TASK_COMM_LEN - 1. */
export const COMM_BYTES = 15;

/** After the numbers wrapped, those below stay with the early daemons. */
const RESERVED_PIDS = 300;

export interface Thread {
  readonly tid: number;
  comm: RawText;
  files: FdTable;
}

/** A thread and the process that it belongs to. */
export interface Task {
  readonly process: Process;
  readonly thread: Thread;
}

/** A thread group. */
export interface Process {
  readonly pid: number;
  parent: number;
  uid: number;
  comm: RawText;
  /** Arguments, each ended by NUL; empty for kernel threads and zombies. */
  cmdline: RawText;
  /** CLOCK_BOOTTIME, ns. */
  readonly startNs: bigint;
  readonly kernelThread: boolean;
  /** The CPU it runs on, modulo the number of CPUs. */
  readonly cpu: number;
  zombie: boolean;
  /** By tid; the main thread's tid is the pid. */
  readonly threads: Map<number, Thread>;
  readonly holdings: Holdings;
  /** Undefined for kernel threads and zombies. */
  memory: AddressSpace | undefined;
  readonly children: Set<Process>;
}

export interface ProcessOptions {
  readonly comm: RawText;
  readonly cmdline: RawText;
  readonly uid: number;
  readonly parent: number;
  readonly startNs: bigint;
  readonly kernelThread: boolean;
}

/** All processes, and the numbers they go by. */
export class ProcessTable {
  private readonly processes = new Map<number, Process>();
  private readonly tasks = new Map<number, Task>();
  private lastPid = 0;
  private changeCount = 0;
  /**
   * By pid: counts what has come to or gone from the descriptors, and the
   * buffers held, of the processes of that number. In one array, for who looks
   * at all of them again and again.
   */
  private readonly activityOf: number[] = [];

  /** @param pidMax kernel.pid_max: the first number that is never given */
  constructor(private readonly pidMax: number) {}

  /** Counts the tasks that came or went. */
  get changes(): number {
    return this.changeCount;
  }

  /** By pid: other than before when its descriptors, or what it holds, are. */
  get activity(): readonly (number | undefined)[] {
    return this.activityOf;
  }

  get size(): number {
    return this.processes.size;
  }

  /** Processes by ascending pid. */
  list(): Process[] {
    return [...this.processes.values()].sort((a, b) => a.pid - b.pid);
  }

  /** The process of that pid, zombies too; undefined when there is none. */
  find(pid: number): Process | undefined {
    return this.processes.get(pid);
  }

  /** A task by its number, a zombie's main thread too. */
  findTask(tid: number): Task | undefined {
    return this.tasks.get(tid);
  }

  /** @throws KernelError ESRCH when there is none, or only its zombie */
  alive(pid: number): Process {
    const process = this.processes.get(pid);
    if (process === undefined) {
      throw new KernelError('ESRCH', `there is no process ${pid}`);
    }
    if (process.zombie) {
      throw new KernelError('ESRCH', `process ${pid} has exited`);
    }
    return process;
  }

  /**
   * The process and thread of a task id: a pid, or a thread's tid.
   *
   * @throws KernelError ESRCH
   */
  task(tid: number): Task {
    const task = this.tasks.get(tid);
    if (task === undefined || task.process.zombie) {
      throw new KernelError('ESRCH', `there is no task ${tid}`);
    }
    return task;
  }

  /** @throws KernelError EAGAIN when every number is taken */
  add(options: ProcessOptions): Process {
    const pid = this.nextPid();
    this.changeCount++;
    const holdings = new Holdings(pid, this.activityOf);
    const main: Thread = {
      tid: pid,
      comm: options.comm,
      files: new FdTable(holdings),
    };
    const process: Process = {
      ...options,
      pid,
      cpu: pid,
      zombie: false,
      threads: new Map([[pid, main]]),
      holdings,
      memory: undefined,
      children: new Set(),
    };
    this.processes.set(pid, process);
    this.tasks.set(pid, {process, thread: main});
    this.processes.get(options.parent)?.children.add(process);
    return process;
  }

  /** @throws KernelError EAGAIN when every number is taken */
  addThread(process: Process, comm: RawText, files: FdTable): Thread {
    const thread = {tid: this.nextPid(), comm, files};
    this.changeCount++;
    process.threads.set(thread.tid, thread);
    this.tasks.set(thread.tid, {process, thread});
    return thread;
  }

  /**
   * @throws KernelError EINVAL for the main thread: end the process instead
   */
  removeThread(process: Process, tid: number): void {
    const thread = process.threads.get(tid);
    if (thread === undefined || tid === process.pid) {
      throw new KernelError('EINVAL', `${tid} is no thread to end alone`);
    }
    process.threads.delete(tid);
    this.changeCount++;
    this.tasks.delete(tid);
    thread.files.release();
  }

  /**
   * Gives an exiting process's children to init.
   *
   * @returns them
   */
  orphan(process: Process): Process[] {
    const init = this.processes.get(1);
    const orphans = [...process.children];
    for (const child of orphans) {
      child.parent = 1;
      init?.children.add(child);
    }
    process.children.clear();
    return orphans;
  }

  /** Takes a zombie out of the table. */
  remove(process: Process): void {
    this.processes.get(process.parent)?.children.delete(process);
    this.changeCount++;
    for (const tid of process.threads.keys()) this.tasks.delete(tid);
    this.processes.delete(process.pid);
  }

  /** Numbers go up, wrap at pid_max and skip those in use (alloc_pid). */
  private nextPid(): number {
    for (let tried = 0; tried < this.pidMax; tried++) {
      this.lastPid++;
      if (this.lastPid >= this.pidMax) {
        this.lastPid = Math.min(RESERVED_PIDS, this.pidMax - 1);
      }
      if (!this.tasks.has(this.lastPid)) return this.lastPid;
    }
    throw new KernelError('EAGAIN', `all ${this.pidMax} process ids are taken`);
  }
}
