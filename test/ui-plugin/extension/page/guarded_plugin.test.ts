// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it, vi} from 'vitest';
import type {App} from '../../../../src/ui-plugin/api/public/app';
import {guardPlugin} from '../../../../src/ui-plugin/extension/guarded_plugin';
import type {PluginClass} from '../../../../src/ui-plugin/extension/ui_app';
import {counting, isOfUse} from './manager_double';
import {traceWith} from './tracks_double';

const PARTS = {id: 'org.kernel.DmaBuf', description: 'who holds what'};

/** A plugin that fails where it is told to. */
function failing(where: 'activate' | 'construct' | 'load'): PluginClass {
  return class {
    static readonly id = PARTS.id;
    static readonly description = PARTS.description;
    static onActivate(): void {
      if (where === 'activate') throw new Error('activate');
    }
    constructor() {
      if (where === 'construct') throw new Error('construct');
    }
    async onTraceLoad(): Promise<void> {
      await Promise.resolve();
      if (where === 'load') throw new Error('load');
    }
  };
}

describe('guardPlugin', () => {
  it('is known by what the plugin is known by', () => {
    const core = counting('core').plugin;
    const {plugin} = counting('org.kernel.DmaBuf', [core]);
    const guarded = guardPlugin({plugin, isOfUse}, vi.fn());
    expect(guarded.id).toBe('org.kernel.DmaBuf');
    expect(guarded.dependencies).toEqual([core]);
    expect(
      guardPlugin({plugin: failing('load'), isOfUse}, vi.fn()).description,
    ).toBe('who holds what');
  });

  it('passes traces on, each once', async () => {
    const inner = counting('x');
    const guarded = guardPlugin({plugin: inner.plugin, isOfUse}, vi.fn());
    const trace = traceWith([]);
    await new guarded(trace).onTraceLoad?.(trace);
    // By hand, and again by the UI, which has a proxy of the trace for each.
    const proxy = {...trace};
    await new guarded(proxy).onTraceLoad?.(proxy);
    expect(inner.loads).toBe(1);
    const next = traceWith([]);
    await new guarded(next).onTraceLoad?.(next);
    expect(inner.loads).toBe(2);
  });

  it.each(['activate', 'construct', 'load'] as const)(
    'reports an error in %s and throws none',
    async (where) => {
      const report = vi.fn();
      const guarded = guardPlugin({plugin: failing(where), isOfUse}, report);
      guarded.onActivate?.({} as App);
      const trace = traceWith([]);
      await new guarded(trace).onTraceLoad?.(trace);
      expect(report.mock.calls).toEqual([[new Error(where)]]);
    },
  );
});
