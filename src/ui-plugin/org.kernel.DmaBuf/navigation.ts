// SPDX-License-Identifier: Apache-2.0
// Uris of our tracks, and ways to get to what is on them.
import m from 'mithril';
import {Time} from '../../base/time';
import type {Trace} from '../../public/trace';
import {formatTime} from './format';

const URI_PREFIX = '/org.kernel.DmaBuf';

export const COVERAGE_GAPS_URI = `${URI_PREFIX}/coverage_gaps`;
export const ALLOC_EVENTS_URI = `${URI_PREFIX}/alloc_events`;
export const DMABUF_RSS_SUM_URI = `${URI_PREFIX}/dmabuf_rss_sum`;

export function lifetimesUri(machineId: number): string {
  return `${URI_PREFIX}/machine_${machineId}/buffers`;
}

export function nameCounterUri(position: number): string {
  return `${URI_PREFIX}/name_${position}`;
}

export function holdingsUri(upid: number): string {
  return `/process_${upid}/dma_buf_buffers`;
}

/** The page of the explorer, or one of its views. */
export type ExplorerView = 'state' | 'leaks' | 'compare';

export const EXPLORER_ROUTE = '/dmabuf';

export function explorerHash(view: ExplorerView): string {
  return `#!${EXPLORER_ROUTE}/${view}`;
}

/** Selects a slice on one of our tracks, from whatever page. */
export function showSlice(trace: Trace, uri: string, sliceId: number): void {
  trace.navigate('#!/viewer');
  trace.selection.selectTrackEvent(uri, sliceId, {scrollToSelection: true});
}

/** Shows a time (of a track), marked with the cursor's line. */
export function showTime(trace: Trace, ts: bigint, trackUri?: string): void {
  const time = Time.fromRaw(ts);
  trace.navigate('#!/viewer');
  trace.timeline.hoverCursorTimestamp = time;
  trace.scrollTo({
    time: {start: time, behavior: 'pan'},
    track:
      trackUri === undefined ? undefined : {uri: trackUri, expandGroup: true},
  });
}

/** A piece of text that does something. */
export function link(label: m.Children, onclick: () => void): m.Children {
  return m('button.pf-dmabuf-link', {onclick}, label);
}

export function timeLink(trace: Trace, ts: bigint): m.Children {
  return link(formatTime(trace, Time.fromRaw(ts)), () => showTime(trace, ts));
}

/** A process's holding of a buffer, named by the process. */
export function holdingLink(
  trace: Trace,
  holding: {readonly id: number; readonly upid: number},
  label: string,
): m.Children {
  return link(label, () =>
    showSlice(trace, holdingsUri(holding.upid), holding.id),
  );
}

export function processTitle(process: {
  readonly name: string | undefined;
  readonly pid: bigint;
}): string {
  return `${process.name ?? 'process'} ${process.pid}`;
}

/** Worn by everything that no real kernel gave. */
export function simulatedBadge(isSimulated: boolean): m.Children {
  return (
    isSimulated &&
    m('.pf-dmabuf-simulated', 'Simulated: not the memory of any device')
  );
}
