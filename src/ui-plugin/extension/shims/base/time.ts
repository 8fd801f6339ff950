// SPDX-License-Identifier: Apache-2.0
import type * as ui from '../../../api/base/time';

export const Time: Pick<typeof ui.Time, 'fromRaw'> = {
  fromRaw: (ns) => ns as ui.time,
};
