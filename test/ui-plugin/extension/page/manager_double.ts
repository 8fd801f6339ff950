// SPDX-License-Identifier: Apache-2.0
// A double of the UI's app and plugin manager, with the behaviour that an
// extension has to live with; compare ui/src/core/plugin_manager.ts of Perfetto.
import type {
  PluginClass,
  UiApp,
} from '../../../../src/ui-plugin/extension/ui_app';
import type {BroughtPlugin} from '../../../../src/ui-plugin/extension/guarded_plugin';
import type {Trace} from '../../../../src/ui-plugin/api/public/trace';

interface Entry {
  readonly desc: PluginClass;
  readonly isDefault: boolean;
  active?: boolean;
}

export class ManagerDouble {
  private readonly entries: Entry[] = [];
  private ordered: Entry[] = [];

  registerPlugin(desc: PluginClass, isDefault = false): void {
    if (this.entries.some((entry) => entry.desc.id === desc.id)) {
      throw new Error(`${desc.id} is registered already`);
    }
    this.entries.push({desc, isDefault});
  }

  /** The list is made anew each time, of the defaults and these ids. */
  activatePlugins(app: UiApp, alsoIds: ReadonlyArray<string> = []): void {
    this.ordered = [];
    const visit = (entry: Entry): void => {
      if (this.ordered.includes(entry)) return;
      for (const {id} of entry.desc.dependencies ?? []) {
        const found = this.entries.find((other) => other.desc.id === id);
        if (found === undefined) throw new Error(`${id} is not registered`);
        visit(found);
      }
      this.ordered.push(entry);
    };
    for (const entry of this.entries) {
      if (entry.isDefault || alsoIds.includes(entry.desc.id)) visit(entry);
    }
    for (const entry of this.ordered) {
      if (entry.active === true) continue;
      entry.desc.onActivate?.(app);
      entry.active = true;
    }
  }

  getAllPlugins(): readonly Entry[] {
    return this.entries;
  }

  /** As the UI does when a trace is opened; an error ends it. */
  async onTraceLoad(trace: Trace): Promise<void> {
    for (const {desc} of this.ordered) {
      await new desc(trace).onTraceLoad?.(trace);
    }
  }

  get activeIds(): readonly string[] {
    return this.ordered.map(({desc}) => desc.id);
  }
}

/** The UI's app around a manager; `isLoadingTrace` is the test's to set. */
export type AppDouble = UiApp & {isLoadingTrace: boolean};

export function appWith(plugins: ManagerDouble, trace?: Trace): AppDouble {
  const parts: Partial<AppDouble> = {isLoadingTrace: false};
  if (trace !== undefined) Object.assign(parts, {trace});
  return Object.assign(parts, {plugins}) as AppDouble;
}

/** A trace that nobody looks at. */
export function someTrace(): Trace {
  return {traceInfo: {}} as Trace;
}

/** A plugin that does nothing but count the traces it was loaded into. */
export interface Counting {
  readonly plugin: PluginClass;
  loads: number;
}

export function counting(
  pluginId: string,
  dependencies: readonly PluginClass[] = [],
): Counting {
  const count: Counting = {
    loads: 0,
    plugin: class {
      static readonly id = pluginId;
      static readonly dependencies = dependencies;
      async onTraceLoad(): Promise<void> {
        await Promise.resolve();
        count.loads++;
      }
    },
  };
  return count;
}

export const isOfUse = (): Promise<boolean> => Promise.resolve(true);

export function brought(pluginId: string): BroughtPlugin {
  return {plugin: counting(pluginId).plugin, isOfUse};
}
