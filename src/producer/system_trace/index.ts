// SPDX-License-Identifier: Apache-2.0
export {
  builtInConfig,
  parseVersion,
  pollsDmabufRss,
  readConfig,
  type PerfettoVersion,
} from './config.js';
export {
  NoPerfettoError,
  startSystemTrace,
  type SystemTraceOptions,
  type SystemTraceResult,
  type SystemTraceSession,
} from './session.js';
