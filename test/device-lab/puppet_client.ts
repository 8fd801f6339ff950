// SPDX-License-Identifier: Apache-2.0
// What the puppet in the guest answers (see puppet/puppet.c), with types.

/** What was wrong with the lab: its preparation, its boot or a command in it. */
export class LabError extends Error {
  override name = 'LabError';
}

/**
 * The answer to one command. It took effect between two moments of the guest's
 * CLOCK_BOOTTIME. Which of the optional fields are there depends on the command.
 */
export interface PuppetReply {
  readonly command: string;
  readonly ok: boolean;
  readonly error?: string;
  readonly beforeNs: bigint;
  readonly afterNs: bigint;
  readonly pid?: number;
  readonly tid?: number;
  readonly fd?: number;
  readonly inode?: bigint;
  readonly sizeBytes?: bigint;
}

/** A dma-buf that something holds. */
export interface TrueBuffer {
  /** By which the puppet's commands call it. */
  readonly label: string;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  /** As the kernel prints it, `drm` for vgem. */
  readonly exporter: string;
  /** undefined if SET_NAME was never called; empty if '' was set. */
  readonly name: Uint8Array | undefined;
  /** References to its struct file, by kind. */
  readonly fds: number;
  readonly vmas: number;
  readonly inFlight: number;
  /** GEM handles; the kernel takes more than one reference for each. */
  readonly imports: number;
}

/** One buffer in one process. */
export interface TrueHolding {
  readonly inode: bigint;
  readonly fds: readonly number[];
  readonly vmas: number;
  readonly mappedBytes: bigint;
  readonly imported: boolean;
  /** A thread with a descriptor table of its own in which the buffer is. */
  readonly privateThread:
    {readonly tid: number; readonly fds: readonly number[]} | undefined;
}

export interface TrueProcess {
  readonly actor: string;
  readonly pid: number;
  readonly zombie: boolean;
  /** undefined, like all that follows, of a zombie. */
  readonly uid: number | undefined;
  readonly comm: Uint8Array | undefined;
  readonly holdings: readonly TrueHolding[];
  /** Inodes of buffers in the queues of its sockets. */
  readonly inFlight: readonly bigint[];
}

/** Who holds what, as the puppet knows it without asking the kernel. */
export interface Manifest {
  readonly beforeNs: bigint;
  readonly afterNs: bigint;
  readonly buffers: readonly TrueBuffer[];
  readonly processes: readonly TrueProcess[];
}

/** What a running leak, churn or storm did. */
export interface PuppetEvent {
  readonly kind: 'allocated' | 'freed';
  readonly pid: number;
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly beforeNs: bigint;
  readonly afterNs: bigint;
}

export interface PuppetEvents {
  /** In the order they were logged. */
  readonly events: readonly PuppetEvent[];
  /** How many the log had no room for. */
  readonly lost: number;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || !value || Array.isArray(value)) {
    throw new LabError(`puppet: not an object: ${JSON.stringify(value)}`);
  }
  return value as Fields;
}

function unexpected(fields: Fields, key: string): LabError {
  return new LabError(`puppet: '${key}' in ${JSON.stringify(fields)}`);
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value !== 'string') throw unexpected(fields, key);
  return value;
}

function number(fields: Fields, key: string): number {
  const value = fields[key];
  if (typeof value !== 'number') throw unexpected(fields, key);
  return value;
}

function boolean(fields: Fields, key: string): boolean {
  const value = fields[key];
  if (typeof value !== 'boolean') throw unexpected(fields, key);
  return value;
}

function bigint(fields: Fields, key: string): bigint {
  return BigInt(text(fields, key));
}

function list(fields: Fields, key: string): readonly unknown[] {
  const value = fields[key];
  if (!Array.isArray(value)) throw unexpected(fields, key);
  return value;
}

function bytes(fields: Fields, key: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text(fields, key), 'hex'));
}

