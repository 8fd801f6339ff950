// SPDX-License-Identifier: Apache-2.0
// Scripts on a real kernel, by the device lab's puppet.
import type {RawText} from '../../src/core/model/text.js';
import {type Lab, LabError} from '../device-lab/lab.js';
import {piecesOf} from './comparison.js';
import {
  isDmaBuf,
  type Names,
  type Observation,
  type ObservedFd,
  type ObservedMapFile,
  type ObservedProcess,
  type ObservedStat,
  type ObservedTask,
  type Outcome,
  type Snapshot,
} from './observation.js';
import {renderOperation, type Operation, type Script} from './script.js';

/** The kernel counts on from script to script: this tells where it stands. */
const PROBE = [
  'reset',
  'spawn probe',
  'alloc probe probe exporter=vgem',
  'exit probe',
];

interface Answer {
  readonly outcome: Outcome;
  readonly pid: number | undefined;
  readonly tid: number | undefined;
}

/** Between what a look at the machine printed and the puppet's answers. */
const ANSWERS_MARK = '\n@@ answers\n';

/**
 * Runs a script on fresh actors and gives all that the kernel shows on the way.
 *
 * @throws LabError
 */
export async function runOnKernel(
  lab: Lab,
  script: Script,
): Promise<Observation> {
  const answers: Answer[] = [];
  const snapshots: Snapshot[] = [];
  let lastInode: bigint | undefined;
  let commands = PROBE;
  // One call looks at what was done, and does what comes next.
  let look: Look | undefined;
  for (const piece of piecesOf(script)) {
    commands = [...commands, ...piece.map(renderOperation)];
    const got = await step(lab, look, commands);
    if (got.snapshot !== undefined) snapshots.push(got.snapshot);
    if (lastInode === undefined) {
      lastInode = got.answers[2]?.outcome.inode;
      answers.push(...got.answers.slice(PROBE.length));
    } else {
      answers.push(...got.answers);
    }
    commands = [];
    look = {operations: answers.length, names: namesOf(script, answers)};
  }
  const {snapshot} = await step(lab, look, []);
  if (snapshot !== undefined) snapshots.push(snapshot);
  if (lastInode === undefined) throw new LabError('the probe has no inode');
  return {
    outcomes: answers.map(({outcome}) => outcome),
    lastInode,
    snapshots,
  };
}

/** Whom to look at. */
interface Look {
  readonly operations: number;
  readonly names: Names;
}

/** Looks at the machine, if that is wanted, then has commands carried out. */
async function step(
  lab: Lab,
  look: Look | undefined,
  commands: readonly string[],
): Promise<{snapshot: Snapshot | undefined; answers: Answer[]}> {
  const pids = [...(look?.names.actorOf.keys() ?? [])];
  const parts = [
    ...(look === undefined ? [] : [`{\n${readingCommand(pids)}\n} </dev/null`]),
    `echo '${ANSWERS_MARK.slice(0, -1)}'`,
    ...(commands.length === 0 ? [] : ['puppet do -']),
  ];
  const {stdout, stderr} = await lab.run(
    parts.join('\n'),
    commands.map((command) => `${command}\n`).join(''),
  );
  const [seen, answered] = cut(stdout.toString('latin1'), ANSWERS_MARK);
  const lines = answered.split('\n').slice(0, -1);
  if (lines.length !== commands.length) {
    throw new LabError(`puppet: ${lines.length} answers: ${stderr}`);
  }
  return {
    snapshot: look === undefined ? undefined : parseSnapshot(seen, pids, look),
    answers: lines.map(parseAnswer),
  };
}

function parseAnswer(line: string): Answer {
  const fields = JSON.parse(line) as Record<string, unknown>;
  const big = (key: string): bigint | undefined =>
    typeof fields[key] === 'string' ? BigInt(fields[key]) : undefined;
  const small = (key: string): number | undefined =>
    typeof fields[key] === 'number' ? fields[key] : undefined;
  const error =
    fields['ok'] === true
      ? undefined
      : (/\((E[A-Z0-9]+)\)$/.exec(String(fields['error']))?.[1] ?? 'refused');
  return {
    pid: small('pid'),
    tid: small('tid'),
    outcome: {
      error,
      fd: small('fd'),
      inode: big('inode'),
      sizeBytes: big('size_bytes'),
      position: big('position'),
    },
  };
}

