// SPDX-License-Identifier: Apache-2.0
// What each process holds, in its group.
import type {Trace} from '../../public/trace';
import {TrackNode} from '../../public/workspace';
import {NUM, NUM_NULL} from '../../trace_processor/query_result';
import ProcessThreadGroupsPlugin from '../dev.perfetto.ProcessThreadGroups';
import {registerBufferTrack} from './buffer_track';
import {holdingsUri} from './navigation';
import {replaceNode, type Placement} from './placement';
import {queryRows} from './rows';
import type {Session} from './session';

/** Puts our track of held buffers in place of the stock one of each process. */
export async function addProcessTracks(
  session: Session,
  placement: Placement,
): Promise<void> {
  const {trace, contents} = session;
  const lines = await queryLines(trace);
  const groups = trace.plugins.getPlugin(ProcessThreadGroupsPlugin);
  for (const [upid, trackIds] of lines) {
    const uri = holdingsUri(upid);
    const stock = placement.find(trackIds[0]);
    const parent = stock?.parent ?? groups.getGroupForProcess(upid);
    if (parent === undefined) continue;
    registerBufferTrack(session, {
      uri,
      table: 'dmabuf_holding',
      trackIds,
      upid,
      description:
        'The dma-bufs that the process holds by descriptors or mappings, each ' +
        'from the first sample that saw it to the first that did not.',
    });
    const node = new TrackNode({
      uri,
      name: 'dma-buf buffers',
      chips: contents.isSimulated ? ['simulated'] : undefined,
      sortOrder: stock?.sortOrder,
    });
    if (stock === undefined) parent.addChildInOrder(node);
    else replaceNode(stock, node);
  }
  await removeCopiesOfRss(trace, placement);
}

/** The lines of each process's track, by upid. */
async function queryLines(
  trace: Trace,
): Promise<ReadonlyMap<number, ReadonlyArray<number>>> {
  const rows = await queryRows(
    trace.engine,
    'SELECT DISTINCT upid, track_id FROM dmabuf_holding ORDER BY upid, track_id',
    {upid: NUM, track_id: NUM},
  );
  const lines = new Map<number, number[]>();
  for (const {upid, track_id: trackId} of rows) {
    const ids = lines.get(upid);
    if (ids === undefined) lines.set(upid, [trackId]);
    else ids.push(trackId);
  }
  return lines;
}

/**
 * A recording repeats each process's RSS as `mem.dmabuf_rss`, for the views of
 * memory that know that name. In the tree it would stand there twice.
 */
async function removeCopiesOfRss(
  trace: Trace,
  placement: Placement,
): Promise<void> {
  const copies = await queryRows(
    trace.engine,
    `SELECT dmabuf_rss_track_id AS track_id
     FROM dmabuf_process
     WHERE rss_track_id IS NOT NULL AND dmabuf_rss_track_id IS NOT NULL`,
    {track_id: NUM_NULL},
  );
  for (const {track_id: trackId} of copies) {
    placement.find(trackId ?? undefined)?.remove();
  }
}
