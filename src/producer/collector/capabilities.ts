// SPDX-License-Identifier: Apache-2.0
import {
  FormatError,
  parseBpfIter,
  parseBufinfo,
  parseProcStatus,
} from '../../core/formats/index.js';
import type {KernelList, RawText} from '../../core/model/index.js';
import {DeviceError} from '../device/device.js';
import {parsePathStats, parseSlurp, parseWalkErrors} from './sections.js';
import type {CollectorSession} from './session.js';

export const BUFINFO_PATH = '/sys/kernel/debug/dma_buf/bufinfo';
export const BPF_PATH = '/sys/fs/bpf/dmabuf/prog_dmabufIter_iter_dmabuf';
export const SYSFS_PATH = '/sys/kernel/dmabuf/buffers';

const RELEASE_PATH = '/proc/sys/kernel/osrelease';
const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id';
const STATUS_PATH = '/proc/self/status';
const PROPERTIES = [
  'ro.product.model',
  'ro.product.manufacturer',
  'ro.build.fingerprint',
  'ro.build.type',
  'ro.build.version.release',
  'ro.boot.qemu',
  'ro.kernel.qemu',
];

/** Whether a source answers, and what it said when it does not. */
export type Answers = 'yes' | 'no permission' | 'absent';

/** What the device offers; probed once at the start of every session. */
export interface Capabilities {
  /** uname -r. */
  readonly kernelRelease: string | undefined;
  readonly bootId: string | undefined;
  /** Effective uid of the collector. */
  readonly uid: number | undefined;
  readonly properties: ReadonlyMap<string, string>;
  readonly bufinfo: Answers;
  /** debugfs is mounted at /sys/kernel/debug. */
  readonly debugfsMounted: boolean;
  readonly bpf: Answers;
  readonly sysfs: Answers;
  /** Of another user's process (pid 1). */
  readonly fds: Answers;
  readonly maps: Answers;
  readonly dmabufRss: Answers;
  readonly dmabufPss: Answers;
  /** stat of /proc/PID/fd gives the number of fds (6.2). */
  readonly fdCounts: boolean;
  /** The list of all buffers to use, best first. */
  readonly kernelList: KernelList | undefined;
}

/**
 * Asks the device once what it offers.
 *
 * @throws DeviceError `refused` for a kernel whose dma-bufs all share one inode
 *     and so cannot be told apart
 */
export async function probe(session: CollectorSession): Promise<Capabilities> {
  const [slurped, properties, bufinfo, debugfs, bpf, sysfs, counts, fds, maps] =
    await Promise.all([
      session.request(
        'slurp',
        RELEASE_PATH,
        BOOT_ID_PATH,
        STATUS_PATH,
        '/proc/self/dmabuf_rss',
        '/proc/self/dmabuf_pss',
      ),
      session.request('props', ...PROPERTIES),
      session.request('file', BUFINFO_PATH),
      session.request('list', '/sys/kernel/debug/*'),
      session.request('file', BPF_PATH),
      session.request('list', `${SYSFS_PATH}/*`),
      session.request('counts', session.collectorPid),
      session.request('fds', 1),
      session.request('maps', 1),
    ]);
  const files = parseSlurp(slurped.body);
  const kernelRelease = files.get(RELEASE_PATH)?.trim();
  const exists = await existing(session);
  const {columns} = parseBufinfo(bufinfo.status === 0 ? bufinfo.body : '');
  const bufinfoAnswers = answers(
    columns.length > 0,
    exists.has(BUFINFO_PATH) || !exists.has('/sys/kernel/debug/.'),
  );
  const bpfAnswers = answers(
    bpf.status === 0 && isBpf(bpf.body),
    exists.has(BPF_PATH),
  );
  const sysfsAnswers = answers(
    exists.has(SYSFS_PATH) && isList(sysfs.body),
    exists.has(SYSFS_PATH),
  );
  const kernelList = bestList(bufinfoAnswers, bpfAnswers, sysfsAnswers);
  refuseSharedInode(kernelRelease, kernelList, columns);
  return {
    kernelRelease,
    bootId: files.get(BOOT_ID_PATH)?.trim(),
    uid: effectiveUid(files.get(STATUS_PATH)),
    properties: parseProperties(properties.body),
    bufinfo: bufinfoAnswers,
    debugfsMounted: isExpanded(debugfs.body),
    bpf: bpfAnswers,
    sysfs: sysfsAnswers,
    fds: walkAnswers(fds.errors),
    maps: walkAnswers(maps.errors),
    dmabufRss: answers(
      files.has('/proc/self/dmabuf_rss'),
      exists.has('/proc/self/dmabuf_rss'),
    ),
    dmabufPss: answers(
      files.has('/proc/self/dmabuf_pss'),
      exists.has('/proc/self/dmabuf_pss'),
    ),
    fdCounts: (parsePathStats(counts.body).items[0]?.size ?? 0n) > 0n,
    kernelList,
  };
}

