// SPDX-License-Identifier: Apache-2.0
// What each process holds, in its group.
import type {Trace} from '../../public/trace';
import {TrackNode} from '../../public/workspace';
import {NUM} from '../../trace_processor/query_result';
import ProcessThreadGroupsPlugin from '../dev.perfetto.ProcessThreadGroups';
import {registerBufferTrack} from './buffer_track';
import type {BufferLines} from './lines';
import {holdingsUri} from './navigation';
import {replaceNode, type Placement} from './placement';
import {queryRows} from './rows';
import type {Session} from './session';

/** Puts our track of held buffers in place of the stock one of a process. */
export function addProcessTrack(
  session: Session,
  placement: Placement,
  lines: BufferLines,
  upid: number,
): void {
  const {trace, contents} = session;
  const uri = holdingsUri(upid);
  const groups = trace.plugins.getPlugin(ProcessThreadGroupsPlugin);
  const stock = placement.find(lines.trackIds[0]);
  const parent = stock?.parent ?? groups.getGroupForProcess(upid);
  if (parent === undefined) return;
  registerBufferTrack(session, {
    uri,
    lines,
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

/**
 * A recording repeats each process's RSS as `mem.dmabuf_rss`, for the views of
 * memory that know that name. In the tree it would stand there twice.
 */
export async function removeCopiesOfRss(
  trace: Trace,
  placement: Placement,
): Promise<void> {
  const copies = await queryRows(
    trace.engine,
    `SELECT copy.track_id
     FROM dmabuf_process_counter AS copy
     JOIN dmabuf_process_counter AS rss USING (upid)
     WHERE copy.kind = 'dmabuf_rss' AND rss.kind = 'rss'`,
    {track_id: NUM},
  );
  for (const {track_id: trackId} of copies) {
    placement.find(trackId)?.remove();
  }
}
