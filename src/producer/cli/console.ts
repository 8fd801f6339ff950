// SPDX-License-Identifier: Apache-2.0
import {describeError, describeStack} from './errors.js';
import type {Io} from './io.js';
import {TextOutput} from './output/text_output.js';

export const PROGRAM = 'perfetto-dmabuf';

/** The two outputs of a command: results, and what goes beside them. */
export class Console {
  readonly out: TextOutput;
  readonly err: TextOutput;

  constructor(io: Io) {
    this.out = new TextOutput(io.stdout);
    this.err = new TextOutput(io.stderr);
  }

  /** Something to know that does not end the job. */
  async warn(text: string): Promise<void> {
    await this.err.line(`${PROGRAM}: warning: ${text}`);
  }

  async error(error: unknown, verbose: boolean): Promise<void> {
    await this.err.line(`${PROGRAM}: ${describeError(error)}`);
    if (verbose) await this.err.line(describeStack(error));
  }
}
