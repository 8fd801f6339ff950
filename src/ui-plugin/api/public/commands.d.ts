// SPDX-License-Identifier: Apache-2.0
export interface Command {
  id: string;
  name: string;
  callback: () => unknown;
}

export interface CommandManager {
  registerCommand(command: Command): unknown;
}
