// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';
import {Time} from '../../base/time';
import type {Trace} from '../../public/trace';
import {formatTime} from './format';

export interface TimePickerAttrs {
  readonly trace: Trace;
  readonly label: string;
  /** The times there are to choose from, in order; at least one. */
  readonly stamps: ReadonlyArray<bigint>;
  /** Of the most bytes. */
  readonly peak: bigint | undefined;
  readonly value: bigint;
  readonly onchange: (ts: bigint) => void;
}

/** Chooses a sample by its time. */
export const TimePicker: m.Component<TimePickerAttrs> = {
  view({attrs}) {
    const {trace, label, stamps, peak, value, onchange} = attrs;
    const index = indexAt(stamps, value);
    const go = (to: number): void => {
      const ts = stamps[Math.min(Math.max(to, 0), stamps.length - 1)];
      if (ts !== undefined) onchange(ts);
    };
    const button = (text: string, title: string, to: number): m.Children =>
      m('button.pf-dmabuf-button', {title, onclick: () => go(to)}, text);
    return m('.pf-dmabuf-time', [
      m('span.pf-dmabuf-time__label', label),
      button('Start', 'The first sample', 0),
      button('\u25c2', 'The sample before', index - 1),
      m('input[type=range][min=0]', {
        max: stamps.length - 1,
        value: index,
        title: label,
        oninput: ({target}: InputEvent) => {
          if (target instanceof HTMLInputElement) go(target.valueAsNumber);
        },
      }),
      button('\u25b8', 'The sample after', index + 1),
      peak !== undefined &&
        button('Peak', 'When there was the most', indexAt(stamps, peak)),
      button('End', 'The last sample', stamps.length - 1),
      m('span.pf-dmabuf-time__value', formatTime(trace, Time.fromRaw(value))),
    ]);
  },
};

/** Index of the last stamp that is not after the time; 0 when all are. */
export function indexAt(stamps: ReadonlyArray<bigint>, ts: bigint): number {
  let low = 0;
  let high = stamps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((stamps[middle] ?? 0n) <= ts) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
