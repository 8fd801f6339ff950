// SPDX-License-Identifier: Apache-2.0
import {Command, Protocol} from './adbkit.js';

/** What our adbkit commands share. */
export abstract class ServerCommand<T> extends Command<T> {
  /**
   * Sends a request and waits for its OKAY.
   *
   * @throws Parser.FailError with the server's reason
   */
  protected async request(text: string): Promise<void> {
    this._send(text);
    const reply: string = await this.parser.readAscii(4);
    if (reply === Protocol.FAIL) await this.parser.readError();
    if (reply !== Protocol.OKAY)
      await this.parser.unexpected(reply, 'OKAY or FAIL');
  }
}
