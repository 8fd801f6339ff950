// SPDX-License-Identifier: Apache-2.0
import type {QueryResult} from './query_result';

export interface Engine {
  /** @throws (rejects) with the trace processor's message. */
  query(sql: string): Promise<QueryResult>;
}
