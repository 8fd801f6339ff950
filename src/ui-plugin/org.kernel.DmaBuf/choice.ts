// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';

export interface Option<T extends string> {
  readonly value: T;
  readonly label: string;
}

/** A row of buttons of which one is pressed. */
export function choice<T extends string>(
  options: ReadonlyArray<Option<T>>,
  chosen: T,
  onchoose: (value: T) => void,
): m.Children {
  return m(
    '.pf-dmabuf-choice[role=group]',
    options.map(({value, label}) =>
      m(
        `button.pf-dmabuf-button[aria-pressed=${value === chosen}]`,
        {
          class: value === chosen ? 'pf-dmabuf-button--pressed' : undefined,
          onclick: () => onchoose(value),
        },
        label,
      ),
    ),
  );
}
