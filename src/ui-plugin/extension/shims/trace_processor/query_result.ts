// SPDX-License-Identifier: Apache-2.0
// Each type of a column is told by a value of it; see the UI's own module.
import type * as ui from '../../../api/trace_processor/query_result';

export const NUM: typeof ui.NUM = 0;
export const NUM_NULL: typeof ui.NUM_NULL = 1;
export const STR: typeof ui.STR = 'str';
export const STR_NULL: typeof ui.STR_NULL = 'str_null';
export const LONG: typeof ui.LONG = 0n;
export const LONG_NULL: typeof ui.LONG_NULL = 1n;
