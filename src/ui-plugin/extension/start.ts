// SPDX-License-Identifier: Apache-2.0
import {whenAppIsSet} from './app_trap';
import {guardPlugin, type BroughtPlugin} from './guarded_plugin';
import {installPlugin} from './install_plugin';
import {explain, offerAgain, showNotice, uiVersion} from './notice';
import {UiDoesNotFit, asUiApp} from './ui_app';

/** The UI sets its app object as soon as its script runs: this is ample, ms. */
export const APP_TIMEOUT_MS = 60_000;

/**
 * Waits for the UI's app object and hands it the plugin. Whatever goes wrong
 * ends here, in a notice: the UI must never be worse off than without us. Pages
 * of this machine that are not the UI are left alone.
 */
export function startExtension(page: Window, brought: BroughtPlugin): void {
  let app: unknown;
  let isOffered = false;

  const report = (error: unknown): void => {
    try {
      const text = explain(error, uiVersion(page.document));
      const show = (): void => showNotice(page.document, text);
      show();
      if (!isOffered) offerAgain(app, show);
      isOffered = true;
    } catch {
      // Not even a notice; the UI goes on.
    }
  };

  whenAppIsSet(page, (value) => {
    app = value;
    if (!isPerfettoUi(page)) return;
    try {
      installPlugin(asUiApp(app), guardPlugin(brought, report), report);
    } catch (error) {
      report(error);
    }
  });

  page.setTimeout(() => {
    if (app !== undefined || !isPerfettoUi(page)) return;
    report(new UiDoesNotFit('the page has no window.app'));
  }, APP_TIMEOUT_MS);
}

/** Many a page of a developer's own machine has some `window.app`. */
function isPerfettoUi(page: Window): boolean {
  return (
    page.location.hostname === 'ui.perfetto.dev' ||
    page.document.body?.hasAttribute('data-perfetto_version')
  );
}
