// SPDX-License-Identifier: Apache-2.0
import type {Duplex} from 'node:stream';
import {ServerCommand} from './server_command.js';

/** The length of a request is four hexadecimal digits. */
const MAX_REQUEST_BYTES = 0xffff;
const SERVICE = 'exec:';

/** The longest command that exec: can carry, in bytes of UTF-8. */
export const MAX_COMMAND_BYTES = MAX_REQUEST_BYTES - SERVICE.length;

/**
 * adb's `exec:` service: runs a command on a raw pty and joins its stdin and
 * stdout to the connection, which must have been switched to the device's
 * transport before. adbkit only has `shell:`, which translates line ends.
 */
export class ExecCommand extends ServerCommand<Duplex> {
  override async execute(command: string): Promise<Duplex> {
    await this.request(SERVICE + command);
    return this.parser.raw();
  }
}
