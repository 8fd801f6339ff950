// SPDX-License-Identifier: Apache-2.0
// The part of the UI's own objects that a plugin does not see but an extension
// needs; see ui/src/core/app_impl.ts and plugin_manager.ts of Perfetto. None of
// it is promised, so all of it is checked before it is used.
import type {App} from '../api/public/app';
import type {
  PerfettoPlugin,
  PerfettoPluginStatic,
  PluginManager,
} from '../api/public/plugin';
import type {Trace} from '../api/public/trace';

export type PluginClass = PerfettoPluginStatic<PerfettoPlugin>;

export interface UiPluginManager extends PluginManager {
  registerPlugin(plugin: PluginClass): void;
  /** Computes anew which plugins are active: by their flags, and these ids. */
  activatePlugins(app: UiApp, alsoIds?: ReadonlyArray<string>): void;
  getAllPlugins(): ReadonlyArray<{
    readonly desc: {readonly id: string};
    readonly active?: boolean;
  }>;
}

export interface UiApp extends App {
  readonly plugins: UiPluginManager;
  readonly trace?: Trace;
  readonly isLoadingTrace?: boolean;
}

/** This version of the UI lacks something; the message says what. */
export class UiDoesNotFit extends Error {
  override readonly name = 'UiDoesNotFit';
}

/** @throws UiDoesNotFit when it is not the UI's app, or not as known here. */
export function asUiApp(app: unknown): UiApp {
  if (isUiApp(app)) return app;
  throw new UiDoesNotFit('window.app is not as this extension knows it');
}

function isUiApp(app: unknown): app is UiApp {
  const plugins = property(app, 'plugins');
  return ['registerPlugin', 'activatePlugins', 'getAllPlugins'].every(
    (name) => typeof property(plugins, name) === 'function',
  );
}

/** A property of what may not be an object. */
export function property(object: unknown, name: string): unknown {
  const isObject =
    (typeof object === 'object' || typeof object === 'function') &&
    object !== null;
  return isObject ? Reflect.get(object, name) : undefined;
}
