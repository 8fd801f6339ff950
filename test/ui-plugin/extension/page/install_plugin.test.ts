// SPDX-License-Identifier: Apache-2.0
import {describe, expect, it, vi} from 'vitest';
import {installPlugin} from '../../../../src/ui-plugin/extension/install_plugin';
import {
  UiDoesNotFit,
  asUiApp,
} from '../../../../src/ui-plugin/extension/ui_app';
import {ManagerDouble, appWith, counting, someTrace} from './manager_double';

const OURS = 'org.kernel.DmaBuf';

const never = (error: unknown): never => {
  throw error;
};

describe('installPlugin before the UI starts its plugins', () => {
  it('has the UI start ours with the others, after them', async () => {
    const plugins = new ManagerDouble();
    const app = appWith(plugins);
    const core = counting('core');
    const ours = counting(OURS, [core.plugin]);
    installPlugin(app, ours.plugin, never);
    plugins.registerPlugin(core.plugin, true);
    plugins.registerPlugin(counting('off').plugin);

    plugins.activatePlugins(app);
    expect(plugins.activeIds).toEqual(['core', OURS]);

    await plugins.onTraceLoad(someTrace());
    expect(ours.loads).toBe(1);
  });

  it('leaves plugins that the address enables', () => {
    const plugins = new ManagerDouble();
    const app = appWith(plugins);
    installPlugin(app, counting(OURS).plugin, never);
    plugins.registerPlugin(counting('by address').plugin);
    plugins.activatePlugins(app, ['by address']);
    expect(plugins.activeIds).toEqual(['by address', OURS]);
  });

  it('stays active when the UI computes the list again', () => {
    const plugins = new ManagerDouble();
    const app = appWith(plugins);
    installPlugin(app, counting(OURS).plugin, never);
    plugins.activatePlugins(app);
    plugins.activatePlugins(app, ['nothing of ours']);
    expect(plugins.activeIds).toEqual([OURS]);
  });

  it('starts the UI without ours where a dependency is missing', () => {
    const plugins = new ManagerDouble();
    const app = appWith(plugins);
    const report = vi.fn();
    const ours = counting(OURS, [counting('gone').plugin]);
    installPlugin(app, ours.plugin, report);
    plugins.registerPlugin(counting('core').plugin, true);
    plugins.activatePlugins(app);
    expect(plugins.activeIds).toEqual(['core']);
    expect(report).toHaveBeenCalledWith(
      new UiDoesNotFit('the UI has no plugin gone'),
    );
  });

  it('leaves alone a UI that has the plugin itself', () => {
    const plugins = new ManagerDouble();
    const app = appWith(plugins);
    installPlugin(app, counting(OURS).plugin, never);
    const theirs = counting(OURS).plugin;
    plugins.registerPlugin(theirs, true);
    plugins.activatePlugins(app);
    expect(plugins.getAllPlugins().map(({desc}) => desc)).toEqual([theirs]);
  });
});

describe('installPlugin in a UI that runs', () => {
  it('is loaded into the open trace, and into the next one', async () => {
    const plugins = new ManagerDouble();
    plugins.registerPlugin(counting('core').plugin, true);
    plugins.registerPlugin(counting('by address').plugin);
    const app = appWith(plugins, someTrace());
    plugins.activatePlugins(app, ['by address']);

    const ours = counting(OURS);
    installPlugin(app, ours.plugin, never);
    await vi.waitFor(() => expect(ours.loads).toBe(1));
    expect(plugins.activeIds).toEqual(['core', 'by address', OURS]);

    await plugins.onTraceLoad(someTrace());
    expect(ours.loads).toBe(2);
  });

  it('waits for a trace that is being loaded', async () => {
    vi.useFakeTimers();
    try {
      const plugins = new ManagerDouble();
      plugins.registerPlugin(counting('core').plugin, true);
      const app = appWith(plugins, someTrace());
      plugins.activatePlugins(app);
      app.isLoadingTrace = true;

      const ours = counting(OURS);
      installPlugin(app, ours.plugin, never);
      await vi.advanceTimersByTimeAsync(1000);
      expect(ours.loads).toBe(0);

      app.isLoadingTrace = false;
      await vi.advanceTimersByTimeAsync(1000);
      expect(ours.loads).toBe(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('loads nothing where no trace is open', () => {
    const plugins = new ManagerDouble();
    plugins.registerPlugin(counting('core').plugin, true);
    const app = appWith(plugins);
    plugins.activatePlugins(app);
    const ours = counting(OURS);
    installPlugin(app, ours.plugin, never);
    expect(plugins.activeIds).toEqual(['core', OURS]);
    expect(ours.loads).toBe(0);
  });
});

describe('asUiApp', () => {
  it.each([
    ['nothing', undefined],
    ['a text', 'app'],
    ["somebody else's app", {plugins: {}}],
    ['a renamed method', {plugins: {registerPlugin: vi.fn()}}],
  ])('refuses %s', (_what, app) => {
    expect(() => asUiApp(app)).toThrow(UiDoesNotFit);
  });

  it('takes what has the methods', () => {
    const app = appWith(new ManagerDouble());
    expect(asUiApp(app)).toBe(app);
  });
});
