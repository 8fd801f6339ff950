// SPDX-License-Identifier: Apache-2.0
// Tracks of slices that are each a buffer: lifetimes, and holdings of a process.
import m from 'mithril';
import {getColorForSlice} from '../../components/colorizer';
import {SliceTrack} from '../../components/tracks/slice_track';
import {SLICE_TRACK_KIND} from '../../public/track_kinds';
import {SourceDataset} from '../../trace_processor/dataset';
import {
  LONG,
  LONG_NULL,
  NUM,
  STR_NULL,
} from '../../trace_processor/query_result';
import {BufferDetailsPanel} from './buffer_details_panel';
import {formatBytes} from './format';
import {slicesOf, type BufferLines} from './lines';
import type {Session} from './session';

/** Kind of the tracks whose selection opens the area tab. */
export const DMABUF_TRACK_KIND = 'DmaBufTrack';

export interface BufferTrackAttrs {
  readonly uri: string;
  readonly lines: BufferLines;
  readonly description: string;
}

/** Registers a track of buffers; where it goes in the tree is the caller's. */
export function registerBufferTrack(
  session: Session,
  {uri, lines, description}: BufferTrackAttrs,
): void {
  const {trace} = session;
  const {trackIds, upid} = lines;
  const dataset = new SourceDataset({
    ...slicesOf(lines),
    schema: {
      id: NUM,
      ts: LONG,
      dur: LONG,
      depth: NUM,
      name: STR_NULL,
      key: STR_NULL,
      size: LONG_NULL,
      track_id: NUM,
    },
  });
  const renderer = SliceTrack.create({
    trace,
    uri,
    dataset,
    // With it flows are drawn, and searches find the slices here.
    rootTableName: 'slice',
    sliceName: ({name}) => name ?? 'dma-buf',
    tooltip: ({row}) =>
      m('', `${row.name ?? 'dma-buf'}, ${formatBytes(row.size ?? undefined)}`),
    // One buffer has one colour wherever it is held.
    colorizer: ({key}) => bufferColor(key ?? ''),
    detailsPanel: ({id}) => new BufferDetailsPanel(session, id),
  });
  trace.tracks.registerTrack({
    uri,
    renderer,
    description,
    tags: {kinds: [SLICE_TRACK_KIND, DMABUF_TRACK_KIND], trackIds, upid},
  });
}

/** @param key inode and generation, which are digits: none may be cut off. */
export function bufferColor(key: string) {
  return getColorForSlice(key, {stripTrailingDigits: false});
}
