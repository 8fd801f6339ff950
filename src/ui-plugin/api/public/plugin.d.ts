// SPDX-License-Identifier: Apache-2.0
import type {App} from './app';
import type {Trace} from './trace';

export interface PerfettoPlugin {
  onTraceLoad?(trace: Trace): Promise<void>;
}

export interface PerfettoPluginStatic<T extends PerfettoPlugin> {
  readonly id: string;
  readonly description?: string;
  readonly dependencies?: ReadonlyArray<PerfettoPluginStatic<PerfettoPlugin>>;
  onActivate?(app: App): void;
  new (trace: Trace): T;
}

export interface PluginManager {
  getPlugin<T extends PerfettoPlugin>(plugin: PerfettoPluginStatic<T>): T;
}
