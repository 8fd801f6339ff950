// SPDX-License-Identifier: Apache-2.0
import type m from 'mithril';
import type {TrackEventSelection} from './selection';

export interface TrackEventDetailsPanel {
  /** The UI never runs two loads at a time. */
  load?(selection: TrackEventSelection): Promise<void>;
  /** Called at each draw, loaded or not. */
  render(): m.Children;
}
