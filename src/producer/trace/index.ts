// SPDX-License-Identifier: Apache-2.0
export {TraceReadError} from './packet_stream.js';
export type * from './recording.js';
export * from './report.js';
export {
  openFileSink,
  streamSink,
  TraceWriteError,
  type TraceSink,
} from './sinks.js';
export {readRecording} from './trace_reader.js';
export {
  TraceEncoder,
  type ClockReading,
  type TraceEncoderOptions,
} from './trace_recorder.js';
