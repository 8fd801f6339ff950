// SPDX-License-Identifier: Apache-2.0
import type {PerfettoPlugin} from '../../public/plugin';
import type {Trace} from '../../public/trace';

export default class implements PerfettoPlugin {
  static readonly id: 'dev.perfetto.TrackEvent';
  onTraceLoad(trace: Trace): Promise<void>;
}