function fdsOf(fields: Fields): readonly number[] {
  return list(fields, 'fds').map(Number);
}

/** Reads one line of `puppet do`. Throws LabError if it is not an answer. */
export function parseReply(command: string, line: string): PuppetReply {
  const fields = fieldsOf(JSON.parse(line));
  return {
    command,
    ok: boolean(fields, 'ok'),
    beforeNs: bigint(fields, 'before_ns'),
    afterNs: bigint(fields, 'after_ns'),
    ...('error' in fields && {error: text(fields, 'error')}),
    ...('pid' in fields && {pid: number(fields, 'pid')}),
    ...('tid' in fields && {tid: number(fields, 'tid')}),
    ...('fd' in fields && {fd: number(fields, 'fd')}),
    ...('inode' in fields && {inode: bigint(fields, 'inode')}),
    ...('size_bytes' in fields && {sizeBytes: bigint(fields, 'size_bytes')}),
  };
}

function parseBuffer(value: unknown): TrueBuffer {
  const fields = fieldsOf(value);
  return {
    label: text(fields, 'label'),
    inode: bigint(fields, 'inode'),
    sizeBytes: bigint(fields, 'size_bytes'),
    exporter: text(fields, 'exporter'),
    name: 'name_hex' in fields ? bytes(fields, 'name_hex') : undefined,
    fds: number(fields, 'fds'),
    vmas: number(fields, 'vmas'),
    inFlight: number(fields, 'in_flight'),
    imports: number(fields, 'imports'),
  };
}

function parsePrivateThread(value: unknown): TrueHolding['privateThread'] {
  if (value === undefined) return undefined;
  const fields = fieldsOf(value);
  return {tid: number(fields, 'tid'), fds: fdsOf(fields)};
}

function parseHolding(value: unknown): TrueHolding {
  const fields = fieldsOf(value);
  return {
    inode: bigint(fields, 'inode'),
    fds: fdsOf(fields),
    vmas: number(fields, 'vmas'),
    mappedBytes: bigint(fields, 'mapped_bytes'),
    imported: boolean(fields, 'imported'),
    privateThread: parsePrivateThread(fields['private_thread']),
  };
}

function parseProcess(value: unknown): TrueProcess {
  const fields = fieldsOf(value);
  const zombie = boolean(fields, 'zombie');
  return {
    actor: text(fields, 'actor'),
    pid: number(fields, 'pid'),
    zombie,
    uid: zombie ? undefined : number(fields, 'uid'),
    comm: zombie ? undefined : bytes(fields, 'comm_hex'),
    holdings: zombie ? [] : list(fields, 'holdings').map(parseHolding),
    inFlight: zombie
      ? []
      : list(fields, 'in_flight').map((inode) => BigInt(String(inode))),
  };
}

/** Reads the answer to `manifest`. */
export function parseManifest(line: string): Manifest {
  const fields = fieldsOf(JSON.parse(line));
  return {
    beforeNs: bigint(fields, 'before_ns'),
    afterNs: bigint(fields, 'after_ns'),
    buffers: list(fields, 'buffers').map(parseBuffer),
    processes: list(fields, 'processes').map(parseProcess),
  };
}

function parseEvent(value: unknown): PuppetEvent {
  const fields = fieldsOf(value);
  const kind = text(fields, 'kind');
  if (kind !== 'allocated' && kind !== 'freed') {
    throw unexpected(fields, 'kind');
  }
  return {
    kind,
    pid: number(fields, 'pid'),
    inode: bigint(fields, 'inode'),
    sizeBytes: bigint(fields, 'size_bytes'),
    beforeNs: bigint(fields, 'before_ns'),
    afterNs: bigint(fields, 'after_ns'),
  };
}

/** Reads the answer to `events`. */
export function parseEvents(line: string): PuppetEvents {
  const fields = fieldsOf(JSON.parse(line));
  return {
    events: list(fields, 'events').map(parseEvent),
    lost: number(fields, 'lost'),
  };
}
