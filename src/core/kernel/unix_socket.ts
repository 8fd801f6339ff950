// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {KernelError} from './kernel_error.js';
import type {FileIdentity} from './open_file.js';
import {OpenFile} from './open_file.js';
import type {KernelProfile} from './profile.js';

/** Descriptors that one message carries at most. */
export const SCM_MAX_FD = 253;

/**
 * One end of a unix socket pair. Messages that carry descriptors (SCM_RIGHTS)
 * wait in the receiving end's queue; the files in them are held by no process.
 */
export class UnixSocket extends OpenFile {
  private readonly queue: (readonly OpenFile[])[] = [];
  private peer: UnixSocket | undefined = undefined;

  private constructor(
    identity: FileIdentity,
    private readonly profile: KernelProfile,
  ) {
    super(identity.inode, identity, identity.statusFlags);
  }

  /** Two ends joined to each other. */
  static pair(
    profile: KernelProfile,
    first: FileIdentity,
    second: FileIdentity,
  ): [UnixSocket, UnixSocket] {
    const a = new UnixSocket(first, profile);
    const b = new UnixSocket(second, profile);
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  override get path(): RawText {
    return `socket:[${this.inode}]`;
  }

  override get sizeBytes(): number {
    return 0;
  }

  /** Files in messages that wait here. */
  get filesInFlight(): number {
    return this.queue.reduce((sum, files) => sum + files.length, 0);
  }

  override get fdinfoTail(): RawText {
    return this.profile.fdinfoScmFds ? `scm_fds: ${this.filesInFlight}\n` : '';
  }

  /**
   * Queues a message with `files` at the other end.
   *
   * @throws KernelError EPIPE when the other end is gone; EOPNOTSUPP for a
   *   socket among the files: cycles of sockets in flight are not simulated
   */
  send(files: readonly OpenFile[]): void {
    if (this.peer === undefined) {
      throw new KernelError('EPIPE', 'the other end of the socket is closed');
    }
    if (files.some((file) => file instanceof UnixSocket)) {
      throw new KernelError('EOPNOTSUPP', 'sending sockets is not simulated');
    }
    for (const file of files) file.get('inFlight');
    this.peer.queue.push(files);
  }

  /**
   * The oldest message's files, still waiting: see {@link consume}.
   *
   * @throws KernelError EAGAIN when no message waits
   */
  front(): readonly OpenFile[] {
    const [files] = this.queue;
    if (files === undefined) {
      throw new KernelError('EAGAIN', 'no message waits at the socket');
    }
    return files;
  }

  /** Drops the oldest message. */
  consume(): void {
    for (const file of this.queue.shift() ?? []) file.put('inFlight');
  }

  protected override released(): void {
    if (this.peer !== undefined) this.peer.peer = undefined;
    while (this.queue.length > 0) this.consume();
  }
}
