// SPDX-License-Identifier: Apache-2.0
import type {Track} from '../../public/track';
import {selectedProcesses} from './area_tab';
import {DMABUF_TRACK_KIND} from './buffer_track';

const COUNTER_IDS = new Set([7]);

function track(tags: Track['tags']): Track {
  return {uri: '/x', renderer: {render: () => {}}, tags};
}

function selected(...tracks: Track[]) {
  return selectedProcesses({tracks}, COUNTER_IDS);
}

test('other tracks alone are none of ours', () => {
  expect(selected()).toBe(undefined);
  expect(selected(track({trackIds: [8], upid: 3}))).toBe(undefined);
});

test('tracks of processes tell which', () => {
  expect(
    selected(
      track({kinds: [DMABUF_TRACK_KIND], upid: 3}),
      track({trackIds: [7], upid: 4}),
      track({trackIds: [8], upid: 5}),
    ),
  ).toEqual(new Set([3, 4]));
});

test('a track of the whole machine stands for all processes', () => {
  expect(
    selected(
      track({kinds: [DMABUF_TRACK_KIND], upid: 3}),
      track({trackIds: [7]}),
    ),
  ).toBe('all');
});
