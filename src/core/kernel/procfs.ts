// SPDX-License-Identifier: Apache-2.0
import {renderDmabufRss} from '../formats/dmabuf_rss.js';
import {renderFdinfo} from '../formats/fdinfo.js';
import {renderProcStat} from '../formats/proc_stat.js';
import {renderProcStatus} from '../formats/proc_status.js';
import {renderProcUptime} from '../formats/proc_uptime.js';
import type {RawText} from '../model/text.js';
import {DmaBuf} from './dma_buf.js';
import type {FdEntry} from './fd_table.js';
import {KernelError} from './kernel_error.js';
import {O_CLOEXEC} from './open_file.js';
import type {Process, Task, Thread} from './process_table.js';
import {mapFilesDirectory, mapsLines, renderSmaps} from './procfs_maps.js';
import type {KernelProfile} from './profile.js';
import type {SimulatedKernel} from './simulated_kernel.js';
import {idleNs, renderSystemStat} from './system_stat.js';
import type {DirectoryNode, FileNode, VfsNode} from './vfs_node.js';
import {directory, file, linkTo} from './vfs_node.js';

const TICK_NS = 10_000_000n;
/** `changes` of a table that was let go. */
const GONE = -1;
/** init_fs of fs/fs_struct.c: nobody changes it. */
const UMASK = 0o022;
const STATES = {
  S: 'S (sleeping)',
  I: 'I (idle)',
  Z: 'Z (zombie)',
} as const;
const PID = /^[1-9][0-9]{0,9}$/;

/** /proc, as a reader with that user id sees it. */
export function procDirectory(
  kernel: SimulatedKernel,
  uid: number,
): DirectoryNode {
  const {profile} = kernel;
  // A directory only refers to its task: one serves all reads.
  const directories = new WeakMap<Task, DirectoryNode>();
  const directoryOf = (task: Task): DirectoryNode => {
    let made = directories.get(task);
    if (made === undefined) {
      made = processDirectory(kernel, task, uid);
      directories.set(task, made);
    }
    return made;
  };
  const fixed = directory({
    uptime: file(() =>
      renderProcUptime({
        uptimeNs: kernel.now,
        idleNs: idleNs(kernel.now, profile.cpus),
      }),
    ),
    stat: file(() => renderSystemStat(kernel.now, profile.cpus)),
    version: file(
      () =>
        `Linux version ${profile.release} (build@simulator) ` +
        `(clang, LLD) ${profile.build}\n`,
    ),
    sys: directory({
      kernel: directory({
        osrelease: file(() => `${profile.release}\n`),
        random: directory({boot_id: file(() => `${kernel.bootId}\n`)}),
      }),
    }),
  });
  return {
    ...fixed,
    list: () => [
      ...fixed.list(),
      ...kernel.processes.list().map(({pid}) => `${pid}`),
    ],
    child: (name) => {
      if (!PID.test(name)) return fixed.child(name);
      // proc_pid_lookup() finds threads too, although nobody lists them here.
      const task = kernel.processes.findTask(Number(name));
      return task === undefined ? undefined : directoryOf(task);
    },
  };
}

/** /proc/PID, or /proc/TID, which tells of the thread where the two differ. */
function processDirectory(
  kernel: SimulatedKernel,
  {process, thread}: Task,
  uid: number,
): DirectoryNode {
  const {profile} = kernel;
  const check = (): void => checkPtrace(process, uid);
  const entries: Record<string, (() => VfsNode) | undefined> = {
    ...taskEntries(kernel, process, thread, check),
    map_files: () => mapFilesDirectory(process, uid),
    task: () => tasksDirectory(kernel, process, check),
  };
  if (profile.dmabufRss) {
    entries['dmabuf_rss'] = () => ({
      ...file(() => accounting(process, process.holdings.rssBytes)),
      activePid: process.pid,
    });
    // Root may write 0 to a real one, which starts it anew.
    entries['dmabuf_rss_hwm'] = () =>
      file(() => accounting(process, process.holdings.peakRssBytes), 0o644);
    entries['dmabuf_pss'] = () =>
      file(() => accounting(process, process.holdings.pssBytes));
  }
  return lazyDirectory(entries);
}

/** What /proc/PID and /proc/PID/task/TID have in common. */
function taskEntries(
  kernel: SimulatedKernel,
  process: Process,
  thread: Thread,
  check: () => void,
): Record<string, () => VfsNode> {
  const {profile} = kernel;
  return {
    comm: () => file(() => `${thread.comm}\n`),
    cmdline: () => file(() => process.cmdline),
    status: () => file(() => renderStatus(profile, process, thread)),
    stat: () => file(() => renderStat(process, thread)),
    fd: () => fdDirectory(profile, process, thread, check),
    fdinfo: () => fdinfoDirectory(profile, process, thread, check),
    maps: () => ({
      ...file(checked(check, () => mapsLines(process).join(''))),
      lines: checked(check, () => mapsLines(process)),
      // Both only grow: no two states have one sum. Without memory, none is
      // ever the same.
      changes: checked(
        check,
        () => (process.memory?.changes ?? NaN) + kernel.dmaBufs.renamedMappings,
      ),
    }),
    smaps: () => file(checked(check, () => renderSmaps(profile, process))),
  };
}

function tasksDirectory(
  kernel: SimulatedKernel,
  process: Process,
  check: () => void,
): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o555,
    list: () => [...process.threads.keys()].map(String),
    child: (name) => {
      const thread = process.threads.get(Number(name));
      return PID.test(name) && thread !== undefined
        ? lazyDirectory(taskEntries(kernel, process, thread, check))
        : undefined;
    },
  };
}

