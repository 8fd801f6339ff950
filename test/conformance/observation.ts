// SPDX-License-Identifier: Apache-2.0
// What a machine, real or simulated, shows at one moment of a script: the texts
// of files, byte for byte. What of them is not compared stands in exemptions.ts.
import type {RawText} from '../../src/core/model/text.js';
import {renderOperation, type Operation} from './script.js';

/** How one operation went. */
export interface Outcome {
  /** undefined: well; `refused`: the puppet did not even ask the kernel. */
  readonly error: string | undefined;
  readonly fd?: number | undefined;
  readonly inode?: bigint | undefined;
  readonly sizeBytes?: bigint | undefined;
  /** What lseek returned. */
  readonly position?: bigint | undefined;
}

/** stat(), as far as it is asked for. */
export interface ObservedStat {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly blocks: bigint;
  readonly mode: number;
}

export interface ObservedFd {
  readonly fd: number;
  readonly link: RawText;
  readonly stat: ObservedStat;
  readonly fdinfo: RawText;
}

/** A file that is mapped, by its entry in map_files. */
export interface ObservedMapFile {
  readonly link: RawText;
  readonly stat: ObservedStat;
}

/** A task: the whole process, or a thread with descriptors of its own. */
export interface ObservedTask {
  readonly id: number;
  /** Whole files of /proc/PID or /proc/PID/task/TID. */
  readonly comm: RawText;
  readonly cmdline: RawText;
  readonly status: RawText;
  readonly stat: RawText;
  /** stat() of the directory fd. */
  readonly fdDirectory: ObservedStat;
  /** By number. */
  readonly fds: readonly ObservedFd[];
}

export interface ObservedProcess extends ObservedTask {
  readonly maps: RawText;
  readonly smaps: RawText;
  /** Of dma-bufs, by address. */
  readonly mapFiles: readonly ObservedMapFile[];
  readonly threads: readonly ObservedTask[];
}

/** What is seen at one moment. */
export interface Snapshot {
  /** How many operations there were before. */
  readonly operations: number;
  readonly bufinfo: RawText;
  readonly processes: readonly ObservedProcess[];
  readonly names: Names;
}

/** What the numbers of this machine stand for. */
export interface Names {
  readonly actorOf: ReadonlyMap<number, string>;
  /** Labels of the buffers that threads have to themselves, by tid. */
  readonly labelOfThread: ReadonlyMap<number, string>;
}

export interface Observation {
  readonly outcomes: readonly Outcome[];
  /** The last inode a dma-buf had before the script. */
  readonly lastInode: bigint;
  readonly snapshots: readonly Snapshot[];
}

/** How a file is called in the list of exemptions. */
export type FileName =
  | 'outcomes'
  | 'bufinfo'
  | 'comm'
  | 'cmdline'
  | 'status'
  | 'stat'
  | 'maps'
  | 'smaps'
  | 'map_files'
  | 'fd'
  | 'fd link'
  | 'fd stat'
  | 'fdinfo';

/** What an exemption needs to know to make a text comparable. */
export interface Surroundings {
  readonly lastInode: bigint;
  /** Whether the file is one of a descriptor of a dma-buf, or of its mapping. */
  readonly dmaBuf: boolean;
  /** How a script calls a process or a thread. */
  readonly nameOf: (id: number) => string | undefined;
}

/** One file, as one machine showed it. */
export interface Section {
  readonly title: string;
  readonly file: FileName;
  readonly text: RawText;
  readonly surroundings: Surroundings;
}

/** Makes a text of one kind of file comparable. */
export interface TextFilter {
  readonly files: readonly FileName[];
  readonly apply: (text: RawText, surroundings: Surroundings) => RawText;
}

/** The whole observation as one text, comparable byte for byte. */
export function renderObservation(
  script: readonly Operation[],
  observation: Observation,
  filters: readonly TextFilter[],
): RawText {
  return sectionsOf(script, observation)
    .map(({title, file, text, surroundings}) => {
      const comparable = filters
        .filter(({files}) => files.includes(file))
        .reduce((before, {apply}) => apply(before, surroundings), text);
      return `=== ${title}\n${comparable}`;
    })
    .join('');
}

