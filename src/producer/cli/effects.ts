// SPDX-License-Identifier: Apache-2.0
import {openInBrowser, serveFile} from '../open/index.js';
import {record} from '../recording.js';
import {connectSource} from '../source.js';
import type {Io} from './io.js';
import type {Console} from './console.js';

/** What commands do to the world beyond their output. */
export interface Effects {
  readonly connectSource: typeof connectSource;
  readonly record: typeof record;
  readonly serveFile: typeof serveFile;
  readonly openInBrowser: typeof openInBrowser;
}

export const realEffects: Effects = {
  connectSource,
  record,
  serveFile,
  openInBrowser,
};

/** What every command is given. */
export interface Context {
  readonly io: Io;
  readonly console: Console;
  readonly effects: Effects;
}
