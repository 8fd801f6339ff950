// SPDX-License-Identifier: Apache-2.0
import type {PerfettoPlugin} from '../../public/plugin';
import type {Trace} from '../../public/trace';
import ProcessThreadGroupsPlugin from '../dev.perfetto.ProcessThreadGroups';
import TrackEventPlugin from '../dev.perfetto.TrackEvent';
import {addGlobalTracks} from './global_tracks';
import {Placement} from './placement';
import {addProcessTracks} from './process_tracks';
import {SqlPackage} from './sql_package';
import {readTraceContents} from './trace_contents';

/** Who holds which dma-buf, since when, under which name. */
export default class DmaBufPlugin implements PerfettoPlugin {
  static readonly id = 'org.kernel.DmaBuf';
  static readonly description =
    'Shows who holds which Linux dma-buf, since when, under which name and ' +
    'shared with whom, from recordings of perfetto-dmabuf; of other traces ' +
    'with dma_heap_stat events or mem.dmabuf_rss counters what they tell.';
  static readonly dependencies = [ProcessThreadGroupsPlugin, TrackEventPlugin];

  async onTraceLoad(trace: Trace): Promise<void> {
    const sqlPackage = new SqlPackage(trace.engine);
    const contents = await readTraceContents(trace.engine, sqlPackage);
    if (contents === undefined) return;
    if (contents.hasRecording) {
      await sqlPackage.include('samples');
      await sqlPackage.include('buffers');
      const placement = new Placement(trace);
      await addGlobalTracks(trace, placement);
      await addProcessTracks(trace, placement);
    }
  }
}
