// SPDX-License-Identifier: Apache-2.0
import {TrackNode} from '../../public/workspace';
import {NUM} from '../../trace_processor/query_result';
import {
  explorerHash,
  holdingsUri,
  showTime,
  type ExplorerView,
} from './navigation';
import {queryLargestHolder, queryPeak} from './peaks';
import {Placement} from './placement';
import {queryRows} from './rows';
import type {Session} from './session';

const ID_PREFIX = 'org.kernel.DmaBuf';

/** How many processes are pinned with what is of the whole machine. */
const PINNED_HOLDERS = 3;

/** Registers the commands for which the trace has what they need. */
export function registerCommands(session: Session): void {
  const {trace, contents} = session;
  const {hasRecording, hasDmaHeapStat, hasStockDmabufRss} = contents;
  const register = (
    name: string,
    title: string,
    callback: () => unknown,
  ): void => {
    const id = `${ID_PREFIX}.${name}`;
    trace.commands.registerCommand({id, name: `DMA-BUF: ${title}`, callback});
  };
  const open = (view: ExplorerView) => () => trace.navigate(explorerHash(view));
  if (hasRecording || hasDmaHeapStat || hasStockDmabufRss) {
    const pin = () => pinTracks(session);
    register('PinTracks', 'pin totals and the largest holders', pin);
  }
  if (hasRecording || hasStockDmabufRss) {
    const go = () => goToLargestHolder(session);
    register('GoToLargestHolder', 'go to the largest holder', go);
  }
  if (hasRecording || hasDmaHeapStat) {
    register('GoToPeak', 'go to the peak', () => goToPeak(session));
    register('Explore', 'open the explorer', open('state'));
  }
  if (hasRecording) {
    register('ShowLeakCandidates', 'show leak candidates', open('leaks'));
    register('CompareTwoTimes', 'compare two times', open('compare'));
  }
}

async function pinTracks({trace}: Session): Promise<void> {
  const counters = await queryRows(
    trace.engine,
    `SELECT * FROM (
       SELECT track_id FROM dmabuf_global_counter
       WHERE kind IN ('total', 'held', 'kernel_only', 'mapped_only', 'dma_heap')
       ORDER BY sort_order
     )
     UNION ALL
     SELECT * FROM (
       SELECT t.track_id
       FROM dmabuf_process_counter AS t JOIN counter AS c USING (track_id)
       WHERE t.kind = (
         SELECT kind FROM dmabuf_process_counter
         WHERE kind IN ('pss', 'dmabuf_rss') ORDER BY kind = 'pss' DESC LIMIT 1
       )
       GROUP BY t.track_id
       ORDER BY max(c.value) DESC LIMIT ${PINNED_HOLDERS}
     )`,
    {track_id: NUM},
  );
  const placement = new Placement(trace);
  for (const {track_id: trackId} of counters) {
    const node = placement.find(trackId);
    if (node === undefined || node.isPinned) continue;
    // At the top it stands without its group, which says whose it is.
    const name = `${node.parent?.name ?? ''}: ${node.name}`;
    trace.defaultWorkspace.pinTrack(new TrackNode({uri: node.uri, name}));
  }
}

async function goToLargestHolder({trace}: Session): Promise<void> {
  const holder = await queryLargestHolder(trace.engine);
  if (holder === undefined) return;
  const node =
    trace.defaultWorkspace.tracks.getTrackByUri(holdingsUri(holder.upid)) ??
    new Placement(trace).find(holder.trackId);
  showTime(trace, holder.ts, node?.uri);
}

async function goToPeak({trace}: Session): Promise<void> {
  const peak = await queryPeak(trace.engine);
  if (peak === undefined) return;
  showTime(trace, peak.ts, new Placement(trace).find(peak.trackId)?.uri);
}
