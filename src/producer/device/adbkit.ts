// SPDX-License-Identifier: Apache-2.0
// The parts of adbkit that we build on. adbkit is CommonJS transpiled from ES
// modules, and bundlers and runtimes do not agree what its default exports are:
// require() means the same everywhere.
import {createRequire} from 'node:module';
import type commandModule from '@devicefarmer/adbkit/dist/src/adb/command.js';
import type rootModule from '@devicefarmer/adbkit/dist/src/adb/command/host-transport/root.js';
import type transportModule from '@devicefarmer/adbkit/dist/src/adb/command/host/transport.js';
import type connectionModule from '@devicefarmer/adbkit/dist/src/adb/connection.js';
import type parserModule from '@devicefarmer/adbkit/dist/src/adb/parser.js';
import type protocolModule from '@devicefarmer/adbkit/dist/src/adb/protocol.js';

const require = createRequire(import.meta.url);
const DIR = '@devicefarmer/adbkit/dist/src/adb';

export const Command = (require(`${DIR}/command.js`) as typeof commandModule)
  .default;

export const RootCommand = (
  require(`${DIR}/command/host-transport/root.js`) as typeof rootModule
).default;

export const HostTransportCommand = (
  require(`${DIR}/command/host/transport.js`) as typeof transportModule
).default;

export const Connection = (
  require(`${DIR}/connection.js`) as typeof connectionModule
).default;
export type Connection = InstanceType<typeof connectionModule.default>;

export const Parser = (require(`${DIR}/parser.js`) as typeof parserModule)
  .default;

export const Protocol = (require(`${DIR}/protocol.js`) as typeof protocolModule)
  .default;
