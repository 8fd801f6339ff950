// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import {CompareView} from './compare_view';
import {LeakView} from './leak_view';
import {Loaded} from './loaded';
import {explorerHash, simulatedBadge, type ExplorerView} from './navigation';
import {queryPeak} from './peaks';
import type {Session} from './session';
import {queryStamps} from './state';
import {StateView} from './state_view';

/** What the views of the page work with. */
export interface ExplorerTimes {
  /** The times there are to choose from, in order; at least one. */
  readonly stamps: ReadonlyArray<bigint>;
  readonly peak: bigint | undefined;
}

export interface ExplorerPageAttrs {
  readonly session: Session;
  /** As it stands in the address. */
  readonly subpage: string | undefined;
}

const VIEWS: ReadonlyArray<{value: ExplorerView; label: string}> = [
  {value: 'state', label: 'State at a time'},
  {value: 'leaks', label: 'Leak candidates'},
  {value: 'compare', label: 'Compare two times'},
];

/** The DMA-BUF explorer. */
export class ExplorerPage implements m.ClassComponent<ExplorerPageAttrs> {
  private readonly times = new Loaded<ExplorerTimes>();

  view({attrs}: m.Vnode<ExplorerPageAttrs>): m.Children {
    const {session, subpage} = attrs;
    const {contents} = session;
    const view = viewOf(subpage);
    return m('.pf-dmabuf-page', [
      m('h1', 'DMA-BUF explorer'),
      simulatedBadge(contents.isSimulated),
      m('p.pf-dmabuf-note', describeSource(session)),
      m(
        'nav.pf-dmabuf-choice',
        VIEWS.map(({value, label}) =>
          m(
            'a.pf-dmabuf-button',
            {
              class: value === view ? 'pf-dmabuf-button--pressed' : undefined,
              href: explorerHash(value),
            },
            label,
          ),
        ),
      ),
      this.times.render(
        {},
        () => queryTimes(session),
        (times) => renderView(session, view, times),
      ),
    ]);
  }
}

function renderView(
  session: Session,
  view: ExplorerView,
  times: ExplorerTimes,
): m.Children {
  if (view === 'state') return m(StateView, {session, times});
  if (!session.contents.hasRecording) return m('p', NEEDS_RECORDING);
  return view === 'leaks'
    ? m(LeakView, {session})
    : m(CompareView, {session, times});
}

const NEEDS_RECORDING =
  'This trace has no recording of who holds which buffer, so that this is not ' +
  'known. perfetto-dmabuf makes one, beside a system trace if wanted.';

function viewOf(subpage: string | undefined): ExplorerView {
  const name = subpage?.replace(/^\//, '');
  return VIEWS.find(({value}) => value === name)?.value ?? 'state';
}

function describeSource({contents}: Session): string {
  if (!contents.hasRecording) {
    return (
      'No recording of holders in this trace. What is shown are allocations ' +
      'from heaps that were not yet freed, under the process that allocated ' +
      'them; who holds them, and buffers of other exporters, is not known.'
    );
  }
  const device = contents.device ?? 'a device that is not named';
  return contents.ended === undefined
    ? `Recorded from ${device}. The recording was cut short.`
    : `Recorded from ${device}.`;
}

async function queryTimes(session: Session): Promise<ExplorerTimes> {
  const stamps = await queryStamps(session);
  const peak = await queryPeak(session.trace.engine);
  return {stamps, peak: peak?.ts};
}
