// SPDX-License-Identifier: Apache-2.0
import './styles.scss';
import m from 'mithril';
import type {PerfettoPlugin} from '../../public/plugin';
import type {Trace} from '../../public/trace';
import {NUM} from '../../trace_processor/query_result';
import ProcessThreadGroupsPlugin from '../dev.perfetto.ProcessThreadGroups';
import TrackEventPlugin from '../dev.perfetto.TrackEvent';
import {HeldInAreaTab} from './area_tab';
import {registerCommands} from './commands';
import {ExplorerPage} from './explorer_page';
import {addGlobalTracks, addLifetimes} from './global_tracks';
import {createLines} from './lines';
import {EXPLORER_ROUTE, explorerHash} from './navigation';
import {Placement} from './placement';
import {addProcessTrack, removeCopiesOfRss} from './process_tracks';
import {queryRows} from './rows';
import type {Session} from './session';
import {SqlPackage} from './sql_package';
import {addStockTracks} from './stock_tracks';
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
    const session: Session = {trace, sqlPackage, contents};
    const placement = new Placement(trace);
    if (contents.hasRecording) {
      await sqlPackage.include('samples');
      for (const lines of await createLines(trace.engine)) {
        const {upid} = lines;
        if (upid === undefined) addLifetimes(session, placement, lines);
        else addProcessTrack(session, placement, lines, upid);
      }
      await removeCopiesOfRss(trace, placement);
      await addGlobalTracks(session, placement);
      trace.selection.registerAreaSelectionTab(
        new HeldInAreaTab(session, await queryCounterTrackIds(trace)),
      );
    }
    await addStockTracks(session, placement);
    if (contents.hasRecording || contents.hasDmaHeapStat) {
      registerExplorer(session);
    }
    registerCommands(session);
  }
}

/** The counters of dma-bufs, which the TrackEvent plugin shows. */
async function queryCounterTrackIds(
  trace: Trace,
): Promise<ReadonlySet<number>> {
  const rows = await queryRows(
    trace.engine,
    `SELECT track_id FROM dmabuf_global_counter
     UNION SELECT track_id FROM dmabuf_process_counter
     UNION SELECT track_id FROM dmabuf_sample`,
    {track_id: NUM},
  );
  return new Set(rows.map((row) => row.track_id));
}

function registerExplorer(session: Session): void {
  const {trace} = session;
  trace.pages.registerPage({
    route: EXPLORER_ROUTE,
    render: (subpage) => m(ExplorerPage, {session, subpage}),
  });
  trace.sidebar.addMenuItem({
    section: 'current_trace',
    sortOrder: 30,
    text: 'DMA-BUF explorer',
    href: explorerHash('state'),
    icon: 'memory',
  });
}
