// SPDX-License-Identifier: Apache-2.0
import type {PerfettoPlugin} from '../api/public/plugin';
import {
  UiDoesNotFit,
  type PluginClass,
  type UiApp,
  type UiPluginManager,
} from './ui_app';

/** How often a trace that is being loaded is asked whether it is there, ms. */
const POLL_MS = 100;

/**
 * Has the UI start a plugin as one of its own: with the others where they are
 * not started yet, else now, into the open trace too.
 *
 * The UI computes the list of its active plugins anew each time, from its flags
 * and the ids that it is handed; so our id is added to them every time.
 *
 * @param report Is told when the plugin could not be registered later on.
 * @throws UiDoesNotFit when the UI lacks a plugin that this one depends on.
 */
export function installPlugin(
  app: UiApp,
  plugin: PluginClass,
  report: (error: unknown) => void,
): void {
  const {plugins} = app;
  const activate = plugins.activatePlugins;
  let isRegistered = false;

  plugins.activatePlugins = (uiApp, alsoIds = []) => {
    try {
      if (!isRegistered) isRegistered = register(plugins, plugin);
    } catch (error) {
      report(error);
    }
    const ids = isRegistered ? [...alsoIds, plugin.id] : alsoIds;
    Reflect.apply(activate, plugins, [uiApp, ids]);
  };

  const active = plugins
    .getAllPlugins()
    .filter((other) => other.active === true);
  if (active.length === 0) return;
  // We came late. Plugins enabled by the address alone must stay enabled.
  plugins.activatePlugins(
    app,
    active.map(({desc}) => desc.id),
  );
  if (isRegistered) loadIntoOpenTrace(app, plugin);
}

/**
 * @returns False when the UI has this very plugin itself.
 * @throws UiDoesNotFit when a dependency is missing: the UI would not start.
 */
function register(plugins: UiPluginManager, plugin: PluginClass): boolean {
  const ids = new Set(plugins.getAllPlugins().map(({desc}) => desc.id));
  if (ids.has(plugin.id)) return false;
  for (const {id} of plugin.dependencies ?? []) {
    if (!ids.has(id)) throw new UiDoesNotFit(`the UI has no plugin ${id}`);
  }
  plugins.registerPlugin(plugin);
  return true;
}

function loadIntoOpenTrace(app: UiApp, plugin: PluginClass): void {
  if (app.isLoadingTrace === true) {
    // Its plugins were listed before ours was there, or were not; the plugin
    // itself sees to it that it is loaded once.
    setTimeout(() => loadIntoOpenTrace(app, plugin), POLL_MS);
    return;
  }
  if (app.trace === undefined) return;
  const loaded: PerfettoPlugin = new plugin(app.trace);
  // A guarded plugin reports its own errors.
  void loaded.onTraceLoad?.(app.trace);
}
