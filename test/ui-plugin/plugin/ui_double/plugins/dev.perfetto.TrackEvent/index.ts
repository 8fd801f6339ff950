// SPDX-License-Identifier: Apache-2.0
export default class {
  static readonly id = 'dev.perfetto.TrackEvent';

  async onTraceLoad(): Promise<void> {}
}
