// SPDX-License-Identifier: Apache-2.0
export interface SidebarManager {
  addMenuItem(item: {
    readonly section: 'current_trace';
    readonly sortOrder?: number;
    readonly text: string;
    readonly href: string;
    readonly icon?: string;
  }): void;
}