async function existing(session: CollectorSession): Promise<Set<string>> {
  const paths = [
    BUFINFO_PATH,
    BPF_PATH,
    SYSFS_PATH,
    '/sys/kernel/debug/.',
    '/proc/self/dmabuf_rss',
    '/proc/self/dmabuf_pss',
  ];
  const answer = await session.request('exist', ...paths);
  return new Set(answer.body.split('\n').filter((path) => path !== ''));
}

function bestList(
  bufinfo: Answers,
  bpf: Answers,
  sysfs: Answers,
): KernelList | undefined {
  if (bufinfo === 'yes') return 'bufinfo';
  if (bpf === 'yes') return 'bpf';
  return sysfs === 'yes' ? 'sysfs' : undefined;
}

function answers(works: boolean, exists: boolean): Answers {
  if (works) return 'yes';
  return exists ? 'no permission' : 'absent';
}

function walkAnswers(errors: RawText | undefined): Answers {
  if (errors === undefined) return 'absent';
  return parseWalkErrors(errors).refused.size > 0 ? 'no permission' : 'yes';
}

function isBpf(text: RawText): boolean {
  const {buffers, problems} = parseBpfIter(text);
  return buffers.length > 0 || (text === '' && problems.length === 0);
}

/** A pattern that matched nothing comes back as it was. */
function isExpanded(body: RawText): boolean {
  return body !== '' && !body.includes('*');
}

/** An empty directory leaves the pattern; an unreadable one too. */
function isList(body: RawText): boolean {
  return body !== '';
}

function effectiveUid(status: RawText | undefined): number | undefined {
  if (status === undefined) return undefined;
  try {
    return parseProcStatus(status).uids[1];
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function parseProperties(body: RawText): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of body.split('\n')) {
    const at = line.indexOf('=');
    const value = line.slice(at + 1);
    if (at > 0 && value !== '') properties.set(line.slice(0, at), value);
  }
  return properties;
}

type Version = readonly [major: number, minor: number];
const FIRST_WITH_INODES: Version = [5, 3];
const FIRST_WITH_UNIQUE_INODES: Version = [5, 18];

/** No inode number ever comes back for another buffer. */
export function hasUniqueInodes({kernelRelease}: Capabilities): boolean {
  return isAtLeast(kernelRelease, FIRST_WITH_UNIQUE_INODES) === true;
}

/** Undefined when the release does not tell. */
function isAtLeast(
  release: string | undefined,
  [major, minor]: Version,
): boolean | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release ?? '');
  if (match === null) return undefined;
  const found = Number(match[1]);
  return found > major || (found === major && Number(match[2]) >= minor);
}

/**
 * Since 5.3 each dma-buf has an inode of its own. Older kernels may have the
 * patches too, as Android's 4.14 and 4.19 do: a list that tells inodes shows
 * it. Where no list can be read, only the release is left to go by.
 *
 * @throws DeviceError
 */
function refuseSharedInode(
  release: string | undefined,
  list: KernelList | undefined,
  bufinfoColumns: readonly string[],
): void {
  const kernel = `kernel ${release ?? 'of an unknown release'}`;
  if (list !== undefined) {
    if (list !== 'bufinfo' || bufinfoColumns.includes('ino')) return;
    throw new DeviceError(
      'refused',
      `${kernel} is too old: all its dma-bufs share one inode (its bufinfo ` +
        'has no column ino) and cannot be told apart',
      'record on a device with kernel 5.3 or newer',
    );
  }
  if (isAtLeast(release, FIRST_WITH_INODES) !== false) return;
  throw new DeviceError(
    'refused',
    `${kernel} is too old: before 5.3 all dma-bufs share one inode, unless ` +
      `it was patched, which only the column ino of ${BUFINFO_PATH} shows, ` +
      'and that cannot be read',
    'become root (--root or --su) with debugfs mounted to have it looked at, ' +
      'or record on a device with kernel 5.3 or newer',
  );
}