/** Who is who among the processes that are still there. */
function namesOf(script: Script, answers: readonly Answer[]): Names {
  const pidOf = new Map<string, number>();
  const labelOfThread = new Map<number, string>();
  script.forEach((operation, i) => {
    const answer = answers[i];
    if (answer === undefined || answer.outcome.error !== undefined) return;
    const {pid, tid} = answer;
    const born = bornBy(operation);
    if (born !== undefined && pid !== undefined) pidOf.set(born, pid);
    if (operation.verb === 'thread-private' && tid !== undefined) {
      labelOfThread.set(tid, operation.label);
    }
    if (['exit', 'kill', 'reap'].includes(operation.verb)) {
      pidOf.delete(operation.actor);
    }
  });
  const actorOf = new Map([...pidOf].map(([actor, pid]) => [pid, actor]));
  return {actorOf, labelOfThread};
}

function bornBy(operation: Operation): string | undefined {
  if (operation.verb === 'spawn') return operation.actor;
  return operation.verb === 'fork' ? operation.child : undefined;
}

const STAT_MARK = '\n@@ stat\n';
const FILES_MARK = '\n@@ files\n';
const FILES_OF_TASK = ['comm', 'cmdline', 'status', 'stat'] as const;
const FILES_OF_PROCESS = ['maps', 'smaps'] as const;
const BUFINFO = '/sys/kernel/debug/dma_buf/bufinfo';

/** Reads everything in one call: what costs is the number of programs run. */
function readingCommand(pids: readonly number[]): string {
  const folders = pids.map((pid) => `/proc/${pid}`);
  const tasks = folders
    .flatMap((folder) => [folder, `${folder}/task/[0-9]*`])
    .join(' ');
  const tables = folders.flatMap((folder) => [
    `${folder}/fd`,
    `${folder}/task/[0-9]*/fd`,
    `${folder}/map_files`,
  ]);
  const ofProcesses = folders
    .flatMap((folder) => FILES_OF_PROCESS.map((file) => `${folder}/${file}`))
    .join(' ');
  const find =
    `find ${tables.join(' ')} -type l ` +
    `'(' -path '*/fd/*' -o -lname '/dmabuf:*' ')'`;
  return [
    'set --',
    'D=',
    ...(pids.length === 0
      ? []
      : [
          `F=$(${find})`,
          `${find} -printf '%p\\0%l\\0'`,
          'for f in $F; do case $f in */fd/*)',
          'set -- "$@" "${f%/fd/*}/fdinfo/${f##*/}";; esac; done',
          `for t in ${tasks}; do D="$D $t/fd"`,
          `set -- "$@" ${FILES_OF_TASK.map((file) => `$t/${file}`).join(' ')}`,
          'done',
        ]),
    `echo '${STAT_MARK.slice(0, -1)}'`,
    `[ "$D" = '' ] || stat -L -c '%n %i %s %b %f' $F $D`,
    `echo '${FILES_MARK.slice(0, -1)}'`,
    `tail -n +1 ${BUFINFO} ${ofProcesses} "$@" /dev/null`,
  ].join('\n');
}

function parseSnapshot(
  output: RawText,
  pids: readonly number[],
  {operations, names}: Look,
): Snapshot {
  const [links = '', rest] = cut(output, STAT_MARK);
  const [stats = '', contents] = cut(rest, FILES_MARK);
  const seen = new Seen(
    parseLinks(links),
    parseStats(stats),
    parseFiles(contents),
  );
  return {
    operations,
    bufinfo: seen.content(BUFINFO),
    processes: pids.map((pid) => seen.process(pid)),
    names,
  };
}

/** What one look gave, by path. */
class Seen {
  constructor(
    private readonly links: ReadonlyMap<string, RawText>,
    private readonly stats: ReadonlyMap<string, ObservedStat>,
    private readonly files: ReadonlyMap<string, RawText>,
  ) {}

