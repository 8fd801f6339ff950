// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import type {TrackEventDetailsPanel} from '../../public/details_panel';
import type {Trace} from '../../public/trace';

/** What is shown of a buffer when one of its slices is selected. */
export class BufferDetailsPanel implements TrackEventDetailsPanel {
  constructor(
    private readonly trace: Trace,
    private readonly sliceId: number,
  ) {}

  render(): m.Children {
    return m(
      '.pf-dmabuf-details',
      `${this.sliceId} ${this.trace.traceInfo.start}`,
    );
  }
}
