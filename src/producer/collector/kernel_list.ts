// SPDX-License-Identifier: Apache-2.0
import {BufinfoReader, parseBpfIter} from '../../core/formats/index.js';
import {toDisplay, type KernelList} from '../../core/model/index.js';
import {BPF_PATH, BUFINFO_PATH, SYSFS_PATH} from './capabilities.js';
import type {KnownBuffers} from './known_buffers.js';
import {parseSlurp} from './sections.js';
import type {Answer, CollectorSession} from './session.js';
import type {BufferFacts} from './tracked_buffer.js';

/** The kernel's list of all buffers as one reading gave it. */
export interface ListReading {
  /**
   * Two live buffers may share an inode (before 5.18). What is as it was at
   * the reading before may be the same object.
   */
  readonly buffers: readonly BufferFacts[];
  /** False when it was cut: a buffer that is missing may yet be there. */
  readonly complete: boolean;
  readonly problems: readonly string[];
  readonly bytes: number;
}

/** Paths of one slurp; a request line stays well under the pty's buffers. */
const PATHS_A_REQUEST = 200;

/** Reads the kernel's list again and again. */
export class KernelListReader {
  private readonly bufinfo = new BufinfoReader();

  constructor(private readonly session: CollectorSession) {}

  /**
   * @param known what is known already is not asked for again
   * @throws DeviceError as CollectorSession.request
   */
  async read(source: KernelList, known: KnownBuffers): Promise<ListReading> {
    const {session} = this;
    switch (source) {
      case 'bufinfo':
        return this.readBufinfo(await session.request('file', BUFINFO_PATH));
      case 'bpf':
        return readBpf(await session.request('file', BPF_PATH));
      case 'sysfs':
        return readSysfs(session, known);
    }
  }

  private readBufinfo(answer: Answer): ListReading {
    const {objects, total, problems, lockErrors} = this.bufinfo.read(
      answer.body,
    );
    const all = [...problems];
    if (answer.damage !== undefined) all.push(answer.damage);
    return {
      buffers: objects,
      complete:
        answer.damage === undefined &&
        total !== undefined &&
        total.objects === objects.length &&
        lockErrors === 0,
      problems: all.map((problem) => `bufinfo: ${toDisplay(problem)}`),
      bytes: answer.bytes,
    };
  }
}

function readBpf(answer: Answer): ListReading {
  const {buffers, problems} = parseBpfIter(answer.body);
  const all = [...problems];
  if (answer.damage !== undefined) all.push(answer.damage);
  return {
    buffers,
    complete: all.length === 0 && answer.status === 0,
    problems: all.map((problem) => `BPF iterator: ${toDisplay(problem)}`),
    bytes: answer.bytes,
  };
}

/** sysfs gives a directory a buffer; only new ones have to be looked into. */
async function readSysfs(
  session: CollectorSession,
  known: KnownBuffers,
): Promise<ListReading> {
  const list = await session.request('list', `${SYSFS_PATH}/*`);
  let bytes = list.bytes;
  const inodes: bigint[] = [];
  for (const path of list.body.split('\n')) {
    const match = /\/(\d+)$/.exec(path);
    if (match !== null) inodes.push(BigInt(match[1] ?? ''));
  }
  const unknown = inodes.filter((inode) => {
    const buffer = known.buffer(inode);
    return buffer?.sizeBytes === undefined || buffer.exporter === undefined;
  });
  const files = new Map<string, string>();
  for (let i = 0; i < unknown.length; i += PATHS_A_REQUEST) {
    const paths = unknown
      .slice(i, i + PATHS_A_REQUEST)
      .flatMap((inode) => [
        `${SYSFS_PATH}/${inode}/size`,
        `${SYSFS_PATH}/${inode}/exporter_name`,
      ]);
    const answer = await session.request('slurp', ...paths);
    bytes += answer.bytes;
    parseSlurp(answer.body, files);
  }
  const buffers = inodes.map((inode) => {
    const size = files.get(`${SYSFS_PATH}/${inode}/size`);
    const exporter = files.get(`${SYSFS_PATH}/${inode}/exporter_name`);
    return {
      inode,
      sizeBytes: size === undefined ? undefined : parseSize(size),
      exporter: exporter?.replace(/\n$/, ''),
    };
  });
  const problems = list.damage === undefined ? [] : [`sysfs: ${list.damage}`];
  return {
    buffers,
    complete: problems.length === 0,
    problems,
    bytes,
  };
}

function parseSize(text: string): bigint | undefined {
  return /^\d{1,20}\n$/.test(text) ? BigInt(text.trim()) : undefined;
}
