// SPDX-License-Identifier: Apache-2.0
// Scripts on a real kernel, by the device lab's puppet.
import type {RawText} from '../../src/core/model/text.js';
import {type Lab, LabError} from '../device-lab/lab.js';
import {
  type Names,
  type ObservedFd,
  type ObservedProcess,
  type Outcome,
  renderObservation,
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

/**
 * Runs a script on fresh actors and gives all that the kernel then shows.
 *
 * @throws LabError
 */
export async function runOnKernel(lab: Lab, script: Script): Promise<RawText> {
  const answers = await perform(lab, [
    ...PROBE,
    ...script.map(renderOperation),
  ]);
  const lastInode = answers[2]?.outcome.inode;
  if (lastInode === undefined) throw new LabError('the probe has no inode');
  const ofScript = answers.slice(PROBE.length);
  const names = namesOf(script, ofScript, lastInode);
  const {bufinfo, processes} = await observe(lab, [...names.actorOf.keys()]);
  const outcomes = ofScript.map(({outcome}) => outcome);
  return renderObservation(script, {outcomes, bufinfo, processes}, names);
}

async function perform(
  lab: Lab,
  commands: readonly string[],
): Promise<Answer[]> {
  const {stdout, stderr} = await lab.run(
    'puppet do -',
    commands.map((command) => `${command}\n`).join(''),
  );
  const lines = stdout.toString().split('\n').slice(0, -1);
  if (lines.length !== commands.length) {
    throw new LabError(`puppet: ${lines.length} answers: ${stderr}`);
  }
  return lines.map(parseAnswer);
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
function namesOf(
  script: Script,
  answers: readonly Answer[],
  lastInode: bigint,
): Names {
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
  return {actorOf, labelOfThread, lastInode};
}

function bornBy(operation: Operation): string | undefined {
  if (operation.verb === 'spawn') return operation.actor;
  return operation.verb === 'fork' ? operation.child : undefined;
}

const STAT_MARK = '\n@@ stat\n';
const FILES_MARK = '\n@@ files\n';
const FILES_OF_PROCESS = ['comm', 'status', 'stat', 'maps'] as const;
const BUFINFO = '/sys/kernel/debug/dma_buf/bufinfo';

/** Reads everything in one call: what costs is the number of programs run. */
function readingCommand(pids: readonly number[]): string {
  const tables = pids
    .map((pid) => `/proc/${pid}/fd /proc/${pid}/task/[0-9]*/fd`)
    .join(' ');
  const files = pids
    .flatMap((pid) => FILES_OF_PROCESS.map((file) => `/proc/${pid}/${file}`))
    .join(' ');
  const find = `find ${tables} -lname '/dmabuf:*'`;
  return [
    'set --',
    ...(pids.length === 0
      ? []
      : [
          `F=$(${find})`,
          `${find} -printf '%p\\0%l\\0'`,
          'for f in $F; do set -- "$@" "${f%/fd/*}/fdinfo/${f##*/}"; done',
        ]),
    `echo '${STAT_MARK.slice(0, -1)}'`,
    `[ $# = 0 ] || stat -L -c '%n %i %s %b %f' $F`,
    `echo '${FILES_MARK.slice(0, -1)}'`,
    `tail -n +1 ${BUFINFO} ${files} "$@" /dev/null`,
  ].join('\n');
}

async function observe(
  lab: Lab,
  pids: readonly number[],
): Promise<{bufinfo: RawText; processes: ObservedProcess[]}> {
  const output = (await lab.shell(readingCommand(pids))).toString('latin1');
  const [links = '', rest] = cut(output, STAT_MARK);
  const [stats = '', contents] = cut(rest, FILES_MARK);
  const files = parseFiles(contents);
  const fds = parseFds(parseLinks(links), parseStats(stats), files);
  const processes = pids.map((pid) => {
    const [comm, status, stat, maps] = FILES_OF_PROCESS.map((file) =>
      contentOf(files, `/proc/${pid}/${file}`),
    );
    return {
      pid,
      comm: comm ?? '',
      status: status ?? '',
      stat: stat ?? '',
      maps: maps ?? '',
      fds: fds.get(pid) ?? [],
    };
  });
  return {bufinfo: contentOf(files, BUFINFO), processes};
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

function parseStats(text: string): Map<string, ObservedFd['stat']> {
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

function contentOf(files: ReadonlyMap<string, RawText>, path: string): RawText {
  const content = files.get(path);
  if (content === undefined) throw new LabError(`${path} was not read`);
  return content;
}

/** By pid. A thread that shares its process's table shows nothing new. */
function parseFds(
  links: ReadonlyMap<string, RawText>,
  stats: ReadonlyMap<string, ObservedFd['stat']>,
  files: ReadonlyMap<string, RawText>,
): Map<number, ObservedFd[]> {
  const fds = new Map<number, ObservedFd[]>();
  for (const [path, link] of links) {
    const match = /^\/proc\/(\d+)(?:\/task\/(\d+))?\/fd\/(\d+)$/.exec(path);
    if (match === null) throw new LabError(`what is ${path}?`);
    const pid = Number(match[1]);
    const tid = match[2] === undefined ? undefined : Number(match[2]);
    if (tid === pid) continue;
    const stat = stats.get(path);
    if (stat === undefined) throw new LabError(`no stat of ${path}`);
    const fdinfo = contentOf(files, path.replace('/fd/', '/fdinfo/'));
    const list = fds.get(pid) ?? [];
    list.push({tid, fd: Number(match[3]), link, stat, fdinfo});
    fds.set(pid, list);
  }
  for (const list of fds.values()) {
    list.sort(byThreadAndNumber);
  }
  return fds;
}

function byThreadAndNumber(a: ObservedFd, b: ObservedFd): number {
  const threads = (a.tid ?? 0) - (b.tid ?? 0);
  return threads === 0 ? a.fd - b.fd : threads;
}