  content(path: string): RawText {
    const content = this.files.get(path);
    if (content === undefined) throw new LabError(`${path} was not read`);
    return content;
  }

  process(pid: number): ObservedProcess {
    const folder = `/proc/${pid}`;
    const task = new RegExp(`^${folder}/task/(\\d+)/comm$`);
    return {
      ...this.task(folder, pid),
      maps: this.content(`${folder}/maps`),
      smaps: this.content(`${folder}/smaps`),
      mapFiles: this.mapFiles(folder),
      threads: [...this.files.keys()]
        .map((path) => Number(task.exec(path)?.[1] ?? pid))
        .filter((tid) => tid !== pid)
        .sort((a, b) => a - b)
        .map((tid) => this.task(`${folder}/task/${tid}`, tid)),
    };
  }

  private task(folder: string, id: number): ObservedTask {
    const [comm, cmdline, status, stat] = FILES_OF_TASK.map((file) =>
      this.content(`${folder}/${file}`),
    );
    return {
      id,
      comm: comm ?? '',
      cmdline: cmdline ?? '',
      status: status ?? '',
      stat: stat ?? '',
      fdDirectory: this.stat(`${folder}/fd`),
      fds: this.fds(folder),
    };
  }

  private fds(folder: string): ObservedFd[] {
    return this.linksIn(`${folder}/fd/`)
      .map(([name, link]) => ({
        fd: Number(name),
        link,
        stat: this.stat(`${folder}/fd/${name}`),
        fdinfo: this.content(`${folder}/fdinfo/${name}`),
      }))
      .sort((a, b) => a.fd - b.fd);
  }

  private mapFiles(folder: string): ObservedMapFile[] {
    return this.linksIn(`${folder}/map_files/`)
      .filter(([, link]) => isDmaBuf(link))
      .map(([name, link]) => ({
        start: parseInt(name, 16),
        link,
        stat: this.stat(`${folder}/map_files/${name}`),
      }))
      .sort((a, b) => a.start - b.start);
  }

  /** Names in a directory, with where they lead. */
  private linksIn(directory: string): [string, RawText][] {
    return [...this.links]
      .filter(([path]) => path.startsWith(directory))
      .map(([path, link]) => [path.slice(directory.length), link]);
  }

  private stat(path: string): ObservedStat {
    const stat = this.stats.get(path);
    if (stat === undefined) throw new LabError(`no stat of ${path}`);
    return stat;
  }
}

/** What is before the last occurrence of a mark, and what is after it. */
function cut(text: string, mark: string): [string, string] {
  const at = text.lastIndexOf(mark);
  if (at < 0) throw new LabError(`no ${mark.trim()} in ${text}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}

/** Of `%p\0%l\0`: links by path. */
function parseLinks(text: string): Map<string, RawText> {
  const fields = text.split('\0');
  const links = new Map<string, RawText>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    links.set(fields[i] ?? '', fields[i + 1] ?? '');
  }
  return links;
}

function parseStats(text: string): Map<string, ObservedStat> {
  const lines = text.split('\n').filter((line) => line !== '');
  return new Map(
    lines.map((line) => {
      const [path = '', inode = '', size = '', blocks = '', mode = ''] =
        line.split(' ');
      return [
        path,
        {
          inode: BigInt(inode),
          sizeBytes: BigInt(size),
          blocks: BigInt(blocks),
          mode: parseInt(mode, 16),
        },
      ];
    }),
  );
}

/** Of `tail -n +1 FILE...`: `==> FILE <==`, the content, an empty line. */
function parseFiles(text: string): Map<string, RawText> {
  const header = /(?:^|\n)==> (\/(?:proc|sys|dev)\/[\w/]+) <==\n/g;
  const found = [...text.matchAll(header)];
  return new Map(
    found.map((match, i) => [
      match[1] ?? '',
      text.slice(match.index + match[0].length, found[i + 1]?.index),
    ]),
  );
}
