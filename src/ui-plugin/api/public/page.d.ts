// SPDX-License-Identifier: Apache-2.0
import type m from 'mithril';

export interface PageManager {
  registerPage(page: {
    readonly route: string;
    readonly render: (subpage: string | undefined) => m.Children;
  }): unknown;
}
