// SPDX-License-Identifier: Apache-2.0
import {ServerCommand} from './server_command.js';

/**
 * A request to the adb server itself that is answered by one text with its
 * length in front (packages/modules/adb, SERVICES.TXT, `host:...`).
 */
export class HostQueryCommand extends ServerCommand<string> {
  override async execute(query: string): Promise<string> {
    await this.request(query);
    const answer: Buffer = await this.parser.readValue();
    return answer.toString('utf8');
  }
}
