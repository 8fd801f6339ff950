// SPDX-License-Identifier: Apache-2.0
import {JSDOM} from 'jsdom';
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import {NOTICE_ID} from '../../../../src/ui-plugin/extension/notice';
import {
  APP_TIMEOUT_MS,
  startExtension,
} from '../../../../src/ui-plugin/extension/start';
import {ManagerDouble, appWith, brought} from './manager_double';

const LOCAL = 'http://localhost:10000/';
const PERFETTO = 'https://ui.perfetto.dev/v58.2/';
const UI_BODY = '<body data-perfetto_version="{}"></body>';

function windowAt(url: string, html = ''): Window {
  const {window} = new JSDOM(html, {url});
  // Its timers are those that the test can wind on.
  return Object.assign(window as object as Window, {setTimeout});
}

const noticeIn = (page: Window): string | undefined =>
  page.document.getElementById(NOTICE_ID)?.firstChild?.textContent ?? undefined;

describe('startExtension', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it.each([
    ['on ui.perfetto.dev', PERFETTO, ''],
    ["in a developer's own build", LOCAL, UI_BODY],
  ])('adds the plugin %s', (_where, url, html) => {
    const page = windowAt(url, html);
    const plugins = new ManagerDouble();
    const app = appWith(plugins);
    startExtension(page, brought('ours'));
    Object.assign(page, {app});
    plugins.activatePlugins(app);
    expect(plugins.activeIds).toEqual(['ours']);
    vi.advanceTimersByTime(APP_TIMEOUT_MS);
    expect(noticeIn(page)).toBeUndefined();
  });

  it('says that an unknown app does not fit', () => {
    const page = windowAt(PERFETTO);
    startExtension(page, brought('ours'));
    Object.assign(page, {app: {}});
    expect(noticeIn(page)).toContain('does not fit');
  });

  it('says that there is no app, after a while', () => {
    const page = windowAt(PERFETTO);
    startExtension(page, brought('ours'));
    expect(noticeIn(page)).toBeUndefined();
    vi.advanceTimersByTime(APP_TIMEOUT_MS);
    expect(noticeIn(page)).toContain('the page has no window.app');
  });

  it("leaves alone somebody else's app on this machine", () => {
    const page = windowAt(LOCAL);
    const plugins = new ManagerDouble();
    startExtension(page, brought('ours'));
    Object.assign(page, {app: appWith(plugins)});
    plugins.activatePlugins(appWith(plugins));
    expect(plugins.getAllPlugins()).toEqual([]);
    vi.advanceTimersByTime(APP_TIMEOUT_MS);
    expect(noticeIn(page)).toBeUndefined();
  });
});
