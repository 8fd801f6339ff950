// SPDX-License-Identifier: Apache-2.0
import m from 'mithril';

export type Fact = readonly [label: string, value: m.Children];

/** What is known of one thing, line by line. */
export function factTable(facts: ReadonlyArray<Fact>): m.Children {
  return m(
    'table.pf-dmabuf-facts',
    facts.map(([label, value]) => m('tr', [m('th', label), m('td', value)])),
  );
}
