// SPDX-License-Identifier: Apache-2.0
import type {App} from '../api/public/app';
import type {PerfettoPlugin} from '../api/public/plugin';
import type {Trace} from '../api/public/trace';
import {provideUiClasses} from './class_sources';
import type {PluginClass} from './ui_app';

/** A plugin, and how to know cheaply whether a trace has anything for it. */
export interface BroughtPlugin {
  readonly plugin: PluginClass;
  readonly isOfUse: (trace: Trace) => Promise<boolean>;
}

/**
 * The plugin, so wrapped that no error of it reaches the UI, which would stop
 * loading the trace. It is loaded into one trace at most once.
 *
 * @param report Is told of each error.
 */
export function guardPlugin(
  {plugin, isOfUse}: BroughtPlugin,
  report: (error: unknown) => void,
): PluginClass {
  const seen = new WeakSet<object>();
  return class GuardedPlugin implements PerfettoPlugin {
    static readonly id = plugin.id;
    static readonly description = plugin.description ?? '';
    static readonly dependencies = plugin.dependencies ?? [];

    static onActivate(app: App): void {
      try {
        plugin.onActivate?.(app);
      } catch (error) {
        report(error);
      }
    }

    async onTraceLoad(trace: Trace): Promise<void> {
      // Each plugin has its own proxy of a trace; this in it is the same.
      if (seen.has(trace.traceInfo)) return;
      seen.add(trace.traceInfo);
      try {
        await provideUiClasses(trace, isOfUse);
        await new plugin(trace).onTraceLoad?.(trace);
      } catch (error) {
        report(error);
      }
    }
  };
}
