// SPDX-License-Identifier: Apache-2.0
import type {Trace} from '../../public/trace';
import type {SqlPackage} from './sql_package';
import type {TraceContents} from './trace_contents';

/** What the parts of the plugin share while one trace is open. */
export interface Session {
  readonly trace: Trace;
  readonly sqlPackage: SqlPackage;
  readonly contents: TraceContents;
}
