// SPDX-License-Identifier: Apache-2.0
import type {CommandManager} from './commands';
import type {PageManager} from './page';
import type {PluginManager} from './plugin';
import type {SidebarManager} from './sidebar';

export interface App {
  readonly commands: CommandManager;
  readonly pages: PageManager;
  readonly plugins: PluginManager;
  readonly sidebar: SidebarManager;
  /** To a page, such as `#!/viewer`. */
  navigate(hash: string): void;
}
