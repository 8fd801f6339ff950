// SPDX-License-Identifier: Apache-2.0
import {parseSlurp, type Mapping} from './sections.js';
import type {Answer, CollectorSession} from './session.js';
import type {TrackedProcess} from './tracked_process.js';

/** Paths or pids of one request line. */
const ARGUMENTS_A_REQUEST = 200;
/** Problems of one sample that are kept. */
const PROBLEMS_KEPT = 20;

/** What one sample did and met. */
export class Work {
  bytes = 0;
  full = false;
  inodeCollisions = 0;
  mappings: Mapping[] = [];
  /** pids of which fds or maps were read; those of which maps were. */
  readonly scanned = new Set<number>();
  readonly mapped = new Set<number>();
  readonly vanished = new Set<number>();
  readonly problems: string[] = [];

  constructor(
    readonly sequence: number,
    private readonly session: CollectorSession,
  ) {}

  /**
   * Asks the collector for a step, and notes the answer's size and damage.
   *
   * @throws DeviceError as CollectorSession.request
   */
  async request(
    step: string,
    ...args: readonly (string | number)[]
  ): Promise<Answer> {
    const answer = await this.session.request(step, ...args);
    this.bytes += answer.bytes;
    if (answer.damage !== undefined) {
      this.problem(`${answer.step}: ${answer.damage}`);
    }
    if (answer.strayBytes > 0) {
      this.problem(`${answer.strayBytes} bytes belong to no answer`);
    }
    return answer;
  }

  /** The same step with its arguments spread over as many lines as needed. */
  inParts(step: string, args: readonly (string | number)[]): Promise<Answer[]> {
    const answers: Promise<Answer>[] = [];
    for (let i = 0; i < args.length; i += ARGUMENTS_A_REQUEST) {
      const part = args.slice(i, i + ARGUMENTS_A_REQUEST);
      answers.push(this.request(step, ...part));
    }
    return Promise.all(answers);
  }

  /** Files by path; not whole when some answer was damaged. */
  async slurp(
    paths: readonly string[],
  ): Promise<{files: Map<string, string>; whole: boolean}> {
    const files = new Map<string, string>();
    let whole = true;
    for (const {body, damage} of await this.inParts('slurp', paths)) {
      if (damage !== undefined) whole = false;
      parseSlurp(body, files);
    }
    return {files, whole};
  }

  /** Asks a step about some processes, or about all in one command. */
  async walk(
    step: string,
    targets: readonly TrackedProcess[],
    everyone: boolean,
  ): Promise<Answer[]> {
    if (everyone) return [await this.request(step)];
    return this.inParts(
      step,
      targets.map(({pid}) => pid),
    );
  }

  /** The lines of a list, noting those that could not be read. */
  lines<T>(
    lines: {readonly items: T[]; readonly malformed: number},
    what: string,
  ): T[] {
    this.malformed(lines.malformed, what);
    return lines.items;
  }

  malformed(count: number, what: string): void {
    if (count > 0) this.problem(`${what}: ${count} lines could not be read`);
  }

  problem(text: string): void {
    if (this.problems.length < PROBLEMS_KEPT) this.problems.push(text);
  }
}
