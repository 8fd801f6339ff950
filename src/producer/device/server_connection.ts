// SPDX-License-Identifier: Apache-2.0
import type {ChildProcess} from 'node:child_process';
import {Connection} from './adbkit.js';
import type {ServerAddress} from './server_address.js';
import type {ServerStarter} from './server_starter.js';

/**
 * adbkit's connection, but that the server it starts when the connection is
 * refused is started within a time limit, and only where that makes sense.
 */
export class ServerConnection extends Connection {
  constructor(
    address: ServerAddress,
    private readonly starter: ServerStarter | undefined,
  ) {
    super({host: address.host, port: address.port});
    // adbkit hands socket errors on as events long after the set-up; without a
    // listener each of them would end the process. Who uses the socket notices
    // them there.
    this.on('error', () => undefined);
  }

  override async startServer(): Promise<ChildProcess> {
    if (!this.starter) {
      throw Object.assign(new Error('connect ECONNREFUSED'), {
        code: 'ECONNREFUSED',
      });
    }
    return this.starter.start();
  }
}