/** Entries are made when they are first asked for, and kept. */
function lazyDirectory(
  entries: Readonly<Record<string, (() => VfsNode) | undefined>>,
): DirectoryNode {
  const makers = new Map(Object.entries(entries));
  const made = new Map<string, VfsNode>();
  return {
    kind: 'directory',
    mode: 0o555,
    list: () => [...makers.keys()],
    child: (name) => {
      let node = made.get(name);
      if (node === undefined) {
        node = makers.get(name)?.();
        if (node !== undefined) made.set(name, node);
      }
      return node;
    },
  };
}

/** PTRACE_MODE_READ: root, or the same user while there is memory to read. */
function checkPtrace(process: Process, uid: number): void {
  if (uid === 0 || (uid === process.uid && process.memory !== undefined)) {
    return;
  }
  throw new KernelError(
    'EACCES',
    `user ${uid} may not look into process ${process.pid} of user ${process.uid}`,
  );
}

function checked<T>(check: () => void, read: () => T): () => T {
  return () => {
    check();
    return read();
  };
}

/** A zombie has let its table go. */
function descriptors(process: Process, thread: Thread): number[] {
  return process.zombie ? [] : thread.files.descriptors();
}

function entryOf(
  process: Process,
  thread: Thread,
  name: string,
): FdEntry | undefined {
  const fd = Number(name);
  if (process.zombie || `${fd}` !== name) return undefined;
  return thread.files.find(fd);
}

function fdDirectory(
  profile: KernelProfile,
  process: Process,
  thread: Thread,
  check: () => void,
): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o500,
    // A thread's own table changes with that of no other one.
    activePid: process.pid,
    size: () =>
      profile.fdCountInStat && !process.zombie ? thread.files.size : 0,
    check,
    list: () => descriptors(process, thread).map(String),
    child: (name) => {
      const entry = entryOf(process, thread, name);
      return entry === undefined ? undefined : linkTo(entry.file);
    },
    descriptors: {
      changes: () => (process.zombie ? GONE : thread.files.changes),
      changedSince: (changes) =>
        process.zombie || changes === GONE
          ? undefined
          : thread.files.changedSince(changes),
      find: (fd) => (process.zombie ? undefined : thread.files.fileAt(fd)),
      end: () => (process.zombie ? 0 : thread.files.end),
    },
  };
}

function fdinfoDirectory(
  profile: KernelProfile,
  process: Process,
  thread: Thread,
  check: () => void,
): DirectoryNode {
  return {
    kind: 'directory',
    // Both came with 5.14: the line `ino:` and the looser permission.
    mode: profile.fdinfoIno ? 0o555 : 0o500,
    check,
    list: () => descriptors(process, thread).map(String),
    child: (name) => {
      const entry = entryOf(process, thread, name);
      return entry === undefined ? undefined : new FdinfoFile(profile, entry);
    },
  };
}

/** A class, since a recording reads some hundred of them a second. */
class FdinfoFile implements FileNode {
  readonly kind = 'file';
  readonly mode = 0o444;

  constructor(
    private readonly profile: KernelProfile,
    private readonly entry: FdEntry,
  ) {}

  read(): RawText {
    return renderEntry(this.profile, this.entry);
  }
}

function renderEntry(
  profile: KernelProfile,
  {file: target, closeOnExec}: FdEntry,
): RawText {
  const {inode, kind, statusFlags} = target;
  const text = renderFdinfo({
    pos: target.position,
    flags: statusFlags | (closeOnExec ? O_CLOEXEC : 0),
    mntId: kind.mountId,
    inode: profile.fdinfoIno ? inode : undefined,
    dmaBuf:
      target instanceof DmaBuf
        ? {
            sizeBytes: target.sizeBytes,
            // file_count() - 1: the read itself holds one reference more.
            count: target.refCount,
            exporter: target.exporter,
            name: {raw: target.name},
          }
        : undefined,
  });
  const {fdinfoTail} = target;
  return fdinfoTail === '' ? text : text + fdinfoTail;
}

function renderStatus(
  profile: KernelProfile,
  process: Process,
  thread: Thread,
): RawText {
  const {pid, uid, zombie, kernelThread} = process;
  const ids = [uid, uid, uid, uid] as const;
  return renderProcStatus(
    {
      name: thread.comm,
      ppid: process.parent,
      uids: ids,
      threads: process.threads.size,
    },
    {
      umask: zombie ? undefined : UMASK,
      state: STATES[stateOf(process)],
      tgid: pid,
      pid: thread.tid,
      // Users have a group of their own, of the same number.
      gids: ids,
      fdSize: zombie ? 0 : thread.files.capacity,
      kthread: profile.statusKthread ? kernelThread : undefined,
    },
  );
}

function stateOf({zombie, kernelThread}: Process): keyof typeof STATES {
  if (zombie) return 'Z';
  return kernelThread ? 'I' : 'S';
}

function renderStat(process: Process, thread: Thread): RawText {
  return renderProcStat({
    pid: thread.tid,
    comm: thread.comm,
    state: stateOf(process),
    ppid: process.parent,
    utimeTicks: 0,
    stimeTicks: 0,
    cutimeTicks: 0,
    cstimeTicks: 0,
    numThreads: process.threads.size,
    startTicks: process.startNs / TICK_NS,
  });
}

/** Tasks without memory of their own have no accounting: an empty file. */
function accounting(process: Process, bytes: number): RawText {
  return renderDmabufRss(
    process.memory === undefined ? undefined : BigInt(bytes),
  );
}