/** Every file of an observation, in the order they are compared. */
export function sectionsOf(
  script: readonly Operation[],
  {outcomes, lastInode, snapshots}: Observation,
): Section[] {
  const nobody = {lastInode, dmaBuf: true, nameOf: () => undefined};
  const steps = script.map((operation, i) => {
    const outcome = outcomes[i];
    const text = outcome ? renderOutcome(outcome) : 'no answer';
    return `${renderOperation(operation)} -> ${text}\n`;
  });
  return [
    {
      title: 'operations',
      file: 'outcomes',
      text: steps.join(''),
      surroundings: nobody,
    },
    ...snapshots.flatMap((snapshot) => sectionsAt(snapshot, lastInode)),
  ];
}

function sectionsAt(
  {operations, bufinfo, processes, names}: Snapshot,
  lastInode: bigint,
): Section[] {
  const {actorOf, labelOfThread} = names;
  const nameOf = (id: number): string | undefined =>
    actorOf.get(id) ?? labelOfThread.get(id);
  const when = `after ${operations}:`;
  const section = (
    title: string,
    file: FileName,
    text: RawText,
    dmaBuf = false,
  ): Section => ({
    title: `${when} ${title}`,
    file,
    text,
    surroundings: {lastInode, dmaBuf, nameOf},
  });

  const ofTask = (who: string, task: ObservedTask): Section[] => [
    section(`${who} comm`, 'comm', task.comm),
    section(`${who} cmdline`, 'cmdline', `${task.cmdline}\n`),
    section(`${who} status`, 'status', task.status),
    section(`${who} stat`, 'stat', task.stat),
    section(`${who} fd`, 'fd', renderStat(task.fdDirectory)),
    ...task.fds.flatMap(({fd, link, stat, fdinfo}) => {
      const dmaBuf = isDmaBuf(link);
      const title = `${who} fd ${fd}`;
      return [
        section(`${title} link`, 'fd link', `${link}\n`, dmaBuf),
        section(`${title} stat`, 'fd stat', renderStat(stat), dmaBuf),
        section(`${title} fdinfo`, 'fdinfo', fdinfo, dmaBuf),
      ];
    }),
  ];
  const ofProcess = (process: ObservedProcess): Section[] => {
    const actor = actorOf.get(process.id) ?? '?';
    const mapFiles = process.mapFiles
      .map(({link, stat}) => `${link} ${renderStat(stat)}`)
      .join('');
    return [
      ...ofTask(actor, process),
      section(`${actor} maps`, 'maps', process.maps),
      section(`${actor} smaps`, 'smaps', process.smaps),
      section(`${actor} map_files`, 'map_files', mapFiles, true),
      ...process.threads.flatMap((thread) =>
        ofTask(
          `${actor} thread ${labelOfThread.get(thread.id) ?? '?'}`,
          thread,
        ),
      ),
    ];
  };
  return [
    section('bufinfo', 'bufinfo', bufinfo, true),
    ...processes.flatMap(ofProcess),
  ];
}

/** Whether a link of /proc/PID/fd or map_files leads to a dma-buf. */
export function isDmaBuf(link: RawText): boolean {
  return link.startsWith('/dmabuf:');
}

function renderOutcome(outcome: Outcome): string {
  const {error, fd, inode, sizeBytes, position} = outcome;
  if (error !== undefined) return error;
  return Object.entries({fd, inode, size: sizeBytes, position})
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${String(value)}`)
    .reduce((text, field) => text + field, 'ok');
}

function renderStat({inode, sizeBytes, blocks, mode}: ObservedStat): string {
  return (
    `inode ${inode} size ${sizeBytes} blocks ${blocks} ` +
    `mode ${mode.toString(8)}\n`
  );
}
